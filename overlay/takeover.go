package overlay

import (
	"slices"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

// How a replica becomes the keeper. When a predecessor died, the range between
// it and the one before it is this node's. It asks the nodes that follow it,
// which had copies of the same objects or may have, for what is later than its
// own copies; then it begins a later epoch for each, stores that on a replica,
// and only then serves. Until then requests for these objects wait, and for
// one second nothing in the range is called absent (unsettled).

// maxFetch bounds one reply with copies, in bytes.
const maxFetch = 2 << 20

// takeOverLocked has the copies in (from, to] taken over.
func (o *Overlay) takeOverLocked(from, to chord.ID) {
	o.toTake = append(o.toTake, gained{from: from, to: to})
	o.takeNow.Signal()
}

// takeOverLoop takes over what it is told to, and any copy whose key is this
// node's own.
func (o *Overlay) takeOverLoop() {
	for {
		_ = o.wait(o.takeNow, host.Forever)
		if o.stopped() {
			return
		}
		o.mu.Lock()
		ranges := o.toTake
		o.toTake = nil
		if len(o.ownCopiesLocked()) > 0 {
			from := o.self // alone: all
			if pred, ok := o.ring.Predecessor(); ok {
				from = pred.ID
			}
			ranges = append(ranges, gained{from: from, to: o.self})
		}
		o.fetching = ranges
		o.mu.Unlock()
		for _, g := range ranges {
			o.fetch(g)
		}
		o.promote(ranges)
	}
}

// unheardLocked reports that nobody can say yet that there is no object under a key of
// this node's: its copies are being fetched, or the ring has another predecessor than
// the one that this layer was told of.
func (o *Overlay) unheardLocked(key chord.ID) bool {
	if pred, ok := o.ring.Predecessor(); ok && (o.lastPred == nil || o.lastPred.ID != pred.ID) {
		return true
	}
	return covers(o.toTake, key) || covers(o.fetching, key)
}

func covers(ranges []gained, key chord.ID) bool {
	return slices.ContainsFunc(ranges, func(g gained) bool { return chord.InRange(g.from, key, g.to) })
}

// ownCopiesLocked are the copies of objects that this node should keep, and
// that nobody is about to hand over.
func (o *Overlay) ownCopiesLocked() []ref {
	if o.leaving || o.left || !o.open {
		return nil
	}
	var refs []ref
	// any order: sorted below
	for r, c := range o.copies {
		e, coming := o.expected[r]
		coming = coming && !e.lost && o.h.Now().Before(e.until)
		if !coming && o.objects[r] == nil && o.ring.Owns(c.ob.key) {
			refs = append(refs, r)
		}
	}
	slices.SortFunc(refs, ref.compare)
	return refs
}

// fetch asks all replicas at once for what they have in a range beyond the
// copies here, and waits until all have answered or failed.
func (o *Overlay) fetch(g gained) {
	o.mu.Lock()
	left := len(o.replicas)
	done := o.h.NewEvent()
	for _, c := range o.replicas {
		o.h.Go("overlay fetch", func() {
			for o.fetchFrom(c, g) {
			}
			o.mu.Lock()
			defer o.mu.Unlock()
			if left--; left == 0 {
				done.Signal()
			}
		})
	}
	none := left == 0
	o.mu.Unlock()
	if !none {
		_ = o.wait(done, 2*o.cfg.TryTimeout)
	}
}

// fetchFrom makes one call, and reports whether there is more to ask for.
func (o *Overlay) fetchFrom(c chord.Contact, g gained) (more bool) {
	msg := &wire.Fetch{From: g.from[:], To: g.to[:]}
	o.mu.Lock()
	for _, r := range sortedRefs(o.copies) {
		if ob := o.copies[r].ob; chord.InRange(g.from, ob.key, g.to) {
			msg.Items = append(msg.Items, holding(ob))
		}
	}
	for _, r := range o.refsLocked() {
		if ob := o.objects[r]; chord.InRange(g.from, ob.key, g.to) {
			msg.Items = append(msg.Items, holding(ob))
		}
	}
	o.mu.Unlock()
	reply := new(wire.FetchReply)
	if err := o.call(c.Peer, methodFetch, msg, reply, o.cfg.TryTimeout); err != nil {
		o.ring.Suspect(c.Peer.ID)
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	taken := false
	for _, w := range reply.Copies {
		ack := o.takeCopyLocked(c.Peer.ID, w)
		taken = taken || ack.Kind == wire.CopyAck_HAVE
	}
	return reply.More && taken
}

// onFetch answers a new keeper with later copies, and a replica with what is
// kept here.
func (o *Overlay) onFetch(_ host.Peer, msg *wire.Fetch) *wire.FetchReply {
	reply := new(wire.FetchReply)
	has := make(map[ref]*wire.Holding, len(msg.Items))
	for _, h := range msg.Items {
		if r, ok := o.refFromWire(h.GetRef()); ok {
			has[r] = h
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if msg.Kept {
		for _, r := range sortedRefs(has) {
			epoch, err := epochFromWire(has[r].Epoch)
			if ob := o.objects[r]; err == nil && ob != nil && !ob.moving && ob.safe > 0 && ob.epoch.Compare(epoch) >= 0 {
				reply.Kept = append(reply.Kept, holding(ob))
			}
		}
		return reply
	}
	if !msg.Only && (len(msg.From) != len(chord.ID{}) || len(msg.To) != len(chord.ID{})) {
		return reply
	}
	wanted := func(r ref, key chord.ID) bool {
		if msg.Only {
			return has[r] != nil
		}
		return chord.InRange(chord.ID(msg.From), key, chord.ID(msg.To))
	}
	size := 0
	for _, r := range sortedRefs(o.copies) {
		ob := o.copies[r].ob
		epoch, err := epochFromWire(has[r].GetEpoch())
		if err != nil || !wanted(r, ob.key) || has[r] != nil && compareHolding(ob.epoch, ob.version, epoch, has[r].Version) <= 0 {
			continue
		}
		w := ob.copy()
		if size += proto.Size(w); size > maxFetch && len(reply.Copies) > 0 {
			reply.More = true
			break
		}
		reply.Copies = append(reply.Copies, w)
	}
	return reply
}

// uniteCopies asks the replicas for copies of an object kept here that are of
// a later epoch than this node's, and unites it with them.
func (o *Overlay) uniteCopies(r ref) {
	o.mu.Lock()
	ob := o.objects[r]
	replicas := slices.Clone(o.replicas)
	o.mu.Unlock()
	if ob == nil {
		return
	}
	for _, c := range replicas {
		o.mu.Lock()
		msg := &wire.Fetch{Only: true, Items: []*wire.Holding{holding(ob)}}
		o.mu.Unlock()
		reply := new(wire.FetchReply)
		if o.call(c.Peer, methodFetch, msg, reply, o.cfg.TryTimeout) != nil {
			continue
		}
		o.mu.Lock()
		for _, w := range reply.Copies {
			o.uniteCopyLocked(r, ob, c.Peer.ID, w)
		}
		o.mu.Unlock()
	}
}

func (o *Overlay) uniteCopyLocked(r ref, ob *object, from host.PeerID, w *wire.Copy) {
	got, ok := o.refFromWire(w.GetObject().GetRef())
	at, err := StampFromWire(w.GetObject().GetAt())
	entries, err2 := entriesFromWire(w.GetObject().GetEntries())
	if !ok || got != r || err != nil || err2 != nil || o.objects[r] != ob || ob.moving {
		return
	}
	if err := o.unpackLocked(ob, true, at, entries, w.Object); err != nil {
		o.log.Warn("a replica sent a malformed copy; refused", "object", r.kind+" "+r.name, "from", chord.NodeID(from), "err", err)
		return
	}
	o.log.Info("united with a replica's copy of a later epoch", "object", ob.obj.Summary(), "from", chord.NodeID(from), "epoch", ob.epoch.Counter)
}

// promote makes objects of the copies that are this node's to keep, in the ranges in
// which the replicas have been asked for later ones.
func (o *Overlay) promote(asked []gained) {
	obs := o.beginReigns(asked)
	o.mu.Lock()
	o.fetching = nil
	o.mu.Unlock()
	for _, ob := range obs {
		stored := o.serveWhenStored(ob)
		o.log.Info("took over "+ob.ref.kind+" "+ob.ref.name, "replicas have it", stored)
	}
}

// serveWhenStored waits until a replica has an object of which a reign begins,
// or for a while, and lets it take requests.
func (o *Overlay) serveWhenStored(ob *object) (stored bool) {
	o.mu.Lock() // no defer: storedLocked gives it up while it waits
	stored = o.storedLocked(ob, o.cfg.GiveUp)
	if o.objects[ob.ref] == ob && !ob.taking {
		ob.taken = true // it is being handed over meanwhile; if that fails, it serves
	} else if o.objects[ob.ref] == ob {
		ob.moving, ob.taking = false, false
		ob.wake()
		o.pushLocked(ob)
	}
	o.mu.Unlock()
	return stored
}

// beginReigns begins a later epoch for each copy in some ranges that is this node's to keep.
// They take no requests yet. Those in a range that has become this node's meanwhile are left to the next round.
func (o *Overlay) beginReigns(asked []gained) (obs []*object) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.h.Now()
	for _, r := range o.ownCopiesLocked() {
		c := o.copies[r]
		if !covers(asked, c.ob.key) {
			o.takeNow.Signal()
			continue
		}
		delete(o.copies, r)
		ob := c.ob
		ob.newEpoch(o.ownEpoch(0), ob.epoch)
		o.leaseAllLocked(ob, now)
		ob.subscribe()
		// any order: all are treated alike
		for _, cur := range ob.cursors {
			cur.number = 0 // what a node has of the log, only the old keeper knew
		}
		ob.moving, ob.taking = true, true
		o.objects[r] = ob
		o.movedTo.drop(r)
		o.placeLocked(ob)
		obs = append(obs, ob)
		o.log.Info("taking over "+ob.obj.Summary(), "why", "its keeper is gone, and its key lies in our range", "from", chord.NodeID(c.keeper), "epoch", ob.epoch.Counter)
	}
	return obs
}
