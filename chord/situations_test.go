package chord

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/host/sim"
)

// keyAt searches an Ed25519 key whose node ID begins with the given nibble.
func keyAt(nibble byte) ed25519.PrivateKey {
	for i := uint64(0); ; i++ {
		seed := sha256.Sum256(binary.BigEndian.AppendUint64(nil, i))
		key := ed25519.NewKeyFromSeed(seed[:])
		if NodeID(host.PeerIDFromKey(key.Public().(ed25519.PublicKey)))[0]>>4 == nibble {
			return key
		}
	}
}

// keyWith is a key of the ring that begins with the given nibble.
func keyWith(nibble byte) (key ID) {
	key[0] = nibble << 4
	key[10] = 0x55
	return key
}

// TestLecture is the textbook's example: of a ring of nodes 3, 6 and 9 with
// 4-bit IDs, node 3 keeps keys 2 and 10, node 9 keeps key 7.
func TestLecture(t *testing.T) {
	n := newNet(t, 1, sim.Config{}, Config{})
	nodes := map[byte]*testNode{}
	for _, nibble := range []byte{3, 6, 9} {
		x := n.add(sim.Key(keyAt(nibble)))
		nodes[nibble] = x
		if nibble == 3 {
			x.r.Create()
		} else {
			n.join(x, nodes[3])
		}
	}
	n.awaitIdeal(3, 10*time.Second)
	n.do(func() {
		for key, want := range map[byte]byte{2: 3, 7: 9, 10: 3} {
			for _, from := range n.nodes {
				f, err := from.r.Lookup(keyWith(key), time.Second)
				if err != nil || f.Owner.ID != nodes[want].r.id {
					t.Errorf("key %d from %s: owner %s, %v; want node %d", key, from.name, f.Owner, err, want)
				}
				if owns := from.r.Owns(keyWith(key)); owns != (from == nodes[want]) {
					t.Errorf("node %s owns key %d: %v", from.name, key, owns)
				}
			}
		}
	})
}

// TestJoinersInOneGap: 2 to 64 nodes join at once between the same two.
func TestJoinersInOneGap(t *testing.T) {
	for _, joiners := range []int{2, 3, 8, 32, 64} {
		for _, base := range []int{1, 2, 20} {
			t.Run(fmt.Sprintf("%d into %d", joiners, base), func(t *testing.T) {
				n := newNet(t, uint64(joiners), sim.Config{}, Config{})
				ms := n.ring(base)
				c := n.watch()
				// The gap before ms[0]; all keys that begin like a place in it.
				var in []*testNode
				for i := uint64(0); len(in) < joiners; i++ {
					seed := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("gap"), i))
					key := ed25519.NewKeyFromSeed(seed[:])
					id := NodeID(host.PeerIDFromKey(key.Public().(ed25519.PublicKey)))
					if Between(ms[len(ms)-1].r.id, id, ms[0].r.id) {
						in = append(in, n.add(sim.Key(key)))
					}
				}
				start := n.w.Elapsed()
				for _, x := range in {
					n.join(x, ms[0])
				}
				n.awaitIdeal(base+joiners, 30*time.Second)
				t.Logf("ideal after %v", n.w.Elapsed()-start)
				n.checkLookups(100)
				if c.overlaps > 0 {
					t.Errorf("%d times two nodes owned one key", c.overlaps)
				}
			})
		}
	}
}

// TestKillBetweenJoiners: a node dies while others join right before and
// behind it.
func TestKillBetweenJoiners(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		n := newNet(t, seed, sim.Config{}, Config{})
		ms := n.ring(6)
		n.watch()
		victim := ms[2]
		before := n.addBetween(ms[1].r.id, victim.r.id)
		behind := n.addBetween(victim.r.id, ms[3].r.id)
		n.join(before, ms[0])
		n.join(behind, ms[4])
		n.w.RunFor(time.Duration(seed) * 700 * time.Microsecond)
		n.w.Crash(victim.h)
		n.awaitIdeal(7, 10*time.Second)
		n.checkLookups(40)
		n.w.Close()
	}
}

// addBetween adds a node whose ID lies between a and b.
func (n *testNet) addBetween(a, b ID) *testNode {
	for i := uint64(len(n.nodes)) << 32; ; i++ {
		seed := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("between"), i))
		key := ed25519.NewKeyFromSeed(seed[:])
		if Between(a, NodeID(host.PeerIDFromKey(key.Public().(ed25519.PublicKey))), b) {
			return n.add(sim.Key(key))
		}
	}
}

