package overlay

import (
	"bytes"
	"slices"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

// What a node finds in its database when it starts is cold: it tells what was,
// not what is. As soon as the node is in a ring and answers for its range, it
// brings each cold object to the node that keeps its key now, which may be
// itself. Where the object lives, the keeper unites the two (Reviver says how);
// where nobody has it, it comes back to life in a later epoch, and whoever
// held something in it is asked whether he still runs. The record stays on the
// disk until the keeper has answered. A keeper founds no object anew of which it
// has a cold copy itself.

// load reads the database. What it cannot read is told of and dropped.
func (o *Overlay) load() {
	var bad []host.Change
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.h.Store().Scan(objectPrefix, func(key string, value []byte) bool {
		w := new(wire.Saved)
		err := proto.Unmarshal(value, w)
		r, ok := o.refFromWire(w.GetCopy().GetObject().GetRef())
		if err != nil || !ok || recordKey(r) != key || o.kinds[r.kind].Volatile {
			bad = append(bad, host.Change{Key: key})
			return true
		}
		w.Copy.Object.Cold, w.Copy.Object.Leaving, w.Copy.Object.Why = true, false, "it was in a database"
		o.cold[r] = w.Copy
		return len(o.cold) < 2*o.cfg.MaxObjects
	})
	if err == nil && len(bad) > 0 {
		o.log.Warn("records in the database cannot be read; they are dropped", "records", len(bad))
		err = o.h.Store().Write(bad...)
	}
	if err != nil {
		o.log.Warn("the database cannot be read; this node goes on with what others have", "err", err)
	}
	if len(o.cold) > 0 {
		o.log.Info("objects were found in the database; they go to who keeps them now", "objects", len(o.cold))
	}
}

// reviveLoop brings cold objects to their keepers, until none is left.
func (o *Overlay) reviveLoop() {
	for {
		o.mu.Lock()
		left, ready := len(o.cold), o.open && !o.leaving
		o.mu.Unlock()
		if left == 0 {
			return
		}
		if ready && o.ring.Member() {
			o.reviveAll()
		}
		_ = o.wait(o.reviveNow, o.cfg.Sweep/4)
		if o.stopped() {
			return
		}
	}
}

// reviveAll tries each cold object once, with a few tasks at a time.
func (o *Overlay) reviveAll() {
	if pred, ok := o.ring.Predecessor(); ok {
		// Those that follow us may have made steps that our database lacks.
		o.fetch(gained{from: pred.ID, to: o.self})
		o.takeNow.Signal()
	}
	o.mu.Lock()
	refs := sortedRefs(o.cold)
	o.mu.Unlock()
	const tasks = 8
	done, running := o.h.NewEvent(), tasks
	for i := range tasks {
		o.h.Go("overlay revive", func() {
			for n := i; n < len(refs); n += tasks {
				o.revive(refs[n])
			}
			o.mu.Lock()
			defer o.mu.Unlock()
			if running--; running == 0 {
				done.Signal()
			}
		})
	}
	_ = o.wait(done, host.Forever)
}

// revive brings one cold object to its keeper.
func (o *Overlay) revive(r ref) {
	found, err := o.ring.Lookup(r.key(), o.cfg.TryTimeout)
	if err != nil {
		return
	}
	o.mu.Lock()
	c := o.cold[r]
	o.mu.Unlock()
	reply := new(wire.HandOverReply)
	switch {
	case found.Owner.ID == o.self:
		reply = o.onHandOver(o.h.Self(), c.Object)
	case o.keepsAll(found.Owner, r, c):
		reply.Status = wire.Status_OK
	default:
		if o.call(found.Owner.Peer, methodHandOver, c.Object, reply, 2*o.cfg.TryTimeout) != nil {
			return
		}
	}
	if reply.Status != wire.Status_OK && reply.Status != wire.Status_BAD {
		return // later
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.cold, r)
	o.touchLocked(r)
}

// keepsAll asks a keeper whether it has made all the steps of a copy.
func (o *Overlay) keepsAll(keeper chord.Contact, r ref, c *wire.Copy) bool {
	epoch := c.Object.GetAt().GetEpoch()
	msg := &wire.Fetch{Kept: true, Items: []*wire.Holding{{Ref: refToWire(r), Epoch: epoch, Version: c.Version}}}
	reply := new(wire.FetchReply)
	if o.call(keeper.Peer, methodFetch, msg, reply, o.cfg.TryTimeout) != nil {
		return false
	}
	return slices.ContainsFunc(reply.Kept, func(h *wire.Holding) bool {
		return proto.Equal(h.GetRef(), c.Object.Ref) && proto.Equal(h.GetEpoch(), epoch) && h.GetVersion() >= c.Version
	})
}

// takeColdLocked takes a cold object, as who keeps its key.
func (o *Overlay) takeColdLocked(r ref, from host.Peer, at Stamp, entries []Entry, msg *wire.HandOver) *wire.HandOverReply {
	e, coming := o.expected[r]
	coming = coming && o.h.Now().Before(e.until)
	ob := o.objects[r]
	switch {
	case o.leaving || o.left || !o.ring.Owns(r.key()):
		return &wire.HandOverReply{Status: wire.Status_NOT_MINE}
	case !o.open, o.deposed[r], ob != nil && !ob.still():
		return &wire.HandOverReply{Status: wire.Status_RETRY}
	case ob == nil && o.copies[r] != nil:
		o.takeNow.Signal()
		return &wire.HandOverReply{Status: wire.Status_RETRY}
	case ob == nil && (coming || o.unsettledLocked(r.key()) || len(o.objects) >= o.cfg.MaxObjects):
		return &wire.HandOverReply{Status: wire.Status_RETRY}
	}
	var err error
	if ob != nil {
		err = o.reviveIntoLocked(ob, at, msg)
	} else {
		ob, err = o.reviveAnewLocked(r, at, entries, msg)
	}
	if err != nil {
		o.log.Warn("a malformed object from a database was refused", "object", r.kind+" "+r.name, "from", chord.NodeID(from.ID), "err", err)
		return &wire.HandOverReply{Status: wire.Status_BAD}
	}
	return &wire.HandOverReply{Status: wire.Status_OK, Epoch: epochToWire(ob.epoch)}
}

// reviveIntoLocked unites an object that lives with what was found of it.
func (o *Overlay) reviveIntoLocked(ob *object, at Stamp, msg *wire.HandOver) error {
	unite := ob.obj.Merge
	if r, ok := ob.obj.(Reviver); ok {
		unite = r.Revive
	}
	before, known := ob.obj.Snapshot(), ob.obj.Nodes()
	if err := o.unpackStateLocked(ob, nil, msg, unite); err != nil {
		return err
	}
	if bytes.Equal(before, ob.obj.Snapshot()) && at.Epoch.Compare(ob.epoch) <= 0 {
		return nil
	}
	ob.number = max(ob.number, at.Number) + 1 // neither's numbers tell what a view has
	ob.newEpoch(o.ownEpoch(0), at.Epoch)
	o.doubtLocked(ob, known)
	ob.subscribe()
	o.placeLocked(ob)
	o.log.Info("united with what was in a database", "object", ob.obj.Summary(), "epoch", ob.epoch.Counter)
	o.pushLocked(ob)
	return nil
}

// doubtLocked leases what nodes have in an object by a database's word, but for
// those that were known to have a stake. When the object is pushed to them they
// say in which run they are, and whether they know of it; who cannot be reached is
// watched.
func (o *Overlay) doubtLocked(ob *object, known []host.PeerID) {
	o.leaseAllLocked(ob, o.h.Now())
	for _, n := range ob.obj.Nodes() {
		if l := ob.leases[n]; !slices.Contains(known, n) {
			ob.leases[n] = lease{run: l.run, at: l.at, doubtful: true}
		}
	}
}

// reviveAnewLocked brings an object to life that nobody has.
func (o *Overlay) reviveAnewLocked(r ref, at Stamp, entries []Entry, msg *wire.HandOver) (*object, error) {
	ob := newObject(r, o.kinds[r.kind].New(r.name), Epoch{})
	if err := o.unpackStateLocked(ob, entries, msg, ob.obj.Merge); err != nil {
		return nil, err
	}
	if ob.obj.Empty(o.clockOf(ob)) {
		return ob, nil // nothing is left of it
	}
	ob.number = at.Number
	o.doubtLocked(ob, nil)
	ob.newEpoch(o.ownEpoch(0), at.Epoch)
	ob.subscribe()
	ob.moving, ob.taking = true, true
	o.objects[r] = ob
	o.movedTo.drop(r)
	o.placeLocked(ob)
	if o.ring.Alone() {
		// Nobody is here who could have a stake: what this node brings to others that
		// it meets must not speak for people it knows nothing of.
		for _, n := range sorted(ob.leases) {
			keep := uint64(0)
			if n == o.h.Self().ID {
				keep = o.h.Run()
			}
			o.nodeGoneLocked(ob, n, keep)
		}
	}
	o.log.Info("back from a database: "+ob.obj.Summary(), "epoch", ob.epoch.Counter)
	o.h.Go("overlay serve revived", func() { o.serveWhenStored(ob) })
	return ob, nil
}
