package overlay

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

// copied: every object has a copy at each of its keeper's replicas, with the
// keeper's epoch, version and state, and there are no other copies.
func (w *world) copied() bool {
	copies, kept := 0, 0
	for _, n := range w.living() {
		copies += len(n.o.copies)
		kept += len(n.o.objects)
	}
	if copies != kept*min(w.living()[0].o.cfg.Copies-1, len(w.living())-1) {
		return false
	}
	for _, n := range w.living() {
		want := min(n.o.cfg.Copies-1, len(w.living())-1)
		for r, ob := range n.o.objects {
			if len(ob.replicas) != want || ob.safe != ob.version || ob.moving {
				return false
			}
			for id := range ob.replicas {
				c := w.by(chord.NodeID(id)).o.copies[r]
				if c == nil || c.ob.epoch != ob.epoch || c.ob.version != ob.version || string(c.ob.obj.Snapshot()) != string(ob.obj.Snapshot()) {
					return false
				}
				copies--
			}
		}
	}
	return copies == 0
}

// replicasOf are the nodes that hold copies of what a node keeps, the next
// keeper first.
func (w *world) replicasOf(keeper *node) []*node {
	var nodes []*node
	for _, c := range keeper.o.replicas {
		nodes = append(nodes, w.by(c.ID))
	}
	return nodes
}

func TestEveryObjectHasItsCopies(t *testing.T) {
	for seed := range seeds(6) {
		w := newWorld(t, seed)
		w.cfg.Compare = 10 * time.Second
		w.run(func() {
			w.grow(2)
			for i := range 24 {
				w.nodes[i%2].do(w, fmt.Sprint("room", i), "join")
				w.nodes[i%2].do(w, fmt.Sprint("room", i), "say something")
			}
			w.must("two nodes have all", w.copied)
			w.grow(7)
			w.must("copies move with the ring", func() bool { return w.allHome() && w.copied() })
			for i := range 24 {
				w.nodes[2+i%5].do(w, fmt.Sprint("room", i), "join")
			}
			w.Crash(w.nodes[6].host)
			w.must("copies are replaced", func() bool { return w.allHome() && w.copied() })
			n := w.nodes[5]
			n.o.Leave(5 * time.Second)
			n.ring.Leave(time.Second)
			w.Stop(n.host)
			w.must("so they are when a node leaves", func() bool { return w.allHome() && w.copied() })
			for i := range 24 {
				if got := w.keeperOf(fmt.Sprint("room", i)).o.objects[ref{"room", fmt.Sprint("room", i)}]; len(got.log) == 0 {
					t.Errorf("seed %d: no log", seed)
				}
			}
		})
	}
}

// What was acknowledged outlives the keeper, though nobody follows the object:
// also when its first replica dies at the same instant.
func TestAcknowledgedOutlivesKeeperAndReplica(t *testing.T) {
	for seed := range seeds(20) {
		for _, both := range []bool{false, true} {
			w := newWorld(t, seed)
			w.run(func() {
				w.grow(8)
				room := w.roomKeptBy(func(n *node) bool { return n == w.nodes[5] })
				first := w.nodes[0]
				if first == w.by(w.nodes[5].o.replicas[0].ID) {
					first = w.nodes[1]
				}
				first.do(w, room, "join")
				first.o.Release("room", room) // it brings nothing back
				next := w.replicasOf(w.nodes[5])[0]
				w.Crash(w.nodes[5].host)
				if both {
					w.Crash(next.host)
				}
				began := w.Elapsed()
				got, found, _, err := first.o.Query("room", room, []byte("after"), 5*time.Second)
				if err != nil || !found || string(got) != "after: 1 in" {
					t.Errorf("seed %d, both %v: %q %v %v", seed, both, got, found, err)
				}
				if d := w.Elapsed() - began; d > 2500*time.Millisecond {
					t.Errorf("seed %d, both %v: took %v", seed, both, d)
				}
			})
		}
	}
}

