package overlay

import (
	"slices"
	"time"

	"ircbridge/host"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

// ride is one batch on its way through a branch. It does not change, but for
// riders, which Overlay.mu owns.
type ride struct {
	ob      *object
	b       *branch
	relay   host.PeerID
	told    bool // the relay knows the members
	epoch   Epoch
	until   uint64 // the last event
	members []host.PeerID
	riders  []*cursor // by position; nil for members that do not ride
	list    []*wire.Node
	msg     *wire.Fan
}

// nextRide is what is new for those of a branch that are nearly up to date;
// nil when there is nothing, or it is for few. The relay must be one of them: if
// it is not, another is made the relay.
func (ob *object) nextRide(b *branch, now time.Time) *ride {
	behind := func(m host.PeerID) *cursor {
		c := ob.cursors[m]
		if ob.mayRide(m) && !c.declined && !c.needView && !c.riding && !now.Before(c.shy) && c.number < ob.pushable(m) {
			return c
		}
		return nil
	}
	var most, until uint64
	for _, m := range b.members {
		if c := behind(m); c != nil {
			most, until = max(most, c.number), max(until, ob.pushable(m))
		}
	}
	from := most
	for _, m := range b.members {
		if c := behind(m); c != nil && c.number+fanReach >= most {
			from = min(from, c.number)
		}
	}
	item := ob.batch(from, until)
	if item == nil {
		return nil
	}
	r := &ride{ob: ob, b: b, epoch: ob.epoch, until: from + uint64(len(item.Entries))}
	return r.fill(item, func(m host.PeerID) *cursor {
		if c := behind(m); c != nil && c.number >= from && ob.pushable(m) >= r.until {
			return c
		}
		return nil
	})
}

// batch is the events after one number, up to another, as far as one message
// holds them; nil for none, or when the log does not reach back.
func (ob *object) batch(from, until uint64) *wire.Delivery {
	entries, whole := ob.since(from)
	item := &wire.Delivery{Ref: refToWire(ob.ref), Epoch: epochToWire(ob.epoch), After: from}
	bytes := 0
	for _, e := range entries {
		if bytes += e.size(); e.Stamp.Number > until || bytes > maxPushBytes && len(item.Entries) > 0 {
			break
		}
		item.Entries = append(item.Entries, entryToWire(e))
	}
	if !whole || len(item.Entries) == 0 {
		return nil
	}
	return item
}

// fill says who of the branch rides, and puts a relay in front that may be
// one; nil when it is not worth a call to it.
func (r *ride) fill(item *wire.Delivery, rider func(host.PeerID) *cursor) *ride {
	b := r.b
	first, count := -1, 0
	for i, m := range b.members {
		c := rider(m)
		if c == nil {
			continue
		}
		if count++; first < 0 && !c.unfit {
			first = i
		}
	}
	if first < 0 || count < fanLeast {
		return nil
	}
	if first > 0 {
		b.members[0], b.members[first] = b.members[first], b.members[0]
		b.told = false
	}
	r.relay, r.told, r.members = b.members[0], b.told, slices.Clone(b.members)
	r.msg = &wire.Fan{Branch: b.name}
	for i, m := range b.members {
		c := rider(m)
		r.riders = append(r.riders, c)
		if c == nil {
			r.msg.Except = append(r.msg.Except, uint32(i))
		}
		var addrs []string
		if c := r.ob.cursors[m]; c != nil {
			addrs = c.addrs
		}
		r.list = append(r.list, nodeToWire(host.Peer{ID: m, Addrs: addrs}))
	}
	deliver, err := proto.Marshal(&wire.Deliver{Items: []*wire.Delivery{item}})
	if err != nil {
		return nil
	}
	r.msg.Batch = &wire.Batch{Deliver: deliver}
	return r
}
