package overlay

import (
	"time"

	"ircbridge/chord"
	"ircbridge/host"
)

// What changes of the ring mean for what is kept: who is lost, and which range comes here.

// gained is a range (from, to] that came to us by a death: until then, absent
// objects may still be asserted.
type gained struct {
	from, to chord.ID
	until    time.Time
}

// onChange hears of a new neighbour.
func (o *Overlay) onChange(c chord.Change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.missLocked(c)
	o.onReplicaSetLocked(c.Succs)
	o.gainLocked(c)
	// any order: all but the present predecessor are forgotten
	for id := range o.granted {
		if c.Pred == nil || c.Pred.Peer.ID != id {
			delete(o.granted, id)
		}
	}
	if o.alone && len(c.Succs) > 0 && o.open {
		// Found again, or found by others: what is ours may lie with them.
		o.h.Go("overlay ask range", o.openRange)
	}
	o.alone = len(c.Succs) == 0
	o.sweepNow.Signal()
}

// missLocked hears of neighbours whom the ring has dropped. Where a node hangs, or the
// network is cut, no connection is lost that would tell. What such a node kept is
// renewed at once: what it took last may have reached only some of the others. And what it
// has here is given up if it does not answer within the grace time.
func (o *Overlay) missLocked(c chord.Change) {
	near := make(map[host.PeerID]bool)
	for _, s := range c.Succs {
		near[s.Peer.ID] = true
	}
	if c.Pred != nil {
		near[c.Pred.Peer.ID] = true
	}
	for _, id := range sorted(o.near) {
		if !near[id] {
			o.drops++
			o.keepers.dropNode(id)
			o.loseExpectedLocked(id)
			o.watchLocked(id)
		}
	}
	o.renewSoonLocked(func(_ ref, hd *hold) bool { return o.near[hd.keeper] && !near[hd.keeper] })
	o.near = near
}

// gainLocked notes what a predecessor's death brings us: the range from the
// predecessor that follows it. While there is none, which may pass, nothing is
// ours; and who left gracefully has handed over what he kept.
func (o *Overlay) gainLocked(c chord.Change) {
	if c.PredLeft {
		o.lastPred = nil
	}
	last := o.lastPred
	switch {
	case c.Pred != nil:
		o.lastPred = c.Pred
		if last == nil {
			// The first that we know of, or the first after one that left: who stood between us
			// may have died before we heard of him, and the next nodes have his copies.
			o.takeOverLocked(c.Pred.ID, o.self)
			return
		}
		if last.ID == c.Pred.ID || chord.Between(last.ID, c.Pred.ID, o.self) {
			return
		}
		o.bereft = o.h.Now()
		o.unsettled = append(o.unsettled, gained{from: c.Pred.ID, to: last.ID, until: o.h.Now().Add(o.cfg.Unsettled)})
		o.takeOverLocked(c.Pred.ID, last.ID)
	case last != nil && len(c.Succs) == 0:
		o.lastPred = nil
		o.unsettled = append(o.unsettled, gained{from: o.self, to: last.ID, until: o.h.Now().Add(o.cfg.Unsettled)})
		o.takeOverLocked(o.self, last.ID)
	}
}

func (o *Overlay) unsettledLocked(key chord.ID) bool {
	now, kept, found := o.h.Now(), o.unsettled[:0], false
	for _, g := range o.unsettled {
		if now.Before(g.until) {
			kept = append(kept, g)
			found = found || chord.InRange(g.from, key, g.to)
		}
	}
	o.unsettled = kept
	return found
}
