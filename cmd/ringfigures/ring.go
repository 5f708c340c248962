package main

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/host/sim"
)

// listLen is the length of successor lists that chord has by default.
const listLen = 16

// node is one node of a simulated ring.
type node struct {
	h *sim.Host
	r *chord.Ring
}

// ring is a simulated ring that is grown, looked at and disturbed.
type ring struct {
	w     *sim.World
	rng   *rand.Rand
	cfg   chord.Config
	nodes []*node // all that live
	made  int

	pastBytes, pastMessages float64 // sent by nodes that have died
}

// known is how long it takes until nodes know of something: the two nearest,
// all that list the place, and every node.
type known struct{ nearest, all, every time.Duration }

// newRing makes a ring of one node, whose nodes have tables of contacts or not.
func newRing(seed uint64, table bool) *ring {
	n := &ring{w: sim.New(seed, sim.Config{}), rng: rand.New(rand.NewPCG(seed, 0x66696775726573))}
	if !table {
		n.cfg.TableBudget = -1
	}
	n.add().r.Create()
	return n
}

// grow lets nodes join, many at a time, until there are size in an ideal ring.
func (n *ring) grow(size int) error {
	for len(n.nodes) < size {
		through := slices.Clone(n.nodes)
		for range min(len(through), size-len(n.nodes)) {
			n.join(n.add(), through[n.rng.IntN(len(through))])
		}
		n.w.RunFor(2 * time.Second)
	}
	return n.awaitIdeal()
}

// add makes a node that runs and is no member yet.
func (n *ring) add() *node {
	x := &node{h: n.w.Add(fmt.Sprint("n", n.made))}
	n.made++
	x.r = chord.New(x.h, n.cfg)
	n.w.Start(x.h, x.r.Run)
	n.nodes = append(n.nodes, x)
	return x
}

// join lets x join through another, and tries again until it is in.
func (n *ring) join(x, through *node) {
	peers := []host.Peer{through.h.Self()}
	x.h.Go("join", func() {
		for x.r.Join(peers, 5*time.Second) != nil && x.h.Sleep(time.Second) == nil {
			peers[0] = n.nodes[n.rng.IntN(len(n.nodes))].h.Self()
		}
	})
}

// sorted are the nodes in the order of the ring.
func (n *ring) sorted() []*node {
	return slices.SortedFunc(slices.Values(n.nodes), func(a, b *node) int { return a.r.Self().ID.Compare(b.r.Self().ID) })
}

// ideal reports whether every node knows its predecessor and the next nodes,
// and owns its range.
func (n *ring) ideal() bool {
	ms := n.sorted()
	for i, x := range ms {
		pred, ok := x.r.Predecessor()
		if !ok || pred.ID != ms[(i+len(ms)-1)%len(ms)].r.Self().ID || !x.r.Owns(x.r.Self().ID) {
			return false
		}
		succs := x.r.Successors()
		if len(succs) != min(listLen, len(ms)-1) {
			return false
		}
		for k, c := range succs {
			if c.ID != ms[(i+1+k)%len(ms)].r.Self().ID {
				return false
			}
		}
	}
	return true
}

func (n *ring) awaitIdeal() error {
	for until := n.w.Elapsed() + 2*time.Minute; n.w.Elapsed() < until; n.w.RunFor(100 * time.Millisecond) {
		if n.ideal() {
			return nil
		}
	}
	return fmt.Errorf("no ideal ring of %d within two minutes", len(n.nodes))
}

// lookups looks up random keys from random nodes, one after the other, and
// counts the answers that do not name the owner.
func (n *ring) lookups(count int) (hops []int, wrong int, err error) {
	ms := n.sorted()
	n.w.Go("lookups", func() {
		for range count {
			var key chord.ID
			for i := range key {
				key[i] = byte(n.rng.Uint32())
			}
			from := ms[n.rng.IntN(len(ms))]
			f, e := from.r.Lookup(key, 10*time.Second)
			if e != nil {
				err = e
				return
			}
			hops = append(hops, f.Hops)
			at, _ := slices.BinarySearchFunc(ms, key, func(x *node, key chord.ID) int { return x.r.Self().ID.Compare(key) })
			if f.Owner.ID != ms[at%len(ms)].r.Self().ID {
				wrong++
			}
		}
	})
	n.w.Run()
	slices.Sort(hops)
	return hops, wrong, err
}

