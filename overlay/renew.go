package overlay

import (
	"slices"
	"time"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/overlay/wire"
)

// Renewals keep leases, and find out what went wrong with an object: one call
// for each keeper with all that is due there. A hold whose renewal fails is
// due again soon, and looked up anew.

// maxRenewals bounds one call.
const maxRenewals = 256

// renewLoop renews what is due, and sleeps until the next is.
func (o *Overlay) renewLoop() {
	for {
		o.mu.Lock()
		due, next := o.dueLocked()
		o.mu.Unlock()
		if len(due) > 0 {
			o.renewAll(due)
			continue
		}
		_ = o.wait(o.renewNow, next)
		if o.stopped() {
			return
		}
	}
}

// dueLocked takes the holds that are due, in order, and says when the next is. Those
// of the same keepers that are due soon go with them, so that a pair of nodes has one call
// in a while, whatever the number of its objects. What is taken is due again in a while:
// renewAll sets that right.
func (o *Overlay) dueLocked() (due []ref, next time.Duration) {
	now := o.h.Now()
	next = o.cfg.Renew
	asked := make(map[host.PeerID]bool)
	// any order: a set
	for _, hd := range o.holds {
		if !hd.due.After(now) && hd.tries == 0 && hd.keeper != "" {
			asked[hd.keeper] = true
		}
	}
	// any order: sorted below
	for r, hd := range o.holds {
		if left := hd.due.Sub(now); left > 0 && (!asked[hd.keeper] || left > o.cfg.Renew/5) {
			next = min(next, left)
			continue
		}
		hd.due = now.Add(o.cfg.GiveUp)
		due = append(due, r)
	}
	slices.SortFunc(due, ref.compare)
	return due, next
}

// renewSoonLocked makes holds due at once.
func (o *Overlay) renewSoonLocked(which func(ref, *hold) bool) {
	now, any := o.h.Now(), false
	// any order: each is set for itself
	for r, hd := range o.holds {
		if which(r, hd) && hd.due.After(now) {
			hd.due, any = now, true
		}
	}
	if any {
		o.renewNow.Signal()
	}
}

// renewAll finds the keepers of what is due and renews with each in a task of
// its own, so that a dead one holds up nobody else.
func (o *Overlay) renewAll(due []ref) {
	groups := make(map[host.PeerID][]ref)
	contacts := make(map[host.PeerID]chord.Contact)
	for _, r := range due {
		c, err := o.keeper(r, r.key(), o.cfg.TryTimeout)
		if err != nil {
			o.renewed(r, false)
			continue
		}
		groups[c.Peer.ID] = append(groups[c.Peer.ID], r)
		contacts[c.Peer.ID] = c
	}
	for _, id := range sorted(groups) {
		for part := range slices.Chunk(groups[id], maxRenewals) {
			o.h.Go("overlay renew", func() { o.renew(contacts[id], part) })
		}
	}
}

// renewed sets when a hold is due again.
func (o *Overlay) renewed(r ref, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	hd := o.holds[r]
	if hd == nil {
		return
	}
	if ok {
		hd.tries = 0
		hd.due = o.h.Now().Add(o.jitter(o.cfg.Renew))
		return
	}
	o.keepers.drop(r)
	hd.keeper = ""
	hd.due = o.h.Now().Add(o.jitter(min(25*time.Millisecond<<min(hd.tries, 6), time.Second)))
	hd.tries++
	o.renewNow.Signal()
}