// TestHalfDies: with r = 16 half of the ring may die at once.
func TestHalfDies(t *testing.T) {
	for _, size := range []int{8, 32, 100} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			n := newNet(t, uint64(size), sim.Config{}, Config{SuccessorListLen: 16})
			ms := n.ring(size)
			for i, x := range ms {
				if i%2 == 0 {
					n.w.Crash(x.h)
				}
			}
			start := n.w.Elapsed()
			n.awaitIdeal(size/2, 20*time.Second)
			t.Logf("ideal %v after the crash", n.w.Elapsed()-start)
			n.checkLookups(200)
		})
	}
}

// TestJoinerAnswersNothing: before it is a member a node answers for no key,
// and afterwards for none that another one answers for.
func TestJoinerAnswersNothing(t *testing.T) {
	n := newNet(t, 1, sim.Config{}, Config{})
	ms := n.ring(3)
	x := n.add()
	n.watch() // two owners of one key fail the test
	n.do(func() {
		ask := func() (Found, error) { return x.r.Lookup(x.r.id, 100*time.Millisecond) }
		if _, err := ask(); !errors.Is(err, ErrNoAnswer) || !errors.Is(err, ErrNotMember) {
			t.Errorf("lookup by an outsider: %v", err)
		}
		if x.r.Owns(x.r.id) || x.r.Member() || x.r.Alone() {
			t.Error("an outsider owns its place")
		}
		q, err := encodeFind(find{key: x.r.id, remaining: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		reply, err := ms[0].h.Call(x.h.Self(), methodFind, q, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if f, err := decodeFound(reply); err != nil || f.outcome.String() != "OUTSIDE" {
			t.Errorf("an outsider answered %v, %v", f.outcome, err)
		}
		// A member that nobody accepted yet sends the asker on.
		x.r.mu.Lock()
		x.r.state, x.r.succs = member, []Contact{ms[0].r.Self()}
		x.r.mu.Unlock()
		for range 50 {
			if x.r.Owns(x.r.id) != (x.r.settled && x.r.pred != nil) {
				t.Error("owns its place before it was granted")
			}
			n.w.Sleep(time.Millisecond)
		}
	})
}

// TestTwoJoinEachOther: two nodes that are alone, or not even that, get each
// other's address.
func TestTwoJoinEachOther(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		n := newNet(t, seed, sim.Config{}, Config{})
		a, b := n.add(), n.add()
		a.r.Create()
		b.r.Create()
		n.join(a, b)
		n.join(b, a)
		n.awaitIdeal(2, 5*time.Second)
		n.checkLookups(20)
		n.w.Close()
	}
	// Three in a circle.
	for seed := uint64(1); seed <= 20; seed++ {
		n := newNet(t, seed, sim.Config{}, Config{})
		x := []*testNode{n.add(), n.add(), n.add()}
		for i := range x {
			x[i].r.Create()
			n.join(x[i], x[(i+1)%3])
		}
		n.awaitIdeal(3, 10*time.Second)
		n.w.Close()
	}
}

// TestNeighboursLeaveTogether: leaving is announced to a neighbour that is
// leaving as well.
func TestNeighboursLeaveTogether(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		n := newNet(t, seed, sim.Config{}, Config{})
		ms := n.ring(6)
		n.watch()
		for i, x := range ms[1:4] {
			n.w.RunFor(time.Duration(seed*uint64(i)) * 300 * time.Microsecond)
			h, r := x.h, x.r
			h.Go("leave", func() {
				r.Leave(time.Second)
				n.w.Go("stop", func() { n.w.Stop(h) })
			})
		}
		n.awaitIdeal(3, 5*time.Second)
		n.checkLookups(20)
		n.w.Close()
	}
}

// TestLeaveIsTold: the successor learns that its predecessor left, and takes
// over its keys without a gap of a period.
func TestLeaveIsTold(t *testing.T) {
	n := newNet(t, 1, sim.Config{}, Config{})
	ms := n.ring(5)
	n.w.RunFor(5 * time.Second)
	succ := ms[3]
	succ.changes = nil
	place := ms[2].r.id
	n.do(func() { ms[2].r.Leave(time.Second) })
	if !succ.r.Owns(place) {
		t.Errorf("%s does not own the leaver's place\n%s", succ.name, n.dump())
	}
	var told bool
	for _, c := range succ.changes {
		told = told || c.PredLeft && c.OldPred.ID == place && c.Pred != nil && c.Pred.ID == ms[1].r.id
	}
	if !told {
		t.Errorf("changes: %+v", succ.changes)
	}
	if err := ms[2].r.Join([]host.Peer{ms[0].h.Self()}, time.Second); !errors.Is(err, ErrLeft) {
		t.Errorf("join after leave: %v", err)
	}
}

// TestALeaverIsNotTakenForDead: a check of the leaver that finds it gone while
// its leave is still being handled does not make a death of it.
func TestALeaverIsNotTakenForDead(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		n := newNet(t, seed, sim.Config{}, Config{})
		ms := n.ring(5)
		n.w.RunFor(5 * time.Second)
		succ, leaver := ms[3], ms[2]
		succ.changes = nil
		n.w.Go("leave", func() { leaver.r.Leave(time.Second) })
		n.do(func() {
			for range 10 {
				n.w.Sleep(300 * time.Microsecond)
				succ.r.Suspect(leaver.h.Self().ID)
			}
		})
		n.w.RunFor(5 * time.Second)
		for _, c := range succ.changes {
			if c.OldPred != nil && c.OldPred.ID == leaver.r.id && (c.Pred == nil || c.Pred.ID != leaver.r.id) && !c.PredLeft {
				t.Errorf("seed %d: %+v", seed, c)
			}
		}
		n.w.Close()
	}
}

