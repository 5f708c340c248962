package overlay

import (
	"errors"
	"time"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

// A would-be keeper answers a request for a key in one of these ways
// (the owner confirms):
//
//   - it has the object: it serves, wherever its range ends, until the object
//     was handed over; while it moves, the request waits;
//   - the key is its own and its range is open: there is no such object;
//   - the key is its own but the range is closed (it joined and its successor
//     has not yet listed what lies there), or it is leaving: it forwards to its
//     successor, which has the object or answers in its place;
//   - else the key is not its own, and the asker looks again.
type standing int

const (
	serving standing = iota
	absent
	forward
	notMine
	wait   // unsettled: ask again in a moment, or bring a copy
	taking // a copy is being taken over, or revived: ask again in a moment
)

// standLocked finds how this node stands to a key. from and why tell who
// forwarded the request to us, if anybody did.
func (o *Overlay) standLocked(r ref, key chord.ID, from host.PeerID, why wire.Route_Why) (standing, *object) {
	if ob := o.objects[r]; ob != nil {
		if o.deposed[r] || o.doubtedLocked(ob) {
			return taking, ob
		}
		return serving, ob
	}
	switch {
	case o.left:
		return notMine, nil
	case o.leaving:
		return forward, nil
	case o.ring.Owns(key):
		e, coming := o.expected[r]
		coming = coming && o.h.Now().Before(e.until)
		if coming && !e.lost || !o.open {
			return forward, nil
		}
		if o.copies[r] != nil {
			o.takeNow.Signal()
			return taking, nil
		}
		if o.unheardLocked(key) {
			return taking, nil
		}
		if coming || o.unsettledLocked(key) {
			return wait, nil // who was to hand it over is gone: its members may bring it back
		}
		return o.absentLocked(r), nil
	case o.open && (why == wire.Route_JOINING && !o.granted[from] || why == wire.Route_LEAVING):
		return o.forwardedLocked(r, key), nil
	}
	if !o.open && o.joining {
		return forward, nil // closed, and between a joiner before us and our successor
	}
	return notMine, nil
}

// absentLocked is how this node stands to an object that nobody living has: one
// that is in its database comes back to life first.
func (o *Overlay) absentLocked(r ref) standing {
	if o.cold[r] == nil {
		return absent
	}
	o.reviveNow.Signal()
	return taking
}

// forwardedLocked is how this node stands to a key of the range of a joiner, which was
// its own until it has listed it, or of one that leaves and hands it over, when it does
// not have the object. Who should have it may have died just now.
func (o *Overlay) forwardedLocked(r ref, key chord.ID) standing {
	_, known := o.ring.Predecessor()
	switch {
	case o.copies[r] != nil, !known && !o.ring.Alone(), o.unheardLocked(key):
		return taking
	case o.unsettledLocked(key), o.h.Now().Before(o.bereft.Add(o.cfg.Unsettled)):
		return wait
	}
	return o.absentLocked(r)
}

// settle waits until the object is not on the move, and finds the standing.
// It returns with o.mu held.
func (o *Overlay) settle(r ref, from host.PeerID, route *wire.Route) (standing, *object) {
	key := r.key()
	deadline := o.h.Now().Add(budget(route))
	for {
		o.mu.Lock()
		st, ob := o.standLocked(r, key, from, route.GetWhy())
		if st != serving || !ob.moving {
			return st, ob
		}
		left := deadline.Sub(o.h.Now())
		if left <= 0 {
			return taking, nil
		}
		e := o.h.NewEvent()
		ob.waiters = append(ob.waiters, e)
		o.mu.Unlock()
		if err := o.wait(e, left); err != nil {
			o.mu.Lock()
			return taking, nil
		}
	}
}

// maxBudget bounds how long an asker can make us work on one request.
const maxBudget = 10 * time.Second

func budget(r *wire.Route) time.Duration {
	return min(time.Duration(r.GetBudgetMs())*time.Millisecond, maxBudget)
}

// relay forwards a request to the successor (or to whoever will hand the
// object to us), and gives its answer back. It
// returns false when there is nobody to forward to, or too many did.
func (o *Overlay) relay(what ref, m host.Method, r *wire.Route, set func(*wire.Route), msg, reply proto.Message) bool {
	succs := o.ring.Successors()
	if len(succs) == 0 || r.GetHops() >= maxForwards {
		return false
	}
	to := succs[0]
	o.mu.Lock()
	why := wire.Route_JOINING
	if o.leaving {
		why = wire.Route_LEAVING
	} else if e, ok := o.expected[what]; ok {
		to, why = e.from, wire.Route_COMING
	}
	o.mu.Unlock()
	left := budget(r) - budget(r)/8
	set(&wire.Route{BudgetMs: uint32(left.Milliseconds()), Hops: r.GetHops() + 1, Why: why})
	err := o.call(to.Peer, m, msg, reply, left)
	if why == wire.Route_COMING && errors.Is(err, host.ErrUnreachable) {
		o.mu.Lock()
		o.loseExpectedLocked(to.Peer.ID) // nothing comes from there any more
		o.mu.Unlock()
	}
	return err == nil
}

// maxForwards bounds the chain of joiners and leavers that a request passes.
const maxForwards = 8

func (o *Overlay) onRequest(from host.Peer, msg *wire.Request) *wire.RequestReply {
	r, ok := o.refFromWire(msg.GetRef())
	stream, err := streamFromWire(msg.GetStream())
	if !ok || err != nil || stream.Node == "" || len(msg.Items) == 0 || len(msg.Items) > MaxBatch || msg.First == 0 ||
		(stream.Node != from.ID && msg.GetRoute().GetHops() == 0) {
		return &wire.RequestReply{Status: wire.Status_BAD}
	}
	st, ob := o.settle(r, from.ID, msg.Route)
	switch st {
	case forward:
		o.mu.Unlock()
		reply := new(wire.RequestReply)
		if !o.relay(r, methodRequest, msg.Route, func(rt *wire.Route) { msg.Route = rt }, msg, reply) {
			reply = &wire.RequestReply{Status: wire.Status_RETRY}
		}
		return reply
	case notMine:
		defer o.mu.Unlock()
		return &wire.RequestReply{Status: wire.Status_NOT_MINE, Hint: o.hintLocked(r)}
	case wait:
		defer o.mu.Unlock()
		if msg.Holds {
			return &wire.RequestReply{Status: wire.Status_NEED_STATE, Keeper: o.selfNode()}
		}
		return &wire.RequestReply{Status: wire.Status_RETRY}
	case taking:
		defer o.mu.Unlock()
		return &wire.RequestReply{Status: wire.Status_RETRY}
	case absent:
		if msg.Holds {
			defer o.mu.Unlock()
			return &wire.RequestReply{Status: wire.Status_NEED_STATE, Keeper: o.selfNode()}
		}
		if o.fullLocked(stream.Node) {
			defer o.mu.Unlock()
			return &wire.RequestReply{Status: wire.Status_RETRY}
		}
		ob = o.createLocked(r)
		o.chargeLocked(stream.Node)
	}
	if ob.pressed(o.h.Now(), o.cfg) {
		defer o.mu.Unlock()
		return &wire.RequestReply{Status: wire.Status_RETRY}
	}
	results := o.applyLocked(ob, stream, msg.First, msg.Items)
	stored := o.storedLocked(ob, budget(msg.Route))
	o.mu.Unlock()
	if !stored {
		return &wire.RequestReply{Status: wire.Status_RETRY}
	}
	return &wire.RequestReply{Status: wire.Status_OK, Results: results, Keeper: o.selfNode()}
}

// createLocked founds an object in its first epoch.
func (o *Overlay) createLocked(r ref) *object {
	ob := newObject(r, o.kinds[r.kind].New(r.name), o.ownEpoch(1))
	o.objects[r] = ob
	o.placeLocked(ob)
	return ob
}

// ownEpoch is an epoch of this node in this run.
func (o *Overlay) ownEpoch(counter uint64) Epoch {
	return Epoch{Counter: counter, Keeper: o.self, Run: o.h.Run()}
}

// applyLocked makes those requests of a batch that were not made before, in
// order, and returns the results of all.
func (o *Overlay) applyLocked(ob *object, stream Stream, first uint64, items [][]byte) [][]byte {
	if ob.renewLease(stream.Node, stream.Run, o.h.Now()) {
		o.nodeGoneLocked(ob, stream.Node, stream.Run)
	}
	if c := ob.cursors[stream.Node]; c != nil {
		c.asks()
	}
	w := &wire.Step{What: &wire.Step_Requests{Requests: &wire.Requests{Stream: streamToWire(stream), First: first, Items: items}}}
	return o.keeperStepLocked(ob, w).results
}

func (o *Overlay) onQuery(from host.Peer, msg *wire.Query) *wire.QueryReply {
	r, ok := o.refFromWire(msg.GetRef())
	if !ok {
		return &wire.QueryReply{Status: wire.Status_BAD}
	}
	st, ob := o.settle(r, from.ID, msg.Route)
	switch st {
	case forward:
		o.mu.Unlock()
		reply := new(wire.QueryReply)
		if !o.relay(r, methodQuery, msg.Route, func(rt *wire.Route) { msg.Route = rt }, msg, reply) {
			reply = &wire.QueryReply{Status: wire.Status_RETRY}
		}
		return reply
	case notMine:
		defer o.mu.Unlock()
		return &wire.QueryReply{Status: wire.Status_NOT_MINE, Hint: o.hintLocked(r)}
	case wait, taking:
		o.mu.Unlock()
		return &wire.QueryReply{Status: wire.Status_RETRY}
	case absent:
		o.mu.Unlock()
		return &wire.QueryReply{Status: wire.Status_ABSENT, Keeper: o.selfNode()}
	}
	defer o.mu.Unlock()
	return &wire.QueryReply{Status: wire.Status_OK, Answer: ob.obj.Query(from.ID, msg.Query), Keeper: o.selfNode()}
}

// hintLocked names the node that an object was handed to, if it was.
func (o *Overlay) hintLocked(r ref) *wire.Node {
	if to, ok := o.movedTo.get(r); ok {
		return nodeToWire(to.Peer)
	}
	return nil
}