// renew makes one call to one keeper.
func (o *Overlay) renew(to chord.Contact, refs []ref) {
	msg := &wire.Renew{Run: o.h.Run(), Route: &wire.Route{BudgetMs: uint32(o.cfg.TryTimeout.Milliseconds())}}
	var sent []ref
	for _, r := range refs {
		payload, ok := o.kinds[r.kind].Views.Renewal(r.name)
		if !ok {
			o.Release(r.kind, r.name)
			continue
		}
		o.mu.Lock()
		hd := o.holds[r]
		var at Stamp
		if hd != nil {
			at = hd.at
		}
		o.mu.Unlock()
		if hd == nil {
			continue
		}
		msg.Items = append(msg.Items, &wire.Renewal{Ref: refToWire(r), At: StampToWire(at), Payload: payload})
		sent = append(sent, r)
	}
	if len(sent) == 0 {
		return
	}
	reply := new(wire.RenewReply)
	var err error
	if to.Peer.ID == o.h.Self().ID {
		reply = o.onRenew(to.Peer, msg)
	} else {
		err = o.call(to.Peer, methodRenew, msg, reply, o.cfg.TryTimeout)
	}
	if err != nil || len(reply.Items) != len(sent) {
		o.ring.Suspect(to.Peer.ID)
		for _, r := range sent {
			o.renewed(r, false)
		}
		return
	}
	for i, r := range sent {
		o.settleRenewal(r, to, reply.Items[i])
	}
}

func (o *Overlay) settleRenewal(r ref, to chord.Contact, res *wire.RenewResult) {
	switch res.Status {
	case wire.Status_OK, wire.Status_NOT_KNOWN:
		o.mu.Lock()
		if hd := o.holds[r]; hd != nil {
			hd.keeper = to.Peer.ID
		}
		o.mu.Unlock()
		o.renewed(r, true)
	case wire.Status_NEED_STATE:
		done, _ := o.assert(r, to, o.cfg.TryTimeout)
		o.renewed(r, done)
	default:
		o.renewed(r, false)
		if hint, ok := contactFromWire(res.Hint); ok {
			o.setKeeper(r, hint)
		}
	}
}

// onRenew hears a node's stakes, as their keeper.
func (o *Overlay) onRenew(from host.Peer, msg *wire.Renew) *wire.RenewReply {
	reply := new(wire.RenewReply)
	if len(msg.Items) > maxRenewals {
		return reply
	}
	for _, item := range msg.Items {
		reply.Items = append(reply.Items, o.renewOne(from, msg, item))
	}
	return reply
}

