package overlay

import (
	"fmt"
	"testing"
	"time"

	"ircbridge/host/sim"
)

// troubledDisks are disks on which nothing is written.
var troubledDisks = map[string]sim.Disk{
	"full":     {Full: true},
	"refusing": {Full: true, Refuses: true},
	"slow":     {Delay: time.Hour},
}

// Whatever the disk does, requests are answered in bounded time; when it is well
// again it gets all that changed meanwhile, and a kill loses nothing.
func TestATroubledDiskIsMadeGood(t *testing.T) {
	for name, disk := range troubledDisks {
		for _, nodes := range []int{1, 3} {
			t.Run(fmt.Sprint(name, " of ", nodes), func(t *testing.T) {
				w := newWorld(t, 1)
				w.run(func() {
					w.grow(nodes)
					w.nodes[0].do(w, "hall", "mark before")
					for _, n := range w.nodes {
						w.SetDisk(n.host, disk)
					}
					for i := range 5 {
						began := w.Elapsed()
						w.nodes[0].do(w, "hall", fmt.Sprintf("mark during %d", i))
						w.nodes[0].do(w, fmt.Sprint("room", i), "mark here")
						if d := w.Elapsed() - began; d > 3*w.nodes[0].o.cfg.GiveUp {
							t.Errorf("two requests took %v", d)
						}
					}
					for _, n := range w.nodes {
						w.SetDisk(n.host, sim.Disk{})
					}
					w.must("the disks have everything", w.allSaved)
					w.Sleep(time.Second) // committed
					for _, n := range w.nodes {
						w.Crash(n.host)
					}
					w.restart(w.nodes[0], nil)
					for _, n := range w.nodes[1:] {
						w.restart(n, w.nodes[0])
					}
					w.must("the hall is back", func() bool { return w.mark("hall") == "during 4" })
					w.must("the rooms are back", func() bool { return w.mark("room4") == "here" })
				})
			})
		}
	}
}

// A keeper that comes back with an empty disk, at once or later, gets what it
// kept from its replicas, and calls none of it absent meanwhile.
func TestALostDiskIsMadeGood(t *testing.T) {
	for seed := range seeds(30) {
		w := newWorld(t, seed)
		w.cfg.Compare = 5 * time.Second
		w.run(func() {
			w.grow(2 + int(seed)%4)
			name := w.roomKeptBy(func(n *node) bool { return n == w.nodes[1] })
			w.nodes[0].do(w, name, "mark a kept")
			w.Sleep(2 * time.Second)
			keeper := w.nodes[1]
			w.Crash(keeper.host)
			w.Sleep(time.Duration(seed) * time.Duration(seed) * time.Millisecond)
			*keeper = *w.assemble(w.Restart(keeper.host, sim.EmptyDisk()), w.nodes[0])
			w.nodes[0].do(w, name, "mark b new")
			if k := w.keeperOf(name); k == nil || len(k.o.objects[ref{"room", name}].obj.(*room).marks) != 2 {
				t.Errorf("seed %d: the room was founded anew", seed)
			}
			w.must("all is where it belongs", func() bool { return w.allHome() && w.copied() && w.allSaved() })
		})
	}
}