// The replica that takes over lacks the last change, which the other one has:
// it asks before it serves, also where its range grows once more while it asks.
func TestATakeoverAsksTheOtherReplica(t *testing.T) {
	for seed := range seeds(200) {
		w := newWorld(t, seed)
		w.run(func() {
			w.grow(8)
			room := w.roomKeptBy(func(n *node) bool { return n == w.nodes[5] })
			replicas := w.replicasOf(w.nodes[5])
			asker := w.nodes[slices.IndexFunc(w.nodes, func(n *node) bool {
				return n != w.nodes[5] && n != replicas[0] && n != replicas[1]
			})]
			asker.do(w, room, "join")
			w.must("both have it", w.copied)
			w.Cut(w.nodes[5].host, replicas[0].host)
			asker.do(w, room, "say late")
			asker.do(w, room, "leave")
			asker.o.Release("room", room)
			w.Crash(w.nodes[5].host)
			w.Heal()
			got, found, keeper, err := w.nodes[1].o.Query("room", room, []byte("after"), 5*time.Second)
			if err != nil || !found || string(got) != "after: 0 in" {
				t.Errorf("seed %d: %q %v %v, keeper %v", seed, got, found, err, keeper)
			}
		})
	}
}

// A request is not acknowledged before a replica has it: the keeper that cannot
// reach any, although they live, tells nobody that it was done.
func TestNoAcknowledgementWithoutAReplica(t *testing.T) {
	w := newWorld(t, 3)
	w.run(func() {
		w.grow(6)
		room := w.roomKeptBy(func(n *node) bool { return n == w.nodes[5] })
		k := w.nodes[5]
		k.do(w, room, "join")
		for _, n := range w.replicasOf(w.nodes[5]) {
			w.Cut(k.host, n.host)
		}
		s := Stream{k.host.Self().ID, k.host.Run(), 9}
		if _, err := k.o.Request("room", room, s, 1, [][]byte{[]byte("say alone")}, 200*time.Millisecond); err == nil {
			t.Error("acknowledged alone")
		}
		w.Heal()
		if _, err := k.o.Request("room", room, s, 1, [][]byte{[]byte("say alone")}, 5*time.Second); err != nil {
			t.Error("repeated after the cut: ", err)
		}
	})
}

// A joiner takes a key over and dies before it has replicas: the old keeper
// still has the object.
func TestAJoinerThatDiesAtOnceLosesNothing(t *testing.T) {
	for seed := range seeds(30) {
		w := newWorld(t, seed)
		w.run(func() {
			w.grow(4)
			for i := range 16 {
				w.nodes[0].do(w, fmt.Sprint("room", i), "join")
				w.nodes[0].o.Release("room", fmt.Sprint("room", i))
			}
			joiner := w.add()
			w.Sleep(time.Duration(w.nodes[0].host.Rand() % uint64(60*time.Millisecond)))
			w.Crash(joiner.host)
			for i := range 16 {
				got, found, _, err := w.nodes[1].o.Query("room", fmt.Sprint("room", i), []byte("after"), 5*time.Second)
				if err != nil || !found || string(got) != "after: 1 in" {
					t.Errorf("seed %d, room%d: %q %v %v", seed, i, got, found, err)
				}
			}
		})
	}
}

