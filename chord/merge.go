package chord

import (
	"fmt"
	"time"

	"ircbridge/chord/wire"
	"ircbridge/host"
)

// A ring that was cut in two becomes one again, and so do two that were founded
// apart. Nothing is special about the rings then: the rules of stabilization are
// those by which nodes join. What is needed is that a node of one ring hears of
// one of the other.
//
//   - Each round a node may ask a peer that it once knew to meet it (askAround).
//     The peer's ring passes its contact on to the node before its place
//     (introduce). If that one does not know it the merge begins there.
//   - A node that goes on to a nearer first successor which does not know the
//     former one tells it of it (passOn). A node with a nearer predecessor has
//     always told the former one (sendHint). So the merge runs round both
//     rings in both directions, one node each message and not each period.
//   - A node that finds a ring of which it knew nobody tells others (spreadNews),
//     who meet that ring themselves, so that the merge runs from many places.

var (
	methodMeet    = host.Method{Number: 12, Name: "chord.meet"}
	methodMeeting = host.Method{Number: 13, Name: "chord.meeting"}
)

const (
	// slowRounds is the number of rounds between two meetings with peers that
	// are believed to be in this node's ring.
	slowRounds = 32
	// maxBackoff is the longest time, in periods, for which a peer that did not
	// answer is not asked again.
	maxBackoff = 8
	// maxMeetings bounds the meetings that this node waits for at once, and the
	// nodes that it follows because others brought them.
	maxMeetings = 4
	// newsSteps and newsCopies say how far news of another ring spread: to
	// copies^steps nodes at most.
	newsSteps  = 4
	newsCopies = 3
)

// A trial is what came of asking a remembered peer.
type trial struct {
	met   bool      // it answered the last time
	fails int       // times in a row that it did not
	next  time.Time // not before then again
}

// meetings is what a node knows of its attempts to find other rings. Guarded by
// Ring.mu.
type meetings struct {
	trials  map[ID]trial
	rounds  int       // since the last meeting of any peer
	running int       // meetings waited for
	brought int       // nodes that were brought here and are being followed
	news    time.Time // when this node spread news last
	heeded  time.Time // when it followed somebody's news last
	wary    time.Time // until then a node that somebody names is verified first
}

func (r *Ring) registerMerge() {
	r.meetings.trials = make(map[ID]trial)
	r.h.HandleCall(methodMeet, r.handleMeet)
	r.h.HandleSend(methodMeeting, r.handleMeeting)
}

// Introduce tells the ring of a living node that may be in another ring of the
// same overlay. It is remembered and met at once; if it is in another ring the
// two become one. Introduce does not block.
func (r *Ring) Introduce(p host.Peer) {
	c := NewContact(p)
	if c.ID == r.id || !p.ID.Valid() {
		return
	}
	r.h.Go("chord introduce", func() {
		r.Remember(p)
		r.meet(c)
	})
}

// askAround lets this node meet one remembered peer: one that is not known to be
// in its ring, or else, rarely, any.
func (r *Ring) askAround() {
	c, ok := r.someoneToMeet()
	if ok {
		r.h.Go("chord meet", func() { r.meet(c) })
	}
}

func (r *Ring) someoneToMeet() (Contact, bool) {
	now := r.h.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	m := &r.meetings
	if r.state != member || !r.settled || len(r.succs) == 0 || m.running >= maxMeetings {
		return Contact{}, false
	}
	m.rounds++
	var lost, far []Contact // not known to be in the ring, and those that are, somewhere
	for _, c := range r.remembered {
		_, near := r.ringContactLocked(c.ID)
		switch t := m.trials[c.ID]; {
		case near:
		case t.met:
			far = append(far, c)
		case !now.Before(t.next):
			lost = append(lost, c)
		}
	}
	from := lost
	if len(from) == 0 && m.rounds >= slowRounds {
		if from = far; len(far) == 0 || r.h.Rand()%4 == 0 {
			from = r.remembered // neighbours too: so a ring that winds twice is found out
		}
	}
	if len(from) == 0 {
		return Contact{}, false
	}
	m.rounds = 0
	c := from[int(r.h.Rand()%uint64(len(from)))]
	t := m.trials[c.ID]
	t.next = now.Add(r.cfg.MaxTimeout) // not twice at once
	m.trials[c.ID] = t
	return c, true
}

