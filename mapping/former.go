package mapping

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// Who vanishes from a channel (his connection was lost, his node stopped, died
// or was cut off) did not mean to leave it. For an hour the channel remembers
// his status, by his node and his nick, and gives it back when he returns. And
// while anybody who vanished may return, a channel on which nobody is left
// does not end: it rests, with its birth, topic, modes and bans. Who
// comes first then finds it as it was. He is its operator, as on any empty
// channel, unless an operator may still return.

// formerID is somebody who vanished: sessions do not last, nick and node do.
type formerID struct {
	node host.PeerID
	nick string // folded
}

func (id formerID) compare(other formerID) int {
	return cmp.Or(cmp.Compare(id.node, other.node), cmp.Compare(id.nick, other.nick))
}

func (id formerID) valid() bool {
	return id.node.Valid() && chat.ValidNick(id.nick) && chat.Fold(id.nick) == id.nick
}

// former is how somebody vanished from the channel with a birth. Should the same
// join have ended by his own will, or an operator's, as the other side of a cut may
// know, he is not to return: a removal says so, whichever was noted later.
type former struct {
	birth  birth
	who    overlay.Stream // his session, on the node
	join   uint64
	status chat.Status
	at     int64 // Unix milliseconds, by the keeper's clock
	stamp  overlay.Stamp
	over   bool // he came back
}

// formerLife (ms) and maxFormer bound what a channel remembers of them.
const (
	formerLife = 3600_000
	maxFormer  = 256
)

// rest is what is left of a channel that nobody is on. Without a birth it only
// says that an earlier one is over.
type rest struct {
	birth birth
	name  string
	given given
	topic topic
	modes map[byte]mode
	lists lists
	meta  metadata
	stamp overlay.Stamp // of the last member's vanishing
}

// vanished notes a member who is about to be taken out.
func (s *state) vanished(st step, who overlay.Stream) {
	if m, ok := s.members[who]; ok {
		id := formerID{who.Node, chat.Fold(m.person.nick)}
		f := former{birth: s.birth, who: who, join: m.join, status: m.status, at: st.at, stamp: st.stamp}
		if old, ok := s.former[id]; !ok || laterFormer(f, old) {
			s.former[id] = f
		}
	}
}

// returned notes that somebody who may have vanished is not to return any more.
func (s *state) returned(st step, node host.PeerID, nick string) {
	id := formerID{node, chat.Fold(nick)}
	if f, ok := s.former[id]; ok {
		f.over, f.stamp = true, st.stamp
		s.former[id] = f
	}
}

// left notes that a member goes for good: what he once vanished with is over too.
func (s *state) left(st step, who overlay.Stream) {
	if m, ok := s.members[who]; ok {
		s.returned(st, who.Node, m.person.nick)
	}
}

// returning is the status that somebody had when he vanished, if he did.
func (s *state) returning(node host.PeerID, nick string, now int64) (chat.Status, bool) {
	f, ok := s.former[formerID{node, chat.Fold(nick)}]
	if !ok || !s.awaits(f, now) {
		return 0, false
	}
	return f.status, true
}

// awaits reports whether somebody who vanished may return.
func (s *state) awaits(f former, now int64) bool {
	return !f.over && f.birth == s.presentBirth() && !f.birth.none() && f.at > now-formerLife && f.join > s.removals[f.who].left
}

// presentBirth is that of the channel, or of the one that rests.
func (s *state) presentBirth() birth {
	if s.birth.none() {
		return s.rest.birth
	}
	return s.birth
}

// awaited reports whether anybody who vanished may return, other than one who does not
// want to, and whether an operator may.
func (s *state) awaited(now int64, but formerID) (anybody, operator bool) {
	for id, f := range s.former { // any order: one is enough
		if id != but && s.awaits(f, now) {
			anybody, operator = true, operator || f.status&chat.Operator != 0
		}
	}
	return anybody, operator
}

// resting reports whether nobody is on the channel, and it has not ended.
func (s *state) resting(now int64) bool {
	anybody, _ := s.awaited(now, formerID{})
	return s.birth.none() && anybody
}

// abandoned ends a channel whose last member is gone, or has it rest.
func (s *state) abandoned(st step) {
	r := rest{stamp: st.stamp}
	if anybody, _ := s.awaited(st.at, formerID{}); anybody {
		r = rest{birth: s.birth, name: s.name, given: s.given, topic: s.topic, modes: s.modes, lists: s.lists, meta: s.meta, stamp: st.stamp}
	}
	if laterRest(r, s.rest) {
		s.rest = r
	}
	s.end()
}

// resume makes the channel that rested the present one.
func (s *state) resume() {
	r := s.rest
	s.end()
	// Copies of the state share what rests, as nothing changes it there.
	s.birth, s.name, s.given, s.topic = r.birth, r.name, r.given, r.topic
	s.modes, s.lists, s.meta = maps.Clone(r.modes), r.lists.clone(), r.meta.clone()
	s.rest = rest{stamp: r.stamp}
}

