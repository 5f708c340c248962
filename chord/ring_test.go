package chord

import (
	"fmt"
	"testing"
	"time"

	"ircbridge/host/sim"
)

func TestRingForms(t *testing.T) {
	for _, size := range []int{1, 2, 3, 5, 16, 17, 18, 40} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			n := newNet(t, 1, sim.Config{}, Config{})
			n.ring(size)
			t.Logf("ideal after %v", n.w.Elapsed())
			n.checkLookups(200)
		})
	}
}

// checkLookups asserts that lookups from random nodes find the true owner.
func (n *testNet) checkLookups(count int) (hops []int) {
	n.t.Helper()
	ms := n.members()
	n.do(func() {
		for i := range count {
			var key ID
			for k := range key {
				key[k] = byte(ms[0].h.Rand())
			}
			x := ms[int(ms[0].h.Rand()%uint64(len(ms)))]
			if i%4 == 0 { // every member finds every member's own place
				key = ms[i%len(ms)].r.id
			}
			f, err := x.r.Lookup(key, 5*time.Second)
			if want := owner(ms, key); err != nil || f.Owner.ID != want.r.id {
				n.fatalf("lookup of %s from %s: %s, %v; want %s\n%s", key, x.name, n.name(f.Owner.ID), err, want.name, n.dump())
			}
			hops = append(hops, f.Hops)
		}
	})
	return hops
}
