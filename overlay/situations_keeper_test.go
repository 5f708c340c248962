package overlay

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/host/sim"
)

// What the crash or the sleep of a keeper must not do.

// bystanders are the nodes that are neither a keeper nor one of its replicas.
func (w *world) bystanders(keeper *node) []*node {
	busy := append(w.replicasOf(keeper), keeper)
	var others []*node
	for _, n := range w.living() {
		if !slices.Contains(busy, n) {
			others = append(others, n)
		}
	}
	return others
}

// sees counts the members and marks of a room that a node sees.
func (n *node) sees(room string) int { return strings.Count(n.views.state[room], "\n") }

// A line is answered, which one replica has, and not the one that takes over; and the
// keeper dies before it told another member. The copy that the new keeper gets from the
// other replica brings the line.
func TestACopyFromAReplicaBringsWhatWasSaid(t *testing.T) {
	for seed := range seeds(10) {
		w := newWorld(t, seed)
		w.run(func() {
			w.grow(8)
			keeper := w.nodes[5]
			name := w.roomKeptBy(func(n *node) bool { return n == keeper })
			others := w.bystanders(keeper)
			says, hears := others[0], others[1]
			says.do(w, name, "join")
			hears.do(w, name, "join")
			w.must("copied", w.copied)
			w.must("both have a view", func() bool { return says.sees(name) == 2 && hears.sees(name) == 2 })
			w.Cut(keeper.host, w.replicasOf(keeper)[0].host)
			w.Cut(keeper.host, hears.host)
			says.do(w, name, "say before the end")
			w.Crash(keeper.host)
			w.Heal()
			w.must("heard", func() bool { return hears.views.heard(name, "before the end") })
		})
	}
}

// The keeper makes a request's step, a replica has it, and the keeper dies before it answers:
// the repeat, with the same number, gets the same result from the new keeper,
// and nothing is made twice.
func TestARepeatAfterTheKeeperChangedIsMadeOnce(t *testing.T) {
	for seed := range seeds(10) {
		w := newWorld(t, seed)
		var keeper *node
		armed := false
		w.tap = func(h *sim.Host, s stage, m host.Method, _ int) {
			if armed && h == keeper.host && s == atAnswer && m.Number == methodRequest.Number {
				armed = false
				w.Crash(h)
				_ = h.Sleep(0)
			}
		}
		w.run(func() {
			w.grow(8)
			keeper = w.nodes[5]
			name := w.roomKeptBy(func(n *node) bool { return n == keeper })
			n := w.bystanders(keeper)[0]
			n.do(w, name, "join")
			n.do(w, name, "mark first")
			armed = true
			if got := n.do(w, name, "mark second"); got != "ok 3" {
				t.Errorf("seed %d: the repeat was answered with %q", seed, got)
			}
			if armed {
				t.Fatal("the keeper lives")
			}
			n.do(w, name, "say third")
			w.must("heard", func() bool { return n.views.heard(name, "third") })
			if got := w.keeperOf(name).o.objects[ref{"room", name}]; got.number != 4 {
				t.Errorf("seed %d: %d events, want 4: two marks, a join and a line", seed, got.number)
			}
		})
	}
}

// A keeper sleeps while another takes its place, and wakes with requests of its own users and of
// others before it: none of them is answered in its old epoch and then lost.
func TestAKeeperThatWakesOrdersNothing(t *testing.T) {
	for seed := range seeds(20) {
		w := newWorld(t, seed)
		w.run(func() {
			w.grow(7)
			keeper := w.nodes[5]
			name := w.roomKeptBy(func(n *node) bool { return n == keeper })
			others := w.bystanders(keeper)[:2]
			for _, n := range append(others, keeper) {
				n.do(w, name, "join")
			}
			w.must("all have a view", func() bool { return keeper.sees(name) == 3 && others[0].sees(name) == 3 && others[1].sees(name) == 3 })
			w.Pause(keeper.host)
			others[0].do(w, name, "mark while it sleeps")
			// It wakes to a request of its own, and to one that waited for it.
			said := 0
			for i, n := range []*node{keeper, others[1]} {
				w.Go("speaker", func() {
					for k := range 20 {
						n.do(w, name, fmt.Sprintf("mark %d.%d", i, k))
						w.Sleep(time.Duration(n.host.Rand() % uint64(3*time.Millisecond)))
					}
					said++
				})
			}
			w.Sleep(time.Duration(seed) * 50 * time.Millisecond)
			w.Resume(keeper.host)
			w.must("both have spoken", func() bool { return said == 2 })
			w.must("one keeper, with copies", func() bool { return w.oneKeeper(name) && w.allHome() })
			marks := w.keeperOf(name).o.objects[ref{"room", name}].obj.(*room).marks
			if len(marks) != 41 {
				t.Errorf("seed %d: %d marks are left of 41", seed, len(marks))
			}
		})
	}
}

// A keeper whose replicas are known to be dead answers alone, and does so within
// seconds; before that is known it answers nobody.
func TestAKeeperAnswersAloneOnceTheOthersAreDead(t *testing.T) {
	for seed := range seeds(5) {
		w := newWorld(t, seed)
		w.run(func() {
			w.grow(3)
			keeper := w.nodes[0]
			name := w.roomKeptBy(func(n *node) bool { return n == keeper })
			keeper.do(w, name, "join")
			w.Pause(w.nodes[1].host) // they hang: no connection tells
			w.Pause(w.nodes[2].host)
			began := w.Elapsed()
			stream := Stream{keeper.host.Self().ID, keeper.host.Run(), 9}
			if _, err := keeper.o.Request("room", name, stream, 1, [][]byte{[]byte("mark x")}, 200*time.Millisecond); err == nil {
				t.Errorf("seed %d: answered alone after %v", seed, w.Elapsed()-began)
			}
			if _, err := keeper.o.Request("room", name, stream, 1, [][]byte{[]byte("mark x")}, 8*time.Second); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			if d := w.Elapsed() - began; d > 8*time.Second || len(keeper.o.replicas) > 0 {
				t.Errorf("seed %d: answered after %v, with %d replicas", seed, d, len(keeper.o.replicas))
			}
		})
	}
}

// The keeper believes that a member has the last event, which it has not, and nothing
// follows: the member's next renewal brings it.
func TestALostLastEventComesWithTheRenewal(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func() {
		w.grow(5)
		keeper := w.nodes[4]
		name := w.roomKeptBy(func(n *node) bool { return n == keeper })
		hears, says := w.nodes[0], w.nodes[1]
		hears.do(w, name, "join")
		says.do(w, name, "join")
		w.must("both have a view", func() bool { return says.sees(name) == 2 && hears.sees(name) == 2 })
		ob := keeper.o.objects[ref{"room", name}]
		ob.cursors[hears.host.Self().ID].number = ob.number + 1 // as if the next one had been acknowledged
		says.do(w, name, "say the last word")
		w.Sleep(time.Second)
		began := w.Elapsed()
		if hears.views.heard(name, "the last word") {
			t.Fatal("nothing was lost")
		}
		w.must("heard", func() bool { return hears.views.heard(name, "the last word") })
		if d := w.Elapsed() - began; d > 31*time.Second {
			t.Errorf("heard after %v", d)
		}
	})
}