func laterFormer(a, b former) bool {
	return cmp.Or(a.stamp.Compare(b.stamp), cmp.Compare(boolInt(a.over), boolInt(b.over)), cmp.Compare(a.at, b.at),
		a.birth.compare(b.birth), a.status.Compare(b.status), a.who.Compare(b.who), cmp.Compare(a.join, b.join)) > 0
}

// laterRest orders by time, and what is equally late by its contents, the same
// way everywhere.
func laterRest(a, b rest) bool {
	c := a.stamp.Compare(b.stamp)
	if c == 0 {
		h := heads{}
		c = bytes.Compare(encode(a.toWire(newTables(h))), encode(b.toWire(newTables(h))))
	}
	return c > 0
}

// mergeFormer unites what two copies remember. It does not ask which of their
// births is older: what belongs to another birth than the present is of no use, and
// lapses.
func (s *state) mergeFormer(o *state) {
	for id, f := range o.former { // any order: maximum
		if old, ok := s.former[id]; !ok || laterFormer(f, old) {
			s.former[id] = f
		}
	}
	if laterRest(o.rest, s.rest) {
		s.rest = o.rest
	}
}

// pruneFormer forgets who will not return, and beyond the bound those without
// status first, then the oldest.
func (s *state) pruneFormer(now int64) {
	for id, f := range s.former { // any order: each for itself
		if f.at <= now-formerLife {
			delete(s.former, id)
		}
	}
	if over := len(s.former) - maxFormer; over > 0 {
		ids := s.formerIDs()
		slices.SortStableFunc(ids, func(a, b formerID) int {
			f, g := s.former[a], s.former[b]
			return cmp.Or(cmp.Compare(boolInt(f.status != 0), boolInt(g.status != 0)), cmp.Compare(f.at, g.at))
		})
		for _, id := range ids[:over] {
			delete(s.former, id)
		}
	}
}

// formerIDs lists who vanished, in order.
func (s *state) formerIDs() []formerID {
	ids := make([]formerID, 0, len(s.former))
	for id := range s.former { // any order: sorted below
		ids = append(ids, id)
	}
	slices.SortFunc(ids, formerID.compare)
	return ids
}

func (s *state) formerToWire(t *tables) []*wire.Former {
	var ws []*wire.Former
	for _, id := range s.formerIDs() {
		f := s.former[id]
		ws = append(ws, &wire.Former{
			Node: []byte(id.node), Nick: []byte(id.nick), Birth: birthToWire(f.birth),
			Status: uint32(f.status), AtMs: f.at, Stamp: t.stamp(f.stamp), Over: f.over,
			Run: f.who.Run, Session: f.who.Session, Join: f.join,
		})
	}
	return ws
}

func (s *state) formerFromWire(r *reader, ws []*wire.Former) {
	for _, w := range ws {
		id := formerID{host.PeerID(w.GetNode()), string(w.GetNick())}
		if !id.valid() {
			r.fail("somebody who vanished, %q", chat.Cut(id.nick, 60))
			return
		}
		s.former[id] = former{
			birth: birthFromWire(w.GetBirth()), status: statusFromWire(w.GetStatus()),
			at: w.GetAtMs(), stamp: r.stamp(w.GetStamp()), over: w.GetOver(),
			who: overlay.Stream{Node: id.node, Run: w.GetRun(), Session: w.GetSession()}, join: w.GetJoin(),
		}
	}
}

// toWire is nil for the zero rest.
func (x rest) toWire(t *tables) *wire.Rest {
	if x.birth.none() && x.stamp == (overlay.Stamp{}) {
		return nil
	}
	return &wire.Rest{
		Birth: birthToWire(x.birth), Name: []byte(x.name), Topic: x.topic.toWire(t), Modes: modesToWire(x.modes, t), Stamp: t.stamp(x.stamp),
		Bans: x.lists.of('b').toWire(t), Excepts: x.lists.of('e').toWire(t), Invexes: x.lists.of('I').toWire(t),
		Meta: x.meta.toWire(t), Given: x.given.toWire(t),
	}
}

func restFromWire(r *reader, w *wire.Rest) rest {
	x := rest{birth: birthFromWire(w.GetBirth()), name: string(w.GetName()), stamp: r.stamp(w.GetStamp())}
	if x.birth.none() != (x.name == "") || x.name != "" && !chat.ValidChannel(x.name) {
		r.fail("name %q", chat.Cut(x.name, 60))
	}
	if !x.birth.none() {
		x.topic, x.modes, x.lists = topicFromWire(r, w.GetTopic()), modesFromWire(r, w.GetModes()), listsFromWire(r, w)
		x.meta, x.given = metadataFromWire(r, w.GetMeta()), givenFromWire(r, w.GetGiven())
	}
	return x
}
