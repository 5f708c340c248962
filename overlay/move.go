package overlay

import (
	"fmt"
	"slices"
	"time"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/overlay/wire"
)

// How objects move.
//
// A node whose predecessor is a joiner hands over whatever lies outside its own range (sweep), as
// does every node with any object that is not its own. A leaving node hands
// everything to its successor (Leave).
//
// Handing over one object: the old keeper stops accepting (moving), sends the
// state; the new one unites it with what it may have, begins the next epoch,
// answers, and serves; the old one then drops its copy and remembers for a
// while where it went. If the answer is lost the old keeper goes on, and is
// told by the first view that has seen the next epoch (stepDown).

// refsLocked lists the objects kept here, in order.
func (o *Overlay) refsLocked() []ref { return sortedRefs(o.objects) }

// sweepLoop hands what is not ours to whose it is: when the ring changed, and
// every period.
func (o *Overlay) sweepLoop() {
	for {
		_ = o.wait(o.sweepNow, o.cfg.Sweep)
		if o.stopped() {
			return
		}
		o.sweep()
	}
}

func (o *Overlay) sweep() {
	o.takeNow.Signal()
	if _, ok := o.ring.Predecessor(); !ok || !o.ring.Member() {
		return
	}
	o.mu.Lock()
	var strays []ref
	for _, r := range o.refsLocked() {
		if ob := o.objects[r]; ob.still() && !o.ring.Owns(ob.key) && !o.leaving {
			strays = append(strays, r)
		}
	}
	o.mu.Unlock()
	for _, r := range strays {
		found, err := o.ring.Lookup(r.key(), o.cfg.TryTimeout)
		if err != nil || found.Owner.ID == o.self {
			continue
		}
		o.handOver(r, found.Owner, "its key lies in that node's range now", false)
	}
}

// handOver moves one object, and reports whether the other side has it.
func (o *Overlay) handOver(r ref, to chord.Contact, why string, leaving bool) bool {
	o.mu.Lock()
	ob := o.objects[r]
	if ob == nil || !ob.still() {
		o.mu.Unlock()
		return ob == nil
	}
	taking := ob.taking // it serves nobody yet, and goes on to where it belongs
	ob.moving, ob.taking, ob.taken = true, false, false
	msg, older := ob.parcel(why, leaving)
	what := ob.obj.Summary()
	o.mu.Unlock()

	o.log.Info("handing over "+what, "from", o.self, "to", to.ID, "why", why, "epoch", ob.epoch.Counter, "events", len(ob.log))
	reply := new(wire.HandOverReply)
	err := o.call(to.Peer, methodHandOver, msg, reply, o.cfg.TryTimeout)
	if err != nil {
		// It may have the object, and only its answer is lost: then it serves, and
		// what we took from now on would be in no order with what it takes.
		o.ring.Suspect(to.Peer.ID)
		err = o.call(to.Peer, methodHandOver, msg, reply, 2*o.cfg.TryTimeout)
	}
	done := err == nil && reply.Status == wire.Status_OK

	o.mu.Lock()
	ob.taking = taking && !done && !ob.taken
	ob.moving = ob.taking
	if done {
		delete(o.objects, r)
		o.movedTo.put(r, to)
		o.keepers.put(r, to)
		// Until the new keeper has replicas of its own, this is one.
		o.copies[r] = &held{ob: ob, keeper: to.Peer.ID, heard: o.h.Now()}
		ob.wakeUnsafe()
	}
	ob.wake()
	if !done {
		o.pushLocked(ob)
	}
	o.mu.Unlock()
	if !done {
		o.log.Warn("hand-over of "+what+" failed; we go on keeping it and try again", "to", to.ID, "answer", reply.Status, "err", err)
		return false
	}
	o.log.Info("handed over "+what, "to", to.ID, "epoch", reply.Epoch.GetCounter(), "done", true)
	o.sendLog(r, to, older)
	return true
}

// parcel is everything of an object in one message; older are the events that
// every node with a view has, which follow later.
func (ob *object) parcel(why string, leaving bool) (msg *wire.HandOver, older []Entry) {
	msg = &wire.HandOver{
		Ref: refToWire(ob.ref), At: StampToWire(ob.stamp()), State: ob.obj.Snapshot(),
		ClockMs: ob.clock.UnixMilli(), Leaving: leaving, Why: why,
	}
	need := ob.number
	if len(ob.cursors) == 0 {
		need = 0 // a copy, which does not know what views have
	}
	for _, n := range sorted(ob.cursors) {
		c := ob.cursors[n]
		need = min(need, c.number)
		msg.Cursors = append(msg.Cursors, &wire.Cursor{Node: []byte(n), Number: c.number})
	}
	for _, n := range sorted(ob.leases) {
		msg.Leases = append(msg.Leases, &wire.Lease{Node: []byte(n), Run: ob.leases[n].run})
	}
	streams := make([]Stream, 0, len(ob.streams))
	// any order: sorted below
	for s := range ob.streams {
		streams = append(streams, s)
	}
	slices.SortFunc(streams, Stream.Compare)
	for _, s := range streams {
		st := ob.streams[s]
		msg.Streams = append(msg.Streams, &wire.StreamState{Stream: streamToWire(s), Last: st.last, Results: st.results})
	}
	entries, _ := ob.since(need)
	msg.Entries = entriesToWire(entries)
	return msg, ob.log[:len(ob.log)-len(entries)]
}

