package overlay

import (
	"slices"
	"time"

	"ircbridge/host"
	"ircbridge/overlay/wire"
)

// pusher brings one node the events of all objects that it has views of. One
// task for each node at a time, one call in flight: what comes meanwhile is
// batched. Owned by Overlay.mu.
type pusher struct {
	dirty   map[ref]bool
	order   []ref     // of becoming dirty
	sent    []*cursor // of the items of the call in flight
	running bool
}

// Bounds of one push.
const (
	maxPushItems = 64
	maxPushBytes = 128 << 10
)

// pushLocked has every node with a cursor behind told.
func (o *Overlay) pushLocked(ob *object) {
	if ob.moving {
		return
	}
	o.fanLocked(ob)
	var nodes []host.PeerID
	// any order: sorted below
	for node, c := range ob.cursors {
		if p := o.pushers[node]; c.behind(ob, node) && (p == nil || !p.running || !p.dirty[ob.ref]) {
			nodes = append(nodes, node) // a pusher that knows already finds all there is
		}
	}
	slices.Sort(nodes)
	for _, node := range nodes {
		o.pushToLocked(node, ob.ref)
	}
}

func (o *Overlay) pushToLocked(node host.PeerID, r ref) {
	p := o.pushers[node]
	if p == nil {
		p = &pusher{dirty: make(map[ref]bool)}
		o.pushers[node] = p
	}
	if !p.dirty[r] {
		p.dirty[r] = true
		p.order = append(p.order, r)
	}
	if !p.running {
		p.running = true
		o.h.Go("overlay push", func() { o.push(node, p) })
	}
}

// push calls the node until nothing is left to tell it, with a growing pause
// while it does not answer.
func (o *Overlay) push(node host.PeerID, p *pusher) {
	for failures := 0; ; {
		o.mu.Lock()
		msg := o.nextPushLocked(node, p)
		if msg == nil {
			p.running = false
			if len(p.order) == 0 {
				delete(o.pushers, node)
			}
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		reply, err := o.deliver(node, msg)
		if err == nil {
			failures = 0
			if o.acknowledge(node, p, msg, reply) {
				continue
			}
			err = o.h.Sleep(o.cfg.TryTimeout / 4)
		} else {
			o.mu.Lock()
			o.redoLocked(p, msg)
			o.watchLocked(node)
			o.mu.Unlock()
			failures++
			err = o.h.Sleep(min(50*time.Millisecond<<min(failures, 5), time.Second))
		}
		if err != nil {
			return // the host stops
		}
	}
}

// nextPushLocked takes dirty objects, oldest first, up to the bounds: events
// of several, or one view alone.
func (o *Overlay) nextPushLocked(node host.PeerID, p *pusher) *wire.Deliver {
	msg, bytes := new(wire.Deliver), 0
	p.sent = p.sent[:0]
	for len(p.order) > 0 && len(msg.Items) < maxPushItems && bytes < maxPushBytes {
		r := p.order[0]
		ob := o.objects[r]
		var c *cursor
		if ob != nil && !ob.moving {
			c = ob.cursors[node]
		}
		if c == nil || !c.behind(ob, node) {
			p.order = p.order[1:]
			delete(p.dirty, r)
			continue
		}
		c.asked = false
		entries, whole := ob.since(c.number)
		if c.ending {
			entries = entries[:min(uint64(len(entries)), c.until-c.number)]
		}
		if c.needView || !whole {
			if len(msg.Items) > 0 {
				break
			}
			p.order = p.order[1:]
			delete(p.dirty, r)
			p.sent = append(p.sent, c)
			msg.Items = []*wire.Delivery{{
				Ref: refToWire(r), Epoch: epochToWire(ob.epoch), View: true,
				Number: ob.number, State: ob.obj.View(), Entries: entriesToWire(entries),
			}}
			break
		}
		item := &wire.Delivery{Ref: refToWire(r), Epoch: epochToWire(ob.epoch), After: c.number}
		for _, e := range entries {
			if e.Stamp.Number > ob.pushable(node) {
				break
			}
			if bytes += e.size(); bytes > maxPushBytes && len(item.Entries) > 0 {
				break
			}
			item.Entries = append(item.Entries, entryToWire(e))
		}
		msg.Items = append(msg.Items, item)
		p.sent = append(p.sent, c)
		p.order = p.order[1:]
		delete(p.dirty, r)
	}
	if len(msg.Items) == 0 {
		return nil
	}
	return msg
}

func (o *Overlay) redoLocked(p *pusher, msg *wire.Deliver) {
	for _, item := range msg.Items {
		r := ref{item.Ref.Kind, item.Ref.Name}
		if !p.dirty[r] {
			p.dirty[r] = true
			p.order = append(p.order, r)
		}
	}
}

// deliver makes one push. This node's own views take the same way without the
// network.
func (o *Overlay) deliver(node host.PeerID, msg *wire.Deliver) (*wire.DeliverReply, error) {
	if node == o.h.Self().ID {
		return o.onDeliver(o.h.Self(), msg), nil
	}
	m := methodDeliver
	if msg.Items[0].View {
		m = methodView
	}
	reply := new(wire.DeliverReply)
	peer, err := o.peer(node)
	if err == nil {
		err = o.call(peer, m, msg, reply, o.cfg.TryTimeout)
	}
	if err == nil && len(reply.Items) != len(msg.Items) {
		err = errWire
	}
	return reply, err
}

// acknowledge moves the cursors. progress is false when the node could not
// use anything, so that the next push waits a moment.
func (o *Overlay) acknowledge(node host.PeerID, p *pusher, msg *wire.Deliver, reply *wire.DeliverReply) (progress bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, ack := range reply.Items {
		item := msg.Items[i]
		r := ref{item.Ref.Kind, item.Ref.Name}
		ob := o.objects[r]
		if ob == nil || ob.moving {
			progress = true
			continue
		}
		doubtful := ob.leases[node].doubtful
		if ob.renewLease(node, reply.Run, o.h.Now()) {
			o.nodeGoneLocked(ob, node, reply.Run)
		}
		c := ob.cursors[node]
		epoch, _ := epochFromWire(item.Epoch)
		if c == nil || c != p.sent[i] || epoch != ob.epoch {
			progress = true // what it was told of is past, as when it left and came again
			if c != nil {
				o.pushToLocked(node, r)
			}
			continue
		}
		switch ack.Kind {
		case wire.Ack_HAVE:
			progress = progress || item.View || ack.Number > c.number
			c.moved = o.h.Now()
			c.number = max(c.number, min(ack.Number, ob.number))
			if item.View {
				c.needView = false
			}
		case wire.Ack_NEED_VIEW:
			progress = progress || !item.View
			c.needView = true
		case wire.Ack_STALE:
			seen, err := epochFromWire(ack.Epoch)
			if err == nil && seen.Compare(ob.epoch) > 0 && !o.deposed[r] {
				o.deposed[r] = true
				o.h.Go("overlay step down", func() { o.stepDown(r, seen) })
			}
			continue
		default: // NO_STAKE: its leave is on the way, or its lease lapses
			progress = true
			if doubtful {
				o.nodeGoneLocked(ob, node, 0)
				continue
			}
			c.decline()
		}
		if c.ending && c.number >= c.until {
			delete(ob.cursors, node)
		} else if c.behind(ob, node) {
			o.pushToLocked(node, r)
		}
	}
	return progress
}
