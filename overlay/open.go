package overlay

import (
	"time"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/overlay/wire"
)

// How a node comes to answer for its range.
//
// A joiner's range is closed until its successor has listed what lies in it
// (openRange); meanwhile it forwards.

// openRange asks the successor what lies in this joiner's range until it
// says so, then answers for its own keys. Where nodes that each began a ring have
// joined each other's, every one waits for the next; then the one behind whose place the
// IDs begin anew goes first.
func (o *Overlay) openRange() {
	var circle time.Time // since when the successor says that it waits too
	for try := 0; ; try++ {
		succs := o.ring.Successors()
		if o.ring.Alone() || len(succs) == 0 && o.ring.Member() {
			o.mu.Lock()
			o.open, o.joining = true, false
			o.mu.Unlock()
			return
		}
		if len(succs) > 0 {
			opened, closed := o.askRange(succs[0])
			switch now := o.h.Now(); {
			case opened:
				return
			case !closed:
				circle = time.Time{}
			case circle.IsZero():
				circle = now
			case succs[0].ID.Compare(o.self) < 0 && now.Sub(circle) >= o.cfg.GiveUp/2:
				o.openFirst()
				return
			}
		}
		if o.h.Sleep(min(20*time.Millisecond<<min(try, 4), 250*time.Millisecond)) != nil {
			return
		}
	}
}

// openFirst answers for this node's range though nobody has listed it. What lies
// there is still to come, as after the death of a neighbour.
func (o *Overlay) openFirst() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open {
		return
	}
	now := o.h.Now()
	clear(o.arrived)
	o.unsettled = append(o.unsettled, gained{from: o.self, to: o.self, until: now.Add(o.cfg.Unsettled)})
	o.bereft = now
	o.open, o.joining = true, false
	if o.lastPred != nil {
		o.takeOverLocked(o.lastPred.ID, o.self)
	}
	o.sweepNow.Signal()
	o.log.Info("every node waits for its successor to list its range; this one goes first")
}

// askRange makes one try. closed: the successor waits for its own.
func (o *Overlay) askRange(s chord.Contact) (opened, closed bool) {
	reply := new(wire.OpenRangeReply)
	if err := o.call(s.Peer, methodOpenRange, new(wire.OpenRange), reply, o.cfg.TryTimeout); err != nil {
		o.ring.Suspect(s.Peer.ID)
		return false, false
	}
	if reply.Status != wire.Status_OK {
		return false, reply.Closed
	}
	if pred, ok := o.ring.Predecessor(); ok && reply.KeptBefore {
		o.fetch(gained{from: pred.ID, to: o.self})
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, w := range reply.Refs {
		if r, ok := o.refFromWire(w); ok && o.objects[r] == nil && o.arrived[r].IsZero() {
			o.expected[r] = expected{from: s, until: o.h.Now().Add(o.cfg.GiveUp)}
		}
	}
	clear(o.arrived)
	if left := time.Duration(reply.UnsettledMs) * time.Millisecond; left > 0 {
		o.unsettled = append(o.unsettled, gained{from: o.self, to: o.self, until: o.h.Now().Add(min(left, o.cfg.Unsettled))})
	}
	o.open, o.joining = true, false
	if o.lastPred != nil {
		o.takeOverLocked(o.lastPred.ID, o.self) // of who kept some of it and died, others have the copies
	}
	o.log.Info("the successor listed what lies in our range; we answer for it now", "successor", s.ID, "objects to come", len(o.expected))
	return true, false
}

// expected is an object that the successor listed and has not yet handed over.
// When the successor is lost first, those who hold something in the object
// have until then to bring it back.
type expected struct {
	from  chord.Contact
	until time.Time
	lost  bool
}

// loseExpectedLocked hears that a node which was to hand objects over is gone.
func (o *Overlay) loseExpectedLocked(id host.PeerID) {
	until, any := o.h.Now().Add(o.cfg.Unsettled), false
	// any order: each is marked for itself
	for r, e := range o.expected {
		if e.from.Peer.ID == id && !e.lost {
			o.expected[r] = expected{from: e.from, until: until, lost: true}
			any = true
		}
	}
	if any && o.lastPred != nil {
		o.takeOverLocked(o.lastPred.ID, o.self) // its replicas have them
	}
}

// onOpenRange lists for a joiner, now our predecessor, what we still have that
// is not ours any more, and hands it over.
func (o *Overlay) onOpenRange(from host.Peer) *wire.OpenRangeReply {
	pred, ok := o.ring.Predecessor()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !ok || pred.Peer.ID != from.ID || !o.open || o.leaving {
		return &wire.OpenRangeReply{Status: wire.Status_RETRY, Closed: ok && pred.Peer.ID == from.ID && !o.open && !o.leaving}
	}
	reply := &wire.OpenRangeReply{Status: wire.Status_OK, KeptBefore: o.keptBeforeLocked(from.ID)}
	for _, r := range o.refsLocked() {
		if !o.ring.Owns(o.objects[r].key) {
			reply.Refs = append(reply.Refs, refToWire(r))
		}
	}
	// What else was on its way to us for that range goes on to the joiner by
	// the sweep.
	o.granted[from.ID] = true
	o.sweepNow.Signal()
	if left := o.bereft.Add(o.cfg.Unsettled).Sub(o.h.Now()); left > 0 {
		reply.UnsettledMs = uint32(left.Milliseconds()) + 1
	}
	return reply
}

// keptBeforeLocked reports whether a joiner kept objects of which there are
// copies here: it died and is back before anybody took its place, perhaps
// without its database. It must not call absent what it only forgot.
func (o *Overlay) keptBeforeLocked(joiner host.PeerID) bool {
	for _, c := range o.copies { // any order: one is enough
		if c.keeper == joiner && !o.ring.Owns(c.ob.key) {
			return true
		}
	}
	return false
}