// meet asks c to have this node brought to its place in c's ring, and notes
// whether it answered. A node that is alone joins c's ring; one that is in no ring
// yet meets nobody.
func (r *Ring) meet(c Contact) {
	r.mu.Lock()
	alone, ok := r.aloneLocked(), r.state == member && r.settled
	r.meetings.running++
	r.mu.Unlock()
	var err error
	switch {
	case alone:
		err = r.joinThrough(c, 2*r.cfg.MaxTimeout)
	case ok:
		err = r.askToMeet(c)
	default: // not let in yet: later
		err = ErrNotMember
	}
	now := r.h.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	m := &r.meetings
	m.running--
	t := m.trials[c.ID]
	if t.met = err == nil; t.met {
		t.fails = 0
	} else {
		wait := min(1<<min(t.fails, 8), maxBackoff)
		t.fails++
		t.next = now.Add(time.Duration(wait) * r.cfg.StabilizePeriod)
		r.log.Debug("a peer that was known once does not answer", "node", r.id, "peer", c.ID, "times", t.fails, "err", err)
	}
	m.trials[c.ID] = t
	r.forgetTrialsLocked()
}

// forgetTrialsLocked drops what is known of peers that are remembered no more.
func (r *Ring) forgetTrialsLocked() {
	if len(r.meetings.trials) <= 2*maxRemembered {
		return
	}
	// any order: each stands or goes for itself
	for id := range r.meetings.trials {
		if indexOf(r.remembered, id) < 0 {
			delete(r.meetings.trials, id)
		}
	}
}

// missingLocked notes that the connection to a peer was lost: if it is a remembered
// one it may be in another part of the network now.
func (r *Ring) missingLocked(id ID) {
	if t, ok := r.meetings.trials[id]; ok {
		t.met = false
		r.meetings.trials[id] = t
	}
}

func (r *Ring) askToMeet(c Contact) error {
	req, err := encode(&wire.MeetRequest{Self: contactToWire(r.Self())})
	if err != nil {
		return err
	}
	reply, err := r.h.Call(c.Peer, methodMeet, req, r.timeout(c))
	if err != nil {
		return err
	}
	var m wire.MeetReply
	return decode(reply, &m)
}

func (r *Ring) handleMeet(from host.Peer, req []byte) ([]byte, error) {
	c, err := decodeMeet(req, from.ID)
	if err != nil {
		return nil, err
	}
	r.heard(from)
	r.bring(c, 0)
	r.mu.Lock()
	defer r.mu.Unlock()
	return encode(&wire.MeetReply{State: r.state.toWire()})
}

func (r *Ring) handleMeeting(from host.Peer, msg []byte) {
	m, err := decodeMeeting(msg)
	if err != nil {
		r.log.Warn("bad meeting", "from", from.ID, "err", err)
		return
	}
	r.heard(from)
	switch {
	case m.spread > 0:
		r.heed(m.other, m.spread)
	case m.hops < r.cfg.MaxHops:
		r.bring(m.other, m.hops)
	}
}

func decodeMeet(b []byte, from host.PeerID) (Contact, error) {
	var m wire.MeetRequest
	if err := decode(b, &m); err != nil {
		return Contact{}, err
	}
	c, err := contactFromWire(m.Self)
	if err == nil && c.Peer.ID != from {
		err = fmt.Errorf("%w: %s asks in the name of another", errMalformed, from)
	}
	return c, err
}

