package overlay

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEventsReachEveryMemberInOrder(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func() {
		w.grow(5)
		for _, n := range w.nodes[:4] {
			n.do(w, "tea", "join")
		}
		var want []string
		for i := range 20 {
			text := fmt.Sprint("line ", i)
			want = append(want, text)
			w.nodes[4].do(w, "tea", "say "+text) // not a member
		}
		for _, n := range w.nodes[:4] {
			w.must("heard", func() bool { return n.views.heard("tea", want...) })
		}
		if len(w.nodes[4].views.all) != 0 {
			t.Error("a node that did not join was told")
		}
		w.nodes[1].do(w, "tea", "leave")
		w.nodes[1].o.Release("room", "tea")
		w.nodes[0].do(w, "tea", "say after")
		w.must("heard", func() bool { return w.nodes[2].views.heard("tea", append(want, "after")...) })
		if !w.nodes[1].views.heard("tea", want...) {
			t.Error("a node that left was told")
		}
	})
}

func TestARepeatedBatchIsAppliedOnce(t *testing.T) {
	w := newWorld(t, 2)
	w.run(func() {
		w.grow(3)
		w.nodes[0].do(w, "tea", "join")
		s := Stream{w.nodes[1].host.Self().ID, w.nodes[1].host.Run(), 7}
		batch := [][]byte{[]byte("say a"), []byte("say b")}
		for range 3 {
			res, err := w.nodes[1].o.Request("room", "tea", s, 1, batch, time.Second)
			if err != nil || string(res[0]) != "ok 1" || string(res[1]) != "ok 2" {
				t.Fatalf("%q, %v", res, err)
			}
		}
		// The last was not acknowledged as far as the sender knows: it goes on
		// with the next number, which is higher by a gap.
		if _, err := w.nodes[1].o.Request("room", "tea", s, 5, [][]byte{[]byte("say c")}, time.Second); err != nil {
			t.Fatal(err)
		}
		w.must("heard", func() bool { return w.nodes[0].views.heard("tea", "a", "b", "c") })
		if n := len(w.nodes[0].views.all["tea"]); n > 4 { // the join, and three lines
			t.Errorf("%d events", n)
		}
	})
}

func TestQueryAndAbsent(t *testing.T) {
	w := newWorld(t, 3)
	w.run(func() {
		w.grow(4)
		w.nodes[0].do(w, "tea", "join")
		for _, n := range w.nodes {
			got, found, keeper, err := n.o.Query("room", "tea", []byte("how many"), time.Second)
			if err != nil || !found || string(got) != "how many: 1 in" || keeper.ID != w.keeperOf("tea").ring.Self().ID {
				t.Errorf("%q %v %v %v", got, found, keeper.ID, err)
			}
			if _, found, _, err := n.o.Query("room", "none", nil, time.Second); found || err != nil {
				t.Errorf("a room that nobody founded: %v, %v", found, err)
			}
		}
	})
}

func TestDirectFindsTheNode(t *testing.T) {
	w := newWorld(t, 4)
	w.run(func() {
		w.grow(6)
		got, err := w.nodes[1].o.Direct(w.nodes[4].host.Self().ID, []byte("hello"), time.Second)
		if err != nil || string(got) != "got hello" {
			t.Errorf("%q, %v", got, err)
		}
		w.Crash(w.nodes[4].host)
		if _, err := w.nodes[1].o.Direct(w.nodes[4].host.Self().ID, []byte("hello"), 3*time.Second); err == nil {
			t.Error("a dead node answered")
		}
	})
}

// A new node takes its place between others: it gets what is its own, with
// all members, and what was said meanwhile is lost nowhere.
func TestAJoinerTakesOverItsRange(t *testing.T) {
	for seed := range seeds(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, seed)
			w.run(func() {
				w.grow(3)
				var rooms []string
				for i := range 24 {
					rooms = append(rooms, fmt.Sprint("room", i))
					for _, n := range w.nodes[:3] {
						n.do(w, rooms[i], "join")
					}
				}
				said := 0
				for len(w.nodes) < 9 {
					w.add()
					for range 4 {
						for _, r := range rooms {
							w.nodes[said%3].do(w, r, fmt.Sprint("say ", said))
						}
						said++
					}
				}
				w.grow(9)
				var want []string
				for i := range said {
					want = append(want, fmt.Sprint(i))
				}
				for _, r := range rooms {
					for _, n := range w.nodes[:3] {
						w.must("heard all of "+r, func() bool { return n.views.heard(r, want...) })
					}
				}
				w.must("each room at its keeper", w.allHome)
				for _, r := range rooms {
					if got := w.keeperOf(r).o.objects[ref{"room", r}].obj.Summary(); got != "room "+r+", 3 in" {
						t.Errorf("%s after the move", got)
					}
				}
			})
		})
	}
}

