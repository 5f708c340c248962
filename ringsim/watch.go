package ringsim

import (
	"fmt"
	"slices"
	"time"

	"ircbridge/chord"
	"ircbridge/chord/ringcheck"
	"ircbridge/host/sim"
)

// wholeRing is the size up to which the whole ring is checked after every event
// that changed what any node has of it; above it once in each virtual second.
const wholeRing = 32

// settleTime is how long after a fault two nodes may both answer for one key.
const settleTime = 5 * time.Second

// watch checks the ring's invariants after every event (package ringcheck).
//
// A fault may take more away than the invariant allows for: half of all nodes, or
// the network between them. Then it is checked again from when the ring is
// ideal; that it comes so far is checked in the end. Lists are in order always.
type watch struct {
	net       *network
	ring      ringcheck.Watch
	armed     bool
	seen      map[*node]seen
	whole     time.Duration // when the whole ring was checked last
	disturbed time.Duration // when the last fault happened
	begun     bool          // the ring has formed
	unsure    int           // faults under way that make living nodes look dead
	broken    []string
	checks    int
}

// seen is what a node had when it was looked at last.
type seen struct {
	succs   *chord.Contact
	n       int
	pred    *chord.Contact
	member  bool
	settled bool
	owns    bool
	up      bool
}

func newWatch(w *network) *watch {
	c := &watch{net: w, ring: ringcheck.Watch{ListLen: w.listLen}, seen: make(map[*node]seen)}
	w.AfterEvent(func(h *sim.Host) {
		if n := w.by[h]; n != nil && n.h == h {
			c.after(n)
		}
	})
	return c
}

func (c *watch) after(n *node) {
	at := n.ring.Inspect()
	now := seen{n: len(at.Succs), pred: at.Pred, member: at.Member, settled: at.Settled, owns: at.Owns, up: n.awake()}
	if now.n > 0 {
		now.succs = &at.Succs[0]
	}
	changed := now != c.seen[n]
	c.seen[n] = now
	if changed && now.up && now.member {
		for _, x := range look([]*node{n}) {
			if err := x.Ordered(c.net.listLen); err != nil {
				c.fail(err.Error())
			}
		}
	}
	if changed && len(c.net.nodes) <= wholeRing || c.net.Elapsed() >= c.whole+time.Second {
		c.all()
	}
}

func (c *watch) fail(what string) {
	if len(c.broken) < 5 {
		c.broken = append(c.broken, fmt.Sprintf("ring: %s, at %v", what, c.net.Elapsed()))
	}
}

// members are the nodes that form the ring: those that run and have company.
// Who begins a ring of its own is no part of it yet; beside says that others have
// joined that one, so that there are two rings until they meet.
func (c *watch) members() (ring ringcheck.Ring, beside bool) {
	var awake []*node
	for _, n := range c.net.nodes {
		if n.awake() {
			awake = append(awake, n)
		}
	}
	all := look(awake)
	alone := make(map[ringcheck.ID]bool)
	for _, x := range all {
		if x.Alone && len(all) > 1 {
			alone[x.ID] = true
			continue
		}
		ring = append(ring, x)
	}
	for _, x := range ring {
		strange := func(s ringcheck.ID) bool { return !alone[s] }
		beside = beside || len(x.Succs) > 0 && !slices.ContainsFunc(x.Succs, strange)
	}
	return ring, beside
}

// all checks the whole ring.
func (c *watch) all() {
	now := c.net.Elapsed()
	c.whole = now
	c.checks++
	if !c.armed {
		c.armed = c.begun && !c.net.parted && c.unsure == 0 && c.net.ideal() == nil
		return
	}
	ring, beside := c.members()
	if beside {
		c.armed = false
		return
	}
	if err := c.ring.Check(ring); err != nil {
		c.fail(err.Error())
		c.armed = false
		return
	}
	if o := ring.Overlap(); o != "" && now > c.disturbed+settleTime {
		c.fail(o)
		c.disturbed = now
	}
}

// begin asks for the invariant from when the ring is ideal.
func (c *watch) begin() { c.begun = true }

// doubt says that living nodes may look dead to others from now on, until calm.
func (c *watch) doubt() {
	c.unsure++
	c.fault(false)
}

func (c *watch) calm() {
	c.unsure--
	c.fault(false)
}

// fault says that something was done to nodes or network. What it left decides
// whether the invariant is asked for at once.
func (c *watch) fault(ringStays bool) {
	c.disturbed = c.net.Elapsed()
	c.ring.Fault()
	if ring, beside := c.members(); !ringStays || c.armed && (beside || c.ring.Check(ring) != nil) {
		c.armed = false
	}
}
