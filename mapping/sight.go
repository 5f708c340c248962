package mapping

import (
	"slices"
	"strings"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/overlay"
)

// A node that does not answer for the grace time takes its users out of every
// channel (goneLocked): it died, or the network is cut. The keepers of the
// channels find that out at different times, and one of them, that has just
// taken over, may for a moment still believe in somebody of whom another has
// said that he is gone. Users see none of that:
//
//   - Who goes out of sight is missing at first. He is in no view any more, and
//     shown as gone only when those who go with him have had the time to:
//     then all go in one chat.Split. Is he back before, nothing is shown.
//   - Whom a Split took is lost. Turns he up in a view again, he is shown when
//     his node answers, with all who come back with him (rejoin.go).
//
// Service.mu guards all of it.
type sight struct {
	missing map[overlay.Stream]*missing
	waiting bool // a task waits to show them

	lost      *cache[overlay.Stream, *lost]
	lostNodes *cache[host.PeerID, struct{}] // that lost ones are on, unless somebody of it is back

	there   string // the far end of the last split
	thereAt time.Time

	hidden  map[chat.SessionID]*hidden // rejoin.go
	looking map[host.PeerID]bool       // a task asks the node
	showing bool                       // a task waits to show them
}

func newSight() sight {
	return sight{
		missing: map[overlay.Stream]*missing{}, lost: newCache[overlay.Stream, *lost](8192),
		lostNodes: newCache[host.PeerID, struct{}](1024),
		hidden:    map[chat.SessionID]*hidden{}, looking: map[host.PeerID]bool{},
	}
}

// missing is somebody who is no longer seen in channels where users here still
// believe him.
type missing struct {
	person person
	since  time.Time
	due    time.Time          // when it is shown at the latest
	second bool               // he is elsewhere, and had time to come back here too
	from   map[string]absence // by folded channel
}

// absence is what somebody was in a channel, and to whom.
type absence struct {
	status chat.Status
	to     []uint64 // local sessions, in order
}

// lost is somebody whom a Split took.
type lost struct {
	from map[string]bool // folded channels
	till time.Time       // of what is not yet back, when something is
}

const (
	// gatherSplit is how long others may take to go with the first, but for
	// those who went less than lateSplit ago. Those who are later still, as
	// when their channel's keeper went too, are shown soon, under the same names.
	gatherSplit = 5 * time.Second
	lateSplit   = time.Second / 4
	gatherLate  = time.Second
	// oneSplit is how long the far end of a split keeps its name.
	oneSplit = time.Minute
	// restOfReturn is how long who is back in one channel may take to be back
	// in another.
	restOfReturn = 25 * time.Second
)

// lostReason is why somebody left a channel who was seen elsewhere.
const lostReason = "Lost sight of this user"

// missLocked takes somebody out of all views, because his node does not
// answer.
func (s *Service) missLocked(who overlay.Stream) {
	for _, name := range sortedKeys(s.views) {
		v := s.views[name]
		if v.state == nil {
			continue
		}
		if m, ok := v.state.members[who]; ok {
			delete(v.state.members, who)
			v.missedLocked(who, m)
		}
	}
}

// missedLocked notes that somebody is no longer in a channel, without a word
// why.
func (v *view) missedLocked(who overlay.Stream, m member) {
	s := v.s
	a := absence{status: m.status}
	for _, n := range sortedKeys(v.locals) {
		if se := s.sessions[n]; se != nil && se.stream != who && !v.isHiddenLocked(who, n) {
			a.to = append(a.to, n)
		}
	}
	if v.unhideLocked(who) && len(a.to) == 0 {
		return // nobody has been told that he was back
	}
	s.left.put(who, m.person)
	if len(a.to) == 0 {
		return
	}
	x := s.sight.missing[who]
	if x == nil {
		x = &missing{from: map[string]absence{}}
		s.sight.missing[who] = x
	}
	if x.due.IsZero() || x.second {
		x.since, x.second = s.h.Now(), false
		x.due = x.since.Add(gatherSplit)
		if x.since.Sub(s.sight.thereAt) < 2*gatherSplit {
			x.due = x.since.Add(gatherLate)
		}
	}
	x.person = newer(m.person, x.person)
	x.from[v.name] = a
	if !s.sight.waiting {
		s.sight.waiting = true
		s.h.Go("mapping split", s.showMissing)
	}
}

// showMissing shows who is missing when the time has come.
func (s *Service) showMissing() {
	for {
		s.mu.Lock()
		s.showMissingLocked(s.h.Now())
		pause := time.Duration(0)
		for _, x := range s.sight.missing { // any order: a minimum
			if d := x.due.Sub(s.h.Now()); pause == 0 || d < pause {
				pause = min(max(d, time.Millisecond), time.Second)
			}
		}
		s.sight.waiting = pause > 0
		s.mu.Unlock()
		if pause == 0 || s.h.Sleep(pause) != nil {
			return
		}
	}
}

