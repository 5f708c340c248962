package chord

import (
	"fmt"
	"testing"
	"time"

	"ircbridge/host/sim"
)

// TestCraftedStates: rings in states that the rules should never bring about
// become one ordered ring all the same.
func TestCraftedStates(t *testing.T) {
	for _, c := range []struct {
		name string
		// craft changes the ideal ring ms; succs sets the list of a node.
		craft func(ms []*testNode, succs func(x *testNode, list ...*testNode))
	}{
		{"a ring that winds twice", func(ms []*testNode, succs func(*testNode, ...*testNode)) {
			// Every node is content: its successor has it for predecessor.
			k := len(ms)
			for i, x := range ms {
				succs(x, ms[(i+2)%k])
				ms[(i+2)%k].setPred(x)
			}
		}},
		{"a ring that winds three times, with lists", func(ms []*testNode, succs func(*testNode, ...*testNode)) {
			k := len(ms)
			for i, x := range ms {
				var list []*testNode
				for at := 3; at < k; at += 3 {
					list = append(list, ms[(i+at)%k])
				}
				succs(x, list...)
				ms[(i+3)%k].setPred(x)
			}
		}},
		{"an appendage that nobody has for a successor", func(ms []*testNode, succs func(*testNode, ...*testNode)) {
			// A chain of three nodes leads into the ring of the others.
			k := len(ms)
			var ring []*testNode
			for i, x := range ms {
				if i%4 != 1 || i > 10 {
					ring = append(ring, x)
				}
			}
			for i, x := range ring {
				var list []*testNode
				for at := 1; at < len(ring); at++ {
					list = append(list, ring[(i+at)%len(ring)])
				}
				succs(x, list...)
				ring[(i+1)%len(ring)].setPred(x)
			}
			for _, i := range []int{1, 5, 9} {
				succs(ms[i], ms[(i+1)%k])
				ms[i].setPred(nil)
			}
		}},
		{"two rings and a bridge", func(ms []*testNode, succs func(*testNode, ...*testNode)) {
			k := len(ms)
			for i, x := range ms {
				succs(x, ms[(i+2)%k])
				ms[(i+2)%k].setPred(x)
			}
			// k is odd: the even ones close their ring, and so do the others.
			succs(ms[k-1], ms[0])
			ms[0].setPred(ms[k-1])
			succs(ms[k-2], ms[1])
			ms[1].setPred(ms[k-2])
			ms[3].r.remembered = []Contact{ms[0].r.Self()}
		}},
		{"no predecessors, and lists of one", func(ms []*testNode, succs func(*testNode, ...*testNode)) {
			for i, x := range ms {
				x.setPred(nil)
				succs(x, ms[(i+1)%len(ms)])
			}
		}},
		{"everybody follows the first", func(ms []*testNode, succs func(*testNode, ...*testNode)) {
			for _, x := range ms[1:] {
				x.setPred(nil)
				succs(x, ms[0])
			}
			succs(ms[0], ms[1])
			ms[0].setPred(ms[1])
		}},
		{"half of the nodes still wait for their grant, and nobody knows of them", func(ms []*testNode, succs func(*testNode, ...*testNode)) {
			// Partially joined: each has taken the list of its successor, which has
			// forgotten the notification.
			k := len(ms)
			var ring []*testNode
			for i := 0; i < k; i += 2 {
				ring = append(ring, ms[i])
			}
			for i, x := range ring {
				var list []*testNode
				for at := 1; at < len(ring); at++ {
					list = append(list, ring[(i+at)%len(ring)])
				}
				succs(x, list...)
				ring[(i+1)%len(ring)].setPred(x)
			}
			for i := 1; i < k; i += 2 {
				ms[i].setPred(nil)
				ms[i].r.settled, ms[i].r.told = false, ID{}
				succs(ms[i], ms[(i+1)%k])
			}
		}},
		{"each list has one living node, far away, behind the dead", func(ms []*testNode, succs func(*testNode, ...*testNode)) {
			k := len(ms)
			for i, x := range ms {
				succs(x, ms[(i+k/2)%k])
				var dead []Contact
				for at := byte(0); at < 40 && len(dead) < 12; at++ {
					if c := contactN(at); Between(x.r.id, c.ID, ms[(i+k/2)%k].r.id) {
						dead = insert(x.r.id, dead, c, 12)
					}
				}
				x.r.succs = append(dead, x.r.succs...)
				x.r.changedLocked()
			}
		}},
		{"predecessors are successors", func(ms []*testNode, succs func(*testNode, ...*testNode)) {
			k := len(ms)
			for i, x := range ms {
				succs(x, ms[(i+1)%k])
				x.setPred(ms[(i+1)%k])
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []int{13, 31} {
				for seed := uint64(1); seed <= fewer(5); seed++ {
					n := newNet(t, seed, sim.Config{}, Config{})
					n.grow(size)
					ms := n.members()
					for _, x := range ms {
						x.r.remembered, x.r.fingers = nil, fingers{}
						x.r.view, x.r.hint = headView{}, nil
					}
					c.craft(ms, func(x *testNode, list ...*testNode) {
						x.r.succs = nil
						for _, y := range list {
							x.r.succs = append(x.r.succs, y.r.Self())
						}
						x.r.big = true
						x.r.changedLocked()
					})
					if n.ideal() == nil {
						t.Fatal("the state is not crafted")
					}
					took := n.awaitOne(size, 3*time.Minute)
					if seed == 1 {
						t.Logf("%s: one ring after %v", fmt.Sprint(size), took)
					}
					n.checkLookups(40)
					n.w.Close()
				}
			}
		})
	}
}

func (x *testNode) setPred(p *testNode) {
	x.r.pred, x.r.predRun, x.r.pending = nil, 0, nil
	if p != nil {
		c := p.r.Self()
		x.r.pred, x.r.predSettled = &c, true
	}
	x.r.changedLocked()
}
