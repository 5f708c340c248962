package overlay

import (
	"slices"

	"ircbridge/host"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

// maxFans bounds the batches that this node passes on at a time.
const maxFans = 64

// passing is the branch of an object that this node passes batches on to, as
// the keeper named it. It does not change.
type passing struct {
	name    uint64
	members []host.Peer // the first is this node
}

// batchBytes is what the keeper signs.
func batchBytes(deliver []byte) []byte { return append([]byte(batchContext), deliver...) }

// openBatch checks a batch, and returns its events.
func openBatch(w *wire.Batch) (keeper host.PeerID, item *wire.Delivery, ok bool) {
	keeper = host.PeerID(w.GetKeeper())
	if !keeper.Verify(batchBytes(w.GetDeliver()), w.GetSignature()) {
		return "", nil, false
	}
	msg := new(wire.Deliver)
	if err := proto.Unmarshal(w.GetDeliver(), msg); err != nil || len(msg.Items) != 1 {
		return "", nil, false
	}
	item = msg.Items[0]
	return keeper, item, !item.View && len(item.Entries) > 0
}

// onBatch takes what a relay passed on, as if its keeper had pushed it; but
// only from whom this node takes for the keeper.
func (o *Overlay) onBatch(_ host.Peer, w *wire.Batch) *wire.Ack {
	keeper, item, ok := openBatch(w)
	if !ok {
		return &wire.Ack{Kind: wire.Ack_NO_STAKE}
	}
	return o.takeBatch(keeper, item)
}

func (o *Overlay) takeBatch(keeper host.PeerID, item *wire.Delivery) *wire.Ack {
	r, _ := o.refFromWire(item.GetRef())
	o.mu.Lock()
	if hd := o.holds[r]; hd == nil || hd.keeper != keeper {
		o.mu.Unlock()
		return &wire.Ack{Kind: wire.Ack_NO_STAKE}
	}
	ack, hd := o.takeLocked(host.Peer{ID: keeper}, item)
	o.mu.Unlock()
	if hd != nil {
		o.makeCalls([]*hold{hd})
	}
	return ack
}

// hasAll reports whether who answered so has the events of a batch.
func hasAll(ack *wire.Ack, item *wire.Delivery) bool {
	return ack.GetKind() == wire.Ack_HAVE && ack.GetNumber() >= item.After+uint64(len(item.Entries))
}

// onFan takes a batch from the keeper, passes it on, and says who lacks it.
// Only for objects that this node has a view of, and only their keeper.
func (o *Overlay) onFan(from host.Peer, msg *wire.Fan) *wire.FanReply {
	keeper, item, ok := openBatch(msg.GetBatch())
	if !ok || keeper != from.ID {
		return &wire.FanReply{Outcome: wire.FanReply_DECLINED}
	}
	p, outcome := o.passingOf(from.ID, item, msg)
	if p == nil {
		return &wire.FanReply{Outcome: outcome}
	}
	reply := &wire.FanReply{Outcome: wire.FanReply_PASSED}
	if !slices.Contains(msg.Except, 0) && !hasAll(o.takeBatch(keeper, item), item) {
		reply.Lack = append(reply.Lack, 0)
	}
	var to []int
	for i := range p.members {
		if i > 0 && !slices.Contains(msg.Except, uint32(i)) {
			to = append(to, i)
		}
	}
	lack := o.passOn(p, to, msg.Batch, item)
	o.mu.Lock()
	o.fans--
	for _, i := range to {
		if lack[i] {
			reply.Lack = append(reply.Lack, uint32(i))
		}
	}
	o.mu.Unlock()
	return reply
}

// passingOf is the branch that a batch is for, with a place among those that
// are passed on at a time; nil, and why, if there is none.
func (o *Overlay) passingOf(keeper host.PeerID, item *wire.Delivery, msg *wire.Fan) (*passing, wire.FanReply_Outcome) {
	var fresh *passing
	if len(msg.Members) > 0 {
		if fresh = o.passingFromWire(msg); fresh == nil {
			return nil, wire.FanReply_DECLINED
		}
	}
	r, _ := o.refFromWire(item.GetRef())
	o.mu.Lock()
	defer o.mu.Unlock()
	hd := o.holds[r]
	if hd == nil || hd.keeper != keeper || o.fans >= maxFans {
		return nil, wire.FanReply_DECLINED
	}
	if fresh != nil {
		hd.branch = fresh
	}
	if hd.branch == nil || hd.branch.name != msg.Branch {
		return nil, wire.FanReply_UNKNOWN
	}
	o.fans++
	return hd.branch, wire.FanReply_PASSED
}

// passingFromWire reads the list of a branch; nil when it is none, or this
// node is not its relay.
func (o *Overlay) passingFromWire(msg *wire.Fan) *passing {
	if len(msg.Members) > fanMembers {
		return nil
	}
	p := &passing{name: msg.Branch}
	for i, w := range msg.Members {
		c, ok := contactFromWire(w)
		if !ok || (c.ID == o.self) != (i == 0) {
			return nil
		}
		p.members = append(p.members, c.Peer)
	}
	return p
}

// passOn gives a batch to members of a branch, all at once, and returns the
// positions of those that did not say in time that they have all of it. The last quarter
// has as long again as three times what the others took, so that one that is silent
// holds up the next batch of the others as little as may be. o.mu guards what is
// returned, as late answers are still written there.
func (o *Overlay) passOn(p *passing, to []int, b *wire.Batch, item *wire.Delivery) (lack map[int]bool) {
	lack = make(map[int]bool, len(to))
	left, last := len(to), len(to)/4
	if left == 0 {
		return lack
	}
	for _, i := range to {
		lack[i] = true
	}
	most, done := o.h.NewEvent(), o.h.NewEvent()
	began := o.h.Now()
	for _, i := range to {
		o.h.Go("overlay pass on", func() {
			ack, err := o.passTo(p.members[i], b)
			o.mu.Lock()
			defer o.mu.Unlock()
			if err == nil && hasAll(ack, item) {
				delete(lack, i)
			}
			if left--; left == last {
				most.Signal()
			}
			if left == 0 {
				done.Signal()
			}
		})
	}
	if o.wait(most, fanWait) == nil {
		took := o.h.Now().Sub(began)
		_ = o.wait(done, min(fanWait-took, max(fanLast, 3*took)))
	}
	return lack
}

// passTo gives a batch to one member. Whom this node has no connection to it
// reaches as the keeper says, or as the ring does.
func (o *Overlay) passTo(to host.Peer, b *wire.Batch) (*wire.Ack, error) {
	if len(to.Addrs) == 0 {
		var err error
		if to, err = o.peer(to.ID); err != nil {
			return nil, err
		}
	}
	body, err := proto.Marshal(b)
	if err != nil {
		return nil, err
	}
	reply, err := o.h.Call(to, methodBatch, body, fanWait)
	if err != nil {
		return nil, err
	}
	ack := new(wire.Ack)
	return ack, proto.Unmarshal(reply, ack)
}
