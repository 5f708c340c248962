package ringcheck

import (
	"strings"
	"testing"
)

func id(n int) ID { return ID{0: byte(n)} }

// ring is an ideal ring of nodes with the IDs 10, 20, … and lists of that length.
func ring(size, listLen int) Ring {
	var r Ring
	for i := range size {
		pred := id(10 * ((i+size-1)%size + 1))
		n := Node{Name: string(rune('a' + i)), ID: id(10 * (i + 1)), Settled: true, Owns: true, Pred: &pred}
		for k := range min(listLen, size-1) {
			n.Succs = append(n.Succs, id(10*((i+1+k)%size+1)))
		}
		r = append(r, n)
	}
	return Sort(r)
}

func ids(ns ...int) (list []ID) {
	for _, n := range ns {
		list = append(list, id(n))
	}
	return list
}

// check applies all checks and gives the first that fails.
func check(r Ring, listLen int) string {
	for _, n := range r {
		if err := n.Ordered(listLen); err != nil {
			return err.Error()
		}
	}
	if err := (&Watch{ListLen: listLen}).Check(r); err != nil {
		return err.Error()
	}
	if o := r.Overlap(); o != "" {
		return o
	}
	if err := r.Ideal(listLen); err != nil {
		return err.Error()
	}
	return ""
}

func TestBrokenRingsAreFound(t *testing.T) {
	at := func(n int) *ID { x := id(n); return &x }
	tests := []struct {
		name  string
		size  int
		spoil func(r Ring)
		want  string
	}{
		{"an ideal ring", 8, func(Ring) {}, ""},
		{"an ideal small ring", 3, func(Ring) {}, ""},
		{"a list that is too long", 8, func(r Ring) { r[0].Succs = ids(20, 30, 40, 50) }, "a: list of 4"},
		{"a list that goes back", 8, func(r Ring) { r[0].Succs = ids(20, 40, 30) }, "a: list wraps or is out of order at 2"},
		{"a list that reaches round to its owner", 8, func(r Ring) { r[6].Succs = ids(80, 10, 70) }, "g: list wraps or is out of order at 2"},
		{"a list of the dead", 8, func(r Ring) { r[2].Succs = ids(31, 32, 33) }, "c has no living successor"},
		{"two rings side by side", 8, func(r Ring) {
			for i := range r {
				a, b := 10*((i+2)%8+1), 10*((i+4)%8+1)
				r[i].Succs = ids(a, b)
			}
		}, "the lists of 8 members do not connect them"},
		{"two owners of one place", 8, func(r Ring) { r[3].Pred = at(20) }, "d and c both own the place of c"},
		{"a successor that was left out", 8, func(r Ring) { r[0].Succs = ids(20, 40, 50) }, "successor 1 of a is not c"},
		{"a list that is short", 8, func(r Ring) { r[0].Succs = ids(20, 30) }, "a has a list of 2, in a ring of 8"},
		{"a wrong predecessor", 8, func(r Ring) { r[3].Pred, r[3].Owns = at(20), false }, "the predecessor of d is not c"},
		{"no predecessor", 8, func(r Ring) { r[3].Pred, r[3].Owns = nil, false }, "the predecessor of d is not c"},
		{"a member that is not settled", 8, func(r Ring) { r[3].Settled = false }, "d is not settled"},
		{"one that does not know that it is alone", 1, func(r Ring) { r[0].Pred = nil }, "a, the only member, is not alone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := ring(tt.size, 3)
			tt.spoil(r)
			if got := check(r, 3); !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
}

// A ring that has had r+1 principals keeps them, unless nodes were taken away.
func TestPrincipalsAreKept(t *testing.T) {
	w := Watch{ListLen: 3}
	r := ring(20, 3)
	if err := w.Check(r); err != nil || r.Principals() != 20 {
		t.Fatalf("the ideal ring: %v, %d principals", err, r.Principals())
	}
	for i := range r { // each skips the node after it
		r[i].Succs = append(r[i].Succs[1:3:3], r[(i+4)%len(r)].ID)
	}
	if err := w.Check(r); err == nil || r.Principals() != 0 {
		t.Errorf("everybody is skipped: %v, %d principals", err, r.Principals())
	}
	w.Fault()
	if err := w.Check(r); err != nil {
		t.Errorf("after a fault: %v", err)
	}
}

func TestKeepers(t *testing.T) {
	r := ring(5, 3)
	for _, tt := range []struct {
		key  int
		want string
	}{{5, "abc"}, {10, "abc"}, {11, "bcd"}, {50, "eab"}, {51, "abc"}} {
		got := ""
		for _, n := range r.Keepers(id(tt.key), 3) {
			got += n.Name
		}
		if got != tt.want || r.Owner(id(tt.key)).Name != tt.want[:1] {
			t.Errorf("%d is kept by %s, want %s", tt.key, got, tt.want)
		}
	}
}

// Two settled members may be joined by one that is still joining; two that
// nobody's list joins are two rings.
func TestJoinersConnectToo(t *testing.T) {
	a, b, c := Node{Name: "a", ID: ID{1}, Settled: true}, Node{Name: "b", ID: ID{2}}, Node{Name: "c", ID: ID{3}, Settled: true}
	a.Succs, c.Succs, b.Succs = []ID{b.ID}, []ID{b.ID}, []ID{c.ID}
	if r := Sort([]Node{a, b, c}); !r.ConnectedSettled() {
		t.Error("a joiner does not connect")
	}
	if r := Sort([]Node{a, c}); r.ConnectedSettled() {
		t.Error("connected by a node that is not there")
	}
}
