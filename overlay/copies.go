package overlay

import (
	"cmp"
	"slices"
	"time"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/overlay/wire"
)

// A replica's side: the copies of what others keep. A copy is an object that
// makes its keeper's steps, serves nobody and pushes nothing. It is
// dropped when the keeper says that the object is no more, or, when nothing was
// heard of it for a while, after whoever keeps the object said that it has
// replicas without this one.

// held is a copy.
type held struct {
	ob     *object
	keeper host.PeerID // who gave it
	heard  time.Time   // when the keeper last showed that it is meant to be here
}

// compareHolding orders what two nodes have of one object.
func compareHolding(e Epoch, version uint64, f Epoch, version2 uint64) int {
	return cmp.Or(e.Compare(f), cmp.Compare(version, version2))
}

// onReplicate makes a keeper's steps.
func (o *Overlay) onReplicate(from host.Peer, msg *wire.Replicate) *wire.ReplicateReply {
	reply := &wire.ReplicateReply{Run: o.h.Run()}
	if len(msg.Items) > maxPushItems || len(msg.Dropped) > maxPushItems {
		return reply
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, item := range msg.Items {
		reply.Items = append(reply.Items, o.followLocked(from, item))
	}
	for _, w := range msg.Dropped {
		if r, ok := o.refFromWire(w); ok && o.copies[r] != nil && o.copies[r].keeper == from.ID {
			delete(o.copies, r)
			o.touchLocked(r)
		}
	}
	if msg.Digest != nil {
		o.compareLocked(from.ID, msg.Digest, reply)
	}
	return reply
}

// refuseCopyLocked says why nothing is taken from a keeper of an epoch: nil
// when it may be.
func (o *Overlay) refuseCopyLocked(r ref, epoch Epoch) *wire.CopyAck {
	if o.left {
		return &wire.CopyAck{Kind: wire.CopyAck_BUSY}
	}
	if ob := o.objects[r]; ob != nil {
		if epoch.Compare(ob.epoch) < 0 {
			return &wire.CopyAck{Kind: wire.CopyAck_STALE, Epoch: epochToWire(ob.epoch)}
		}
		// Somebody keeps it in a later epoch than we do; or it is a copy of ours.
		if epoch != ob.epoch && !ob.moving && !o.deposed[r] {
			o.deposed[r] = true
			o.h.Go("overlay step down", func() { o.stepDown(r, epoch) })
		}
		return &wire.CopyAck{Kind: wire.CopyAck_BUSY}
	}
	c := o.copies[r]
	switch {
	case c == nil && len(o.copies) >= o.cfg.MaxObjects:
		return &wire.CopyAck{Kind: wire.CopyAck_BUSY}
	case c != nil && epoch.Compare(c.ob.epoch) < 0:
		return &wire.CopyAck{Kind: wire.CopyAck_STALE, Epoch: epochToWire(c.ob.epoch)}
	}
	return nil
}

// followLocked makes the steps of one object that its copy lacks.
func (o *Overlay) followLocked(from host.Peer, item *wire.Steps) *wire.CopyAck {
	needWhole := &wire.CopyAck{Kind: wire.CopyAck_NEED_WHOLE}
	r, ok := o.refFromWire(item.GetRef())
	epoch, err := epochFromWire(item.GetEpoch())
	if !ok || err != nil || len(item.Steps) > maxSteps {
		return &wire.CopyAck{Kind: wire.CopyAck_BUSY}
	}
	for _, w := range item.Steps {
		if checkStep(w) != nil {
			return &wire.CopyAck{Kind: wire.CopyAck_BUSY}
		}
	}
	if ack := o.refuseCopyLocked(r, epoch); ack != nil {
		return ack
	}
	c := o.copies[r]
	switch {
	case c == nil && item.After == 0 && epoch.Counter == 1:
		c = &held{ob: newObject(r, o.kinds[r.kind].New(r.name), epoch)} // from its founding on
		o.copies[r] = c
	case c == nil, c.ob.epoch != epoch, item.After > c.ob.version:
		return needWhole
	}
	c.keeper, c.heard = from.ID, o.h.Now()
	for i, w := range item.Steps {
		if item.After+uint64(i) < c.ob.version {
			continue
		}
		before := c.ob.number
		if out := c.ob.step(w, o.cfg, nil); len(out.held) == 0 && c.ob.number > before {
			o.spokenLocked(c.ob)
		} else {
			o.changedLocked(c.ob)
		}
		c.ob.version++
	}
	return &wire.CopyAck{Kind: wire.CopyAck_HAVE, Version: c.ob.version}
}

// checkStep finds what breaks the form of a step.
func checkStep(w *wire.Step) error {
	switch what := w.GetWhat().(type) {
	case *wire.Step_Requests:
		s, err := streamFromWire(what.Requests.GetStream())
		if err != nil || s.Node == "" || what.Requests.GetFirst() == 0 || len(what.Requests.GetItems()) > MaxBatch {
			return errWire
		}
	case *wire.Step_Renewed:
		if !host.PeerID(what.Renewed.GetNode()).Valid() {
			return errWire
		}
	case *wire.Step_Gone:
		if !host.PeerID(what.Gone.GetNode()).Valid() {
			return errWire
		}
	default:
		return errWire
	}
	return nil
}

// onCopy takes a whole object.
func (o *Overlay) onCopy(from host.Peer, msg *wire.Copy) *wire.ReplicateReply {
	o.mu.Lock()
	defer o.mu.Unlock()
	return &wire.ReplicateReply{Run: o.h.Run(), Items: []*wire.CopyAck{o.takeCopyLocked(from.ID, msg)}}
}

func (o *Overlay) takeCopyLocked(from host.PeerID, msg *wire.Copy) *wire.CopyAck {
	r, ok := o.refFromWire(msg.GetObject().GetRef())
	at, err := StampFromWire(msg.GetObject().GetAt())
	if !ok || err != nil {
		return &wire.CopyAck{Kind: wire.CopyAck_BUSY}
	}
	if ack := o.refuseCopyLocked(r, at.Epoch); ack != nil {
		return ack
	}
	if c := o.copies[r]; c != nil && c.ob.epoch == at.Epoch && c.ob.version >= msg.Version {
		c.keeper, c.heard = from, o.h.Now()
		return &wire.CopyAck{Kind: wire.CopyAck_HAVE, Version: c.ob.version}
	}
	ob := newObject(r, o.kinds[r.kind].New(r.name), at.Epoch)
	if err := o.unpackCopyLocked(ob, msg); err != nil {
		o.log.Warn("a keeper sent a malformed copy; refused", "object", r.kind+" "+r.name, "from", chord.NodeID(from), "err", err)
		return &wire.CopyAck{Kind: wire.CopyAck_BUSY}
	}
	o.copies[r] = &held{ob: ob, keeper: from, heard: o.h.Now()}
	o.touchLocked(r)
	return &wire.CopyAck{Kind: wire.CopyAck_HAVE, Version: ob.version}
}

// unpackCopyLocked fills an empty object.
func (o *Overlay) unpackCopyLocked(ob *object, msg *wire.Copy) error {
	entries, err := entriesFromWire(msg.Object.GetEntries())
	if err != nil {
		return err
	}
	if err := o.unpackStateLocked(ob, entries, msg.Object, ob.obj.Merge); err != nil {
		return err
	}
	ob.number = msg.Object.GetAt().GetNumber()
	ob.version = msg.Version
	return nil
}

// digestOf is what a copy adds to a sum.
func digestOf(ob *object) uint64 {
	h := newHash()
	h.text(ob.ref.kind)
	h.text(ob.ref.name)
	h.number(ob.epoch.Counter)
	h.text(string(ob.epoch.Keeper[:]))
	h.number(ob.epoch.Run)
	h.number(ob.version)
	return h.sum
}

// hash is FNV-1a of 64 bits.
type hash struct{ sum uint64 }

func newHash() *hash { return &hash{14695981039346656037} }

func (h *hash) text(s string) {
	h.number(uint64(len(s)))
	for i := range len(s) {
		h.byte(s[i])
	}
}

func (h *hash) number(n uint64) {
	for i := range 8 {
		h.byte(byte(n >> (8 * i)))
	}
}

func (h *hash) byte(b byte) { h.sum = (h.sum ^ uint64(b)) * 1099511628211 }

// Parts of a comparison, by the first byte of the key.
const copyParts = 64

func partOf(ob *object) int { return int(ob.key[0]) * copyParts / 256 }

// sums of a set of objects: of each part, and of all.
func sums(obs []*object) (parts []uint64, all uint64) {
	parts = make([]uint64, copyParts)
	for _, ob := range obs {
		d := digestOf(ob)
		parts[partOf(ob)] += d
		all += d
	}
	return parts, all
}

// digestLocked sums what a replica should have.
func (o *Overlay) digestLocked(node host.PeerID, parts bool) *wire.Digest {
	var obs []*object
	// any order: sums
	for _, ob := range o.objects {
		if ob.replicas[node] != nil {
			obs = append(obs, ob)
		}
	}
	each, all := sums(obs)
	d := &wire.Digest{Sum: all}
	if parts {
		d.Parts = each
	}
	return d
}

// compareLocked compares a keeper's sums with those of the copies it gave.
func (o *Overlay) compareLocked(keeper host.PeerID, d *wire.Digest, reply *wire.ReplicateReply) {
	var mine []*held
	var obs []*object
	// any order: sums
	for _, c := range o.copies {
		if c.keeper == keeper {
			mine, obs = append(mine, c), append(obs, c.ob)
		}
	}
	parts, all := sums(obs)
	differs := func(int) bool { return false }
	switch {
	case all == d.Sum:
	case len(d.Parts) != copyParts:
		reply.Differs = true
		return
	default:
		differs = func(p int) bool { return parts[p] != d.Parts[p] }
		for p := range copyParts {
			if differs(p) {
				reply.Parts = append(reply.Parts, uint32(p))
			}
		}
	}
	now := o.h.Now()
	for _, c := range mine {
		if !differs(partOf(c.ob)) {
			c.heard = now
		}
	}
	if len(reply.Parts) == 0 {
		return
	}
	for _, r := range sortedRefs(o.copies) {
		if c := o.copies[r]; c.keeper == keeper && differs(partOf(c.ob)) {
			reply.Holdings = append(reply.Holdings, holding(c.ob))
		}
	}
}

func holding(ob *object) *wire.Holding {
	return &wire.Holding{Ref: refToWire(ob.ref), Epoch: epochToWire(ob.epoch), Version: ob.version}
}

// comparedLocked hears how a comparison went, as the keeper: what the replica
// lacks is sent whole, what it has too much is dropped.
func (o *Overlay) comparedLocked(node host.PeerID, c *copier, reply *wire.ReplicateReply) {
	c.compare, c.parts = reply.Differs && !c.parts, reply.Differs && !c.parts
	if len(reply.Parts) == 0 {
		return
	}
	differ := make(map[int]bool, len(reply.Parts))
	for _, p := range reply.Parts {
		differ[int(p)] = true
	}
	has := make(map[ref]*wire.Holding, len(reply.Holdings))
	for _, h := range reply.Holdings {
		r, ok := o.refFromWire(h.GetRef())
		if !ok {
			continue
		}
		has[r] = h
		if o.objects[r] == nil {
			c.dropped = append(c.dropped, r)
		}
	}
	for _, r := range o.refsLocked() {
		ob := o.objects[r]
		rep := ob.replicas[node]
		if rep == nil || !differ[partOf(ob)] {
			continue
		}
		epoch, err := epochFromWire(has[r].GetEpoch())
		if err == nil && has[r] != nil && epoch == ob.epoch && has[r].Version <= ob.version {
			rep.version = has[r].Version // what it says it has, not what we believe
		} else {
			rep.whole = true
		}
		if rep.whole || rep.version < ob.version {
			o.log.Info("a replica's copy differs; sending it again", "object", ob.obj.Summary(), "replica", chord.NodeID(node))
			o.copyToLocked(node, r)
		}
	}
}

// compareLoop compares with each replica that is not being told something.
func (o *Overlay) compareLoop() {
	for o.h.Sleep(o.jitter(o.cfg.Compare)) == nil {
		o.mu.Lock()
		if len(o.objects) > 0 {
			for _, rep := range o.replicas {
				c := o.copierLocked(rep.Peer.ID)
				c.compare = true
				o.runCopierLocked(rep.Peer.ID, c)
			}
		}
		o.mu.Unlock()
	}
}

// lapseCopiesLocked has keepers asked for copies that were not heard of for
// three comparisons.
func (o *Overlay) lapseCopiesLocked(now time.Time) {
	if o.checking || o.leaving {
		return
	}
	var old []ref
	// any order: sorted below
	for r, c := range o.copies {
		if now.Sub(c.heard) > 3*o.cfg.Compare {
			old = append(old, r)
		}
	}
	if len(old) == 0 {
		return
	}
	slices.SortFunc(old, ref.compare)
	old = old[:min(len(old), maxRenewals)]
	o.checking = true
	o.h.Go("overlay check copies", func() {
		for _, r := range old {
			o.checkCopy(r)
		}
		o.mu.Lock()
		o.checking = false
		o.mu.Unlock()
	})
}

// checkCopy drops a copy that its keeper has no use for, and brings it to a
// keeper that has lost the object.
func (o *Overlay) checkCopy(r ref) {
	found, err := o.ring.Lookup(r.key(), o.cfg.TryTimeout)
	o.mu.Lock()
	c := o.copies[r]
	if c == nil || err != nil || found.Owner.ID == o.self {
		if c != nil && o.objects[r] != nil && c.ob.epoch.Compare(o.objects[r].epoch) < 0 {
			delete(o.copies, r) // of a time before this node kept it
			o.touchLocked(r)
		}
		o.takeNow.Signal()
		o.mu.Unlock()
		return
	}
	c.heard = o.h.Now() // asked again after a while, whatever comes of it
	version := c.ob.version
	ask := &wire.Fetch{Kept: true, Items: []*wire.Holding{holding(c.ob)}}
	parcel, _ := c.ob.parcel("its keeper does not have it", false)
	what, empty := c.ob.obj.Summary(), c.ob.obj.Empty(o.clockOf(c.ob))
	o.mu.Unlock()

	reply, took := new(wire.FetchReply), new(wire.HandOverReply)
	if o.call(found.Owner.Peer, methodFetch, ask, reply, o.cfg.TryTimeout) != nil {
		return
	}
	if len(reply.Kept) == 0 && !empty {
		// This stays a copy until the keeper, asked again, says that others have one.
		if o.call(found.Owner.Peer, methodHandOver, parcel, took, o.cfg.TryTimeout) == nil && took.Status == wire.Status_OK {
			o.log.Info("gave back "+what, "to", found.Owner.ID, "why", "it keeps the key and did not have it")
		}
		return
	}
	o.mu.Lock()
	if o.copies[r] == c && c.ob.version == version {
		delete(o.copies, r)
		o.touchLocked(r)
	}
	o.mu.Unlock()
}

// sortedRefs lists the keys of a map in order.
func sortedRefs[V any](m map[ref]V) []ref {
	refs := make([]ref, 0, len(m))
	// any order: sorted below
	for r := range m {
		refs = append(refs, r)
	}
	slices.SortFunc(refs, ref.compare)
	return refs
}
