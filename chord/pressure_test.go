package chord

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"ircbridge/chord/wire"
	"ircbridge/host"
	"ircbridge/host/sim"
)

// TestAHundredJoinersAnswerForNothingThatIsNotTheirs: a hundred nodes join a ring
// of ten within two seconds, while all that are in, joiners too, are asked for
// keys all the time. Nobody is named as owner who was not.
func TestAHundredJoinersAnswerForNothingThatIsNotTheirs(t *testing.T) {
	if testing.Short() {
		t.Skip("many nodes")
	}
	for seed := uint64(1); seed <= fewer(5); seed++ {
		x := newChurnOf(t, seed, 110, Config{}, sim.Config{})
		x.ring(10)
		for range 100 {
			x.joinOne()
			x.runFor(20)
			x.lookupSome(5)
		}
		x.awaitIdeal(110, 30*time.Second)
		if x.wrong > 0 || x.none > 0 || x.lookups < 400 || x.c.overlaps > 0 {
			t.Errorf("seed %d: of %d lookups %d named another than the owner, %d had no answer; %d times two nodes owned one key",
				seed, x.lookups, x.wrong, x.none, x.c.overlaps)
		}
		x.checkLookups(110)
		x.w.Close()
	}
}

// TestManyLookupsAtOnce: each of 16 nodes makes 64 lookups at the same moment.
// None waits for another: all are answered within 20 ms. When a node hangs at that
// moment those that need it are answered as soon as it is replaced, and nobody else
// waits.
func TestManyLookupsAtOnce(t *testing.T) {
	for _, hung := range []bool{false, true} {
		for _, budget := range []int{0, -1} {
			n := newNet(t, 1, sim.Config{}, Config{TableBudget: budget})
			ms := n.ring(16)
			n.w.RunFor(30 * time.Second)
			dead := ms[3]
			if hung {
				n.w.Pause(dead.h)
			}
			var took []time.Duration
			start := n.w.Elapsed()
			for _, x := range ms {
				if hung && x == dead {
					continue
				}
				for range 64 {
					key := NodeID(peerN(byte(x.h.Rand())))
					n.w.Go("lookup", func() {
						f, err := x.r.Lookup(key, 10*time.Second)
						d := n.w.Elapsed() - start
						switch theirs := owner(ms, key); {
						case err != nil:
							t.Errorf("%s: %v", x.name, err)
						case theirs == dead && hung:
							if d > 4*time.Second {
								t.Errorf("a key of the hung node was found after %v", d)
							}
						case f.Owner.ID != theirs.r.id:
							t.Errorf("%s was named, the owner is %s", n.name(f.Owner.ID), theirs.name)
						default:
							took = append(took, d)
						}
					})
				}
			}
			n.w.Run()
			slices.Sort(took)
			t.Logf("hung %v, budget %d: %d lookups, p50 %v, most %v", hung, budget, len(took), took[len(took)/2], took[len(took)-1])
			limit := 20 * time.Millisecond
			if hung {
				limit = time.Second
			}
			if most := took[len(took)-1]; most > limit {
				t.Errorf("hung %v: a lookup took %v", hung, most)
			}
			n.w.Close()
		}
	}
}

// TestHoursOfSessions: for four hours of virtual time, a day with -chord.large,
// nodes stay for an hour in the median and then crash, while others come. No lookup is without an answer or
// has a wrong one, the invariants hold after every event, and there is one ring in
// the end.
func TestHoursOfSessions(t *testing.T) {
	span := 4 * time.Hour
	switch {
	case *large:
		span = 24 * time.Hour
	case testing.Short():
		span = 20 * time.Minute
	}
	const size = 16
	x := newChurnOf(t, 1, size, Config{}, sim.Config{})
	x.ring(size)
	for x.w.Elapsed() < span {
		wait := time.Duration(x.rng.ExpFloat64() / (size * math.Ln2) * float64(time.Hour))
		for until := x.w.Elapsed() + wait; x.w.Elapsed() < until; {
			x.w.RunUntil(min(until, x.w.Elapsed()+time.Minute))
			x.lookupSome(5)
		}
		if v := x.pick(); x.allows(v) {
			x.crashes++
			x.c.ring.Fault()
			v.ended = x.w.Elapsed()
			x.w.Crash(v.h)
		}
		x.joinOne()
		if len(x.members()) > size+4 {
			x.leave(x.pick())
		}
	}
	x.awaitIdeal(x.settle(), time.Minute)
	t.Logf("%v: %d joins, %d crashes; %d lookups, %d without answer, %d wrong, %d from one of two owners just after a crash",
		span, x.joins, x.crashes, x.lookups, x.none, x.wrong, x.split)
	if x.none > 0 || x.wrong > 0 {
		t.Error("a lookup failed")
	}
}

// TestASlowNodeStays: a node that does nothing for three quarters of the time
// answers late, to all, for ten minutes. It keeps its place, and lookups find it.
func TestASlowNodeStays(t *testing.T) {
	for seed := uint64(1); seed <= fewer(8); seed++ {
		n := newNet(t, seed, sim.Config{}, Config{})
		ms := n.ring(16)
		n.w.RunFor(20 * time.Second)
		slow := ms[5]
		for _, x := range ms {
			x.changes = nil
		}
		over := false
		n.w.Go("slow", func() {
			for !over {
				n.w.Pause(slow.h)
				n.w.Sleep(150 * time.Millisecond)
				n.w.Resume(slow.h)
				n.w.Sleep(50 * time.Millisecond)
			}
		})
		n.w.RunFor(10 * time.Minute)
		answered := 0
		n.w.Go("lookups", func() {
			for _, x := range ms {
				if f, err := x.r.Lookup(slow.r.id, 5*time.Second); err != nil || f.Owner.ID != slow.r.id {
					t.Errorf("seed %d: %s looked the slow node's place up: %s, %v", seed, x.name, n.name(f.Owner.ID), err)
				}
				answered++
			}
		})
		if !n.w.Await(time.Minute, func() bool { return answered == len(ms) }) {
			t.Errorf("seed %d: %d lookups ended in a minute", seed, answered)
		}
		over = true
		for _, x := range ms {
			if len(x.changes) > 0 {
				t.Errorf("seed %d: %s saw the ring change: %+v", seed, x.name, x.changes[0])
			}
		}
		n.w.RunFor(time.Second)
		n.w.Close()
	}
}

// TestNobodyElseHasThisID: who claims this node's own ID is refused, and who
// notifies in the name of another.
func TestNobodyElseHasThisID(t *testing.T) {
	n := newNet(t, 1, sim.Config{}, Config{})
	ms := n.ring(4)
	x := ms[0]
	self := x.r.Self()
	elsewhere := host.Peer{ID: self.Peer.ID, Addrs: []string{"sim:elsewhere"}}
	n.do(func() {
		req := mustEncode(t, &wire.NotifyRequest{Self: contactToWire(NewContact(elsewhere)), Run: 99, Settled: true})
		if _, err := x.r.handleNotify(elsewhere, req); !errors.Is(err, errMalformed) {
			t.Errorf("a second holder of the ID may become predecessor: %v", err)
		}
		if _, err := x.r.handleNotify(ms[1].h.Self(), req); !errors.Is(err, errMalformed) {
			t.Errorf("%s may speak for another: %v", ms[1].name, err)
		}
	})
	n.w.RunFor(10 * time.Second)
	if err := n.ideal(); err != nil {
		t.Error(err)
	}
}
