package chord

import (
	"errors"
	mathbits "math/bits"
	"time"

	"ircbridge/chord/wire"
	"ircbridge/host"
)

// News of joins and deaths goes round the ring along fingers. Who tells an event
// is answerable for the whole ring: it tells it to each of its fingers, and each
// of these to those between itself and the next finger, and so on. So every
// node gets every event once, after at most about log2 N steps, from a node
// that it knows anyway. Events that wait for each other at one node go on
// together.

const (
	// maxPending bounds the events that wait at one node. More can only come
	// of a storm that the budget does not allow for: the table is thinned out.
	maxPending = 1024
	// maxRetold bounds the nodes that are tried for one part of the ring.
	maxRetold = 4
	// maxRecent bounds the events that are known to have been passed on.
	maxRecent = 256
)

// pending is an event that is to be told to all in (from, until).
type pending struct {
	*event
	from, until ID
	tries       int
	at          time.Time // when it came
}

// retold is an event that was passed on up to until.
type retold struct {
	place, incarnation uint64
	gone               bool
	until              ID
}

// gossip is the news on its way through this node. Guarded by Ring.mu.
type gossip struct {
	incarnation uint64 // of this node; 0 before it was first announced
	stored      uint64 // the last one that was used, by this run or before
	announced   bool
	addrs       []string // as announced

	stale bool // stored is not what the store has

	waiting []pending // oldest first
	recent  []retold  // passed on lately, oldest first
}

// gossipDelay is how long events wait for others: a hop of gossip takes so
// long.
func (r *Ring) gossipDelay() time.Duration { return r.cfg.StabilizePeriod / 10 }

// announceLocked tells the ring of this node: it has come, has raised its
// incarnation, or has other addresses.
func (r *Ring) announceLocked(incarnation uint64) {
	g := &r.gossip
	g.stored = max(g.stored+1, incarnation)
	g.incarnation, g.announced, g.stale = g.stored, true, true
	self := r.Self()
	g.addrs = self.Peer.Addrs
	r.originateLocked(&event{Contact: self, incarnation: g.incarnation})
}

// tellGoneLocked tells the ring that a node which this one knows is gone. It
// is for the node that the dead one's keys fall to.
func (r *Ring) tellGoneLocked(id ID) {
	if e := r.table.get(id); e != nil {
		r.originateLocked(&event{Contact: e.Contact, incarnation: e.incarnation, gone: true})
	}
}

// dismissLocked takes a node that does not answer, or leaves, out of the table.
// If its place falls to this node all are told; otherwise the node to which
// it falls should look (doubt).
func (r *Ring) dismissLocked(id ID) (doubt bool, toward Contact) {
	if r.table.get(id) == nil {
		return false, Contact{}
	}
	if r.behindLocked(id) || r.settled && r.pred != nil && r.pred.ID == id {
		r.tellGoneLocked(id)
		return false, Contact{}
	}
	r.table.forget(id)
	toward, ok := r.nextInLocked(id, id, r.h.Now())
	return ok && Between(id, toward.ID, r.id) && r.state == member, toward
}

// tellDoubt tells the node behind c's place that c does not answer.
func (r *Ring) tellDoubt(to, c Contact) {
	req, err := encode(&wire.GossipRequest{Doubts: [][]byte{[]byte(c.Peer.ID)}})
	if err == nil {
		r.h.Go("chord doubt", func() { _, _ = r.tableCall(to, methodGossip, req, r.timeout(to)) })
	}
}

// originateLocked tells the whole ring, unless this node knows it already or
// the table is too thin for it.
func (r *Ring) originateLocked(e *event) {
	if r.table.learn(e, r.h.Now()) && r.table.samples(e.ID) {
		r.passOnLocked(pending{event: e, from: r.id, until: r.id})
	}
}

// passOnLocked queues an event for the others.
func (r *Ring) passOnLocked(p pending) {
	g := &r.gossip
	if len(g.waiting) >= maxPending {
		r.thinLocked(r.h.Now())
		if len(g.waiting) >= maxPending || !r.table.samples(p.ID) {
			return
		}
	}
	if p.at = r.h.Now(); len(g.waiting) == 0 {
		r.tableWake.Signal()
	}
	g.waiting = append(g.waiting, p)
	if p.from != r.id {
		return
	}
	if len(g.recent) >= maxRecent {
		g.recent = g.recent[1:]
	}
	g.recent = append(g.recent, retold{place(p.ID), p.incarnation, p.gone, p.until})
}

