package mapping

import (
	"cmp"
	"slices"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// view is this node's copy of a channel, shared by all its sessions that are
// on it, are joining or are leaving. Service.mu guards it; the overlay's
// upcalls feed it in the order of the channel.
type view struct {
	s    *Service
	self host.PeerID
	run  uint64
	name string // folded, of its home
	key  [20]byte
	refs int // joins not refused, parts not yet settled

	state   *state // nil until the first whole view
	locals  map[uint64]*membership
	crowd   *crowd // of locals; nil when it has to be made anew
	joining map[*membership]*job
	leaving map[overlay.Stream]int
	seen    map[overlay.Stream]uint64   // last number of each origin: what comes again is dropped
	said    map[overlay.Stream]uint64   // the same of its messages alone
	taking  uint64                      // the number of the request whose event is being taken
	held    map[overlay.Stream]*waiting // messages that wait for one before them, or for who says them
	asked   time.Time                   // when the view was last to be compared with its keeper
	before  keptTail                    // of an earlier view, until the first whole one has come
	waiters []waiter
	called  string                 // folded name under which Service.names has it; "" for the home's
	tagged  *cache[string, origin] // messages of tags only, by ID; nil before the first
}

// crowd is the local sessions on a channel, in order, as long as nobody comes
// or goes. Messages go to all of them at once.
type crowd struct {
	of       *state
	sessions []*session
	latest   overlay.Stamp // of their joins
}

// crowdLocked is the local sessions on the channel.
func (v *view) crowdLocked() *crowd {
	if v.crowd != nil && v.crowd.of == v.state {
		return v.crowd
	}
	v.crowd = &crowd{of: v.state, sessions: make([]*session, 0, len(v.locals))}
	for _, n := range sortedKeys(v.locals) {
		se := v.s.sessions[n]
		if se == nil {
			continue
		}
		v.crowd.sessions = append(v.crowd.sessions, se)
		if m, ok := v.state.members[se.stream]; ok && m.joined.Compare(v.crowd.latest) > 0 {
			v.crowd.latest = m.joined
		}
	}
	return v.crowd
}

// disperseLocked is to be called after whatever may change locals, or when one
// of them joined.
func (v *view) disperseLocked() { v.crowd = nil }

// waiter waits until the view has seen a request.
type waiter struct {
	stream overlay.Stream
	number uint64
	event  host.Event
}

// maxSeen bounds the origins whose last numbers a view remembers.
const maxSeen = 4 * maxMembers

// viewLocked is the view of a channel, followed from now on; its count of
// references is one higher.
func (s *Service) viewLocked(name string) *view {
	v := s.views[name]
	if v == nil {
		v = &view{
			s: s, self: s.self, run: s.run, name: name, key: overlay.Key(kindChannel, name),
			locals: map[uint64]*membership{}, joining: map[*membership]*job{},
			leaving: map[overlay.Stream]int{}, seen: map[overlay.Stream]uint64{}, said: map[overlay.Stream]uint64{},
			held: map[overlay.Stream]*waiting{},
		}
		if before, ok := s.heardBefore.get(name); ok {
			v.seen, v.said, v.before = before.seen, before.said, before.tail
		}
		s.views[name] = v
		s.o.Hold(kindChannel, name)
	}
	v.refs++
	return v
}

// releaseLocked takes one reference back; with the last the view is closed.
func (v *view) releaseLocked() {
	if v.refs--; v.refs > 0 || v.s.views[v.name] != v {
		return
	}
	delete(v.s.views, v.name)
	v.namedLocked()
	before := heardBefore{seen: v.seen, said: v.said, tail: v.before}
	if v.state != nil {
		before.tail = keptTail{v.state.birth, v.state.tail, v.s.h.Now()}
	}
	v.s.heardBefore.put(v.name, before)
	v.s.o.Release(kindChannel, v.name)
	for _, w := range v.waiters {
		w.event.Signal()
	}
	for _, n := range sortedKeys(v.s.sessions) {
		if l := v.s.sessions[n].lanes[kindChannel+"\x00"+v.name]; l != nil {
			l.settleAllLocked()
		}
	}
}

// display is the channel's name as users see it.
func (v *view) display() string {
	if v.state != nil && v.state.name != "" {
		return v.state.shown()
	}
	return v.name
}

// local is the session of this node's run that a stream is of, or nil.
func (v *view) local(who overlay.Stream) *session {
	if who.Node != v.self || who.Run != v.run {
		return nil
	}
	return v.s.sessions[who.Session]
}

// memberLocked finds a member by nick, as a local session means it: if there are two, who is shown to it, else the
// lower session.
func (v *view) memberLocked(nick string, to uint64) (who overlay.Stream, ok bool) {
	for other, m := range v.state.members { // any order: a minimum
		if !chat.SameName(m.person.nick, nick) {
			continue
		}
		if !ok || cmp.Or(boolInt(v.isHiddenLocked(other, to))-boolInt(v.isHiddenLocked(who, to)), other.Compare(who)) < 0 {
			who, ok = other, true
		}
	}
	return who, ok
}

// channelViews gives the overlay's upcalls to views.
type channelViews struct{ s *Service }

func (c channelViews) Event(name string, e overlay.Entry) {
	ev, err := decodeEvent(e.Event, name)
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	v := c.s.views[name]
	switch {
	case v == nil || v.state == nil:
	case err != nil:
		c.s.log.Warn("a keeper pushed a malformed event; ignored", "channel", name, "err", err)
		v.state.heads.add(e.Stamp)
	default:
		v.takeLocked(e, ev)
		v.missesSpeakerLocked(e, ev.GetMessage())
	}
}

func (c channelViews) Reset(name string, _ overlay.Stamp, snapshot []byte, recent []overlay.Entry) {
	st, err := decodeState(snapshot, name)
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	v := c.s.views[name]
	if v != nil {
		defer v.disperseLocked()
	}
	switch {
	case v == nil:
	case err != nil:
		c.s.log.Warn("a keeper pushed a malformed view; ignored", "channel", name, "err", err)
	case v.state == nil:
		v.beginLocked(st, recent)
	default:
		v.resetLocked(st, recent)
	}
}

func (c channelViews) Assert(name string) ([]byte, bool) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	v := c.s.views[name]
	if v == nil || v.state == nil || v.state.birth.none() {
		return nil, false
	}
	return encode(v.state.toWire()), true
}