// traffic is what all nodes have sent.
func (n *ring) traffic() (bytes, messages float64) {
	bytes, messages = n.pastBytes, n.pastMessages
	for _, x := range n.nodes {
		bytes += float64(x.h.Traffic().SentBytes)
		messages += float64(x.h.Traffic().SentMessages)
	}
	return bytes, messages
}

// fullest is the greatest part of the ring that one node has, as a multiple of
// the mean.
func (n *ring) fullest() float64 {
	ms := n.sorted()
	most := 0.0
	for i, x := range ms {
		d := chord.Distance(ms[(i+len(ms)-1)%len(ms)].r.Self().ID, x.r.Self().ID)
		part, scale := 0.0, 1.0
		for _, b := range d[:8] {
			scale /= 256
			part += float64(b) * scale
		}
		most = max(most, part)
	}
	return most * float64(len(ms))
}

// around are the nodes whose lists x's place is in, the nearest first: x's
// successor, then its predecessors.
func (n *ring) around(x *node) []*node {
	ms := n.sorted()
	at := slices.Index(ms, x)
	out := []*node{ms[(at+1)%len(ms)]}
	for k := range min(listLen, len(ms)-2) {
		out = append(out, ms[(at-1-k+2*len(ms))%len(ms)])
	}
	return out
}

// lists reports whether x knows id as a neighbour.
func (x *node) lists(id chord.ID) bool {
	if p, ok := x.r.Predecessor(); ok && p.ID == id {
		return true
	}
	return slices.ContainsFunc(x.r.Successors(), func(c chord.Contact) bool { return c.ID == id })
}

// timeUntil is how long it takes until the first two of ms, and all of them,
// list id (or no longer list it), and until the table of every node has it (or
// not).
func (n *ring) timeUntil(ms []*node, id chord.ID, listed bool) (k known, err error) {
	start := n.w.Elapsed()
	none := func(ms []*node, wrong func(x *node) bool) bool { return !slices.ContainsFunc(ms, wrong) }
	unlisted := func(x *node) bool { return x.lists(id) != listed }
	unknown := func(x *node) bool { _, ok := x.r.Contact(id); return ok != listed && x.r.Self().ID != id }
	table := n.cfg.TableBudget >= 0
	for near, far, every := false, false, !table; ; n.w.RunFor(time.Millisecond) {
		took := n.w.Elapsed() - start
		if !near && none(ms[:min(2, len(ms))], unlisted) {
			near, k.nearest = true, took
		}
		if near && !far && none(ms, unlisted) {
			far, k.all = true, took
		}
		if !every && none(n.nodes, unknown) {
			every, k.every = true, took
		}
		if near && far && every {
			return k, nil
		}
		if took > 10*time.Minute {
			return k, errors.New("after ten minutes not all know")
		}
	}
}

// complete reports whether every table has all nodes.
func (n *ring) complete() bool {
	return !slices.ContainsFunc(n.nodes, func(x *node) bool { return x.r.Table().Contacts != len(n.nodes)-1 })
}

func (n *ring) awaitTables() error {
	if n.cfg.TableBudget < 0 {
		return nil
	}
	for until := n.w.Elapsed() + 10*time.Minute; n.w.Elapsed() < until; n.w.RunFor(time.Second) {
		if n.complete() {
			return nil
		}
	}
	return errors.New("the tables are not complete after ten minutes")
}

// session lets nodes die and others join for d, as if sessions lasted an
// hour in the median: nodes die with a chance that does not depend on their age.
func (n *ring) session(d time.Duration) {
	perSecond := float64(len(n.nodes)) * math.Ln2 / time.Hour.Seconds()
	until := n.w.Elapsed() + d
	for {
		wait := time.Duration(n.rng.ExpFloat64() / perSecond * float64(time.Second))
		if n.w.Elapsed()+wait >= until {
			n.w.RunUntil(until)
			return
		}
		n.w.RunFor(wait)
		at := n.rng.IntN(len(n.nodes))
		x := n.nodes[at]
		n.nodes = slices.Delete(n.nodes, at, at+1)
		n.done(x)
		n.w.Crash(x.h)
		n.join(n.add(), n.nodes[n.rng.IntN(len(n.nodes)-1)])
	}
}

// done keeps the traffic of a node that ends.
func (n *ring) done(x *node) {
	n.pastBytes += float64(x.h.Traffic().SentBytes)
	n.pastMessages += float64(x.h.Traffic().SentMessages)
}