// meeting is a contact that may belong to another ring, checked.
type meeting struct {
	other  Contact
	hops   int
	spread int
}

func decodeMeeting(b []byte) (meeting, error) {
	var m wire.Meeting
	if err := decode(b, &m); err != nil {
		return meeting{}, err
	}
	c, err := contactFromWire(m.Other)
	return meeting{other: c, hops: int(min(m.Hops, 1<<20)), spread: int(min(m.Spread, newsSteps))}, err
}

// bring lets c, a member of this ring or of another one, come to its place in
// this one: it is passed on to the node before it, which asks it for its
// neighbours and goes on as with any node that turns up between it and its
// successor.
func (r *Ring) bring(c Contact, hops int) {
	now := r.h.Now()
	r.mu.Lock()
	if r.state != member || c.ID == r.id {
		r.mu.Unlock()
		return
	}
	if len(r.succs) == 0 {
		alone, ok := r.aloneLocked(), r.meetings.brought < maxMeetings
		if ok {
			r.meetings.brought++
		}
		r.mu.Unlock()
		if ok {
			r.h.Go("chord follow", func() { r.follow(c, alone) })
		}
		return
	}
	if Between(r.id, c.ID, r.succs[0].ID) {
		wary := now.Before(r.meetings.wary)
		if !wary {
			r.hintLocked(c)
		}
		r.mu.Unlock()
		if wary {
			r.verify(c)
		} else {
			r.wake.Signal()
		}
		return
	}
	if r.succs[0].ID == c.ID {
		r.mu.Unlock()
		return
	}
	next, ok := r.beforeLocked(c.ID, now)
	r.mu.Unlock()
	if ok {
		r.sendMeeting(next, &wire.Meeting{Other: contactToWire(c), Hops: uint32(hops + 1)})
	}
}

