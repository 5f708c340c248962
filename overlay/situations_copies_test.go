package overlay

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/host/sim"
)

// What comparing copies costs, when copies are dropped, and in which stream large
// things travel.

// comparing measures what the nodes of a ring of five spend on comparing copies, in bytes for
// each node and comparison, while nothing changes.
func comparing(t *testing.T, objects int) float64 {
	w := newWorld(t, 1)
	w.cfg.Compare = 10 * time.Second
	measure, sum, rounds := false, 0, 0
	w.tap = func(_ *sim.Host, s stage, m host.Method, size int) {
		if measure && m.Number == methodReplicate.Number && (s == atCall || s == atAnswer) {
			sum += size
			rounds++
		}
	}
	w.run(func() {
		w.grow(5)
		n := w.nodes[0]
		left := 8
		for task := range left {
			w.Go("joiner", func() {
				for i := task; i < objects; i += 8 {
					n.do(w, fmt.Sprint("room", i), "join")
					n.o.Release("room", fmt.Sprint("room", i)) // no renewals: what is left are the copies
				}
				left--
			})
		}
		w.must("all are there", func() bool { return left == 0 })
		w.Sleep(12 * time.Second)
		if !w.copied() {
			t.Error("not all is copied")
		}
		measure = true
		w.Sleep(20 * time.Second)
	})
	if rounds == 0 {
		return 0
	}
	return float64(sum) / float64(rounds/2)
}

// A comparison of what is equal costs the same for ten objects and for ten thousand.
func TestComparingCostsNothingForWhatIsEqual(t *testing.T) {
	many := 10_000
	if testing.Short() {
		many = 1000
	}
	few, lots := comparing(t, 10), comparing(t, many)
	t.Logf("a comparison with one replica: %.0f bytes with 10 objects, %.0f with %d", few, lots, many)
	if few == 0 || lots == 0 || lots > few+16 {
		t.Errorf("%.0f bytes with 10 objects, %.0f with %d", few, lots, many)
	}
}

// What differs costs what it is, and no more: one object of many is sent again, with the versions of
// those whose keys begin like its own.
func TestRepairingCostsWhatDiffers(t *testing.T) {
	w := newWorld(t, 1)
	w.cfg.Compare = 10 * time.Second
	copies, most := 0, 0
	w.tap = func(_ *sim.Host, s stage, m host.Method, size int) {
		if s == atCall && m.Number == methodCopy.Number {
			copies++
		}
		if s == atAnswer && m.Number == methodReplicate.Number {
			most = max(most, size)
		}
	}
	w.run(func() {
		w.grow(3)
		for i := range 640 {
			w.nodes[i%3].do(w, fmt.Sprint("room", i), "join")
			w.nodes[i%3].o.Release("room", fmt.Sprint("room", i))
		}
		w.must("copied", w.copied)
		w.Sleep(10 * time.Second)
		copies, most = 0, 0
		delete(w.nodes[0].o.copies, sortedRefs(w.nodes[0].o.copies)[5])
		w.must("repaired", w.copied)
		if copies != 1 {
			t.Errorf("%d objects were sent, 1 was lacking", copies)
		}
		if most > 4096 { // 640 / 64 versions of some 100 bytes, and the numbers of the parts
			t.Errorf("an answer had %d bytes", most)
		}
	})
}

// A copy that is outside the replica set stays as long as the set does not have it, and
// goes when it has.
func TestACopyIsDroppedWhenTheReplicasHaveIt(t *testing.T) {
	for seed := range seeds(5) {
		w := newWorld(t, seed)
		w.cfg.Compare = 5 * time.Second
		w.run(func() {
			w.grow(6)
			keeper := w.nodes[5]
			room := w.roomKeptBy(func(n *node) bool { return n == keeper })
			n := w.bystanders(keeper)[0]
			n.do(w, room, "join")
			n.o.Release("room", room)
			w.must("copied", w.copied)
			// A node that has a copy and should not; and the keeper that should have the
			// object loses it, with its replicas' copies.
			extra, r := w.bystanders(keeper)[1], ref{"room", room}
			from := w.replicasOf(keeper)[0].o.copies[r]
			extra.o.copies[r] = &held{ob: from.ob, keeper: keeper.host.Self().ID, heard: extra.host.Now()}
			cut := w.replicasOf(keeper)
			for _, c := range cut {
				delete(c.o.copies, r)
				w.Cut(keeper.host, c.host)
			}
			delete(keeper.o.objects, r)
			for range 12 {
				w.Sleep(2 * time.Second)
				if copies := w.copiesOf(r); extra.o.copies[r] == nil && copies < 2 {
					t.Fatalf("seed %d: the copy is dropped, and %d are left", seed, copies)
				}
			}
			w.Heal()
			w.must("the object is back, with its copies and no other", func() bool { return w.oneKeeper(room) && w.copied() })
			if got := w.inRoom(room); got != 1 {
				t.Errorf("seed %d: %d in", seed, got)
			}
		})
	}
}

// copiesOf counts the nodes that have an object, as keeper or as replica.
func (w *world) copiesOf(r ref) (n int) {
	for _, node := range w.living() {
		if node.o.objects[r] != nil || node.o.copies[r] != nil {
			n++
		}
	}
	return n
}

// Objects with all the log that they may have move to a joiner while people talk: nothing large
// goes in the stream of the chat, and nobody waits for it.
func TestLargeLogsMoveBesideTheChat(t *testing.T) {
	w := newWorld(t, 1)
	w.cfg.Compare = 5 * time.Second
	most, bulk := 0, 0
	w.tap = func(_ *sim.Host, s stage, m host.Method, size int) {
		switch {
		case m.Number < methodRequest.Number:
		case m.Bulk:
			bulk += size
		default:
			most = max(most, size)
		}
	}
	w.run(func() {
		w.grow(4)
		const rooms = 12
		n, talk := w.nodes[0], w.nodes[1]
		line := string(bytes.Repeat([]byte("x"), 4000))
		for i := range rooms {
			name := fmt.Sprint("room", i)
			n.do(w, name, "join")
			for range 80 {
				n.do(w, name, "say "+line)
			}
		}
		name := w.roomKeptBy(func(n *node) bool { return n == w.nodes[2] })
		for _, m := range []*node{n, talk} {
			m.do(w, name, "join")
		}
		before := w.waits(n, talk, name, 50)
		most, bulk = 0, 0
		for range 4 {
			w.add()
		}
		after := w.waits(n, talk, name, 100)
		w.must("moved and copied", func() bool { return w.allHome() && w.copied() })
		t.Logf("%d KiB moved; the largest message in the stream of the chat had %d bytes; p99 %v, before %v", bulk>>10, most, percentile(after, 99), percentile(before, 99))
		if bulk < 1<<20 {
			t.Errorf("only %d bytes moved", bulk)
		}
		if most > 16<<10 {
			t.Errorf("a message of %d bytes in the stream of the chat", most)
		}
		if percentile(after, 99) > 50*time.Millisecond {
			t.Errorf("p99 %v", percentile(after, 99))
		}
	})
}