func TestALeaverHandsEverythingOver(t *testing.T) {
	for seed := range seeds(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, seed)
			w.run(func() {
				w.grow(6)
				var rooms []string
				for i := range 24 {
					rooms = append(rooms, fmt.Sprint("room", i))
					w.nodes[0].do(w, rooms[i], "join")
				}
				for i, gone := range w.nodes[1:5] {
					w.Go("leave", func() {
						gone.o.Leave(5 * time.Second)
						gone.ring.Leave(time.Second)
						w.Stop(gone.host)
					})
					for _, r := range rooms {
						w.nodes[5].do(w, r, fmt.Sprint("say ", i))
					}
				}
				for _, r := range rooms {
					w.must("heard all of "+r, func() bool { return w.nodes[0].views.heard(r, "0", "1", "2", "3") })
				}
				w.must("each room at its keeper", w.allHome)
			})
		})
	}
}

// The keeper is killed: the first message brings the room back from a member's
// view, all members included.
func TestAKilledKeeperIsReplacedFromTheMembers(t *testing.T) {
	for seed := range seeds(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, seed)
			w.cfg.Copies = 1
			w.run(func() {
				w.grow(7)
				name := w.roomKeptBy(func(n *node) bool { return n == w.nodes[5] })
				for _, n := range w.nodes[:4] {
					n.do(w, name, "join")
				}
				w.nodes[0].do(w, name, "say before")
				for _, n := range w.nodes[:4] {
					w.must("heard", func() bool { return n.views.heard(name, "before") })
				}
				w.must("views reset", func() bool { return strings.Count(w.nodes[0].views.state[name], "\n") >= 1 })
				w.Crash(w.nodes[5].host)
				began := w.Elapsed()
				w.nodes[1].do(w, name, "say after")
				w.nodes[6].do(w, name, "say from outside")
				for _, n := range w.nodes[:4] {
					w.must("heard after", func() bool { return n.views.heard(name, "before", "after", "from outside") })
				}
				if d := w.Elapsed() - began; d > 3*time.Second {
					t.Errorf("took %v", d)
				}
			})
		})
	}
}

func TestADeadMemberIsGoneAfterTheGraceTime(t *testing.T) {
	w := newWorld(t, 5)
	w.run(func() {
		w.grow(5)
		name := w.roomKeptBy(func(n *node) bool { return n == w.nodes[4] })
		w.nodes[0].do(w, name, "join")
		w.nodes[1].do(w, name, "join")
		w.nodes[2].do(w, name, "join")
		w.Crash(w.nodes[1].host)
		began := w.Elapsed()
		gone := "gone " + w.nodes[1].host.Self().ID.String()
		w.must("gone", func() bool {
			all := w.nodes[0].views.all[name]
			return len(all) > 0 && string(all[len(all)-1].Event) == gone
		})
		if d := w.Elapsed() - began; d < 15*time.Second || d > 25*time.Second {
			t.Errorf("gone after %v", d)
		}
	})
}

// A keeper that hangs is replaced within seconds, although no connection is lost
// and nobody asks anything of it: what it took last may have reached only some of
// the members.
func TestAHungKeeperIsReplacedUnasked(t *testing.T) {
	for seed := range seeds(10) {
		w := newWorld(t, seed)
		w.run(func() {
			w.grow(5)
			keeper := w.nodes[4]
			name := w.roomKeptBy(func(n *node) bool { return n == keeper })
			w.nodes[0].do(w, name, "join")
			w.nodes[1].do(w, name, "join")
			w.nodes[0].do(w, name, "say before")
			w.must("heard", func() bool { return w.nodes[1].views.heard(name, "before") })
			w.Pause(keeper.host)
			began := w.Elapsed()
			w.must("replaced", func() bool {
				for _, n := range w.nodes[:4] {
					if n.o.KeepsNow("room", name) {
						return true
					}
				}
				return false
			})
			if d := w.Elapsed() - began; d > 8*time.Second {
				t.Errorf("seed %d: replaced after %v", seed, d)
			}
		})
	}
}

