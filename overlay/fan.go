package overlay

import (
	"errors"
	"slices"
	"time"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/overlay/wire"
)

// An object with more member nodes than fanAbove is not pushed to each of them
// by its keeper. They are divided into branches; the first of each, its relay, gets what is
// new and passes it on to the others (onFan), so the keeper sends one copy for
// each branch. What concerns one node alone (a view, what it missed, what it must not
// have yet) goes to it directly, as where there are few. So does what a relay
// does not pass on in time: the tree is for the keeper's line, and what it must
// do it does still.
//
// A branch has one call in flight, and its members ride on it: as long as
// they do they are not behind. Those that had it all before are the riders; a
// member that lacked something is left to direct pushes for fanPause.
//
// Relays are member nodes, which may lie. They cannot change or invent
// events, because each batch is signed by the keeper. They can withhold them, and say that
// they did not: then a member gets them after its next renewal, in which it
// says itself what it has, and the relay is one no more.

// Bounds of the tree.
const (
	fanAbove   = 64                     // subscribed nodes up to which each is pushed to directly
	fanMembers = 32                     // of a branch, with its relay
	fanLeast   = 4                      // that ride: fewer are pushed to directly
	fanReach   = 16                     // events by which who rides may be behind the others
	fanWait    = 300 * time.Millisecond // at most, for the members to answer their relay
	fanLast    = 50 * time.Millisecond  // at least, for the last quarter of them
	fanPause   = 10 * time.Second       // for which one that did not is pushed to directly; doubled each time
	maxPause   = 10 * time.Minute
)

var (
	methodFan   = host.Method{Number: 62, Name: "overlay fan"}
	methodBatch = host.Method{Number: 63, Name: "overlay batch"}
)

const batchContext = "ircbridge/1 batch\x00"

// branch is a part of an object's member nodes. Owned by Overlay.mu.
type branch struct {
	name    uint64
	members []host.PeerID // the first is the relay
	told    bool          // the relay knows name and members
	running bool          // a call is in flight
}

// fanLocked sends what is new to the branches of an object with many member
// nodes. Those that ride are not behind any more.
func (o *Overlay) fanLocked(ob *object) {
	if len(ob.cursors) <= fanAbove {
		ob.branches, ob.branched = nil, false
		return
	}
	now := o.h.Now()
	if !ob.branched {
		ob.branchOut(o.h.Rand)
	}
	for _, b := range ob.branches {
		if b.running {
			continue
		}
		r := ob.nextRide(b, now)
		if r == nil {
			continue
		}
		b.running = true
		for _, c := range r.riders {
			if c != nil {
				c.riding = true
			}
		}
		o.h.Go("overlay fan", func() { o.fan(r) })
	}
}

// branchOut puts member nodes that are in no branch into one, and takes those
// out that are members no more. A branch that changed has a new name.
func (ob *object) branchOut(name func() uint64) {
	ob.branched = true
	in := make(map[host.PeerID]bool, len(ob.cursors))
	for _, b := range ob.branches {
		if b.running {
			for _, m := range b.members {
				in[m] = true
			}
			ob.branched = false // it is looked at when it is back
			continue
		}
		before := len(b.members)
		b.members = slices.DeleteFunc(b.members, func(m host.PeerID) bool { return !ob.mayRide(m) })
		for _, m := range b.members {
			in[m] = true
		}
		if len(b.members) != before {
			b.name, b.told = name(), false
		}
	}
	ob.branches = slices.DeleteFunc(ob.branches, func(b *branch) bool { return !b.running && len(b.members) == 0 })
	at := 0
	for _, m := range sorted(ob.cursors) {
		if in[m] || !ob.mayRide(m) {
			continue
		}
		for at < len(ob.branches) && (ob.branches[at].running || len(ob.branches[at].members) >= fanMembers) {
			at++
		}
		if at == len(ob.branches) {
			ob.branches = append(ob.branches, new(branch))
		}
		b := ob.branches[at]
		b.members, b.name, b.told = append(b.members, m), name(), false
	}
}

// mayRide reports whether a node is one of those to which all that is new goes.
func (ob *object) mayRide(m host.PeerID) bool {
	c := ob.cursors[m]
	return c != nil && !c.ending && ob.epoch.Keeper != chord.NodeID(m)
}

// fan makes one ride. Who lacks something after it is pushed to directly.
func (o *Overlay) fan(r *ride) {
	r.msg.Batch.Keeper = []byte(o.h.Self().ID)
	r.msg.Batch.Signature = o.h.Sign(batchBytes(r.msg.Batch.Deliver))
	reply, err := o.askRelay(r)
	o.mu.Lock()
	defer o.mu.Unlock()
	passed := err == nil && reply.Outcome == wire.FanReply_PASSED
	r.b.running, r.b.told = false, passed
	if errors.Is(err, host.ErrRefused) {
		r.riders[0].unfit = true // its program does not know how
	}
	if err != nil {
		o.watchLocked(r.relay)
	}
	now := o.h.Now()
	for i, c := range r.riders {
		if c == nil {
			continue
		}
		c.riding = false
		has := passed && !slices.Contains(reply.Lack, uint32(i))
		switch {
		case has && r.epoch == r.ob.epoch && !c.needView:
			c.vouched(min(r.until, r.ob.number), r.relay, now, o.cfg)
		case !has && (passed || i == 0):
			c.shies(now)
		}
		if m := r.members[i]; c.ending && c.number >= c.until && r.ob.cursors[m] == c {
			delete(r.ob.cursors, m)
		}
	}
	if !r.ob.moving && o.objects[r.ob.ref] == r.ob {
		o.pushLocked(r.ob)
	}
}

// askRelay gives a batch to the relay of its branch, with the list of members
// if that is not known there.
func (o *Overlay) askRelay(r *ride) (*wire.FanReply, error) {
	peer, err := o.peer(r.relay)
	if err != nil {
		return nil, err
	}
	for list := !r.told; ; list = true {
		r.msg.Members = nil
		if list {
			r.msg.Members = r.list
		}
		reply := new(wire.FanReply)
		if err := o.call(peer, methodFan, r.msg, reply, min(2*fanWait, o.cfg.TryTimeout)); err != nil {
			return nil, err
		}
		if reply.Outcome != wire.FanReply_UNKNOWN || list {
			return reply, nil
		}
	}
}

// shies leaves the node to direct pushes for a while, each time for longer
// until it rides well.
func (c *cursor) shies(now time.Time) {
	c.pause = min(max(fanPause, 2*c.pause), maxPause)
	c.shy = now.Add(c.pause)
}

// vouched notes that a relay says that the node has all up to a number. What
// was vouched for a while ago is remembered, to be held against what the node says itself.
func (c *cursor) vouched(number uint64, relay host.PeerID, now time.Time, cfg Config) {
	c.number, c.moved, c.pause = max(c.number, number), now, 0
	if now.Sub(c.laterAt) >= 2*cfg.TryTimeout {
		c.sure, c.sureBy = c.later, c.laterBy
		c.later, c.laterBy, c.laterAt = number, relay, now
	}
}

// heldAgainstLocked hears what a node itself says that it has. Who has vouched
// for more, longer ago than any renewal takes, is a relay of this object no more.
func (ob *object) heldAgainstLocked(c *cursor, number uint64) {
	if c.sureBy == "" || number >= c.sure {
		return
	}
	if relay := ob.cursors[c.sureBy]; relay != nil {
		relay.unfit = true
	}
	c.sure, c.sureBy, c.later, c.laterBy, c.laterAt = 0, "", 0, "", time.Time{}
}
