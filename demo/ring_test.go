package demo

import (
	"context"
	"errors"
	"testing"
)

// fakeRing is a ring of nodes with IDs, whose places and keepers are as told.
func fakeRing(places map[string]Place, keeping map[string]Keeping, ids ...string) *ring {
	r := &ring{
		place: func(_ context.Context, dir string) (Place, error) {
			p, ok := places[dir]
			if !ok {
				return Place{}, errors.New("it does not answer")
			}
			return p, nil
		},
		keeper: func(_ context.Context, _, channel string) (Keeping, error) {
			k, ok := keeping[channel]
			if !ok {
				return Keeping{}, errors.New("nobody knows")
			}
			return k, nil
		},
	}
	for i, id := range ids {
		r.nodes = append(r.nodes, &node{number: i + 1, dir: id, at: Ready{ID: id}})
	}
	return r
}

// A ring is closed when each node stands between its neighbours, and only then.
func TestClosed(t *testing.T) {
	whole := map[string]Place{"a": {"a", "c", "b"}, "b": {"b", "a", "c"}, "c": {"c", "b", "a"}}
	without := func(change string, p Place) map[string]Place {
		m := map[string]Place{}
		for id, place := range whole {
			m[id] = place
		}
		m[change] = p
		return m
	}
	silent := without("b", Place{})
	delete(silent, "b")
	for name, c := range map[string]struct {
		places map[string]Place
		of     []int
		want   bool
	}{
		"whole":                   {whole, []int{1, 2, 3}, true},
		"one is asked of":         {whole, []int{1, 2}, false},
		"a wrong successor":       {without("a", Place{"a", "c", "c"}), []int{1, 2, 3}, false},
		"a wrong predecessor":     {without("a", Place{"a", "b", "b"}), []int{1, 2, 3}, false},
		"no predecessor yet":      {without("c", Place{"c", "", "a"}), []int{1, 2, 3}, false},
		"one does not answer":     {silent, []int{1, 2, 3}, false},
		"two":                     {map[string]Place{"a": {"a", "c", "c"}, "c": {"c", "a", "a"}}, []int{1, 2}, true},
		"alone":                   {map[string]Place{"c": {ID: "c"}}, []int{1}, true},
		"it believes to be alone": {without("a", Place{ID: "a"}), []int{1, 2, 3}, false},
	} {
		// The nodes' numbers are not in the order of the ring.
		r := fakeRing(c.places, nil, "c", "a", "b")
		if got := r.closed(t.Context(), r.some(c.of)); got != c.want {
			t.Errorf("%s: closed %v, want %v", name, got, c.want)
		}
	}
}

func TestPath(t *testing.T) {
	r := fakeRing(nil, nil, "c", "a", "b")
	if got := path(r.nodes); got != "1 → 2 → 3 → 1" {
		t.Errorf("the ring is %s", got)
	}
	if got := path(r.some([]int{3, 1})); got != "3 → 1 → 3" {
		t.Errorf("the ring of two is %s", got)
	}
}

func TestKeeps(t *testing.T) {
	r := fakeRing(nil, map[string]Keeping{"#tea": {"b", []string{"c", "stranger"}}}, "c", "a", "b")
	keeper, replicas := r.keeps(t.Context(), r.nodes[0], "#tea")
	if keeper != r.nodes[2] || len(replicas) != 1 || replicas[0] != r.nodes[0] {
		t.Errorf("kept by %v with copies on %v", keeper, replicas)
	}
	if keeper, _ := r.keeps(t.Context(), r.nodes[0], "#none"); keeper != nil {
		t.Errorf("nobody knows, and yet node %d keeps it", keeper.number)
	}
}
