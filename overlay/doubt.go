package overlay

import (
	"ircbridge/chord"
	"ircbridge/overlay/wire"
)

// A keeper that stood still (a stopped process, a machine that slept) wakes and believes
// to keep what another node may have taken over long ago. What it ordered then
// would be refused by its replicas and united later, but that is late: its own
// users' messages may be more than the union has room for. So it takes no
// requests for what it kept before, until its replicas, who would have taken
// its place, have said that they did not.

// tickLoop does nothing but sleep, so that a late sign of it shows that this node stood still.
func (o *Overlay) tickLoop() {
	for {
		o.mu.Lock()
		o.noticeLocked()
		o.tick = o.h.Now()
		o.mu.Unlock()
		if o.stopped() || o.h.Sleep(o.cfg.Unsettled/4) != nil {
			return
		}
	}
}

// noticeLocked has doubts about all that is kept if this node stood still. It may
// have been only busy; then little is lost.
func (o *Overlay) noticeLocked() {
	now := o.h.Now()
	if o.tick.IsZero() || now.Sub(o.tick) < o.cfg.Unsettled/2 {
		return
	}
	o.tick = now
	asking := len(o.doubts) > 0
	o.doubts = make(map[ref]Epoch, len(o.objects))
	for r, ob := range o.objects { // any order: all are treated alike
		o.doubts[r] = ob.epoch
	}
	if !asking && len(o.doubts) > 0 {
		o.h.Go("overlay doubt", o.doubt)
	}
}

// maxDoubts bounds the objects that one call asks for.
const maxDoubts = 256

// doubtedLocked reports whether an object was kept before this node last stood still, and
// no replica has said since that it does not keep it.
func (o *Overlay) doubtedLocked(ob *object) bool {
	o.noticeLocked()
	return len(o.doubts) > 0 && o.doubts[ob.ref] == ob.epoch && ob.epoch != Epoch{}
}

// doubt asks until no doubts are left, but no longer than a request is tried:
// then the replicas are dead, which the ring finds out, or cannot be reached, and
// refuse what is not this node's to order.
func (o *Overlay) doubt() {
	deadline := o.h.Now().Add(o.cfg.GiveUp)
	for {
		o.mu.Lock()
		replicas := o.replicas
		var refs []ref
		for _, r := range sortedRefs(o.doubts) {
			if ob := o.objects[r]; ob == nil || ob.epoch != o.doubts[r] {
				delete(o.doubts, r)
			} else if len(refs) < maxDoubts {
				refs = append(refs, r)
			}
		}
		if len(replicas) == 0 || o.h.Now().After(deadline) {
			o.doubts = nil
		}
		over := len(o.doubts) == 0
		o.mu.Unlock()
		if over || !o.askAll(replicas, refs) && o.h.Sleep(o.cfg.TryTimeout/10) != nil {
			return
		}
	}
}

// askAll asks the replicas, all at once, and takes the doubts back if one
// answered. Of what one says that it keeps the reign here is over.
func (o *Overlay) askAll(replicas []chord.Contact, refs []ref) (answered bool) {
	ask := &wire.Fetch{Kept: true}
	o.mu.Lock()
	for _, r := range refs {
		if ob := o.objects[r]; ob != nil {
			ask.Items = append(ask.Items, holding(ob))
		}
	}
	o.mu.Unlock()
	left, done := len(replicas), o.h.NewEvent()
	for _, c := range replicas {
		o.h.Go("overlay doubt", func() {
			reply := new(wire.FetchReply)
			err := o.call(c.Peer, methodFetch, ask, reply, o.cfg.TryTimeout)
			o.mu.Lock()
			defer o.mu.Unlock()
			if err == nil {
				answered = true
				o.keptElsewhereLocked(reply.Kept)
			}
			if left--; left == 0 {
				done.Signal()
			}
		})
	}
	_ = o.wait(done, 2*o.cfg.TryTimeout)
	o.mu.Lock()
	defer o.mu.Unlock()
	if answered {
		for _, r := range refs {
			delete(o.doubts, r)
		}
	}
	return answered
}

// keptElsewhereLocked ends the reigns here of which another node has a later one.
func (o *Overlay) keptElsewhereLocked(kept []*wire.Holding) {
	for _, h := range kept {
		r, ok := o.refFromWire(h.GetRef())
		seen, err := epochFromWire(h.GetEpoch())
		if ob := o.objects[r]; ok && err == nil && ob != nil && seen.Compare(ob.epoch) > 0 && !o.deposed[r] {
			o.deposed[r] = true
			o.h.Go("overlay step down", func() { o.stepDown(r, seen) })
		}
	}
}