// showMissingLocked shows those as gone whose time has come, and with them
// those who went after them.
func (s *Service) showMissingLocked(now time.Time) {
	due := false
	for _, x := range s.sight.missing { // any order: one is enough
		due = due || !x.due.After(now)
	}
	if !due {
		return
	}
	gone := map[uint64][]chat.Profile{} // by local session
	nodes := map[host.PeerID]int{}
	for _, who := range sortedStreams(s.sight.missing) {
		x := s.sight.missing[who]
		if x.due.After(now) && (x.second || now.Sub(x.since) < lateSplit) {
			continue
		}
		if _, here := s.knownLocked(who); here {
			s.stillMissingLocked(who, x, now)
			continue
		}
		delete(s.sight.missing, who)
		l := &lost{from: map[string]bool{}}
		for name := range x.from { // any order: each for itself
			l.from[name] = true
		}
		s.sight.lost.put(who, l)
		s.sight.lostNodes.put(who.Node, struct{}{})
		nodes[who.Node]++
		for _, n := range s.witnessesLocked(x) {
			gone[n] = append(gone[n], x.person.profile(who))
		}
	}
	there := s.farEndLocked(nodes, now)
	for _, n := range sortedKeys(gone) {
		sortProfiles(gone[n])
		s.sessions[n].pushLocked(chat.Split{Here: s.node.Host, There: there, Who: gone[n], At: now})
	}
}

// stillMissingLocked is for who is seen in some channels and missing in
// others: he gets time to come back there too, and has left them then.
func (s *Service) stillMissingLocked(who overlay.Stream, x *missing, now time.Time) {
	if !x.second {
		x.due, x.second = now.Add(restOfReturn), true
		return
	}
	delete(s.sight.missing, who)
	for _, name := range sortedKeys(x.from) {
		v := s.views[name]
		if v == nil {
			continue
		}
		for _, n := range x.from[name].to {
			if v.locals[n] != nil {
				s.sessions[n].pushLocked(chat.Parted{Channel: v.display(), Who: x.person.profile(who), Reason: lostReason, At: now})
			}
		}
	}
}

// forgetMissingLocked ends that somebody missing is still shown in a channel to a local session. It reports whether he was.
func (s *Service) forgetMissingLocked(who overlay.Stream, name string, to uint64) (was bool) {
	x := s.sight.missing[who]
	if x == nil || !slices.Contains(x.from[name].to, to) {
		return false
	}
	a := x.from[name]
	a.to = slices.DeleteFunc(slices.Clone(a.to), func(n uint64) bool { return n == to })
	x.from[name] = a
	return true
}

// witnessesLocked are the local sessions to whom somebody is to be shown as
// gone, in order.
func (s *Service) witnessesLocked(x *missing) []uint64 {
	near := map[uint64]bool{}
	for name, a := range x.from { // any order: sorted below
		for _, n := range a.to {
			if v := s.views[name]; v != nil && v.locals[n] != nil && s.sessions[n] != nil {
				near[n] = true
			}
		}
	}
	return sortedKeys(near)
}

// farEndLocked names the far end of a split: the node that most are on. It
// keeps its name for those who follow.
func (s *Service) farEndLocked(nodes map[host.PeerID]int, now time.Time) string {
	if s.sight.there != "" && now.Sub(s.sight.thereAt) < oneSplit {
		return s.sight.there
	}
	best := host.PeerID("")
	for _, id := range sortedKeys(nodes) {
		if best == "" || nodes[id] > nodes[best] {
			best = id
		}
	}
	if best != "" {
		s.sight.there, s.sight.thereAt = VisibleHost(best), now
	}
	return s.sight.there
}

// foundLocked is told that somebody is in a view. Was he missing there, the
// break was too short to be shown; what has changed meanwhile is.
func (v *view) foundLocked(who overlay.Stream, at time.Time) (was bool) {
	s := v.s
	x := s.sight.missing[who]
	if x == nil {
		return false
	}
	a, was := x.from[v.name]
	if !was {
		return false
	}
	if delete(x.from, v.name); len(x.from) == 0 {
		delete(s.sight.missing, who)
	}
	m := v.state.members[who]
	e := chat.ModeChanged{Channel: v.display(), By: s.node.Host, At: at, Changes: statusesBetween(a.status, m.status, m.person.nick)}
	for _, n := range a.to {
		if len(e.Changes) > 0 && v.locals[n] != nil {
			s.sessions[n].pushLocked(e)
		}
	}
	came := chat.Joined{Channel: v.display(), Who: m.person.profile(who), Status: m.status, At: at}
	for _, n := range sortedKeys(v.locals) { // who came meanwhile did not find him
		switch se := s.sessions[n]; {
		case se == nil || se.stream == who || slices.Contains(a.to, n):
		case se.clashesLocked(who, m.person.nick):
			v.hideFromLocked(who, []uint64{n}, true, false)
		default:
			se.pushLocked(came)
		}
	}
	return true
}

// wantedLocked is told that somebody here or in sight has a nick from now on.
// Whoever is missing under it is shown as gone first.
func (s *Service) wantedLocked(nick string) {
	clash := false
	for _, x := range s.sight.missing { // any order: one is enough
		clash = clash || chat.SameName(x.person.nick, nick)
	}
	if !clash {
		return
	}
	for _, x := range s.sight.missing { // any order: each for itself
		x.due = time.Time{}
		x.second = true
	}
	s.showMissingLocked(s.h.Now())
}

func sortProfiles(list []chat.Profile) {
	slices.SortStableFunc(list, func(a, b chat.Profile) int { return strings.Compare(chat.Fold(a.Nick), chat.Fold(b.Nick)) })
}
