package figures

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
	// When its successor had let it in, and when it died; -1 before.
	owns, died time.Duration
}

// ring is a simulated ring that is grown, looked at and disturbed.
type ring struct {
	w     *sim.World
	rng   *rand.Rand
	cfg   chord.Config
	nodes []*node // all that live
	all   []*node // all that ever were
	made  int

	pastBytes, pastMessages float64 // sent by nodes that have died
}

// known is how long it takes until nodes know of something: the two nearest,
// all that list the place, and every node.
type known struct{ nearest, all, every time.Duration }

// ringConfig is that of nodes with successor lists of that length (0: the
// program's), and with tables of contacts or not.
func ringConfig(list int, table bool) chord.Config {
	cfg := chord.Config{SuccessorListLen: list}
	if list == 0 {
		cfg.SuccessorListLen = listLen
	}
	if !table {
		cfg.TableBudget = -1
	}
	return cfg
}

// newRing makes a ring of one node. latency nil is a quiet local network.
func newRing(seed uint64, cfg chord.Config, latency sim.Latency) *ring {
	n := &ring{
		w:   sim.New(seed, sim.Config{Latency: latency}),
		rng: rand.New(rand.NewPCG(seed, 0x66696775726573)),
		cfg: cfg,
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
	x := &node{h: n.w.Add(fmt.Sprint("n", n.made)), owns: -1, died: -1}
	n.made++
	x.r = chord.New(x.h, n.cfg)
	x.r.OnChange(func(chord.Change) {
		if x.owns < 0 && x.r.Owns(x.r.Self().ID) {
			x.owns = n.w.Elapsed()
		}
	})
	n.w.Start(x.h, x.r.Run)
	n.nodes, n.all = append(n.nodes, x), append(n.all, x)
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
	return slices.SortedFunc(slices.Values(n.nodes), byID)
}

func byID(a, b *node) int { return a.r.Self().ID.Compare(b.r.Self().ID) }

// ideal reports whether every node knows its predecessor and the next nodes,
// and owns its range.
func (n *ring) ideal() bool { return idealRing(n.sorted(), n.cfg.SuccessorListLen) }

// idealRing is ideal for ms, which are in order.
func idealRing(ms []*node, list int) bool {
	if len(ms) == 1 {
		return ms[0].r.Alone()
	}
	for i, x := range ms {
		pred, ok := x.r.Predecessor()
		if !ok || pred.ID != ms[(i+len(ms)-1)%len(ms)].r.Self().ID || !x.r.Owns(x.r.Self().ID) {
			return false
		}
		succs := x.r.Successors()
		if len(succs) != min(list, len(ms)-1) {
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
			key := n.key()
			from := ms[n.rng.IntN(len(ms))]
			f, e := from.r.Lookup(key, 10*time.Second)
			if e != nil {
				err = e
				return
			}
			hops = append(hops, f.Hops)
			if f.Owner.ID != firstAt(ms, key).r.Self().ID {
				wrong++
			}
		}
	})
	n.w.Run()
	slices.Sort(hops)
	return hops, wrong, err
}

// key is a random one.
func (n *ring) key() (key chord.ID) {
	for i := range key {
		key[i] = byte(n.rng.Uint32())
	}
	return key
}

// firstAt is the node of ms, which are in order, to which key belongs.
func firstAt(ms []*node, key chord.ID) *node {
	at, _ := slices.BinarySearchFunc(ms, key, func(x *node, key chord.ID) int { return x.r.Self().ID.Compare(key) })
	return ms[at%len(ms)]
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
	for k := range min(n.cfg.SuccessorListLen, len(ms)-2) {
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

// session lets nodes die and others join for d, as if sessions lasted so long in
// the median: nodes die with a chance that does not depend on their age.
func (n *ring) session(d, median time.Duration) {
	perSecond := float64(len(n.nodes)) * math.Ln2 / median.Seconds()
	until := n.w.Elapsed() + d
	for {
		wait := time.Duration(n.rng.ExpFloat64() / perSecond * float64(time.Second))
		if n.w.Elapsed()+wait >= until {
			n.w.RunUntil(until)
			return
		}
		n.w.RunFor(wait)
		n.kill(n.nodes[n.rng.IntN(len(n.nodes))], n.w.Crash)
		n.join(n.add(), n.nodes[n.rng.IntN(len(n.nodes)-1)])
	}
}

// kill ends a node for good.
func (n *ring) kill(x *node, stop func(*sim.Host)) {
	n.nodes = slices.DeleteFunc(n.nodes, func(y *node) bool { return y == x })
	n.done(x)
	x.died = n.w.Elapsed()
	stop(x.h)
}

// done keeps the traffic of a node that ends.
func (n *ring) done(x *node) {
	n.pastBytes += float64(x.h.Traffic().SentBytes)
	n.pastMessages += float64(x.h.Traffic().SentMessages)
}