// TestDeadPredecessorIsReplaced: within two periods, also when the process
// hangs and no connection breaks; at once when it was killed.
func TestDeadPredecessorIsReplaced(t *testing.T) {
	for _, size := range []int{3, 6, 40} {
		for name, end := range map[string]func(*sim.World, *sim.Host){"killed": (*sim.World).Crash, "hung": (*sim.World).Pause} {
			t.Run(fmt.Sprintf("%s of %d", name, size), func(t *testing.T) {
				limit := 2 * time.Second
				if name == "killed" {
					limit = 100 * time.Millisecond
				}
				for seed := uint64(1); seed <= 10; seed++ {
					n := newNet(t, seed, sim.Config{}, Config{})
					ms := n.ring(size)
					n.w.RunFor(time.Duration(seed) * 1300 * time.Millisecond)
					end(n.w, ms[1].h)
					start := n.w.Elapsed()
					ok := n.w.Await(limit, func() bool {
						p, ok := ms[2].r.Predecessor()
						return ok && p.ID == ms[0].r.id && ms[0].r.succs[0].ID == ms[2].r.id
					})
					if !ok {
						t.Errorf("seed %d: not replaced after %v\n%s", seed, limit, n.dump())
					}
					if seed == 1 {
						t.Logf("replaced after %v", n.w.Elapsed()-start)
					}
					n.w.Close()
				}
			})
		}
	}
}

// TestWholeListDies: r neighbours in a row die at once; the node before them
// finds the ring again through what it remembers.
func TestWholeListDies(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		n := newNet(t, seed, sim.Config{}, Config{SuccessorListLen: 4})
		ms := n.ring(20)
		n.w.RunFor(30 * time.Second)
		for _, x := range ms[3 : 3+4+int(seed%3)] {
			n.w.Crash(x.h)
		}
		start := n.w.Elapsed()
		n.awaitIdeal(20-4-int(seed%3), 30*time.Second)
		if seed == 1 {
			t.Logf("ideal %v after the crash", n.w.Elapsed()-start)
		}
		n.checkLookups(40)
		n.w.Close()
	}
}

// TestAllOthersDie: the last node goes on alone at once, and joins again
// when one that it remembers comes back.
func TestAllOthersDie(t *testing.T) {
	for _, size := range []int{2, 4, 20} {
		n := newNet(t, uint64(size), sim.Config{}, Config{})
		n.ring(size)
		n.w.RunFor(30 * time.Second)
		last := n.nodes[0]
		for _, x := range n.nodes[1:] {
			n.w.Crash(x.h)
		}
		start := n.w.Elapsed()
		if !n.w.Await(10*time.Second, func() bool { return last.r.Owns(ID{1}) && last.r.Alone() }) {
			t.Fatalf("size %d: not alone\n%s", size, n.dump())
		}
		t.Logf("size %d: alone %v after the crash", size, n.w.Elapsed()-start)
		n.w.RunFor(time.Millisecond) // the change is told in a task of its own
		if c := last.changes[len(last.changes)-1]; !c.Alone || c.Pred != nil || len(c.Succs) > 0 {
			t.Errorf("last change: %+v", c)
		}
		// The other founds a ring of its own; the two become one.
		other := n.nodes[1]
		n.restart(other)
		other.r.Create()
		n.awaitIdeal(2, 2*time.Minute)
		n.checkLookups(20)
		n.w.Close()
	}
}

