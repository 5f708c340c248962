package chord

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"ircbridge/host/sim"
)

var exploreAll = flag.Bool("chord.all", false, "TestInterleavings: the second deed at each step of the first, and 20,000 schedules of three")

// A deed is one thing that is done to a small ring: a node comes, leaves or dies
// at a place that is given by the base ring ms.
type deed struct {
	name string
	ends int // whom: a place in the base ring; -1: nobody
	do   func(e *exploration)
}

// exploration is one ring of few nodes to which things are done.
type exploration struct {
	*testNet
	c    *watcher
	ms   []*testNode // as the ring was, in order
	none bool        // a deed was left out that would leave nobody to go on
}

// deeds are around the same place, so that they meet: X comes before ms[1], Y
// behind it, ms[1] itself and its neighbours end.
func deeds() []deed {
	place := func(e *exploration, i int) *testNode { return e.ms[i%len(e.ms)] }
	come := func(i int) func(e *exploration) {
		return func(e *exploration) {
			via := place(e, i+2) // it may be about to end
			a, b := place(e, i).r.id, place(e, i+1).r.id
			e.join(e.addBetween(a, b), via)
		}
	}
	end := func(i int, how func(e *exploration, x *testNode)) func(e *exploration) {
		return func(e *exploration) {
			x := place(e, i)
			if !x.member() || x.ended > 0 || !e.allows(x) {
				e.none = true
				return
			}
			x.ended = e.w.Elapsed() + 1
			e.c.ring.Fault()
			how(e, x)
		}
	}
	crash := func(e *exploration, x *testNode) { e.w.Crash(x.h) }
	leave := func(e *exploration, x *testNode) {
		h, r := x.h, x.r
		h.Go("leave", func() {
			r.Leave(2 * time.Second)
			e.w.Go("stop", func() { e.w.Stop(h) })
		})
		e.w.RunFor(0) // it takes effect at the task's first step
	}
	return []deed{
		{"one joins before", -1, come(0)},
		{"one joins behind", -1, come(1)},
		{"it leaves", 1, end(1, leave)},
		{"it crashes", 1, end(1, crash)},
		{"the next leaves", 2, end(2, leave)},
		{"the next crashes", 2, end(2, crash)},
		{"the one before leaves", 0, end(0, leave)},
		{"the one before crashes", 0, end(0, crash)},
	}
}

// explore does things to a ring of that size: the first at once, each other
// one when so many events have followed the one before. The invariants are checked
// after every event. Then the ring must become the ideal one, in which every
// lookup is answered by the owner. steps is how many events the last deed took
// until all was at rest.
func explore(t *testing.T, seed uint64, size int, ds []deed, after []int) (steps int, done bool) {
	n := newNet(t, seed, sim.Config{Latency: sim.Uniform(2*time.Millisecond, 1900*time.Microsecond)}, Config{SuccessorListLen: 3})
	defer n.w.Close()
	e := &exploration{testNet: n, ms: n.ring(size)}
	e.c = n.watch()
	defer func() {
		if t.Failed() {
			t.Logf("ring of %d, seed %d: %s", size, seed, tell(ds, after))
		}
	}()
	for i, d := range ds {
		if i > 0 {
			at := n.w.Events() + uint64(after[i-1])
			n.w.Await(time.Minute, func() bool { return n.w.Events() >= at })
		}
		d.do(e)
		if e.none {
			return 0, false
		}
	}
	before := n.w.Events()
	want := 0
	for _, x := range n.nodes {
		if x.ended == 0 {
			want++
		}
	}
	if !n.w.Await(30*time.Second, func() bool { return n.ideal() == nil && len(n.members()) == want }) {
		n.fatalf("%s: no ideal ring of %d: %v\n%s", tell(ds, after), want, n.ideal(), n.dump())
	}
	steps = int(n.w.Events() - before)
	n.w.RunFor(3 * time.Second) // late answers change nothing
	if err := n.ideal(); err != nil {
		n.fatalf("%s: not ideal any more: %v\n%s", tell(ds, after), err, n.dump())
	}
	n.checkLookups(2 * want)
	return steps, true
}

func tell(ds []deed, after []int) string {
	s := ""
	for i, d := range ds {
		if i > 0 {
			s += fmt.Sprintf(", %d events later ", after[i-1])
		}
		s += d.name
	}
	return s
}

// differ reports whether nobody of a ring of that size ends twice.
func differ(size int, ds ...deed) bool {
	ended := make(map[int]bool)
	for _, d := range ds {
		if d.ends >= 0 {
			if ended[d.ends%size] {
				return false
			}
			ended[d.ends%size] = true
		}
	}
	return true
}

// TestInterleavings: in rings of 2 to 5 nodes, whose lists hold 3, two things
// happen at one place of the ring, the second at one step after another of the
// first (with -chord.all at each step), and three things at moments drawn by
// chance: joins, leaves, crashes. Whatever the moment, the invariants hold after
// every event, and one ring comes of it. Each schedule has a seed of its own, and
// so latencies of its own: messages that differ fourfold overtake each other
// on different connections.
func TestInterleavings(t *testing.T) {
	stride, drawn := 4, 1000
	switch {
	case *exploreAll:
		stride, drawn = 1, 20_000
	case testing.Short():
		stride, drawn = 120, 30
	}
	ran, left := 0, 0
	seed := *churnFirst
	run := func(size int, ds []deed, after ...int) (steps int) {
		seed++
		steps, ok := explore(t, seed, size, ds, after)
		if ok {
			ran++
		} else {
			left++
		}
		return steps
	}
	all := deeds()
	steps := make(map[string]int) // that a single deed takes
	for size := 2; size <= 5; size++ {
		for _, a := range all {
			rest := run(size, []deed{a})
			steps[fmt.Sprint(size, a.name)] = rest
			for _, b := range all {
				for at := int(seed) % stride; at <= rest && differ(size, a, b); at += stride {
					run(size, []deed{a, b}, at)
				}
			}
		}
	}
	t.Logf("two things at once, at every %d. step: %d schedules; %d more were left out, as nobody would have lived to go on", stride, ran, left)
	ran, left = 0, 0
	rng := rand.New(rand.NewPCG(seed, 3))
	for ran+left < drawn {
		size := 2 + rng.IntN(3)
		a, b, c := all[rng.IntN(len(all))], all[rng.IntN(len(all))], all[rng.IntN(len(all))]
		if most := steps[fmt.Sprint(size, a.name)]; most > 0 && differ(size, a, b, c) {
			run(size, []deed{a, b, c}, rng.IntN(most), rng.IntN(most))
		}
	}
	t.Logf("three things, at moments drawn by chance: %d schedules, %d left out", ran, left)
}
