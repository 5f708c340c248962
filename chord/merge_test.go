package chord

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/host/sim"
)

var large = flag.Bool("chord.large", false, "cut rings of 1,000 nodes in two as well")

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

// fewer is how many seeds a test runs: few with -short, which goes with the race
// detector, of which a simulation is no use.
func fewer(seeds uint64) uint64 {
	if testing.Short() {
		return min(seeds, 2)
	}
	return seeds
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

// awaitLinked waits until each member has the next one for its first successor and
// the one before for its predecessor, and returns how long it took.
func (n *testNet) awaitLinked(d time.Duration) time.Duration {
	n.t.Helper()
	start := n.w.Elapsed()
	for {
		ms := n.members()
		wrong := 0
		for i, x := range ms {
			next := ms[(i+1)%len(ms)]
			if len(x.r.succs) == 0 || x.r.succs[0].ID != next.r.id || next.r.pred == nil || next.r.pred.ID != x.r.id {
				wrong++
			}
		}
		if wrong == 0 {
			return n.w.Elapsed() - start
		}
		if n.w.Elapsed() >= start+d {
			n.fatalf("%d of %d first successors are wrong after %v\n%s", wrong, len(ms), d, n.dump())
		}
		n.w.RunFor(10 * time.Millisecond)
	}
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
		{100, 50, nil, 1, 7 * time.Second},
		{100, 10, nil, 1, 15 * time.Second},
		{100, 50, sim.WAN(), 1, 15 * time.Second},
		{1000, 500, nil, 1, 12 * time.Second},
		{1000, 100, nil, 1, 15 * time.Second},
	} {
		wide := ""
		if c.latency != nil {
			wide = ", wide"
		}
		t.Run(fmt.Sprintf("%d of %d%s", c.part, c.size, wide), func(t *testing.T) {
			if c.size > 40 && testing.Short() || c.size > 200 && !*large {
				t.Skip("long; see -chord.large")
			}
			var linked, took []time.Duration
			for seed := *churnFirst; seed < *churnFirst+fewer(c.seeds); seed++ {
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
				at := n.w.Elapsed()
				linked = append(linked, n.awaitLinked(time.Minute))
				n.awaitOne(c.size, time.Minute)
				took = append(took, n.w.Elapsed()-at)
				n.checkLookups(50)
				n.w.Close()
			}
			slices.Sort(linked)
			slices.Sort(took)
			t.Logf("first successors right after %v, at most %v; all lists after %v, at most %v",
				linked[len(linked)/2], linked[len(linked)-1], took[len(took)/2], took[len(took)-1])
			if last := took[len(took)-1]; last > c.within {
				t.Errorf("one ring after %v, want %v", last, c.within)
			}
		})
	}
}

// TestCutAtOnce: a ring whose network is cut when its nodes have just come closes on both sides as
// soon as an old one: its nodes have measured each other, though they had nothing to ask.
func TestCutAtOnce(t *testing.T) {
	var took []time.Duration
	for seed := uint64(1); seed <= fewer(60); seed++ {
		n := newNet(t, seed, sim.Config{}, Config{})
		n.ring(2)
		n.ring(5)
		some, others := n.nodes[:2], n.nodes[2:]
		n.w.RunFor(300 * time.Millisecond)
		n.cut(some, others)
		at := n.w.Elapsed()
		n.awaitParted(time.Minute, some, others)
		took = append(took, n.w.Elapsed()-at)
		n.w.Close()
	}
	slices.Sort(took)
	t.Logf("rings of their own after %v, at most %v", took[len(took)/2], took[len(took)-1])
	if last := took[len(took)-1]; last > 4*time.Second {
		t.Errorf("a side was a ring after %v, want 4s", last)
	}
}

// TestThreeParts: three parts become one ring, also when they are healed one
// after the other.
func TestThreeParts(t *testing.T) {
	for seed := uint64(1); seed <= fewer(5); seed++ {
		n := newNet(t, seed, sim.Config{}, Config{})
		n.grow(30)
		n.w.RunFor(30 * time.Second)
		some, others := n.pickSome(20)
		one, two, three := some[:10], some[10:], others
		n.cut(one, two, three)
		n.w.RunFor(20 * time.Second)
		n.awaitParted(time.Minute, one, two, three)
		if seed%2 == 0 {
			n.cut(append(slices.Clone(one), two...), three)
			n.w.RunFor(time.Duration(seed) * 100 * time.Millisecond)
		}
		n.w.Heal()
		took := n.awaitOne(30, 10*time.Second)
		if seed == 1 {
			t.Logf("one ring after %v", took)
		}
		n.checkLookups(60)
		n.w.Close()
	}
}

// foundRings makes rings of the sizes given that know nothing of each other.
func (n *testNet) foundRings(sizes ...int) (rings [][]*testNode) {
	n.t.Helper()
	for _, size := range sizes {
		at := len(n.nodes)
		for len(n.nodes) < at+size {
			x := n.add()
			if len(n.nodes) == at+1 {
				x.r.Create()
			} else {
				n.join(x, n.nodes[at])
			}
			if len(n.nodes)%16 == 0 {
				n.w.RunFor(time.Second)
			}
		}
		rings = append(rings, n.nodes[at:len(n.nodes):len(n.nodes)])
	}
	n.awaitParted(time.Minute, rings...)
	return rings
}