// retoldLocked reports whether this node has passed the event on already, up
// to until at least: the sender did not hear the answer and tells it again.
func (r *Ring) retoldLocked(e *event, until ID) bool {
	for _, p := range r.gossip.recent {
		if p.place == place(e.ID) && p.incarnation == e.incarnation && p.gone == e.gone &&
			(p.until == until || Between(r.id, until, p.until)) {
			return true
		}
	}
	return false
}

// letter is what goes to one node at once.
type letter struct {
	to      Contact
	batches []batch
	parts   []pending // the same, to be told to another if to does not answer
}

func (l *letter) add(p pending, until ID) {
	l.parts = append(l.parts, pending{event: p.event, from: l.to.ID, until: until, tries: p.tries + 1})
	for i := range l.batches {
		if l.batches[i].until == until {
			l.batches[i].events = append(l.batches[i].events, p.event)
			return
		}
	}
	l.batches = append(l.batches, batch{events: []*event{p.event}, on: true, until: until})
}

// spread sends what waits, if its time has come and the budget allows it. It
// returns the time after which to call it again.
func (r *Ring) spread() time.Duration {
	now := r.h.Now()
	r.mu.Lock()
	g := &r.gossip
	if len(g.waiting) == 0 || r.state != member {
		g.waiting = nil
		r.mu.Unlock()
		return host.Forever
	}
	if wait := max(r.gossipDelay()-now.Sub(g.waiting[0].at), r.meter.wait(now)); wait > 0 {
		r.mu.Unlock()
		return wait
	}
	letters := r.lettersLocked(now)
	r.mu.Unlock()
	for _, l := range letters {
		r.h.Go("chord gossip", func() { r.post(l) })
	}
	return 0
}

// lettersLocked makes letters of what waits: as much as one letter to each
// node holds.
func (r *Ring) lettersLocked(now time.Time) []*letter {
	var letters []*letter
	to := func(c Contact) *letter {
		for _, l := range letters {
			if l.to.ID == c.ID {
				return l
			}
		}
		l := &letter{to: c}
		letters = append(letters, l)
		return l
	}
	tell := func(c Contact, p pending, until ID) {
		if c.ID == p.ID { // it knows; the next one tells its part
			var ok bool
			if c, ok = r.nextInLocked(c.ID, until, now); !ok {
				return
			}
		}
		to(c).add(p, until)
	}
	g := &r.gossip
	parts := r.partsLocked(now)
	n := min(len(g.waiting), maxEvents)
	for _, p := range g.waiting[:n] {
		if p.from != r.id { // told again, past a node that does not answer
			if c, ok := r.nextInLocked(p.from, p.until, now); ok && p.tries < maxRetold {
				tell(c, p, p.until)
			}
			continue
		}
		for i, c := range parts {
			if !Between(r.id, c.ID, p.until) {
				break
			}
			until := p.until
			if i+1 < len(parts) && Between(c.ID, parts[i+1].ID, p.until) {
				until = parts[i+1].ID
			}
			tell(c, p, until)
		}
	}
	g.waiting = g.waiting[n:]
	return letters
}

// partsLocked is the nodes that this one tells news to, clockwise: the first
// that it knows at or after each self + 2^i.
func (r *Ring) partsLocked(now time.Time) (parts []Contact) {
	from := r.id
	for {
		c, ok := r.nextInLocked(from, r.id, now)
		if !ok {
			return parts
		}
		parts = append(parts, c)
		power := lenOf(Distance(r.id, c.ID))
		if power >= bits {
			return parts
		}
		// The last ID before the next start: what is at the start itself counts.
		from = minusOne(r.id.plusPower(power))
	}
}