// TestRestartKeepsPlace: a node that comes back before its neighbours noticed
// takes its place again, and its successor is told of the loss.
func TestRestartKeepsPlace(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		n := newNet(t, seed, sim.Config{}, Config{})
		ms := n.ring(5)
		n.watch()
		succ := ms[2]
		n.w.RunFor(time.Second)
		succ.changes = nil
		n.w.Crash(ms[1].h)
		n.w.RunFor(time.Duration(seed) * 100 * time.Microsecond)
		n.restart(ms[1])
		n.join(ms[1], ms[4])
		n.awaitIdeal(5, 5*time.Second)
		lost := false
		for _, c := range succ.changes {
			lost = lost || c.OldPred != nil && c.OldPred.ID == ms[1].r.id && (c.Pred == nil || c.Pred.ID != ms[1].r.id)
		}
		if !lost {
			t.Errorf("seed %d: %s was not told of the loss: %+v", seed, succ.name, succ.changes)
		}
		n.checkLookups(20)
		n.w.Close()
	}
}

// TestHungNodeComesBack: a node that slept finds its place again.
func TestHungNodeComesBack(t *testing.T) {
	for _, size := range []int{2, 5, 40} {
		n := newNet(t, uint64(size), sim.Config{}, Config{})
		ms := n.ring(size)
		n.w.Pause(ms[1].h)
		n.w.RunFor(60 * time.Second)
		n.w.Resume(ms[1].h)
		n.awaitIdeal(size, time.Minute)
		n.checkLookups(40)
		n.w.Close()
	}
}

// TestQuietRingDigests: equal seeds give equal runs.
func TestDigests(t *testing.T) {
	run := func(seed uint64) uint64 {
		x := newChurn(t, seed)
		x.run()
		defer x.w.Close()
		return x.w.Digest()
	}
	for seed := uint64(1); seed <= 8; seed++ {
		if a, b := run(seed), run(seed); a != b {
			t.Errorf("seed %d: digests %x and %x", seed, a, b)
		}
	}
	if run(1) == run(2) {
		t.Error("different seeds, equal digests")
	}
}

// In a ring whose members all know each other, the keys of two neighbours that are killed at one
// moment have an owner again as soon as both deaths are known, without the period's wait for others who may live in between.
func TestTwoNeighboursKilledAtOnce(t *testing.T) {
	for seed := range uint64(10) {
		n := newNet(t, seed, sim.Config{}, Config{})
		ms := n.ring(5)
		first, second, next := ms[1], ms[2], ms[3]
		n.w.Crash(first.h)
		n.w.Crash(second.h)
		owns := func() bool { return next.r.Owns(first.r.id) && next.r.Owns(second.r.id) }
		if !n.w.Await(300*time.Millisecond, owns) {
			n.fatalf("seed %d: %s does not own the keys of %s and %s", seed, next.name, first.name, second.name)
		}
		n.awaitIdeal(3, 10*time.Second)
	}
}

// The nodes of a ring that is two seconds old are killed at one moment, the first of which was never told
// whom to join; started again, each of them a ring of its own, they are one ring again.
func TestAYoungRingIsKilledAndFoundAgain(t *testing.T) {
	n := newNet(t, 1, sim.Config{}, Config{})
	first, second, third := n.add(), n.add(), n.add()
	first.r.Create()
	n.join(second, first)
	n.join(third, second)
	n.w.RunFor(2 * time.Second)
	if len(first.r.remembered) != 2 {
		t.Errorf("the first node remembers %v", first.r.remembered)
	}
	for _, x := range []*testNode{first, second, third} {
		n.w.Crash(x.h)
		n.restart(x)
		x.r.Create()
	}
	n.awaitIdeal(3, 10*time.Second)
}
