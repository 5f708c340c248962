package sim

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// The queue gives events in order and drops those that became stale, also
// after it was swept.
func TestQueue(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		var q queue
		var want []event
		for range 20000 {
			switch n := r.IntN(10); {
			case n < 5:
				e := event{at: r.Int64N(1000), task: &task{}}
				want = append(want, e)
				want[len(want)-1].seq = q.next
				q.push(e)
			case n < 8 && len(want) > 0:
				i := r.IntN(len(want))
				want[i].task.gen++
				want = slices.Delete(want, i, i+1)
				q.cancelled()
			case len(want) > 0:
				first := slices.MinFunc(want, func(a, b event) int {
					if a.before(&b) {
						return -1
					}
					return 1
				})
				if _, ok := q.pop(first.at - 1); ok {
					t.Fatalf("seed %d: an event before its time", seed)
				}
				got, ok := q.pop(first.at)
				if !ok || got.seq != first.seq {
					t.Fatalf("seed %d: event %d, want %d", seed, got.seq, first.seq)
				}
				want = slices.DeleteFunc(want, func(e event) bool { return e.seq == first.seq })
			}
			if len(q.heap) > 2*len(want)+2048 {
				t.Fatalf("seed %d: %d events kept for %d", seed, len(q.heap), len(want))
			}
		}
	}
}
