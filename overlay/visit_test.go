package overlay

import (
	"fmt"
	"slices"
	"testing"
)

// TestVisit: a node shows what it keeps of one kind, in the order of names.
func TestVisit(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func() {
		w.grow(3)
		for i := range 30 {
			w.nodes[0].do(w, fmt.Sprint("room", i), "join")
		}
		all := 0
		for _, n := range w.nodes {
			var names []string
			n.o.Visit("room", func(name string, obj Object) {
				names = append(names, name)
				if got, want := obj.Summary(), "room "+name+", 1 in"; got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			})
			if !slices.Equal(names, n.o.Kept("room")) {
				t.Errorf("visited were %v, kept are %v", names, n.o.Kept("room"))
			}
			all += len(names)
			n.o.Visit("other", func(name string, _ Object) { t.Errorf("%s is of another kind", name) })
		}
		if all != 30 {
			t.Errorf("all nodes together keep %d of 30", all)
		}
	})
}
