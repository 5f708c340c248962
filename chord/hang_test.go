package chord

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ircbridge/host/sim"
)

// knownBy counts the members that have x in list or table.
func (n *testNet) knownBy(x *testNode) (lists, tables int) {
	lists, _ = n.listedBy(x)
	for _, y := range n.members() {
		if y != x && y.r.table.get(x.r.id) != nil {
			tables++
		}
	}
	return lists, tables
}

// TestAHungNodeIsSoonKnownToAll: a node that hangs, whose connections stand, is
// in nobody's list and nobody's table 2 s later in a ring of 16, and 4 s later in
// one of 64; also when it has only just joined.
func TestAHungNodeIsSoonKnownToAll(t *testing.T) {
	for _, c := range []struct {
		size   int
		within time.Duration
	}{{16, 2 * time.Second}, {64, 4 * time.Second}} {
		if c.size > 16 && testing.Short() {
			continue
		}
		for _, young := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d nodes, young %v", c.size, young), func(t *testing.T) {
				var lists, all []time.Duration
				for seed := *churnFirst; seed < *churnFirst+fewer(30); seed++ {
					n := newNet(t, seed, sim.Config{}, Config{})
					n.grow(c.size - 1)
					n.w.RunFor(30*time.Second + time.Duration(seed)*37*time.Millisecond)
					x := n.members()[int(seed)%(c.size-1)]
					if young {
						x = n.add()
						n.join(x, n.members()[0])
						n.w.Await(5*time.Second, func() bool { return x.r.Owns(x.r.id) })
						n.w.RunFor(time.Duration(seed) * 33 * time.Millisecond)
					}
					n.w.Pause(x.h)
					start := n.w.Elapsed()
					unlisted := time.Duration(-1)
					for {
						l, tb := n.knownBy(x)
						if unlisted < 0 && l == 0 {
							unlisted = n.w.Elapsed() - start
						}
						if l == 0 && tb == 0 {
							break
						}
						if n.w.Elapsed() > start+time.Minute {
							n.fatalf("after a minute %d lists and %d tables have the hung node", l, tb)
						}
						n.w.RunFor(5 * time.Millisecond)
					}
					took := n.w.Elapsed() - start
					lists, all = append(lists, unlisted), append(all, took)
					if took > c.within {
						t.Errorf("seed %d: in no list after %v, in no table after %v", seed, unlisted, took)
					}
					n.w.Close()
				}
				slices.Sort(lists)
				slices.Sort(all)
				k := len(all)
				t.Logf("in no list after %v, at most %v; in no table after %v, at most %v", lists[k/2], lists[k-1], all[k/2], all[k-1])
			})
		}
	}
}