// nextInLocked is the first node in (from, until) that this one knows and has
// not found dead, among table and list.
func (r *Ring) nextInLocked(from, until ID, now time.Time) (c Contact, ok bool) {
	r.table.after(from, func(e *event) bool {
		if e.ID == from {
			return true
		}
		if !Between(from, e.ID, until) {
			return false
		}
		if e.ID == r.id || r.peers.isBad(e.ID, now) {
			return true
		}
		c, ok = e.Contact, true
		return false
	})
	for _, s := range r.succs {
		if Between(from, s.ID, until) && !r.peers.isBad(s.ID, now) && (!ok || nearer(from, s.ID, c.ID)) {
			c, ok = s, true
		}
	}
	return c, ok
}

// lenOf is the number of bits of d without leading zeros.
func lenOf(d ID) int {
	for i, b := range d {
		if b != 0 {
			return (len(d)-1-i)*8 + mathbits.Len8(b)
		}
	}
	return 0
}

func minusOne(a ID) ID {
	for i := len(a) - 1; i >= 0; i-- {
		a[i]--
		if a[i] != 0xff {
			break
		}
	}
	return a
}

// post delivers a letter. When its receiver does not answer, the next node of
// its part gets the news.
func (r *Ring) post(l *letter) {
	req, err := encodeGossip(l.batches)
	if err != nil {
		return
	}
	_, err = r.tableCall(l.to, methodGossip, req, r.timeout(l.to))
	if err == nil || errors.Is(err, host.ErrStopped) {
		return
	}
	r.Suspect(l.to.Peer.ID)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range l.parts {
		r.passOnLocked(p)
	}
}

// tableCall makes a request on account of the budget.
func (r *Ring) tableCall(c Contact, m host.Method, req []byte, d time.Duration) ([]byte, error) {
	now := r.h.Now()
	r.mu.Lock()
	r.meter.send(len(req), now)
	r.mu.Unlock()
	reply, err := r.timedFor(c, m, req, d)
	now = r.h.Now()
	r.mu.Lock()
	r.meter.receive(len(reply), now)
	r.mu.Unlock()
	return reply, err
}

func (r *Ring) handleGossip(from host.Peer, req []byte) ([]byte, error) {
	batches, doubts, err := decodeGossip(req)
	if err != nil {
		r.log.Warn("bad gossip", "from", from.ID, "err", err)
		return nil, err
	}
	r.heard(from)
	now := r.h.Now()
	r.mu.Lock()
	r.meter.receive(len(req), now)
	if r.state != member {
		r.mu.Unlock()
		return nil, notMember(Contact{ID: r.id})
	}
	var changed []*event
	for _, b := range batches {
		for _, e := range b.events {
			if r.believeLocked(e, now) {
				changed = append(changed, e)
			}
			if b.on && r.table.samples(e.ID) && !r.retoldLocked(e, b.until) {
				r.passOnLocked(pending{event: e, from: r.id, until: b.until})
			}
		}
	}
	r.mu.Unlock()
	r.actOn(changed)
	for _, id := range doubts {
		r.Suspect(id)
	}
	return encode(&wire.GossipReply{})
}

// believeLocked takes an event from another node over. What is said of this
// node itself it knows better: told of its death, it raises its incarnation
// (SWIM, 4.2).
func (r *Ring) believeLocked(e *event, now time.Time) (news bool) {
	if e.ID != r.id {
		return r.table.learn(e, now)
	}
	g := &r.gossip
	if g.announced && (e.incarnation > g.incarnation || e.gone && e.incarnation == g.incarnation) {
		r.announceLocked(min(e.incarnation+1, maxIncarnation))
	}
	return false
}

// actOn lets the ring know of news that concern it: neighbours that are gone,
// and in a small ring members that are missing in the list.
func (r *Ring) actOn(news []*event) {
	for _, e := range news {
		r.mu.Lock()
		c, neighbour := r.ringContactLocked(e.ID)
		missing := !e.gone && r.wholeLocked() && !neighbour
		sweep := !e.gone && r.behindLocked(e.ID)
		r.mu.Unlock()
		switch {
		case e.gone && neighbour:
			r.startCheckBy(c, false, func() bool { return r.confirmGone(c) })
		case missing:
			r.startCheck(e.Contact, true)
		case sweep:
			r.tableWake.Signal()
		}
	}
}
