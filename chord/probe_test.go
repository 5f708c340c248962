package chord

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"ircbridge/host/sim"
)

// TestNeighboursOutOfReach: two neighbours do not reach each other, while all
// others reach both. Neither leaves the ring, nobody's predecessor flutters, and
// lookups are answered, also those that one of the two asks or passes on.
func TestNeighboursOutOfReach(t *testing.T) {
	for _, size := range []int{3, 5, 40} {
		for _, both := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d nodes, both ways %v", size, both), func(t *testing.T) {
				n := newNet(t, uint64(size), sim.Config{}, Config{})
				ms := n.ring(size)
				n.w.RunFor(20 * time.Second)
				a, b, c := ms[0], ms[1], ms[2]
				n.w.Cut(a.h, b.h)
				if both {
					n.w.Cut(b.h, a.h)
				}
				n.w.RunFor(30 * time.Second)
				b.changes, c.changes = nil, nil
				for range 30 {
					n.w.RunFor(5 * time.Second)
					if p, ok := b.r.Predecessor(); !ok || p.ID != a.r.id {
						n.fatalf("%s lost its predecessor %s, which lives\n%s", b.name, a.name, n.dump())
					}
					if p, ok := c.r.Predecessor(); !ok || p.ID != b.r.id {
						n.fatalf("%s lost its predecessor %s, which lives\n%s", c.name, b.name, n.dump())
					}
					n.checkLookups(size)
				}
				for _, x := range []*testNode{b, c} {
					for _, ch := range x.changes {
						if !sameID(ch.OldPred, ch.Pred) {
							t.Errorf("%s: predecessor changed from %v to %v", x.name, ch.OldPred, ch.Pred)
						}
					}
				}
				n.w.Heal()
				n.awaitIdeal(size, 40*time.Second)
				n.checkLookups(size)
			})
		}
	}
}

// listedBy counts the members that have x in their lists or fingers.
func (n *testNet) listedBy(x *testNode) (lists, fingers int) {
	for _, y := range n.members() {
		if y == x {
			continue
		}
		if indexOf(y.r.succs, x.r.id) >= 0 || y.r.pred != nil && y.r.pred.ID == x.r.id {
			lists++
		}
		for _, f := range y.r.fingers.list {
			if f.contact.ID == x.r.id {
				fingers++
				break
			}
		}
	}
	return lists, fingers
}

// TestNewsOfADeath: a node that hangs is soon in nobody's list, and when it
// goes on it comes back.
func TestNewsOfADeath(t *testing.T) {
	for _, size := range []int{16, 100} {
		if size > 16 && testing.Short() {
			continue
		}
		for seed := uint64(1); seed <= fewer(3); seed++ {
			t.Run(fmt.Sprintf("%d nodes, seed %d", size, seed), func(t *testing.T) {
				n := newNet(t, seed, sim.Config{}, Config{})
				n.grow(size)
				n.w.RunFor(30 * time.Second)
				x := n.members()[int(seed)]
				n.w.Pause(x.h)
				start := n.w.Elapsed()
				if !n.w.Await(8*time.Second, func() bool { lists, _ := n.listedBy(x); return lists == 0 }) {
					lists, fingers := n.listedBy(x)
					n.fatalf("%d lists and %d fingers have the hung node after %v\n%s", lists, fingers, n.w.Elapsed()-start, n.dump())
				}
				_, fingers := n.listedBy(x)
				t.Logf("in no list after %v; in %d tables of fingers", n.w.Elapsed()-start, fingers)
				n.w.RunFor(40 * time.Second)
				n.w.Resume(x.h)
				t.Logf("back after %v", n.awaitOne(size, 20*time.Second))
				n.checkLookups(40)
			})
		}
	}
}

// TestNoFalseEviction: for an hour one message in twenty is lost and the nodes
// are so busy that each stands still for a moment again and again. Nobody is
// taken for dead.
func TestNoFalseEviction(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	const size = 16
	n := newNet(t, *churnFirst, sim.Config{}, Config{})
	n.grow(size)
	n.w.RunFor(30 * time.Second)
	n.w.SetFaults(sim.Faults{Loss: 0.05, ReplyLoss: 0.05})
	for _, x := range n.nodes {
		x.changes = nil
		h := x.h
		n.w.Go("busy", func() {
			for {
				n.w.Sleep(time.Duration(h.Rand()%uint64(4*time.Second)) + 500*time.Millisecond)
				n.w.Pause(h)
				n.w.Sleep(time.Duration(h.Rand() % uint64(250*time.Millisecond)))
				n.w.Resume(h)
			}
		})
	}
	n.w.RunFor(time.Hour)
	evicted := 0
	for _, x := range n.nodes {
		for _, ch := range x.changes {
			evicted++
			if evicted < 5 {
				t.Errorf("%s: predecessor from %v to %v, %d successors", x.name, ch.OldPred, ch.Pred, len(ch.Succs))
			}
		}
	}
	if evicted > 0 {
		t.Errorf("%d changes of the ring, though nobody came or went", evicted)
	}
}

// TestSleeperMoves: a node that slept for a minute and wakes at another address
// is in its place again within 5 s, and reached there.
func TestSleeperMoves(t *testing.T) {
	for _, size := range []int{2, 5, 16, 40} {
		for seed := uint64(1); seed <= fewer(5); seed++ {
			n := newNet(t, seed, sim.Config{}, Config{})
			ms := n.ring(size)
			n.w.RunFor(20 * time.Second)
			x := ms[int(seed)%size]
			n.w.Pause(x.h)
			n.w.RunFor(60 * time.Second)
			n.w.Move(x.h, "elsewhere")
			n.w.Resume(x.h)
			at := slices.Index(ms, x)
			pred, succ := ms[(at+size-1)%size], ms[(at+1)%size]
			start := n.w.Elapsed()
			if !n.w.Await(5*time.Second, func() bool {
				c := pred.r.Successors()
				p, ok := succ.r.Predecessor()
				return len(c) > 0 && c[0].ID == x.r.id && ok && p.ID == x.r.id && x.r.Owns(x.r.id) &&
					slices.Equal(c[0].Peer.Addrs, x.h.Self().Addrs) && slices.Equal(p.Peer.Addrs, x.h.Self().Addrs)
			}) {
				n.fatalf("%s is not back 5 s after it woke\n%s", x.name, n.dump())
			}
			if seed == 1 {
				t.Logf("%d nodes: back in its place after %v", size, n.w.Elapsed()-start)
			}
			n.awaitIdeal(size, 20*time.Second)
			n.checkLookups(20)
			n.w.Close()
		}
	}
}

// How long a peer that was out of reach takes for its first answer is no measure of the way to
// it, which was mended meanwhile: later requests wait no longer for it than before.
func TestTheWayBackIsNoMeasure(t *testing.T) {
	mended := true
	latency := func(*rand.Rand, string, string) time.Duration {
		if mended {
			return time.Millisecond
		}
		return 700 * time.Millisecond
	}
	n := newNet(t, 1, sim.Config{Latency: latency}, Config{})
	ms := n.ring(4)
	n.w.RunFor(20 * time.Second)
	a, b := ms[0], ms[1].r.Self()
	before := a.r.timeout(b)
	a.h.Go("reach", func() {
		if err := a.r.reachAgain(b, a.r.cfg.MaxTimeout); err != nil {
			t.Error(err)
		}
	})
	mended = false
	n.w.RunFor(0) // the request is on its way
	mended = true
	n.w.RunFor(time.Second)
	if after := a.r.timeout(b); after != before {
		t.Errorf("requests wait %v for a peer that was out of reach, and %v before that", after, before)
	}
}
