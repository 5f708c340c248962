package overlay

import (
	"slices"
	"time"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

// The keeper's side of copies. The first nodes of its successor list are its
// replicas: whoever follows it on the ring will keep what it keeps when it is
// gone. Each change is a step that the replicas make too, in order; a request
// is answered, and its events go out, when one of them has made it. A keeper
// without successors waits for its own database instead (save.go).

// replica is how far one node's copy of an object is, as its keeper knows.
type replica struct {
	version uint64
	whole   bool // it must be sent whole
}

// heldEvent is an event that is pushed when a replica has the version.
type heldEvent struct{ number, version uint64 }

// earlyEvent is the first event of a step, which may go out before a replica has
// it: but not to whom it comes from, who takes that for an acknowledgement, and
// not to this node itself, which is no second one that has it.
type earlyEvent struct {
	heldEvent
	from host.PeerID
}

// Bounds of the steps that are kept for replicas; one that is farther behind
// gets the whole object.
const (
	maxSteps     = 256
	maxStepBytes = 256 << 10
)

// anew begins a new epoch's count: what was before is in the whole state that
// every replica gets, which is version 1.
func (ob *object) anew() {
	ob.version, ob.safe, ob.durable = 1, 0, 0
	ob.steps, ob.stepBytes = nil, 0
	ob.held, ob.early = nil, nil
	// any order: all are treated alike
	for _, rep := range ob.replicas {
		*rep = replica{whole: true}
	}
}

// pushable is the number of the last event that may go out to a node.
func (ob *object) pushable(to host.PeerID) uint64 {
	last := ob.number
	if len(ob.held) > 0 {
		last = ob.held[0].number - 1
	}
	for _, e := range ob.early {
		if e.number > last {
			break
		}
		if e.from == to || ob.epoch.Keeper == chord.NodeID(to) {
			return e.number - 1
		}
	}
	return last
}

// recordLocked counts a step, whose first event has the number first, and gives
// it to the replicas.
func (o *Overlay) recordLocked(ob *object, w *wire.Step, first uint64, held []uint64) {
	ob.version++
	if len(held) == 0 && first <= ob.number {
		o.spokenLocked(ob)
	} else {
		o.changedLocked(ob)
	}
	volatile := o.kinds[ob.ref.kind].Volatile
	if len(ob.replicas) == 0 && volatile {
		ob.safe = ob.version
		return
	}
	for _, n := range held {
		ob.held = append(ob.held, heldEvent{n, ob.version})
	}
	if first <= ob.number {
		from := host.PeerID(w.GetRequests().GetStream().GetNode())
		ob.early = append(ob.early, earlyEvent{heldEvent{first, ob.version}, from})
	}
	if len(ob.replicas) == 0 {
		ob.steps, ob.stepBytes = nil, 0
		o.saveNow.Signal() // somebody waits
		return
	}
	ob.steps = append(ob.steps, w)
	ob.stepBytes += proto.Size(w)
	drop := 0
	for drop < len(ob.steps) && (len(ob.steps)-drop > maxSteps || ob.stepBytes > maxStepBytes) {
		ob.stepBytes -= proto.Size(ob.steps[drop])
		drop++
	}
	ob.steps = ob.steps[drop:]
	o.copyLocked(ob)
}

// forgetSteps drops the steps that all replicas have.
func (ob *object) forgetSteps() {
	least := ob.version
	// any order: a minimum
	for _, rep := range ob.replicas {
		if !rep.whole {
			least = min(least, rep.version)
		}
	}
	if keep := ob.version - least; keep < uint64(len(ob.steps)) {
		drop := ob.steps[:uint64(len(ob.steps))-keep]
		for _, w := range drop {
			ob.stepBytes -= proto.Size(w)
		}
		clear(drop)
		ob.steps = ob.steps[len(drop):]
	}
	if len(ob.steps) == 0 {
		ob.steps, ob.stepBytes = nil, 0
	}
}

// lacking are the steps after a version; not ok means that they are not kept.
func (ob *object) lacking(version uint64) (steps []*wire.Step, ok bool) {
	n := ob.version - version
	if version > ob.version || n > uint64(len(ob.steps)) {
		return nil, false
	}
	return ob.steps[uint64(len(ob.steps))-n:], true
}

// onReplicaSetLocked hears which nodes follow this one on the ring.
func (o *Overlay) onReplicaSetLocked(succs []chord.Contact) {
	set := succs[:min(len(succs), o.cfg.Copies-1)]
	if slices.EqualFunc(set, o.replicas, func(a, b chord.Contact) bool { return a.ID == b.ID }) {
		return
	}
	o.replicas = slices.Clone(set)
	for _, r := range o.refsLocked() {
		o.placeLocked(o.objects[r])
	}
}

// placeLocked makes an object's replicas those of this node.
func (o *Overlay) placeLocked(ob *object) {
	named := make(map[host.PeerID]bool, len(o.replicas))
	for _, c := range o.replicas {
		named[c.Peer.ID] = true
		if ob.replicas[c.Peer.ID] == nil {
			ob.replicas[c.Peer.ID] = &replica{whole: ob.version > 0}
		}
	}
	// any order: each is dropped or not for itself
	for id := range ob.replicas {
		if !named[id] {
			delete(ob.replicas, id)
		}
	}
	o.changedLocked(ob)
	o.copyLocked(ob)
	o.safeLocked(ob)
}

// safeLocked finds how much of an object a replica has, or the database of a
// node that has none, and lets go what waited for that.
func (o *Overlay) safeLocked(ob *object) {
	safe := ob.safe
	switch {
	case len(ob.replicas) > 0:
	case o.kinds[ob.ref.kind].Volatile:
		safe = ob.version
	case ob.durable < ob.version:
		o.saveNow.Signal()
		fallthrough
	default:
		safe = max(safe, ob.durable)
	}
	// any order: a maximum
	for _, rep := range ob.replicas {
		if !rep.whole {
			safe = max(safe, rep.version)
		}
	}
	if safe == ob.safe {
		return
	}
	ob.safe = safe
	held, early := len(ob.held), len(ob.early)
	for len(ob.held) > 0 && ob.held[0].version <= safe {
		ob.held = ob.held[1:]
	}
	for len(ob.early) > 0 && ob.early[0].version <= safe {
		ob.early = ob.early[1:]
	}
	if len(ob.held) < held || len(ob.early) < early {
		o.pushLocked(ob)
	}
	ob.wakeUnsafe()
}

// storedLocked waits until a replica has all that was done to an object so
// far, at most d; it gives o.mu up meanwhile. An object that is handed over
// takes all with it.
func (o *Overlay) storedLocked(ob *object, d time.Duration) bool {
	epoch, version := ob.epoch, ob.version
	stored := func() bool {
		if o.objects[ob.ref] != ob {
			return true
		}
		return ob.safe >= version || ob.epoch != epoch && ob.safe > 0
	}
	deadline := o.h.Now().Add(d)
	for !stored() {
		left := deadline.Sub(o.h.Now())
		if left <= 0 {
			return false
		}
		e := o.h.NewEvent()
		ob.unsafe = append(ob.unsafe, e)
		o.mu.Unlock()
		err := o.wait(e, left)
		o.mu.Lock()
		if err != nil && !stored() {
			return false
		}
	}
	return true
}

// wakeUnsafe lets those look again who wait for an object to be stored.
func (ob *object) wakeUnsafe() {
	for _, e := range ob.unsafe {
		e.Signal()
	}
	ob.unsafe = nil
}

// united tells that the state was united with another one: no step tells what
// replicas lack.
func (ob *object) united() {
	ob.version++
	ob.steps, ob.stepBytes = nil, 0
	// any order: all are treated alike
	for _, rep := range ob.replicas {
		rep.whole = true
	}
}

// copier brings one replica what its copies lack. One task for each replica,
// one call in flight: what comes meanwhile is batched. Owned by Overlay.mu.
type copier struct {
	dirty   map[ref]bool
	order   []ref // of becoming dirty
	dropped []ref // objects that are no more
	compare bool  // a comparison is due
	parts   bool  // and all parts of it
	running bool
}

// copyLocked has every replica that lacks something of an object told.
func (o *Overlay) copyLocked(ob *object) {
	for _, id := range sorted(ob.replicas) {
		if rep := ob.replicas[id]; rep.whole || rep.version < ob.version {
			o.copyToLocked(id, ob.ref)
		}
	}
}

func (o *Overlay) copierLocked(node host.PeerID) *copier {
	c := o.copiers[node]
	if c == nil {
		c = &copier{dirty: make(map[ref]bool)}
		o.copiers[node] = c
	}
	return c
}

func (o *Overlay) copyToLocked(node host.PeerID, r ref) {
	c := o.copierLocked(node)
	if !c.dirty[r] {
		c.dirty[r] = true
		c.order = append(c.order, r)
	}
	o.runCopierLocked(node, c)
}

func (o *Overlay) runCopierLocked(node host.PeerID, c *copier) {
	if !c.running {
		c.running = true
		o.h.Go("overlay copy", func() { o.copyTo(node, c) })
	}
}

// dropCopiesLocked tells the replicas that an object is no more.
func (o *Overlay) dropCopiesLocked(ob *object) {
	for _, id := range sorted(ob.replicas) {
		c := o.copierLocked(id)
		c.dropped = append(c.dropped, ob.ref)
		o.runCopierLocked(id, c)
	}
}

// copyTo calls a replica until it lacks nothing, or is none any more.
func (o *Overlay) copyTo(node host.PeerID, c *copier) {
	for failures := 0; ; {
		o.mu.Lock()
		to, isReplica := o.replicaLocked(node)
		var steps *wire.Replicate
		var whole *wire.Copy
		if isReplica {
			steps, whole = o.nextCopyLocked(node, c)
		}
		if steps == nil && whole == nil {
			c.running = false
			delete(o.copiers, node)
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		reply, err := new(wire.ReplicateReply), error(nil)
		if whole != nil {
			err = o.call(to, methodCopy, whole, reply, o.cfg.TryTimeout)
		} else {
			err = o.call(to, methodReplicate, steps, reply, o.cfg.TryTimeout)
		}
		progress := false
		o.mu.Lock()
		if err == nil {
			progress = o.copiedLocked(node, c, steps, whole, reply)
		} else {
			o.recopyLocked(c, steps, whole)
		}
		o.mu.Unlock()
		if progress {
			failures = 0
			continue
		}
		failures++
		if err != nil {
			o.ring.Suspect(node)
		}
		if o.h.Sleep(min(20*time.Millisecond<<min(failures, 5), 500*time.Millisecond)) != nil {
			return // the host stops
		}
	}
}

func (o *Overlay) replicaLocked(node host.PeerID) (host.Peer, bool) {
	for _, c := range o.replicas {
		if c.Peer.ID == node {
			return c.Peer, true
		}
	}
	return host.Peer{}, false
}

// nextCopyLocked takes what a replica lacks, oldest first, up to the bounds:
// steps of several objects, or one object whole.
func (o *Overlay) nextCopyLocked(node host.PeerID, c *copier) (*wire.Replicate, *wire.Copy) {
	msg, bytes := new(wire.Replicate), 0
	for len(c.order) > 0 && len(msg.Items) < maxPushItems && bytes < maxPushBytes {
		r := c.order[0]
		ob := o.objects[r]
		var rep *replica
		if ob != nil {
			rep = ob.replicas[node]
		}
		if rep == nil || !rep.whole && rep.version >= ob.version {
			c.order = c.order[1:]
			delete(c.dirty, r)
			continue
		}
		steps, ok := ob.lacking(rep.version)
		if rep.whole || !ok {
			if len(msg.Items) > 0 {
				break
			}
			c.order = c.order[1:]
			delete(c.dirty, r)
			return nil, ob.copy()
		}
		item := &wire.Steps{Ref: refToWire(r), Epoch: epochToWire(ob.epoch), After: rep.version}
		for _, w := range steps {
			if bytes += proto.Size(w); bytes > maxPushBytes && len(item.Steps) > 0 {
				break
			}
			item.Steps = append(item.Steps, w)
		}
		msg.Items = append(msg.Items, item)
		c.order = c.order[1:]
		delete(c.dirty, r)
	}
	for len(c.dropped) > 0 && len(msg.Dropped) < maxPushItems {
		r := c.dropped[0]
		c.dropped = c.dropped[1:]
		if o.objects[r] == nil {
			msg.Dropped = append(msg.Dropped, refToWire(r))
		}
	}
	if len(msg.Items) == 0 && len(msg.Dropped) == 0 {
		if !c.compare {
			return nil, nil
		}
		msg.Digest = o.digestLocked(node, c.parts)
	}
	return msg, nil
}

// copy is the whole object for a replica.
func (ob *object) copy() *wire.Copy {
	msg, _ := ob.parcel("", false)
	return &wire.Copy{Object: msg, Version: ob.version}
}

func (o *Overlay) recopyLocked(c *copier, steps *wire.Replicate, whole *wire.Copy) {
	again := func(w *wire.Ref) {
		if r := (ref{w.GetKind(), w.GetName()}); !c.dirty[r] {
			c.dirty[r] = true
			c.order = append(c.order, r)
		}
	}
	if whole != nil {
		again(whole.Object.Ref)
		return
	}
	for _, item := range steps.Items {
		again(item.Ref)
	}
	for _, w := range steps.Dropped {
		c.dropped = append(c.dropped, ref{w.Kind, w.Name})
	}
}

// copiedLocked takes a replica's answer. progress is false when it could not
// use anything, so that the next call waits a moment.
func (o *Overlay) copiedLocked(node host.PeerID, c *copier, steps *wire.Replicate, whole *wire.Copy, reply *wire.ReplicateReply) (progress bool) {
	sent := []*wire.Steps{}
	if whole != nil {
		sent = append(sent, &wire.Steps{Ref: whole.Object.Ref, Epoch: whole.Object.At.GetEpoch()})
	} else {
		sent = steps.Items
		progress = len(steps.Dropped) > 0
	}
	if len(reply.Items) != len(sent) {
		o.recopyLocked(c, steps, whole)
		return false
	}
	for i, ack := range reply.Items {
		r := ref{sent[i].Ref.GetKind(), sent[i].Ref.GetName()}
		ob := o.objects[r]
		epoch, _ := epochFromWire(sent[i].Epoch)
		if ob == nil || ob.epoch != epoch || ob.replicas[node] == nil {
			progress = true // what was sent is past
			continue
		}
		progress = o.ackedCopyLocked(ob, ob.replicas[node], ack) || progress
		if rep := ob.replicas[node]; rep.whole || rep.version < ob.version {
			o.copyToLocked(node, r)
		}
	}
	if steps != nil && steps.Digest != nil {
		progress = true
		o.comparedLocked(node, c, reply)
	}
	return progress
}

func (o *Overlay) ackedCopyLocked(ob *object, rep *replica, ack *wire.CopyAck) (progress bool) {
	switch ack.GetKind() {
	case wire.CopyAck_HAVE:
		progress = rep.whole || ack.Version > rep.version
		rep.version, rep.whole = min(ack.Version, ob.version), false
		ob.forgetSteps()
		o.safeLocked(ob)
	case wire.CopyAck_NEED_WHOLE:
		progress = !rep.whole
		rep.whole = true
	case wire.CopyAck_STALE:
		seen, err := epochFromWire(ack.Epoch)
		if err == nil && seen.Compare(ob.epoch) > 0 && !o.deposed[ob.ref] {
			o.deposed[ob.ref] = true
			o.h.Go("overlay step down", func() { o.stepDown(ob.ref, seen) })
		}
	}
	return progress
}
