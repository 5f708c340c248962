package mapping

import (
	"cmp"
	"math"
	"slices"

	"ircbridge/chat"
	"ircbridge/overlay"
)

// birth tells two states of one name apart: the time of its founding by its
// keeper's hybrid clock (Unix milliseconds), and random bits. Zero: none.
type birth struct {
	at     int64
	random uint64
}

func (b birth) none() bool { return b == birth{} }

// compare orders births, the oldest first; none comes after all.
func (b birth) compare(c birth) int {
	if b.none() || c.none() {
		return cmp.Compare(boolInt(b.none()), boolInt(c.none()))
	}
	return cmp.Or(cmp.Compare(b.at, c.at), cmp.Compare(b.random, c.random))
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// state is a channel: what its keeper keeps, what a view holds, and, with some
// items only, a part of either. Every item has the stamp of its last change.
// It is plain data; whoever holds it guards it.
type state struct {
	birth       birth
	name        string // as the founder wrote it; shown is what users see
	given       given
	alias       alias
	heads       heads
	members     map[overlay.Stream]member
	removals    map[overlay.Stream]removal
	topic       topic
	modes       map[byte]mode
	lists       lists
	invitations map[overlay.Stream]invitation
	knocks      knocks
	tail        []line // the last messages, in the order of stamps
	measure     measuredTail
	former      map[formerID]former
	rest        rest
	redactions  map[origin]redaction
	meta        metadata
}

// member is one session in the channel.
type member struct {
	join     uint64 // number of the join's request
	person   person
	status   chat.Status
	joined   overlay.Stamp
	statusAt overlay.Stamp
}

// Kinds of removal.
const (
	byPart = 1 + iota
	byKick
	byQuit
)

// never is the join of a removal that no later join of the session follows.
const never = math.MaxUint64

// removal remembers that the joins of a session up to a number are over, so
// that no renewal and no old copy revives them.
type removal struct {
	join   uint64
	left   uint64 // those up to this, which is at most join, ended because he or an operator wanted it
	stamp  overlay.Stamp
	kind   uint8
	by     string // mask of who kicked
	reason string // of a kick
	at     int64
}

type topic struct {
	text, by string
	at       int64
	stamp    overlay.Stamp
}

// mode is one of ownModes.
type mode struct {
	on    bool
	key   string
	limit int
	stamp overlay.Stamp
}

type invitation struct {
	gone  bool
	stamp overlay.Stamp
}

func newState() *state {
	return &state{
		heads:       heads{},
		members:     map[overlay.Stream]member{},
		removals:    map[overlay.Stream]removal{},
		modes:       map[byte]mode{},
		lists:       newLists(),
		invitations: map[overlay.Stream]invitation{},
		knocks:      knocks{},
		former:      map[formerID]former{},
		redactions:  map[origin]redaction{},
		meta:        metadata{},
	}
}

// found begins the channel anew: its first member comes next.
func (s *state) found(b birth, name string, at overlay.Stamp) {
	s.end()
	s.birth, s.name = b, name
	s.modes['t'] = mode{on: true, stamp: at}
}

// end forgets what belonged to the channel when its last member is gone.
// Removals and redactions stay, what is known of epochs, and of who vanished.
func (s *state) end() {
	s.birth, s.name, s.given = birth{}, "", given{}
	s.topic = topic{}
	s.modes = map[byte]mode{}
	s.lists = newLists()
	s.invitations = map[overlay.Stream]invitation{}
	s.knocks = knocks{}
	s.meta = metadata{}
	s.tail = nil
}

// sessions lists the members in order.
func (s *state) sessions() []overlay.Stream { return sortedStreams(s.members) }

func sortedStreams[V any](m map[overlay.Stream]V) []overlay.Stream {
	list := make([]overlay.Stream, 0, len(m))
	for k := range m { // any order: sorted below
		list = append(list, k)
	}
	slices.SortFunc(list, overlay.Stream.Compare)
	return list
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	list := make([]K, 0, len(m))
	for k := range m { // any order: sorted below
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// knows reports whether the state has all that a view has seen.
func (s *state) knows(theirs heads) bool { return s.heads.knowsAll(theirs) }

// is reports whether a mode without parameter, or a key or limit, is set.
func (s *state) is(letter byte) bool { return s.modes[letter].on }

// remove takes a member out for good: joins up to r.join are over.
func (s *state) remove(who overlay.Stream, r removal) {
	if old, ok := s.removals[who]; ok {
		r = uniteRemovals(old, r)
	}
	s.removals[who] = r
	if m, ok := s.members[who]; ok && m.join <= s.removals[who].join {
		delete(s.members, who)
	}
}

// Bounds of what a channel remembers beyond its members. Keepers hold them
// after each change.
const (
	maxMembers     = 10000
	maxRemovals    = 2048
	maxHeads       = 64
	maxInvitations = 100
	maxGoneMasks   = 100 // of each list

	removalLife = (24*3600 + 2*90) * 1000 // ms: two leases and a day
)

// prune holds the bounds, at a time of the keeper's clock.
func (s *state) prune(now int64) {
	for k, r := range s.removals { // any order: each for itself
		if r.at < now-removalLife {
			delete(s.removals, k)
		}
	}
	if over := len(s.removals) - maxRemovals; over > 0 {
		list := sortedStreams(s.removals)
		slices.SortStableFunc(list, func(a, b overlay.Stream) int {
			return cmp.Compare(s.removals[a].at, s.removals[b].at)
		})
		for _, k := range list[:over] {
			delete(s.removals, k)
		}
	}
	if over := len(s.invitations) - maxInvitations; over > 0 {
		list := sortedStreams(s.invitations)
		slices.SortStableFunc(list, func(a, b overlay.Stream) int {
			return s.invitations[a].stamp.Compare(s.invitations[b].stamp)
		})
		for _, k := range list[:over] {
			delete(s.invitations, k)
		}
	}
	s.lists.prune()
	s.meta.prune()
	s.pruneFormer(now)
	s.pruneRedactions(now)
	s.heads.bound(maxHeads)
}
