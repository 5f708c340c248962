package mapping

import (
	"math/rand/v2"
	"slices"
	"testing"

	"ircbridge/overlay"
)

// Heads are a map of epochs to the highest numbers, whichever way they came, the highest epoch first.
func TestHeadsKeepTheHighestOfEachEpoch(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	want, got, list := map[overlay.Epoch]uint64{}, heads{}, heads{}
	for range 500 {
		s := overlay.Stamp{Epoch: overlay.Epoch{Counter: rng.Uint64N(6), Run: rng.Uint64N(6)}, Number: rng.Uint64N(50)}
		got.add(s)
		if s.Number > 0 {
			list = append(list, head{s.Epoch, s.Number})
			want[s.Epoch] = max(want[s.Epoch], s.Number)
		}
	}
	if same := list.inOrder(); !slices.Equal(got, same) || len(got) != len(want) {
		t.Errorf("one after the other %v, at once %v; want %d epochs", got, same, len(want))
	}
	for e, n := range want {
		if got.of(e) != n || !got.covers(overlay.Stamp{Epoch: e, Number: n}) || got.covers(overlay.Stamp{Epoch: e, Number: n + 1}) {
			t.Errorf("epoch %v is known up to %d, want %d", e, got.of(e), n)
		}
	}
	few := slices.Clone(got)
	if few.bound(5); len(few) != 5 || few[0] != got[0] || !got.knowsAll(few) || few.knowsAll(got) {
		t.Errorf("the highest five of %v are %v", got, few)
	}
	few.addAll(got)
	if !slices.Equal(few, got) {
		t.Errorf("all again is %v, want %v", few, got)
	}
}
