package chord

import (
	"slices"
	"testing"
	"time"

	"ircbridge/host/sim"
)

// TestMovedNodesAreHeardOf: nodes come to other addresses, also several within
// seconds, so that they do not find each other where they were. Every list has
// everybody, and the addresses that he has now.
func TestMovedNodesAreHeardOf(t *testing.T) {
	for _, size := range []int{6, 16, 24} {
		n := newNet(t, uint64(size), sim.Config{}, Config{})
		ms := n.ring(size)
		for i, x := range []*testNode{ms[0], ms[1], ms[2], ms[size/2], ms[size-1]} {
			n.w.Move(x.h, x.name+"-elsewhere")
			n.w.RunFor(time.Duration(i) * time.Second / 2)
		}
		n.awaitIdeal(size, time.Minute)
		n.w.RunFor(time.Duration(size) * 2 * time.Second) // news goes back a node in each period
		for _, x := range ms {
			for _, c := range x.r.Successors() {
				i := slices.IndexFunc(ms, func(y *testNode) bool { return y.r.id == c.ID })
				if want := ms[i].h.Self().Addrs; !slices.Equal(c.Peer.Addrs, want) {
					t.Errorf("size %d: %s has %v for %s, who is at %v", size, x.name, c.Peer.Addrs, ms[i].name, want)
				}
			}
		}
	}
}
