package chord

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ircbridge/host/sim"
)

// cut divides the network: the nodes that f names are one part, and what is
// left is the other.
func (n *testNet) cut(parts ...[]*testNode) {
	var groups [][]*sim.Host
	for _, p := range parts {
		var hs []*sim.Host
		for _, x := range p {
			hs = append(hs, x.h)
		}
		groups = append(groups, hs)
	}
	n.w.Partition(groups...)
}

// pickSome draws count members by chance.
func (n *testNet) pickSome(count int) (some, others []*testNode) {
	ms := n.members()
	for i := range count {
		j := i + int(ms[0].h.Rand()%uint64(len(ms)-i))
		ms[i], ms[j] = ms[j], ms[i]
	}
	return ms[:count], ms[count:]
}

// idealAmong is ideal for the members of one part.
func (n *testNet) idealAmong(part []*testNode) error {
	all := n.nodes
	n.nodes = part
	defer func() { n.nodes = all }()
	return n.ideal()
}

func (n *testNet) awaitParted(d time.Duration, parts ...[]*testNode) {
	n.t.Helper()
	var err error
	if !n.w.Await(d, func() bool {
		for _, p := range parts {
			if err = n.idealAmong(p); err != nil {
				return false
			}
		}
		return true
	}) {
		n.fatalf("the parts are no rings after %v: %v\n%s", d, err, n.dump())
	}
}

// awaitOne waits until the parts are one ring, and returns how long it took.
func (n *testNet) awaitOne(size int, d time.Duration) time.Duration {
	n.t.Helper()
	start := n.w.Elapsed()
	for ; n.ideal() != nil || len(n.members()) != size; n.w.RunFor(time.Duration(max(size/10, 1)) * 10 * time.Millisecond) {
		if n.w.Elapsed() >= start+d {
			n.fatalf("no one ring after %v: %d members, want %d: %v\n%s", d, len(n.members()), size, n.ideal(), n.dump())
		}
	}
	return n.w.Elapsed() - start
}

// TestCutInTwo: a ring whose network was cut is two rings, and one again soon
// after the cut is healed.
func TestCutInTwo(t *testing.T) {
	for _, c := range []struct {
		size, part int
		latency    sim.Latency
		seeds      uint64
		within     time.Duration
	}{
		{2, 1, nil, 10, 5 * time.Second},
		{3, 1, nil, 10, 5 * time.Second},
		{4, 2, nil, 10, 5 * time.Second},
		{16, 8, nil, 20, 5 * time.Second},
		{16, 8, sim.WAN(), 20, 5 * time.Second},
		{16, 1, nil, 10, 5 * time.Second},
		{16, 3, nil, 10, 5 * time.Second},
		{40, 20, nil, 5, 7 * time.Second},
		{100, 50, nil, 3, 7 * time.Second},
		{100, 50, sim.WAN(), 3, 15 * time.Second},
		{1000, 500, nil, 1, 12 * time.Second},
		{1000, 100, nil, 1, 12 * time.Second},
	} {
		wide := ""
		if c.latency != nil {
			wide = ", wide"
		}
		t.Run(fmt.Sprintf("%d of %d%s", c.part, c.size, wide), func(t *testing.T) {
			if c.size > 100 && testing.Short() {
				t.Skip("long")
			}
			var took []time.Duration
			for seed := *churnFirst; seed < *churnFirst+c.seeds; seed++ {
				n := newNet(t, seed, sim.Config{Latency: c.latency}, Config{})
				n.grow(c.size)
				n.w.RunFor(30 * time.Second)
				some, others := n.pickSome(c.part)
				n.cut(some, others)
				n.w.RunFor(20 * time.Second)
				if c.part*8 > c.size || c.size <= 16 { // a smaller part of a large ring becomes several
					n.awaitParted(time.Minute, some, others)
				}
				n.w.RunFor(time.Duration(seed) * 7 * time.Second)
				n.w.Heal()
				took = append(took, n.awaitOne(c.size, time.Minute))
				n.checkLookups(50)
				n.w.Close()
			}
			slices.Sort(took)
			t.Logf("one ring after %v, at most %v", took[len(took)/2], took[len(took)-1])
			if last := took[len(took)-1]; last > c.within {
				t.Errorf("one ring after %v, want %v", last, c.within)
			}
		})
	}
}
