package overlay

import (
	"fmt"
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/host/sim"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

// saved reads what a node's database has of an object; nil: nothing.
func saved(t testing.TB, n *node, r ref) *wire.Copy {
	value, err := n.host.Store().Get(recordKey(r))
	if err != nil {
		t.Fatal(err)
	}
	if value == nil {
		return nil
	}
	w := new(wire.Saved)
	if err := proto.Unmarshal(value, w); err != nil {
		t.Fatal(err)
	}
	return w.Copy
}

// allSaved: every living node's database has what it keeps and what it has
// copies of, as they are, and nothing else.
func (w *world) allSaved() bool {
	for _, n := range w.living() {
		records := 0
		_ = n.host.Store().Scan(objectPrefix, func(string, []byte) bool { records++; return true })
		same := func(ob *object) bool {
			c := saved(w.t, n, ob.ref)
			records--
			return c != nil && c.Version == ob.version && proto.Equal(c.Object.At.Epoch, epochToWire(ob.epoch)) &&
				string(c.Object.State) == string(ob.obj.Snapshot())
		}
		for _, ob := range n.o.objects {
			if !same(ob) {
				return false
			}
		}
		for _, c := range n.o.copies {
			if !same(c.ob) {
				return false
			}
		}
		if records != 0 {
			return false
		}
	}
	return true
}

// mark is the greatest mark of a room, whoever keeps it.
func (w *world) mark(name string) string {
	if n := w.keeperOf(name); n != nil {
		if marks := sorted(n.o.objects[ref{"room", name}].obj.(*room).marks); len(marks) > 0 {
			return marks[len(marks)-1]
		}
		return "no mark"
	}
	return "nobody keeps it"
}

// restart starts a node again that ended, with its disk; via nil creates a ring.
func (w *world) restart(n *node, via *node) { *n = *w.assemble(w.Restart(n.host), via) }

// What a node without others answered survives its death at that instant.
func TestOneNodeKilledKeepsWhatItAnswered(t *testing.T) {
	for seed := range seeds(20) {
		w := newWorld(t, seed)
		w.cfg.Compare = 5 * time.Second
		w.run(func() {
			w.grow(1)
			n := w.nodes[0]
			for round := range 5 {
				text := fmt.Sprintf("written %d", round)
				n.do(w, "hall", "mark "+text)
				w.Crash(n.host)
				w.restart(n, nil)
				w.must("the hall is back", func() bool { return w.mark("hall") == text })
			}
		})
	}
}

// Without others a request is answered when it is on the disk, and many that
// come at once share one write.
func TestALoneNodeAnswersWhenTheDiskHasIt(t *testing.T) {
	w := &world{World: sim.New(1, sim.Config{CommitDelay: 50 * time.Millisecond}), t: t}
	t.Cleanup(w.Close)
	w.run(func() {
		w.grow(1)
		began, left := w.Elapsed(), 64
		for i := range left {
			w.Go("asker", func() {
				w.nodes[0].do(w, fmt.Sprint("room", i), "mark here")
				if d := w.Elapsed() - began; d < 50*time.Millisecond {
					t.Errorf("room %d was answered after %v, before the disk had it", i, d)
				}
				left--
			})
		}
		w.must("all are answered", func() bool { return left == 0 })
		if d := w.Elapsed() - began; d > 250*time.Millisecond {
			t.Errorf("64 requests took %v: they waited for one another", d)
		}
	})
}

// A request waits for no disk where another node has it.
func TestARequestWaitsForNoDiskAmongOthers(t *testing.T) {
	w := &world{World: sim.New(1, sim.Config{CommitDelay: time.Minute}), t: t}
	t.Cleanup(w.Close)
	w.run(func() {
		w.grow(1)
		w.add()
		w.grow(3)
		for i := range 12 {
			began := w.Elapsed()
			w.nodes[i%3].do(w, fmt.Sprint("room", i), "mark here")
			if d := w.Elapsed() - began; d > 100*time.Millisecond {
				t.Errorf("room %d took %v", i, d)
			}
		}
	})
}

func TestTheDatabaseHasWhatIsKept(t *testing.T) {
	for seed := range seeds(6) {
		w := newWorld(t, seed)
		w.cfg.Compare = 5 * time.Second
		w.run(func() {
			w.grow(4)
			for i := range 16 {
				w.nodes[i%4].do(w, fmt.Sprint("room", i), "join")
				w.nodes[i%4].do(w, fmt.Sprint("room", i), "say something")
			}
			w.must("all databases are right", w.allSaved)
			w.grow(6)
			w.Crash(w.nodes[4].host)
			w.must("and again when nodes came and went", func() bool { return w.allHome() && w.copied() && w.allSaved() })
			for i := range 16 {
				w.nodes[i%4].do(w, fmt.Sprint("room", i), "leave")
			}
			w.must("nothing is kept", func() bool {
				for _, n := range w.living() {
					if len(n.o.objects)+len(n.o.copies) > 0 {
						return false
					}
				}
				return w.allSaved()
			})
		})
	}
}

// All nodes are killed at one instant and started again, each alone and with
// what it remembers: the rooms are back, and nobody is in them who is not.
func TestAllNodesKilledAtOnce(t *testing.T) {
	for seed := range seeds(8) {
		w := newWorld(t, seed)
		w.cfg.Compare = 5 * time.Second
		w.run(func() {
			w.grow(5)
			for i := range 12 {
				w.nodes[i%5].do(w, fmt.Sprint("room", i), "join")
				w.nodes[i%5].do(w, fmt.Sprint("room", i), fmt.Sprint("mark of room ", i))
			}
			w.must("all databases are right", w.allSaved)
			w.Sleep(200 * time.Millisecond) // and committed
			for _, n := range w.nodes {
				w.Crash(n.host)
			}
			w.Sleep(time.Second)
			for _, n := range w.nodes {
				w.restart(n, nil)
				if seed%2 == 1 {
					w.Sleep(300 * time.Millisecond)
				}
			}
			began := w.Elapsed()
			for i := range 12 {
				room := fmt.Sprint("room", i)
				w.must(room+" is back", func() bool { return w.mark(room) == fmt.Sprint("of room ", i) })
			}
			if d := w.Elapsed() - began; d > 5*time.Second {
				t.Errorf("seed %d: all rooms were back after %v", seed, d)
			}
			w.must("those who were in it before are not", func() bool {
				for i := range 12 {
					k := w.keeperOf(fmt.Sprint("room", i))
					if k == nil || len(k.o.objects[ref{"room", fmt.Sprint("room", i)}].obj.(*room).in) > 0 {
						return false
					}
				}
				return true
			})
			w.must("all is where it belongs", func() bool { return w.allHome() && w.copied() && w.allSaved() })
		})
	}
}

// A keeper is killed and back so soon that its replicas did not notice; what
// it answered last is not in its database, but with them.
func TestAKeeperBackAtOnceAsksItsReplicas(t *testing.T) {
	for seed := range seeds(30) {
		w := newWorld(t, seed)
		w.cfg.Compare = 5 * time.Second
		w.cfg.Save = time.Hour
		w.run(func() {
			w.grow(4)
			room := w.roomKeptBy(func(n *node) bool { return n == w.nodes[1] })
			w.nodes[0].do(w, room, "mark a early")
			keeper := w.nodes[1]
			keeper.o.save()
			w.Sleep(200 * time.Millisecond)
			w.nodes[0].do(w, room, "mark b late")
			w.Crash(keeper.host)
			w.Sleep(time.Duration(seed) * time.Millisecond / 4)
			w.restart(keeper, w.nodes[0])
			w.must("all is where it belongs", func() bool { return len(keeper.o.cold) == 0 && w.allHome() && w.copied() })
			if got := w.mark(room); got != "b late" {
				t.Errorf("seed %d: %q", seed, got)
			}
		})
	}
}

// A node that comes back from long ago brings what it has to those who keep
// it now, and takes nothing from anybody.
func TestAnOldDiskComesBack(t *testing.T) {
	for seed := range seeds(4) {
		w := newWorld(t, seed)
		w.cfg.Compare = 5 * time.Second
		w.run(func() {
			w.grow(4)
			for i := range 8 {
				w.nodes[i%4].do(w, fmt.Sprint("room", i), "mark a")
			}
			w.nodes[3].do(w, "old", "join")
			w.must("all databases are right", w.allSaved)
			w.Sleep(200 * time.Millisecond)
			w.Crash(w.nodes[2].host)
			w.nodes[3].do(w, "old", "leave")
			w.nodes[3].views.in["old"] = false
			w.nodes[3].o.Release("room", "old")
			for i := range 8 {
				w.nodes[3].do(w, fmt.Sprint("room", i), "mark b")
			}
			w.Sleep(5 * time.Minute)
			w.restart(w.nodes[2], w.nodes[0])
			w.must("nothing is cold", func() bool {
				return len(w.nodes[2].o.cold) == 0 && w.nodes[2].o.open && w.allHome() && w.copied() && w.allSaved()
			})
			for i := range 8 {
				if got := w.mark(fmt.Sprint("room", i)); got != "b" {
					t.Errorf("seed %d: room%d: %q", seed, i, got)
				}
			}
			w.must("who left has left", func() bool { return w.keeperOf("old") == nil })
		})
	}
}

// A record that cannot be read is dropped, and the others are read.
func TestABadRecordIsDropped(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func() {
		w.grow(1)
		n := w.nodes[0]
		n.do(w, "hall", "mark good")
		bad := []host.Change{
			{Key: recordKey(ref{"room", "garbage"}), Value: []byte("\xff\xff\xff")},
			{Key: recordKey(ref{"unknown", "kind"}), Value: must(proto.Marshal(&wire.Saved{Copy: new(wire.Copy)}))},
			{Key: recordKey(ref{"room", "other"}), Value: must(n.host.Store().Get(recordKey(ref{"room", "hall"})))},
		}
		if err := n.host.Store().Write(bad...); err != nil {
			t.Fatal(err)
		}
		w.Stop(n.host)
		w.restart(n, nil)
		w.must("the hall is back", func() bool { return w.mark("hall") == "good" })
		w.must("the rest is gone", w.allSaved)
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Talk alone makes few writes: ten minutes of it, a line a second, write the room some
// sixty times, and what was said is on the disk all the same.
func TestTalkSparesTheDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("a simulation of minutes")
	}
	w := newWorld(t, 1)
	w.run(func() {
		w.grow(3)
		w.nodes[0].do(w, "hall", "join")
		w.must("it is written", w.allSaved)
		writes, last := 0, uint64(0)
		for range 600 {
			w.nodes[0].do(w, "hall", "say something")
			w.Sleep(time.Second)
			if c := saved(t, w.keeperOf("hall"), ref{"room", "hall"}); c.Version != last {
				writes, last = writes+1, c.Version
			}
		}
		if writes < 50 || writes > 70 {
			t.Errorf("%d writes in ten minutes of a line a second", writes)
		}
		w.must("all of it is written", w.allSaved)
		w.nodes[0].do(w, "hall", "say one more")
		w.nodes[0].do(w, "hall", "mark x")
		began := w.Elapsed()
		w.must("a change is", w.allSaved)
		if d := w.Elapsed() - began; d > 2500*time.Millisecond {
			t.Errorf("a change was written after %v", d)
		}
	})
}