// follow lets a node without successors come into c's ring, which was brought
// to it.
func (r *Ring) follow(c Contact, alone bool) {
	if alone {
		r.Remember(c.Peer)
		r.meet(c)
	} else if r.followNearest([]Contact{c}, nil) {
		r.wake.Signal()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.meetings.brought--
}

// verify finds out whether c lives before a round of stabilization asks it.
func (r *Ring) verify(c Contact) {
	r.mu.Lock()
	ok := !r.checks[c.ID] && len(r.checks) < maxChecks
	if ok {
		r.checks[c.ID] = true
	}
	r.mu.Unlock()
	if !ok {
		return
	}
	r.h.Go("chord verify", func() {
		isMember, err := r.ping(c, r.timeout(c))
		r.mu.Lock()
		delete(r.checks, c.ID)
		ok := err == nil && isMember && r.state == member
		if ok {
			r.hintLocked(c)
		}
		r.mu.Unlock()
		if ok {
			r.wake.Signal()
		}
	})
}

// beWary has the nodes that this one is told of verified for a while: one that
// was named did not answer, and such a wait holds up stabilization.
func (r *Ring) beWary() {
	now := r.h.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.meetings.wary = now.Add(4 * r.cfg.StabilizePeriod)
}

// beforeLocked is the contact of the ring nearest before id.
func (r *Ring) beforeLocked(id ID, now time.Time) (best Contact, ok bool) {
	better := func(c Contact) {
		if Between(r.id, c.ID, id) && (!ok || nearer(r.id, best.ID, c.ID)) && !r.peers.isBad(c.ID, now) {
			best, ok = c, true
		}
	}
	for _, c := range r.succs {
		better(c)
	}
	for _, f := range r.fingers.list {
		better(f.contact)
	}
	if r.pred != nil {
		better(*r.pred)
	}
	return best, ok
}

func (r *Ring) sendMeeting(to Contact, m *wire.Meeting) {
	if msg, err := encode(m); err == nil {
		_ = r.h.Send(to.Peer, methodMeeting, msg)
	}
}

// hintLocked keeps the nearest of the nodes that somebody told of.
func (r *Ring) hintLocked(c Contact) {
	if r.hint == nil || nearer(r.id, c.ID, r.hint.ID) {
		r.hint = &c
	}
}

// strangerLocked reports whether a node that answered is of a ring of which
// this node knows nobody.
func (r *Ring) strangerLocked(head Contact, said neighbours) bool {
	if len(said.succs) == 0 || len(r.succs) == 0 || said.pred == nil {
		return false
	}
	for _, c := range append([]Contact{head, *said.pred}, said.succs...) {
		if _, known := r.ringContactLocked(c.ID); known || c.ID == r.id {
			return false
		}
	}
	return true
}

// firstOf is the node of head's ring that follows this one, as that ring finds
// it; or head itself, with what it said, if it finds none. It spares the walk from
// head backwards when many nodes lie between.
func (r *Ring) firstOf(head Contact, said neighbours) (Contact, neighbours) {
	f, err := r.findPlace(head, 2*r.cfg.MaxTimeout)
	if err != nil || f.outcome != wire.FindReply_FOUND || !Between(r.id, f.owner.ID, head.ID) {
		return head, said
	}
	nearer, err := r.askNeighbours(f.owner, true)
	if err != nil {
		return head, said
	}
	return f.owner, nearer
}

// passOn tells a node that has become first successor of the former one, which
// it does not know: so the merge goes on from there. In a small ring all others
// hear of the node as well.
func (r *Ring) passOn(head Contact, said neighbours, former Contact) {
	if head.ID == former.ID || indexOf(said.succs, former.ID) >= 0 || !Between(r.id, head.ID, former.ID) {
		return
	}
	r.sendMeeting(head, &wire.Meeting{Other: contactToWire(former)})
	r.mu.Lock()
	short := r.wholeLocked()
	r.mu.Unlock()
	if short {
		r.announce([]Contact{head}, nil)
	}
}

// spreadNews tells some contacts of the ring of a node in another ring, and that
// node of this one, at most once in some periods.
func (r *Ring) spreadNews(other Contact) {
	now := r.h.Now()
	r.mu.Lock()
	if !r.meetings.news.IsZero() && now.Sub(r.meetings.news) < 4*r.cfg.StabilizePeriod {
		r.mu.Unlock()
		return
	}
	r.meetings.news = now
	r.mu.Unlock()
	r.log.Info("found another ring; it and ours become one", "node", r.id, "through", other.ID)
	r.Remember(other.Peer)
	r.sendMeeting(other, &wire.Meeting{Other: contactToWire(r.Self()), Spread: newsSteps})
	r.tellSome(other, newsSteps)
}

// heed follows the news of another ring: this node meets it, and tells others.
func (r *Ring) heed(other Contact, steps int) {
	now := r.h.Now()
	r.mu.Lock()
	_, known := r.ringContactLocked(other.ID)
	recent := func(t time.Time) bool { return !t.IsZero() && now.Sub(t) < 4*r.cfg.StabilizePeriod }
	ok := r.state == member && len(r.succs) > 0 && other.ID != r.id && !known && !recent(r.meetings.heeded)
	if ok {
		r.meetings.heeded, r.meetings.news = now, now
	}
	r.mu.Unlock()
	if ok {
		r.Introduce(other.Peer)
		r.tellSome(other, steps-1)
	}
}

// tellSome tells a few contacts, drawn by chance, of a node in another ring.
func (r *Ring) tellSome(other Contact, steps int) {
	if steps <= 0 {
		return
	}
	r.mu.Lock()
	all := r.knownLocked()
	all = all[:len(all)-r.onlyRememberedLocked(all)]
	r.mu.Unlock()
	m := &wire.Meeting{Other: contactToWire(other), Spread: uint32(steps)}
	for range min(newsCopies, len(all)) {
		r.sendMeeting(all[int(r.h.Rand()%uint64(len(all)))], m)
	}
}