// A member's node that hangs is given up after the grace time, though no connection
// is lost and nobody tells it anything.
func TestAHungMemberIsGoneAfterTheGraceTime(t *testing.T) {
	for seed := range seeds(10) {
		w := newWorld(t, seed)
		w.run(func() {
			w.grow(5)
			name := w.roomKeptBy(func(n *node) bool { return n == w.nodes[4] })
			w.nodes[0].do(w, name, "join")
			w.nodes[1].do(w, name, "join")
			w.must("a view", func() bool { return len(w.nodes[0].views.all[name]) > 0 })
			w.Pause(w.nodes[1].host)
			began := w.Elapsed()
			gone := "gone " + w.nodes[1].host.Self().ID.String()
			w.must("gone", func() bool {
				all := w.nodes[0].views.all[name]
				return len(all) > 0 && string(all[len(all)-1].Event) == gone
			})
			if d := w.Elapsed() - began; d < 25*time.Second || d > 45*time.Second {
				t.Errorf("seed %d: gone after %v", seed, d)
			}
		})
	}
}

// A keeper that hangs while another takes its place is refused when it wakes,
// and steps down.
func TestAKeeperOfAnOldEpochStepsDown(t *testing.T) {
	w := newWorld(t, 6)
	w.run(func() {
		w.grow(6)
		name := w.roomKeptBy(func(n *node) bool { return n == w.nodes[5] })
		for _, n := range w.nodes[:3] {
			n.do(w, name, "join")
		}
		w.Pause(w.nodes[5].host)
		w.nodes[0].do(w, name, "say one")
		w.must("another keeper", func() bool { return w.nodes[1].views.heard(name, "one") })
		w.Resume(w.nodes[5].host)
		w.nodes[1].do(w, name, "say two")
		for _, n := range w.nodes[:3] {
			w.must("heard", func() bool { return n.views.heard(name, "one", "two") })
		}
		w.must("one keeper", w.allHome)
	})
}

func TestEqualSeedsGiveEqualRuns(t *testing.T) {
	digest := func() uint64 {
		w := newWorld(t, 9)
		w.run(func() {
			w.grow(8)
			for i, n := range w.nodes {
				n.do(w, fmt.Sprint("room", i%3), "join")
			}
			w.Crash(w.nodes[3].host)
			for i := range 30 {
				w.nodes[0].do(w, fmt.Sprint("room", i%3), fmt.Sprint("say ", i))
			}
		})
		return w.Digest()
	}
	if a, b := digest(), digest(); a != b {
		t.Errorf("digests %x and %x", a, b)
	}
}

// A ring that has just formed answers at once: nobody died, so nobody waits
// for copies.
func TestAFreshRingAnswersAtOnce(t *testing.T) {
	for seed := range seeds(20) {
		w := newWorld(t, seed)
		w.run(func() {
			w.grow(3)
			for i := range 12 {
				began := w.Elapsed()
				w.nodes[i%3].do(w, fmt.Sprint("room", i), "join")
				if d := w.Elapsed() - began; d > 100*time.Millisecond {
					t.Errorf("seed %d: room %d took %v", seed, i, d)
				}
			}
		})
	}
}

// A keeper is killed while a joiner waits for its objects, and comes back at
// once without them: nobody founds the rooms anew, the members bring them back
// whole.
func TestAKeeperKilledWhileItHandsOver(t *testing.T) {
	for seed := range seeds(60) {
		w := newWorld(t, seed)
		w.run(func() {
			w.grow(5)
			var rooms []string
			for i := range 16 {
				rooms = append(rooms, fmt.Sprint("room", i))
				for _, n := range w.nodes[:3] {
					n.do(w, rooms[i], "join")
				}
			}
			w.Sleep(time.Second)
			joiner := w.add()
			w.must("a successor", func() bool { return len(joiner.ring.Successors()) > 0 })
			victim := w.by(joiner.ring.Successors()[0].ID)
			w.Sleep(time.Duration(seed%30) * 200 * time.Microsecond)
			if slices.Contains(w.nodes[:3], victim) {
				return // a node with members
			}
			w.Crash(victim.host)
			w.Sleep(time.Duration(seed%7) * time.Millisecond)
			*victim = *w.assemble(w.Restart(victim.host), w.nodes[0])
			for _, r := range rooms {
				w.nodes[1].do(w, r, "say still here")
			}
			for _, r := range rooms {
				for _, n := range w.nodes[:3] {
					w.must("heard in "+r, func() bool { return n.views.heard(r, "still here") })
				}
			}
			w.must("each room at its keeper", w.allHome)
			for _, r := range rooms {
				if got := w.keeperOf(r).o.objects[ref{"room", r}].obj.Summary(); got != "room "+r+", 3 in" {
					t.Errorf("seed %d: %s", seed, got)
				}
			}
		})
	}
}
