package overlay

import (
	"time"

	"ircbridge/host"
	"ircbridge/overlay/wire"
)

// hold is this node's stake in one object: what it has of the object's order,
// when the stake is to be renewed, and the upcalls that wait. Owned by
// Overlay.mu.
type hold struct {
	at     Stamp       // of the last event or view taken
	seen   bool        // at is set: something was taken
	keeper host.PeerID // who pushed or renewed last
	due    time.Time   // of the next renewal
	tries  int         // renewals that failed since the last that did not
	calls  []func()    // upcalls in order
	busy   bool        // a task is making them
	branch *passing    // of the object, that this node passes batches on to
}

// Hold says that this node has a stake in an object (a view, a claim): it is
// renewed from now on, at once when its keeper changes or dies, and asserted
// where it was lost. Holding again renews at once.
func (o *Overlay) Hold(kind, name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := ref{kind, name}
	if hd := o.holds[r]; hd != nil {
		hd.due = o.h.Now()
		o.renewNow.Signal()
		return
	}
	o.holds[r] = &hold{due: o.h.Now().Add(o.jitter(o.cfg.Renew))}
}

// Release takes Hold back: what is pushed from now on is refused.
func (o *Overlay) Release(kind, name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.holds, ref{kind, name})
}

// upcallLocked queues a call to the kind's Views and makes sure that somebody
// makes it, outside the lock and after those before it.
func (o *Overlay) upcallLocked(hd *hold, f func()) {
	hd.calls = append(hd.calls, f)
}

// makeCalls makes the queued upcalls of the holds named, unless another task
// does so already.
func (o *Overlay) makeCalls(hds []*hold) {
	for _, hd := range hds {
		o.mu.Lock()
		if hd.busy {
			o.mu.Unlock()
			continue
		}
		hd.busy = true
		for len(hd.calls) > 0 {
			f := hd.calls[0]
			hd.calls[0] = nil // it may hold a whole view
			if hd.calls = hd.calls[1:]; len(hd.calls) == 0 {
				hd.calls = nil
			}
			o.mu.Unlock()
			f()
			o.mu.Lock()
		}
		hd.busy = false
		o.mu.Unlock()
	}
}

// onDeliver takes what a keeper pushed.
func (o *Overlay) onDeliver(from host.Peer, msg *wire.Deliver) *wire.DeliverReply {
	reply := &wire.DeliverReply{Run: o.h.Run()}
	if len(msg.Items) > maxPushItems {
		return reply
	}
	var touched []*hold
	o.mu.Lock()
	for _, item := range msg.Items {
		ack, hd := o.takeLocked(from, item)
		reply.Items = append(reply.Items, ack)
		if hd != nil {
			touched = append(touched, hd)
		}
	}
	o.mu.Unlock()
	o.makeCalls(touched)
	return reply
}

// takeLocked takes one item: a whole view of an epoch not lower than what was
// seen, or the next events of the same epoch.
func (o *Overlay) takeLocked(from host.Peer, item *wire.Delivery) (*wire.Ack, *hold) {
	none := &wire.Ack{Kind: wire.Ack_NO_STAKE}
	r, ok := o.refFromWire(item.GetRef())
	epoch, err := epochFromWire(item.GetEpoch())
	entries, err2 := entriesFromWire(item.GetEntries())
	hd := o.holds[r]
	if !ok || err != nil || err2 != nil || hd == nil || o.kinds[r.kind].Views == nil {
		return none, nil
	}
	views := o.kinds[r.kind].Views
	if hd.seen && epoch.Compare(hd.at.Epoch) < 0 {
		return &wire.Ack{Kind: wire.Ack_STALE, Epoch: epochToWire(hd.at.Epoch)}, nil
	}
	if item.View {
		return o.takeViewLocked(r, hd, views, from, Stamp{epoch, item.Number}, item.State, entries), hd
	}
	if !hd.seen || epoch != hd.at.Epoch || item.After > hd.at.Number {
		return &wire.Ack{Kind: wire.Ack_NEED_VIEW}, nil
	}
	for _, e := range entries {
		if e.Stamp.Number <= hd.at.Number {
			continue
		}
		hd.at.Number = e.Stamp.Number
		o.upcallLocked(hd, func() { views.Event(r.name, e) })
	}
	o.keptLocked(r, hd, from)
	return &wire.Ack{Kind: wire.Ack_HAVE, Number: hd.at.Number}, hd
}

func (o *Overlay) takeViewLocked(r ref, hd *hold, views Views, from host.Peer, at Stamp, state []byte, entries []Entry) *wire.Ack {
	if hd.seen && at.Compare(hd.at) < 0 {
		return &wire.Ack{Kind: wire.Ack_HAVE, Number: hd.at.Number} // overtaken by events
	}
	recent := make([]Entry, 0, len(entries))
	for _, e := range entries {
		if !hd.seen || e.Stamp.Compare(hd.at) > 0 {
			recent = append(recent, e)
		}
	}
	hd.at, hd.seen = at, true
	o.keptLocked(r, hd, from)
	o.upcallLocked(hd, func() { views.Reset(r.name, at, state, recent) })
	return &wire.Ack{Kind: wire.Ack_HAVE, Number: at.Number}
}

// keptLocked notes who keeps the object, which a push proves.
func (o *Overlay) keptLocked(r ref, hd *hold, from host.Peer) {
	if hd.keeper == from.ID {
		return
	}
	hd.keeper = from.ID
	o.keepers.put(r, contact(from))
}