func (c channelViews) Renewal(name string) ([]byte, bool) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	v := c.s.views[name]
	if v == nil {
		return nil, false
	}
	if v.state == nil {
		return encode(&wire.ChannelRenewal{}), true
	}
	return encode(v.renewal()), true
}

// renewal says what this node holds: its members, those that are leaving too
// until the keeper has heard of it, and how much of the channel it knows.
func (v *view) renewal() *wire.ChannelRenewal {
	w := &wire.ChannelRenewal{Birth: birthToWire(v.state.birth), Digest: v.state.digest()}
	w.Epochs = newTables(v.state.heads).epochs
	mine := map[overlay.Stream]member{}
	for who, m := range v.state.members { // any order: sorted below
		if who.Node == v.self && who.Run == v.run && (v.s == nil || v.locals[who.Session] != nil || v.leaving[who] > 0) {
			mine[who] = m
		}
	}
	for n, ms := range v.locals { // any order: sorted below
		who := v.s.stream(n)
		if _, ok := mine[who]; !ok {
			mine[who] = member{join: ms.number, person: v.s.sessions[n].me}
		}
	}
	for _, who := range sortedStreams(mine) {
		m := mine[who]
		w.Members = append(w.Members, &wire.Member{Session: who.Session, Join: m.join, Person: personToWire(m.person)})
	}
	return w
}

// beginLocked is the first whole view: nothing is shown but what was said
// after the own joins.
func (v *view) beginLocked(st *state, recent []overlay.Entry) {
	v.s.buryLocked(st)
	d := v.keptLocked(st)
	if d != nil {
		st.merge(d)
		v.tellLocked(d)
	}
	v.adoptLocked(st, v.s.h.Now())
	recent = slices.DeleteFunc(once(recent, st.tail), func(e overlay.Entry) bool { return !v.noteAnyLocked(e) })
	v.admitLocked()
	for _, e := range recent {
		ev, err := decodeEvent(e.Event, v.name)
		if err != nil || ev.GetMessage() == nil {
			continue
		}
		if by, known := v.speakerLocked(e, ev.GetMessage()); known {
			v.spreadLocked(e, ev.GetMessage(), by, func(who overlay.Stream) bool {
				m, ok := st.members[who]
				return ok && m.joined.Compare(e.Stamp) < 0
			})
		}
		v.sentLocked(e, false)
	}
}

// keptLocked is what an earlier view heard last and the keeper has not: the one that took it may be
// gone, or behind a cut, and nobody else may have it where this node is. nil: nothing.
func (v *view) keptLocked(st *state) *state {
	kept := v.before
	v.before = keptTail{}
	if kept.of.none() || kept.of != st.birth || v.s.h.Now().Sub(kept.at) > lineLife*time.Millisecond {
		return nil
	}
	d := st.emptyPart()
	for _, l := range st.blanked(kept.lines) {
		if !st.heads.covers(l.stamp) && !st.said(l) {
			d.tail = append(d.tail, l)
		}
	}
	if len(d.tail) == 0 {
		return nil
	}
	return d
}