// sendLog sends the older events after the switch, in chunks, so that they
// never stand in front of chat. They are a convenience: if one is lost, only
// history is.
func (o *Overlay) sendLog(r ref, to chord.Contact, older []Entry) {
	for chunk := range slices.Chunk(older, 128) {
		msg := &wire.LogChunk{Ref: refToWire(r), Entries: entriesToWire(chunk)}
		if o.call(to.Peer, methodLogChunk, msg, new(wire.LogChunkReply), o.cfg.TryTimeout) != nil {
			return
		}
	}
}

func (o *Overlay) onLogChunk(_ host.Peer, msg *wire.LogChunk) *wire.LogChunkReply {
	r, ok := o.refFromWire(msg.GetRef())
	entries, err := entriesFromWire(msg.GetEntries())
	o.mu.Lock()
	defer o.mu.Unlock()
	if ob := o.objects[r]; ok && err == nil && ob != nil {
		ob.unite(entries, o.cfg)
	}
	return new(wire.LogChunkReply)
}

// onHandOver takes an object over.
func (o *Overlay) onHandOver(from host.Peer, msg *wire.HandOver) *wire.HandOverReply {
	r, ok := o.refFromWire(msg.GetRef())
	at, err := StampFromWire(msg.GetAt())
	entries, err2 := entriesFromWire(msg.GetEntries())
	if !ok || err != nil || err2 != nil {
		return &wire.HandOverReply{Status: wire.Status_BAD}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if msg.Cold {
		return o.takeColdLocked(r, from, at, entries, msg)
	}
	if !o.mayTakeLocked(r, from, msg.Leaving) {
		return &wire.HandOverReply{Status: wire.Status_NOT_MINE}
	}
	ob := o.objects[r]
	known := ob != nil
	if known && !ob.still() || !known && len(o.objects) >= o.cfg.MaxObjects {
		return &wire.HandOverReply{Status: wire.Status_RETRY}
	}
	if c := o.copies[r]; c != nil && !known && c.ob.stamp().Compare(at) > 0 {
		ob, known = c.ob, true // of a later keeper than the one who hands over
	}
	if !known {
		ob = newObject(r, o.kinds[r.kind].New(r.name), Epoch{})
	}
	if err := o.unpackLocked(ob, known, at, entries, msg); err != nil {
		o.log.Warn("a node handed over a malformed object; refused", "object", r.kind+" "+r.name, "from", from.ID, "err", err)
		return &wire.HandOverReply{Status: wire.Status_BAD}
	}
	o.objects[r] = ob
	delete(o.copies, r)
	delete(o.expected, r)
	o.placeLocked(ob)
	if !o.open {
		o.arrived[r] = o.h.Now()
	}
	o.movedTo.drop(r)
	o.log.Info("took over "+ob.obj.Summary(), "from", chord.NodeID(from.ID), "to", o.self, "why", msg.Why, "epoch", ob.epoch.Counter, "united with our own", known)
	o.pushLocked(ob)
	return &wire.HandOverReply{Status: wire.Status_OK, Epoch: epochToWire(ob.epoch)}
}

// mayTakeLocked: the object's key is ours, or we are still finding out what
// is, or our predecessor leaves.
func (o *Overlay) mayTakeLocked(r ref, from host.Peer, leaving bool) bool {
	if o.leaving || o.left {
		return false
	}
	return leaving || !o.open || o.ring.Owns(r.key())
}

func (o *Overlay) unpackLocked(ob *object, known bool, at Stamp, entries []Entry, msg *wire.HandOver) error {
	if err := o.unpackStateLocked(ob, entries, msg, ob.obj.Merge); err != nil {
		return err
	}
	o.leaseAllLocked(ob, o.h.Now())
	for _, c := range msg.Cursors {
		if id := host.PeerID(c.Node); id.Valid() && ob.cursors[id] == nil {
			ob.cursors[id] = &cursor{number: c.Number, needView: true}
		}
	}
	ob.number = max(ob.number, at.Number)
	if known {
		ob.number++ // two orders became one: neither's numbers tell what a view has
	}
	ob.newEpoch(o.ownEpoch(0), at.Epoch)
	ob.subscribe()
	return nil
}

// unpackStateLocked unites an object with what a parcel says of its state,
// the streams applied, the stakes and the log. merge is how the states are united.
func (o *Overlay) unpackStateLocked(ob *object, entries []Entry, msg *wire.HandOver, merge func(state []byte) error) error {
	if err := merge(msg.State); err != nil {
		return err
	}
	now := o.h.Now()
	for _, w := range msg.Streams {
		s, err := streamFromWire(w.Stream)
		if err != nil {
			return err
		}
		if st := ob.streams[s]; st == nil || st.last < w.Last {
			ob.boundStreams(o.cfg.MaxStreams)
			ob.streams[s] = &streamState{last: w.Last, results: w.Results, used: now}
		}
	}
	for _, l := range msg.Leases {
		if id := host.PeerID(l.Node); id.Valid() && ob.renewLease(id, l.Run, now) {
			// The two copies know it in different runs; the next word from it
			// says which one is over.
			ob.leases[id] = lease{at: now}
		}
	}
	if clock := time.UnixMilli(msg.ClockMs); clock.After(ob.clock) {
		ob.clock = clock
	}
	ob.unite(entries, o.cfg)
	return nil
}

// stepDown ends a reign of which a later one was seen. The object takes no
// requests meanwhile. Is the key another node's, the copy goes to it, to be
// united with his. Is it still ours, whoever kept it meanwhile hands it over to
// us, and the two are united; when nobody does, we ask our replicas for what they
// have of it, and begin an epoch above what was seen.
func (o *Overlay) stepDown(r ref, seen Epoch) {
	found, err := o.ring.Lookup(r.key(), o.cfg.GiveUp)
	if err == nil && found.Owner.ID != o.self {
		o.mu.Lock()
		delete(o.deposed, r)
		o.mu.Unlock()
		o.handOver(r, found.Owner, "it has another keeper in a later epoch", false)
		return
	}
	later := func() bool { // o.mu held
		ob := o.objects[r]
		return ob == nil || ob.epoch.Compare(seen) > 0
	}
	deadline := o.h.Now().Add(o.cfg.Unsettled / 2)
	o.mu.Lock()
	for !later() && o.h.Now().Before(deadline) {
		o.mu.Unlock()
		if o.h.Sleep(o.cfg.Unsettled/100) != nil {
			return
		}
		o.mu.Lock()
	}
	if !later() {
		o.mu.Unlock()
		o.uniteCopies(r)
		o.mu.Lock()
	}
	delete(o.deposed, r)
	if ob := o.objects[r]; ob != nil {
		if !later() {
			ob.newEpoch(o.ownEpoch(0), seen)
		}
		o.placeLocked(ob)
		o.pushLocked(ob)
	}
	o.mu.Unlock()
}

// Leave hands every object to the successor, for at most d. It comes before
// the ring's own leave. What could not be handed over is named in the log.
func (o *Overlay) Leave(d time.Duration) {
	deadline := o.h.Now().Add(d)
	o.mu.Lock()
	o.leaving = true
	refs := o.refsLocked()
	o.mu.Unlock()
	if len(refs) > 0 && len(o.ring.Successors()) > 0 {
		o.log.Info(fmt.Sprintf("leaving: handing %d objects to the successor", len(refs)))
		o.leaveAll(refs, deadline)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.refsLocked() {
		o.log.Warn("left with "+o.objects[r].obj.Summary(), "why", "nobody took it; its members will bring it back")
	}
	o.left = true
	o.saveNow.Signal()
}

// leaveAll hands over with a few tasks at a time.
func (o *Overlay) leaveAll(refs []ref, deadline time.Time) {
	const tasks = 8
	done, running := o.h.NewEvent(), 0
	next := func() (ref, bool) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if len(refs) == 0 {
			return ref{}, false
		}
		r := refs[0]
		refs = refs[1:]
		return r, true
	}
	work := func() {
		for r, ok := next(); ok; r, ok = next() {
			for try := 0; o.h.Now().Before(deadline); try++ {
				succs := o.ring.Successors()
				if len(succs) == 0 || o.handOver(r, succs[0], "we are leaving", true) {
					break
				}
				o.ring.Suspect(succs[0].Peer.ID)
				if o.pause(try, deadline) != nil {
					break
				}
			}
		}
		o.mu.Lock()
		running--
		last := running == 0
		o.mu.Unlock()
		if last {
			done.Signal()
		}
	}
	running = tasks
	for range tasks {
		o.h.Go("overlay leave", work)
	}
	_ = o.wait(done, deadline.Sub(o.h.Now()))
}
