package chord

import (
	"errors"
	"testing"
	"time"

	"ircbridge/host/sim"
)

// TestTrace: a trace asks node after node up to the owner, tells of those that
// do not answer, and names the owner's replicas.
func TestTrace(t *testing.T) {
	for _, budget := range []int{0, -1} {
		n := newNet(t, 11, sim.Config{}, Config{TableBudget: budget, SuccessorListLen: 4})
		ms := n.ring(50)
		n.w.RunFor(2 * time.Minute)
		n.do(func() {
			for i, x := range ms {
				key := ms[(i*7)%50].r.id
				var hops []Hop
				route, err := x.r.Trace(key, 5*time.Second, func(h Hop) { hops = append(hops, h) })
				want := ms[(i*7)%50]
				succs := want.r.Successors()
				if err != nil || route.Owner.ID != want.r.id || !sameIDs(route.Replicas, succs[:2]) || route.Hops != len(hops) {
					t.Fatalf("budget %d: %+v after %v, %v", budget, route, hops, err)
				}
				for k, h := range hops {
					if h.Err != nil || h.RTT <= 0 || h.Answer == "" || (k == len(hops)-1) != (h.Answer == "owns the key") {
						t.Errorf("budget %d: hop %d is %+v", budget, k, h)
					}
				}
				if x == want && len(hops) > 0 || budget == 0 && len(hops) > 1 {
					t.Errorf("budget %d: %d hops", budget, len(hops))
				}
			}
			n.w.Pause(ms[20].h)
			failed := 0
			_, err := ms[1].r.Trace(ms[20].r.id, time.Second, func(h Hop) {
				if h.Err != nil {
					failed++
				}
			})
			if failed == 0 || err != nil && !errors.Is(err, ErrNoAnswer) {
				t.Errorf("%d hops failed, %v", failed, err)
			}
			out := n.add()
			if _, err := out.r.Trace(ID{}, time.Second, nil); !errors.Is(err, ErrNotMember) {
				t.Errorf("a node outside: %v", err)
			}
		})
	}
}

// TestTraceOutlivesARepair: a trace of a key whose owner is just gone goes on until
// the next node owns it.
func TestTraceOutlivesARepair(t *testing.T) {
	again := 0
	for seed := uint64(1); seed <= fewer(50); seed++ {
		n := newNet(t, seed, sim.Config{}, Config{})
		ms := n.ring(8)
		n.w.RunFor(time.Minute)
		n.w.Crash(ms[3].h)
		n.w.Crash(ms[4].h)
		n.w.RunFor(time.Duration(seed) * time.Millisecond)
		n.do(func() {
			asked := map[ID]bool{}
			route, err := ms[6].r.Trace(ms[3].r.id, 5*time.Second, func(h Hop) {
				if asked[h.ID] {
					again++
				}
				asked[h.ID] = true
			})
			if err != nil || route.Owner.ID != ms[5].r.id {
				t.Errorf("seed %d: %v, %v", seed, route.Owner, err)
			}
		})
		n.w.Close()
	}
	t.Logf("%d nodes were asked again", again)
}
