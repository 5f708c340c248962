package chord

import (
	"container/list"
	"time"

	"ircbridge/host"
)

// maxPeers bounds the table of measured peers; the least recently used one is
// forgotten.
const maxPeers = 512

// peerTable holds what was measured of each peer: round trips, and the time
// until which it counts as dead. Guarded by Ring.mu.
type peerTable struct {
	min, max time.Duration
	byID     map[ID]*list.Element // of *peerStat
	used     list.List            // most recently used first
}

// peerStat is one peer's.
type peerStat struct {
	id       ID
	measured bool
	mean     time.Duration // of the round trip, smoothed (RFC 6298, section 2)
	dev      time.Duration // its mean deviation
	misses   int           // checks failed since the last answer, at most 4
	bad      bool
	badUntil time.Time
	apart    bool      // it is bad for this node only: others reach it (probe.go)
	wait     int       // for how many periods, the last time
	tried    time.Time // directly, while it was apart
	trying   bool      // it is being tried again; if in vain it is apart
}

func (t *peerTable) init(cfg Config) {
	t.min, t.max = cfg.MinTimeout, cfg.MaxTimeout
	t.byID = make(map[ID]*list.Element)
}

// get is the entry of id, made if need be.
func (t *peerTable) get(id ID) *peerStat {
	if e := t.byID[id]; e != nil {
		t.used.MoveToFront(e)
		return e.Value.(*peerStat)
	}
	if t.used.Len() >= maxPeers {
		last := t.used.Back()
		delete(t.byID, last.Value.(*peerStat).id)
		t.used.Remove(last)
	}
	p := &peerStat{id: id}
	t.byID[id] = t.used.PushFront(p)
	return p
}

// answered notes a round trip.
func (t *peerTable) answered(id ID, took time.Duration) {
	p := t.get(id)
	p.misses = 0
	p.bad, p.wait = false, 0
	if !p.measured {
		p.measured, p.mean, p.dev = true, took, took/2
		return
	}
	off := took - p.mean
	p.mean += off / 8
	if off < 0 {
		off = -off
	}
	p.dev += (off - p.dev) / 4
}

// rtt is the smoothed round trip, if it was measured.
func (t *peerTable) rtt(id ID) (time.Duration, bool) {
	e := t.byID[id]
	if e == nil || !e.Value.(*peerStat).measured {
		return 0, false
	}
	return e.Value.(*peerStat).mean, true
}

func (t *peerTable) isMeasured(id ID) bool {
	e := t.byID[id]
	return e != nil && e.Value.(*peerStat).measured
}

// missed notes that a check failed: the next deadline is twice as long, so that
// a peer that has become slow is not lost for good.
func (t *peerTable) missed(id ID) {
	if p := t.get(id); p.misses < 4 {
		p.misses++
	}
}

// timeout is the deadline for a small request to the peer: mean + 4
// deviations, at least the minimum; one second, as RFC 6298 (2.1) begins, for
// a peer never measured.
func (t *peerTable) timeout(id ID) time.Duration {
	if !t.isMeasured(id) {
		return min(max(t.min, time.Second), t.max)
	}
	p := t.byID[id].Value.(*peerStat)
	return min(max(t.min, p.mean+4*p.dev)<<p.misses, t.max)
}

// setBad notes that the peer was found dead (or no member), so that nobody's
// old list brings it back before until, unless it speaks up itself.
func (t *peerTable) setBad(id ID, until time.Time) {
	p := t.get(id)
	p.bad, p.badUntil, p.apart = true, until, false
}

func (t *peerTable) isBad(id ID, now time.Time) bool {
	e := t.byID[id]
	if e == nil {
		return false
	}
	p := e.Value.(*peerStat)
	return p.bad && (p.apart || now.Before(p.badUntil))
}

// setApart notes that others reach the peer, but not this node: from one time to
// the next for twice as many periods. It stays so until it answers.
func (t *peerTable) setApart(id ID, until func(periods int) time.Time) (periods int) {
	p := t.get(id)
	p.wait = min(max(2*p.wait, minApart), maxApart)
	p.bad, p.apart, p.badUntil = true, true, until(p.wait)
	return p.wait
}

// isApart reports whether others reach the peer, but this node does not.
func (t *peerTable) isApart(id ID) bool {
	e := t.byID[id]
	return e != nil && e.Value.(*peerStat).bad && e.Value.(*peerStat).apart
}

// heard notes that the peer spoke up. That it reaches this node does not say
// that this node reaches it.
func (t *peerTable) heard(id ID) {
	if e := t.byID[id]; e != nil && !e.Value.(*peerStat).apart {
		e.Value.(*peerStat).bad = false
	}
}

// reached notes that the peer answered.
func (t *peerTable) reached(id ID) {
	if e := t.byID[id]; e != nil {
		e.Value.(*peerStat).bad = false
	}
}

// timeout is the deadline for a small request to c.
func (r *Ring) timeout(c Contact) time.Duration {
	_, open := r.h.PeerRun(c.Peer.ID)
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.peers.timeout(c.ID)
	d = min(d*time.Duration(1+r.slow), r.cfg.MaxTimeout)
	if !open { // the call has to dial first: handshakes take some round trips
		d = min(max(4*d, r.cfg.MaxTimeout/2), r.cfg.MaxTimeout)
	}
	return d
}

// badFor is how long a dead peer is not taken from others' lists: until they
// have noticed as well.
func (r *Ring) badFor() time.Duration { return 3 * r.cfg.StabilizePeriod }

// markBad notes that c did not answer, or is no member.
func (r *Ring) markBad(c Contact) {
	now := r.h.Now()
	r.mu.Lock()
	r.peers.setBad(c.ID, now.Add(r.badFor()))
	r.mu.Unlock()
}

// heard notes that a peer called this node.
func (r *Ring) heard(from host.Peer) ID {
	id := NodeID(from.ID)
	r.mu.Lock()
	r.peers.heard(id)
	apart := r.peers.isApart(id)
	r.mu.Unlock()
	if apart {
		r.tryDirectly(Contact{ID: id, Peer: from})
	}
	return id
}
