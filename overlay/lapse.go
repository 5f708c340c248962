package overlay

import (
	"time"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/overlay/wire"
)

// leaseAllLocked starts a lease for every node of an object that has none:
// whoever takes an object over restarts them all in full.
func (o *Overlay) leaseAllLocked(ob *object, now time.Time) {
	for _, n := range ob.obj.Nodes() {
		if l, ok := ob.leases[n]; ok {
			ob.leases[n] = lease{run: l.run, at: now}
		} else {
			ob.leases[n] = lease{at: now}
		}
	}
}

// nodeGoneLocked removes a node's runs, all but keep, from an object.
func (o *Overlay) nodeGoneLocked(ob *object, node host.PeerID, keep uint64) {
	if keep == 0 {
		delete(ob.leases, node)
	}
	o.keeperStepLocked(ob, &wire.Step{What: &wire.Step_Gone{Gone: &wire.NodeGone{Node: []byte(node), Keep: keep}}})
	if keep == 0 {
		delete(ob.cursors, node)
	}
}

// lapseLoop ends leases that were not renewed, and drops what is empty.
func (o *Overlay) lapseLoop() {
	for o.h.Sleep(o.cfg.Lease/18) == nil {
		o.lapse()
	}
}

func (o *Overlay) lapse() {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.h.Now()
	for _, r := range o.refsLocked() {
		ob := o.objects[r]
		if ob.moving {
			continue
		}
		for _, n := range sorted(ob.leases) {
			if now.Sub(ob.leases[n].at) > o.cfg.Lease {
				o.log.Info("a node's lease lapsed", "object", ob.obj.Summary(), "node", chord.NodeID(n))
				o.nodeGoneLocked(ob, n, 0)
			}
		}
		// any order: each is dropped or not for itself
		for s, st := range ob.streams {
			if now.Sub(st.used) > streamLife {
				delete(ob.streams, s)
			}
		}
		if ob.obj.Empty(o.clockOf(ob)) && len(ob.cursors) == 0 {
			delete(o.objects, r)
			o.touchLocked(r)
			o.dropCopiesLocked(ob)
		}
	}
	o.lapseCopiesLocked(now)
	o.recountLocked()
	// any order: each is dropped or not for itself
	for r, e := range o.expected {
		if now.After(e.until) {
			delete(o.expected, r)
		}
	}
}

// streamLife is how long an origin's last number is remembered unused; far
// longer than anybody repeats a request.
const streamLife = 10 * time.Minute

// onDown hears that the last connection to a node was lost: what it kept for
// us may need a new keeper, and what it held here may be gone.
func (o *Overlay) onDown(id host.PeerID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keepers.dropNode(id)
	o.loseExpectedLocked(id)
	if o.lastPred != nil && o.lastPred.Peer.ID == id {
		o.bereft = o.h.Now()
	}
	o.renewSoonLocked(func(_ ref, hd *hold) bool { return hd.keeper == id })
	o.watchLocked(id)
}

// watchLocked finds out whether a node that cannot be reached comes back
// within the grace time. It watches only who has a stake here.
func (o *Overlay) watchLocked(id host.PeerID) {
	if o.watched[id] || id == o.h.Self().ID || !o.hasStakeLocked(id) {
		return
	}
	o.watched[id] = true
	o.h.Go("overlay watch", func() {
		run, alive := o.watch(id)
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.watched, id)
		if alive && run == 0 {
			return // we stop
		}
		for _, r := range o.refsLocked() {
			ob := o.objects[r]
			l, ok := ob.leases[id]
			if !ok || ob.moving || alive && l.run == run {
				continue
			}
			o.log.Info("a node is gone for good", "object", ob.obj.Summary(), "node", chord.NodeID(id), "restarted", alive)
			o.nodeGoneLocked(ob, id, run)
		}
	})
}

func (o *Overlay) hasStakeLocked(id host.PeerID) bool {
	// any order: one is enough
	for _, ob := range o.objects {
		if _, ok := ob.leases[id]; ok {
			return true
		}
	}
	return false
}

// watch tries to reach a node and returns the run it answers in. It gives up when the
// connection has been lost for the grace time; one that stands though nobody answers, as
// when the process is stopped or the machine sleeps for a moment, has longer.
func (o *Overlay) watch(id host.PeerID) (run uint64, alive bool) {
	began := o.h.Now()
	connected := began
	for {
		if run, ok := o.Answers(id, o.cfg.TryTimeout); ok {
			return run, true
		}
		now := o.h.Now()
		if _, ok := o.h.PeerRun(id); ok {
			connected = now
		}
		if now.Sub(connected) >= o.cfg.Grace || now.Sub(began) >= o.cfg.Stall {
			return 0, false
		}
		if o.h.Sleep(o.cfg.TryTimeout) != nil {
			return 0, true
		}
	}
}