// adoptLocked makes a state the view's own, and returns what was before. What it
// knows of people that the views do not is shown first; what it knows less of is
// mended.
func (v *view) adoptLocked(st *state, at time.Time) (old *state) {
	for _, who := range st.sessions() {
		m := st.members[who]
		v.s.personLocked(who, m.person, at)
		if p, ok := v.s.knownLocked(who); ok {
			if newer(m.person, p) != m.person && v.local(who) != nil {
				v.askLocked() // the keeper is told
			}
			m.person = newer(m.person, p)
			st.members[who] = m
		}
	}
	old, v.state = v.state, st
	for who, m := range st.members { // any order: each for itself
		v.s.bearsLocked(who, m.person.nick)
	}
	v.namedLocked()
	return old
}

// admitLocked lets those local sessions in whose joins the view shows.
func (v *view) admitLocked() {
	for _, n := range sortedKeys(v.s.sessions) {
		se := v.s.sessions[n]
		ms := se.memberships[v.name]
		if ms == nil || ms.in || ms.v != v {
			continue
		}
		m, ok := v.state.members[se.stream]
		if !ok || m.join != ms.number {
			continue
		}
		ms.in, ms.knew = true, slices.Clone(v.state.heads)
		ms.asked, ms.key = nil, ""
		v.locals[n] = ms
		v.disperseLocked()
		se.joined = append(se.joined, ms)
		se.meetLocked(v)
		ms.first = v.channelLocked(se)
		ms.event.Signal()
		if j := v.joining[ms]; j != nil {
			j.notice.Signal()
		}
		v.laneLocked(se.stream).progress.Signal()
		if ms.orphan {
			se.leaveLocked(ms, reqPartOf(""))
		}
	}
}

// noteLocked reports whether an entry is new by its origin, and notes it.
func (v *view) noteLocked(e overlay.Entry) bool {
	if e.From.Node == "" {
		return true
	}
	if e.Number <= v.seen[e.From] {
		return false
	}
	v.boundLocked(v.seen)
	v.seen[e.From] = e.Number
	if l := v.laneLocked(e.From); l != nil {
		l.progress.Signal()
	}
	v.waiters = slices.DeleteFunc(v.waiters, func(w waiter) bool {
		if w.stream != e.From || w.number > e.Number {
			return false
		}
		w.event.Signal()
		return true
	})
	return true
}

// noteMessageLocked is noteLocked for a message. Messages are counted by
// themselves: one that an earlier keeper took, and that is brought back after its
// sender's rename was seen, is new.
func (v *view) noteMessageLocked(e overlay.Entry) bool {
	if e.Number <= v.said[e.From] {
		return false
	}
	v.boundLocked(v.said)
	v.said[e.From] = e.Number
	v.noteLocked(e)
	return true
}

// noteAnyLocked notes an entry, whatever it is.
func (v *view) noteAnyLocked(e overlay.Entry) bool {
	if ev, err := decodeEvent(e.Event, v.name); err == nil && ev.GetMessage() != nil {
		return v.noteMessageLocked(e)
	}
	return v.noteLocked(e)
}

// boundLocked forgets those who are members no more, when there are too many.
func (v *view) boundLocked(numbers map[overlay.Stream]uint64) {
	if len(numbers) < maxSeen {
		return
	}
	for _, who := range sortedStreams(numbers) {
		if _, ok := v.state.members[who]; !ok {
			delete(numbers, who)
		}
	}
}

// heardBefore is what a view that was closed had seen of each origin, and the last messages.
type heardBefore struct {
	seen, said map[overlay.Stream]uint64
	tail       keptTail
}

// keptTail is the last messages of a channel with a birth, as they were when the view was
// closed.
type keptTail struct {
	of    birth
	lines []line
	at    time.Time
}

// laneLocked is the lane in which one of this node's sessions, which may be
// over, speaks to the channel; or nil.
func (v *view) laneLocked(who overlay.Stream) *lane {
	if who.Node != v.self || who.Run != v.run {
		return nil
	}
	se := v.s.sessions[who.Session]
	if se == nil {
		se = v.s.ending[who.Session]
	}
	if se == nil {
		return nil
	}
	return se.lanes[kindChannel+"\x00"+v.name]
}
