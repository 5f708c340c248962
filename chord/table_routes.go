package chord

import (
	"cmp"
	"context"
	"slices"
	"time"

	"ircbridge/chord/wire"
	"ircbridge/host"
)

// maxScan bounds the members of the table that are looked at, counterclockwise
// from the key, for one with an open connection.
const maxScan = 64

// routes orders contacts for a lookup of a key that lies beyond the successor
// list. base is what list and fingers have to offer, best first.
//
// The owner as the table has it comes first, if there is a connection to it.
// Otherwise those come first to which there is one: of the r members before the
// owner, which have it in their lists and are equally good, the one with the
// shortest round trip, then whoever is nearest to the key. A node that looks up
// for itself asks the owner as well at the same time (apart), because the
// dial may be faster than the way round the ring; for others it comes last.
func (r *Ring) routesLocked(q find, base []Contact, usable func(Contact) bool) (out []Contact, apart *Contact) {
	var owner *Contact
	tries := 0
	r.table.after(q.key, func(e *event) bool {
		if e.ID != r.id && usable(e.Contact) {
			owner = &e.Contact
		}
		tries++
		return owner == nil && e.ID != r.id && tries < maxDetours
	})
	if owner == nil || Between(r.id, owner.ID, q.key) {
		return base, nil
	}
	var equal []Contact
	n := 0
	r.table.before(q.key, func(e *event) bool {
		if e.ID == r.id || !Between(r.id, e.ID, q.key) {
			return false
		}
		if r.isOpen(e.Contact) && usable(e.Contact) {
			equal = append(equal, e.Contact)
		}
		n++
		return n < r.cfg.SuccessorListLen || n < maxScan && len(equal) == 0
	})
	slices.SortStableFunc(equal, func(a, b Contact) int { return cmp.Compare(r.rttLocked(a), r.rttLocked(b)) })
	add := func(c Contact) {
		if indexOf(out, c.ID) < 0 {
			out = append(out, c)
		}
	}
	direct := r.isOpen(*owner)
	if direct {
		add(*owner)
	}
	for _, c := range equal[:min(len(equal), maxAsked/4)] {
		add(c)
	}
	for _, c := range base {
		if r.isOpen(c) {
			add(c)
		}
	}
	for _, c := range base {
		add(c)
	}
	if !direct && q.hops == 0 && !q.join {
		apart = owner
	}
	add(*owner)
	return out, apart
}

func (r *Ring) isOpen(c Contact) bool {
	_, open := r.h.PeerRun(c.Peer.ID)
	return open
}

// rttLocked is the round trip to c as far as routing goes: what was never
// measured is far away.
func (r *Ring) rttLocked(c Contact) time.Duration {
	if d, ok := r.peers.rtt(c.ID); ok {
		return d
	}
	return r.cfg.MaxTimeout
}

// race asks owner, to which there is no connection, and passes the lookup on
// through others at the same time. The first that finds ends it.
func (r *Ring) race(p *passing, owner Contact) found {
	done := r.h.NewEvent()
	var best found
	left := 2
	finish := func(f found) {
		r.mu.Lock()
		defer r.mu.Unlock()
		left--
		if best.outcome != wire.FindReply_FOUND && (f.outcome == wire.FindReply_FOUND || best.outcome == 0) {
			best = f
		}
		if left == 0 || best.outcome == wire.FindReply_FOUND {
			done.Signal()
		}
	}
	p.asked[owner.ID] = true
	p.next = without(p.next, owner.ID)
	direct := &passing{ring: r, q: p.q, asked: map[ID]bool{r.id: true}, next: []Contact{owner}}
	r.h.Go("chord direct", func() { finish(direct.run()) })
	r.h.Go("chord pass", func() { finish(p.run()) })
	_ = done.Wait(context.Background(), host.Forever)
	r.mu.Lock()
	defer r.mu.Unlock()
	return best
}
