package overlay

import (
	"fmt"
	"testing"
	"time"

	"ircbridge/host/sim"
)

// oneKeeper reports whether exactly one node keeps the room, and it is the owner
// of its key.
func (w *world) oneKeeper(room string) bool {
	keepers := 0
	for _, n := range w.nodes {
		if n.o.KeepsNow("room", room) {
			keepers++
			if !n.ring.Owns(Key("room", room)) {
				return false
			}
		}
	}
	return keepers == 1
}

// inRoom are the members that the keeper of a room knows.
func (w *world) inRoom(name string) int {
	k := w.keeperOf(name)
	if k == nil {
		return 0
	}
	k.o.mu.Lock()
	defer k.o.mu.Unlock()
	if ob := k.o.objects[ref{"room", name}]; ob != nil {
		return len(ob.obj.(*room).in)
	}
	return 0
}

// The same rooms are used in two rings that know nothing of each other. When the
// rings become one each room has one keeper, all members of both, and what one
// says all others hear.
func TestRoomsOfTwoRingsUnite(t *testing.T) {
	for seed := range seeds(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, seed)
			w.run(func() {
				sizes := []int{3 + int(seed), 4}
				var first [2]*node
				for ring, size := range sizes {
					for i := range size {
						n := w.assemble(w.Add(fmt.Sprintf("r%dn%d", ring, i)), first[ring])
						if i == 0 {
							first[ring] = n
						}
						w.nodes = append(w.nodes, n)
					}
				}
				total := len(w.nodes)
				w.grow(total)
				rooms := []string{"tea", "coffee", "water", "milk", "juice"}
				for _, n := range w.nodes {
					for _, r := range rooms {
						n.do(w, r, "join")
					}
				}
				first[0].ring.Introduce(first[1].host.Self())
				for _, r := range rooms {
					w.must("one keeper with all members of "+r, func() bool { return w.oneKeeper(r) && w.inRoom(r) == total })
				}
				w.saidByOneHeardByAll(rooms)
			})
		})
	}
}

// A ring is cut in two for a minute. Both parts go on to use their rooms, and let
// each other's members go. After the heal the rooms have all members again.
func TestRoomsUniteAfterACut(t *testing.T) {
	for seed := range seeds(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, seed)
			w.run(func() {
				w.grow(9)
				rooms := []string{"tea", "coffee", "water"}
				for _, n := range w.nodes {
					for _, r := range rooms {
						n.do(w, r, "join")
					}
				}
				w.Sleep(30 * time.Second) // they come to remember each other
				var part []*sim.Host
				for i, n := range w.nodes {
					if i%2 == int(seed%2) {
						part = append(part, n.host)
					}
				}
				w.Partition(part)
				w.Sleep(time.Minute)
				w.nodes[0].do(w, "tea", "say in the one part")
				w.nodes[1].do(w, "tea", "say in the other part")
				if got := w.inRoom("tea"); got == len(w.nodes) {
					t.Errorf("%d members in a part of the ring", got)
				}
				w.Heal()
				for _, r := range rooms {
					w.must("one keeper with all members of "+r, func() bool { return w.oneKeeper(r) && w.inRoom(r) == len(w.nodes) })
				}
				w.saidByOneHeardByAll(rooms)
			})
		})
	}
}

// saidByOneHeardByAll has each node say something in each room, which all hear
// once.
func (w *world) saidByOneHeardByAll(rooms []string) {
	w.t.Helper()
	for i, n := range w.nodes {
		for _, r := range rooms {
			n.do(w, r, fmt.Sprint("say ", i, " is here"))
		}
	}
	for _, r := range rooms {
		for i := range w.nodes {
			line := fmt.Sprint(i, " is here")
			w.must("heard by all: "+line, func() bool {
				for _, n := range w.nodes {
					count := 0
					for _, l := range n.views.said[r] {
						if l == line {
							count++
						}
					}
					if count > 1 {
						w.t.Fatalf("seed %d: %q was heard %d times in %s", w.Seed(), line, count, r)
					}
					if count == 0 {
						return false
					}
				}
				return true
			})
		}
	}
}