// What a replica lost or has too much is found by comparison, within three of
// them, and what is equal costs one small message for each replica.
func TestComparisonRepairsCopies(t *testing.T) {
	w := newWorld(t, 4)
	w.cfg.Compare = 10 * time.Second
	w.run(func() {
		w.grow(5)
		for i := range 40 {
			w.nodes[i%5].do(w, fmt.Sprint("room", i), "join")
		}
		w.must("copied", w.copied)
		for _, n := range w.nodes {
			for i, r := range sortedRefs(n.o.copies) {
				c := n.o.copies[r]
				switch i % 4 {
				case 0:
					delete(n.o.copies, r)
				case 1:
					extra := newObject(ref{"room", "extra" + r.name}, newRoom("extra"), c.ob.epoch)
					n.o.copies[extra.ref] = &held{ob: extra, keeper: c.keeper, heard: c.heard}
				case 2:
					c.ob.version--
				}
			}
		}
		if w.copied() {
			t.Fatal("nothing is damaged")
		}
		began := w.Elapsed()
		w.must("repaired", w.copied)
		if d := w.Elapsed() - began; d > 35*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func TestADroppedObjectIsDroppedEverywhere(t *testing.T) {
	w := newWorld(t, 5)
	w.run(func() {
		w.grow(4)
		for i := range 12 {
			w.nodes[0].do(w, fmt.Sprint("room", i), "join")
		}
		w.must("copied", w.copied)
		for i := range 12 {
			w.nodes[0].do(w, fmt.Sprint("room", i), "leave")
			w.nodes[0].o.Release("room", fmt.Sprint("room", i))
		}
		w.must("none is left", func() bool {
			left := 0
			for _, n := range w.nodes {
				left += len(n.o.objects) + len(n.o.copies)
			}
			return left == 0
		})
	})
}

// One copy is what a ring was configured for: then the members bring back
// what a killed keeper had.
func TestOneCopyWaitsForNobody(t *testing.T) {
	w := newWorld(t, 6)
	w.cfg.Copies = 1
	w.run(func() {
		w.grow(3)
		w.nodes[0].do(w, "tea", "join")
		for _, n := range w.nodes {
			if len(n.o.copies) != 0 {
				t.Error("a copy")
			}
		}
	})
}

// Half of eight nodes die at once, four times: what is left of each object, in
// copies or at its members, makes it whole.
func TestHalfOfAllNodesDieAtOnce(t *testing.T) {
	for seed := range seeds(8) {
		w := newWorld(t, seed)
		w.cfg.Compare = 10 * time.Second
		w.run(func() {
			w.grow(16)
			for i := range 32 {
				for _, n := range w.nodes[:8] {
					n.do(w, fmt.Sprint("room", i), "join")
				}
			}
			for _, n := range w.nodes[8:] {
				w.Crash(n.host)
			}
			for i := range 32 {
				room := fmt.Sprint("room", i)
				w.nodes[i%8].do(w, room, "say still here")
				for _, n := range w.nodes[:8] {
					w.must("heard", func() bool { return n.views.heard(room, "still here") })
				}
			}
			w.must("whole", func() bool { return w.allHome() && w.copied() })
			for i := range 32 {
				r := ref{"room", fmt.Sprint("room", i)}
				if got := w.keeperOf(r.name).o.objects[r].obj.Summary(); got != "room "+r.name+", 8 in" {
					t.Errorf("seed %d: %s", seed, got)
				}
			}
		})
	}
}

// Nothing that a node says about copies breaks another one.
func FuzzCopies(f *testing.F) {
	step := &wire.Step{AtMs: 5, What: &wire.Step_Requests{Requests: &wire.Requests{
		Stream: streamToWire(Stream{peer(1), 1, 1}), First: 1, Items: [][]byte{[]byte("join")},
	}}}
	epoch := epochToWire(Epoch{Counter: 1, Run: 7})
	r := &wire.Ref{Kind: "room", Name: "tea"}
	for _, msg := range []proto.Message{
		&wire.Replicate{Items: []*wire.Steps{{Ref: r, Epoch: epoch, Steps: []*wire.Step{step}}}, Dropped: []*wire.Ref{r}, Digest: &wire.Digest{Sum: 1}},
		&wire.Copy{Object: &wire.HandOver{Ref: r, At: &wire.Stamp{Epoch: epoch, Number: 3}}, Version: 2},
		&wire.Fetch{From: make([]byte, 20), To: make([]byte, 20), Items: []*wire.Holding{{Ref: r, Epoch: epoch, Version: 1}}},
	} {
		b, err := proto.Marshal(msg)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	w := newWorld(f, 1)
	var n *node
	w.run(func() {
		w.grow(1)
		n = w.nodes[0]
	})
	from := host.Peer{ID: peer(2)}
	f.Fuzz(func(t *testing.T, b []byte) {
		rep, cp, fetch := new(wire.Replicate), new(wire.Copy), new(wire.Fetch)
		if proto.Unmarshal(b, rep) == nil {
			n.o.onReplicate(from, rep)
		}
		if proto.Unmarshal(b, cp) == nil {
			n.o.onCopy(from, cp)
		}
		if proto.Unmarshal(b, fetch) == nil {
			n.o.onFetch(from, fetch)
		}
	})
}