// TestIntroduce: two rings that were founded apart become one when one node of
// either is told of one of the other, whatever their sizes.
func TestIntroduce(t *testing.T) {
	for _, c := range []struct {
		a, b    int
		latency sim.Latency
		within  time.Duration
	}{
		{1, 1, nil, 3 * time.Second}, {1, 5, nil, 3 * time.Second}, {5, 1, nil, 3 * time.Second},
		{2, 2, nil, 3 * time.Second}, {8, 8, nil, 3 * time.Second}, {16, 3, nil, 3 * time.Second},
		{17, 40, nil, 5 * time.Second}, {40, 40, sim.WAN(), 15 * time.Second}, {100, 100, nil, 10 * time.Second},
	} {
		t.Run(fmt.Sprintf("%d and %d", c.a, c.b), func(t *testing.T) {
			if c.a+c.b > 50 && testing.Short() {
				t.Skip("long")
			}
			seeds := fewer(5)
			if c.a+c.b > 50 {
				seeds = 1
			}
			for seed := uint64(1); seed <= seeds; seed++ {
				n := newNet(t, seed, sim.Config{Latency: c.latency}, Config{})
				rings := n.foundRings(c.a, c.b)
				n.w.RunFor(10 * time.Second)
				x, y := rings[0][int(seed)%c.a], rings[1][int(seed)%c.b]
				x.r.Introduce(y.h.Self())
				took := n.awaitOne(c.a+c.b, time.Minute)
				if seed == 1 || took > c.within {
					t.Logf("one ring after %v", took)
				}
				if took > c.within {
					t.Errorf("seed %d: one ring after %v, want %v", seed, took, c.within)
				}
				n.checkLookups(40)
				n.w.Close()
			}
		})
	}
}

// TestTwoOwnersForAMoment: while parts of a ring were cut off from each other
// each key had an owner in both. Soon after the heal it has one, and never none.
func TestTwoOwnersForAMoment(t *testing.T) {
	for seed := uint64(1); seed <= fewer(10); seed++ {
		n := newNet(t, seed, sim.Config{}, Config{})
		n.grow(16)
		n.w.RunFor(30 * time.Second)
		some, others := n.pickSome(int(seed)%8 + 1)
		n.cut(some, others)
		n.w.RunFor(20 * time.Second)
		n.awaitParted(time.Minute, some, others)
		n.w.RunFor(3 * time.Second) // nobody is open any more
		n.w.Heal()
		start, last := n.w.Elapsed(), time.Duration(0)
		for n.w.Elapsed() < start+10*time.Second {
			n.w.RunFor(2 * time.Millisecond)
			ms := n.members()
			if n.look(ms).Overlap() != "" {
				last = n.w.Elapsed() - start
			}
			for _, x := range ms { // a node alone joins as any other, and waits for its grant
				if len(some) > 1 && !x.r.ownsLocked(x.r.id) {
					n.fatalf("nobody owns the place of %s\n%s", x.name, n.dump())
				}
			}
		}
		if seed == 1 {
			t.Logf("two owners of a key until %v after the heal", last)
		}
		if last > 5*time.Second {
			t.Errorf("seed %d: two owners of a key %v after the heal", seed, last)
		}
		n.awaitIdeal(16, time.Second)
		n.w.Close()
	}
}

// TestChurnDuringMerge: nodes join, leave and crash while two rings become one.
func TestChurnDuringMerge(t *testing.T) {
	for seed := uint64(1); seed <= fewer(20); seed++ {
		x := newChurnOf(t, seed, 32, Config{}, sim.Config{})
		x.c.on = false // the invariants are those of one ring
		x.grow(32)
		x.w.RunFor(30 * time.Second)
		some, others := x.pickSome(16)
		x.cut(some, others)
		x.w.RunFor(25 * time.Second)
		x.w.Heal()
		for range 20 {
			x.event()
			x.runFor(200)
		}
		x.awaitIdeal(x.settle(), 60*time.Second)
		x.checkLookups(50)
		x.w.Close()
	}
}

// TestIntroduceBeforeTheJoin: who is introduced before this node is let in
// anywhere is met afterwards.
func TestIntroduceBeforeTheJoin(t *testing.T) {
	n := newNet(t, 1, sim.Config{}, Config{})
	rings := n.foundRings(3, 3)
	x := n.add()
	x.r.Introduce(rings[1][1].h.Self())
	n.w.RunFor(time.Second)
	n.join(x, rings[0][0])
	n.awaitOne(7, 10*time.Second)
	n.checkLookups(20)
}

// Whoever brings many nodes to a lone one has it follow a few of them at a
// time, and it goes on when none of them lives.
func TestBroughtNodesAreFollowedAFewAtATime(t *testing.T) {
	n := newNet(t, 1, sim.Config{}, Config{})
	x := n.ring(1)[0]
	n.do(func() {
		for i := range 100 {
			x.r.bring(NewContact(host.Peer{ID: peerN(byte(i)), Addrs: []string{"nowhere"}}), 0)
		}
	})
	if got := x.r.meetings.brought; got == 0 || got > maxMeetings {
		t.Errorf("%d are followed", got)
	}
	n.w.RunFor(time.Minute)
	if got := x.r.meetings.brought; got != 0 || !x.r.Alone() {
		t.Errorf("%d are still followed, alone %v", got, x.r.Alone())
	}
}
