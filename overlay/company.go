package overlay

import (
	"time"

	"ircbridge/host"
	"ircbridge/overlay/wire"
)

// Drops counts the neighbours that the ring has dropped so far. When it has
// grown, there is reason to ask for Company.
func (o *Overlay) Drops() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.drops
}

// Company asks the neighbours on the ring, all at once, whether they are there,
// and reports whether one of them has answered within d. Cut off from everybody,
// the ring takes its time to drop one after the other.
func (o *Overlay) Company(d time.Duration) bool {
	peers := make(map[host.PeerID]host.Peer)
	for _, c := range o.ring.Successors() {
		peers[c.Peer.ID] = c.Peer
	}
	if pred, ok := o.ring.Predecessor(); ok {
		peers[pred.Peer.ID] = pred.Peer
	}
	delete(peers, o.h.Self().ID)
	if len(peers) == 0 {
		return false
	}
	left, answered := len(peers), false // o.mu guards both
	done := o.h.NewEvent()
	for _, id := range sorted(peers) {
		o.h.Go("overlay ask for company", func() {
			err := o.call(peers[id], methodPing, new(wire.Ping), new(wire.Pong), d)
			o.mu.Lock()
			defer o.mu.Unlock()
			left--
			answered = answered || err == nil
			if answered || left == 0 {
				done.Signal()
			}
		})
	}
	_ = o.wait(done, d)
	o.mu.Lock()
	defer o.mu.Unlock()
	return answered
}