func (o *Overlay) renewOne(from host.Peer, msg *wire.Renew, item *wire.Renewal) *wire.RenewResult {
	r, ok := o.refFromWire(item.GetRef())
	at, err := StampFromWire(item.GetAt())
	if !ok || err != nil {
		return &wire.RenewResult{Status: wire.Status_BAD}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	st, ob := o.standLocked(r, r.key(), from.ID, wire.Route_DIRECT)
	switch {
	case st == notMine:
		return &wire.RenewResult{Status: wire.Status_NOT_MINE, Hint: o.hintLocked(r)}
	case st == absent || st == wait:
		return &wire.RenewResult{Status: wire.Status_NEED_STATE}
	case st == taking:
		return &wire.RenewResult{Status: wire.Status_RETRY}
	case st == forward:
		// The object comes by hand-over if it exists; asked again in a moment.
		return &wire.RenewResult{Status: wire.Status_RETRY}
	case ob.moving:
		return &wire.RenewResult{Status: wire.Status_RETRY}
	}
	if at.Epoch.Compare(ob.epoch) > 0 {
		// The node follows a later keeper's copy: this one must catch up.
		return &wire.RenewResult{Status: wire.Status_NEED_STATE}
	}
	if ob.renewLease(from.ID, msg.Run, o.h.Now()) {
		o.nodeGoneLocked(ob, from.ID, msg.Run)
	}
	known := o.keeperStepLocked(ob, &wire.Step{What: &wire.Step_Renewed{
		Renewed: &wire.Renewed{Node: []byte(from.ID), Run: msg.Run, Payload: item.Payload},
	}}).known
	if c := ob.cursors[from.ID]; c != nil && !c.ending {
		c.declined, c.asked, c.addrs = false, true, from.Addrs
		if at.Epoch != ob.epoch {
			c.needView = true
		} else {
			ob.heldAgainstLocked(c, at.Number)
			c.number = min(at.Number, ob.number) // what it says it has, not what we believe
		}
		if c.behind(ob, from.ID) {
			o.pushToLocked(from.ID, r)
		}
	}
	if !known {
		o.showLocked(ob, from.ID)
		return &wire.RenewResult{Status: wire.Status_NOT_KNOWN}
	}
	return &wire.RenewResult{Status: wire.Status_OK}
}

// showLocked sends a node that is not in the object a view, once, so that it
// sees what it missed.
func (o *Overlay) showLocked(ob *object, node host.PeerID) {
	msg := &wire.Deliver{Items: []*wire.Delivery{{
		Ref: refToWire(ob.ref), Epoch: epochToWire(ob.epoch), View: true,
		Number: ob.number, State: ob.obj.View(), Entries: entriesToWire(ob.log),
	}}}
	o.h.Go("overlay show", func() { _, _ = o.deliver(node, msg) })
}

// assert gives a keeper this node's copy. done: the keeper has the object now;
// held: this node has a copy at all.
func (o *Overlay) assert(r ref, to chord.Contact, d time.Duration) (done, held bool) {
	views := o.kinds[r.kind].Views
	if views == nil {
		return false, false
	}
	snapshot, held := views.Assert(r.name)
	if !held {
		return false, false
	}
	o.mu.Lock()
	var at Stamp
	if hd := o.holds[r]; hd != nil {
		at = hd.at
	}
	o.mu.Unlock()
	msg := &wire.Assert{
		Ref: refToWire(r), Run: o.h.Run(), At: StampToWire(at), Snapshot: snapshot,
		Route: &wire.Route{BudgetMs: uint32(d.Milliseconds())},
	}
	reply := new(wire.AssertReply)
	var err error
	if to.Peer.ID == o.h.Self().ID {
		reply = o.onAssert(to.Peer, msg)
	} else {
		err = o.call(to.Peer, methodAssert, msg, reply, d)
	}
	return err == nil && reply.Status == wire.Status_OK, true
}

// onAssert takes a member node's copy, when the key is ours.
func (o *Overlay) onAssert(from host.Peer, msg *wire.Assert) *wire.AssertReply {
	r, ok := o.refFromWire(msg.GetRef())
	at, err := StampFromWire(msg.GetAt())
	if !ok || err != nil {
		return &wire.AssertReply{Status: wire.Status_BAD}
	}
	st, ob := o.settle(r, from.ID, msg.Route)
	defer o.mu.Unlock()
	switch {
	case st == notMine:
		return &wire.AssertReply{Status: wire.Status_NOT_MINE, Hint: o.hintLocked(r)}
	case st == forward, st == taking, st == serving && ob.moving, st != serving && o.fullLocked(from.ID):
		return &wire.AssertReply{Status: wire.Status_RETRY}
	}
	known := ob != nil
	switch c := o.copies[r]; {
	case known:
	case c != nil:
		ob = c.ob // what a replica has, members may not have seen
		o.chargeLocked(from.ID)
	default:
		ob = newObject(r, o.kinds[r.kind].New(r.name), Epoch{})
		o.chargeLocked(from.ID)
	}
	if err := ob.obj.Merge(msg.Snapshot); err != nil {
		o.log.Warn("a node asserted a malformed copy; refused", "object", r.kind+" "+r.name, "from", from.ID, "err", err)
		return &wire.AssertReply{Status: wire.Status_BAD}
	}
	now := o.h.Now()
	o.objects[r] = ob
	delete(o.copies, r)
	ob.number = max(ob.number, at.Number)
	if !known || at.Epoch.Compare(ob.epoch) > 0 {
		ob.newEpoch(o.ownEpoch(0), at.Epoch)
	}
	o.leaseAllLocked(ob, now)
	ob.renewLease(from.ID, msg.Run, now)
	ob.subscribe()
	if known {
		// What the copy brought was not in the log: views are compared anew.
		ob.number++
		ob.united()
		// any order: all are treated alike
		for _, c := range ob.cursors {
			c.needView = true
		}
	}
	o.placeLocked(ob)
	o.log.Info("rebuilt from a member's copy", "object", ob.obj.Summary(), "from", chord.NodeID(from.ID), "epoch", ob.epoch.Counter, "known before", known)
	o.pushLocked(ob)
	return &wire.AssertReply{Status: wire.Status_OK}
}
