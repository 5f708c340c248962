package overlay

import (
	"testing"
	"time"
)

// A keeper stands still, others take its place, and it wakes with requests of its own user before it: it
// orders none of them in the reign that is over.
func TestAKeeperThatWakesAsksFirst(t *testing.T) {
	for seed := range seeds(10) {
		w := newWorld(t, seed)
		w.run(func() {
			w.grow(5)
			keeper := w.nodes[3]
			name := w.roomKeptBy(func(n *node) bool { return n == keeper })
			other := w.bystanders(keeper)[0]
			keeper.do(w, name, "join")
			other.do(w, name, "join")
			w.must("both have a view", func() bool { return keeper.sees(name) == 2 && other.sees(name) == 2 })
			w.Sleep(time.Second)
			ob := keeper.o.objects[ref{"room", name}]
			epoch, version := ob.epoch, ob.version
			w.Pause(keeper.host)
			w.must("another one keeps it", func() bool {
				for _, n := range w.nodes {
					if ob := n.o.objects[ref{"room", name}]; n != keeper && ob != nil && !ob.moving {
						return true
					}
				}
				return false
			})
			said := false
			w.Resume(keeper.host)
			w.Go("speaker", func() {
				keeper.do(w, name, "mark awake")
				said = true
			})
			for !said {
				if ob := keeper.o.objects[ref{"room", name}]; ob != nil && ob.epoch == epoch && ob.version > version {
					t.Fatalf("seed %d: it made a step in its old epoch", seed)
				}
				w.Sleep(100 * time.Microsecond)
			}
			w.must("it is marked, by one keeper", func() bool {
				return w.oneKeeper(name) && len(w.keeperOf(name).o.objects[ref{"room", name}].obj.(*room).marks) == 1
			})
		})
	}
}

// A keeper that stood still, and whose place nobody took, goes on as soon as its
// replicas have said so.
func TestAKeeperThatWakesInTimeGoesOn(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func() {
		w.grow(5)
		keeper := w.nodes[3]
		name := w.roomKeptBy(func(n *node) bool { return n == keeper })
		keeper.do(w, name, "join")
		w.Sleep(time.Second)
		epoch := keeper.o.objects[ref{"room", name}].epoch
		keeper.o.mu.Lock()
		keeper.o.doubts = map[ref]Epoch{{"room", name}: epoch} // as after a doze
		keeper.o.mu.Unlock()
		keeper.host.Go("doubt", keeper.o.doubt)
		began := w.Elapsed()
		keeper.do(w, name, "mark on")
		if d := w.Elapsed() - began; d > 300*time.Millisecond || keeper.o.objects[ref{"room", name}].epoch != epoch {
			t.Errorf("it took %v, and its epoch is %v", d, keeper.o.objects[ref{"room", name}].epoch)
		}
	})
}
