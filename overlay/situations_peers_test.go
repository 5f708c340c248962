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

// Peers that are slow, stuck, asleep, or reached in one direction only.

// waits measures how long after being said lines are heard by a member.
func (w *world) waits(says, hears *node, room string, n int) (took []time.Duration) {
	w.t.Helper()
	for k := range n {
		text := fmt.Sprint("timed ", w.Elapsed(), k)
		began := w.Elapsed()
		says.do(w, room, "say "+text)
		if !w.Eventually(10*time.Second, func() bool { return slices.Contains(hears.views.said[room], text) }) {
			w.t.Fatalf("seed %d: %s never heard %q", w.Seed(), hears.host.Name(), text)
		}
		took = append(took, w.Elapsed()-began)
		w.Sleep(20 * time.Millisecond)
	}
	return took
}

// A node accepts calls and does not answer them, or answers after the deadline: as a member, or
// as one of the keeper's replicas. Nobody else waits for it.
func TestAStuckPeerHoldsUpNobody(t *testing.T) {
	for _, how := range []string{"silent", "late"} {
		for _, who := range []string{"member", "first replica", "second replica"} {
			t.Run(how+" "+who, func(t *testing.T) {
				w := newWorld(t, 1)
				var stuck *node
				w.tap = func(h *sim.Host, s stage, m host.Method, _ int) {
					// Only the overlay's handlers are stuck: the ring holds the node for alive.
					if stuck == nil || h != stuck.host || s != atAsk || m.Number < methodRequest.Number {
						return
					}
					if how == "silent" {
						_ = h.Sleep(time.Hour)
					}
					_ = h.Sleep(1500 * time.Millisecond)
				}
				w.run(func() {
					w.grow(8)
					keeper := w.nodes[5]
					name := w.roomKeptBy(func(n *node) bool { return n == keeper })
					others := w.bystanders(keeper)
					for _, n := range others[:3] {
						n.do(w, name, "join")
					}
					before := w.waits(others[0], others[1], name, 30)
					switch who {
					case "member":
						stuck = others[2]
					case "first replica":
						stuck = w.replicasOf(keeper)[0]
					default:
						stuck = w.replicasOf(keeper)[1]
					}
					after := w.waits(others[0], others[1], name, 100)
					if a, b := percentile(after, 99), percentile(before, 99); a > 2*b+5*time.Millisecond {
						t.Errorf("p99 %v, before %v", a, b)
					}
				})
			})
		}
	}
}

// Both replicas answer after the deadline: the keeper answers nobody for a while,
// but everybody gets an answer, or the failure, within the request's time.
func TestWaitsForStuckReplicasAreBounded(t *testing.T) {
	w := newWorld(t, 1)
	late := false
	var keeper *node
	w.tap = func(h *sim.Host, s stage, m host.Method, _ int) {
		copies := m.Number == methodReplicate.Number || m.Number == methodCopy.Number
		relays := m.Number == methodRelay.Number || m.Number == methodRelayBulk.Number
		if late && h != keeper.host && s == atAsk && (copies || relays) {
			_ = h.Sleep(time.Hour)
		}
	}
	w.run(func() {
		w.grow(8)
		keeper = w.nodes[5]
		name := w.roomKeptBy(func(n *node) bool { return n == keeper })
		n := w.bystanders(keeper)[0]
		n.do(w, name, "join")
		late = true
		began := w.Elapsed()
		if _, err := n.o.Request("room", name, Stream{n.host.Self().ID, n.host.Run(), 9}, 1, [][]byte{[]byte("mark x")}, 5*time.Second); err == nil {
			t.Error("answered, though no replica has it")
		}
		if d := w.Elapsed() - began; d > 5200*time.Millisecond {
			t.Errorf("told after %v", d)
		}
	})
}

// A member takes a quarter of a second for everything, another hangs: what the
// others hear comes as soon as without them.
func TestASlowMemberSlowsNobody(t *testing.T) {
	w := newWorld(t, 1)
	var slow *node
	w.tap = func(h *sim.Host, s stage, m host.Method, _ int) {
		if slow != nil && h == slow.host && s == atAsk && m.Number == methodDeliver.Number {
			_ = h.Sleep(250 * time.Millisecond)
		}
	}
	w.run(func() {
		w.grow(8)
		keeper := w.nodes[7]
		name := w.roomKeptBy(func(n *node) bool { return n == keeper })
		others := w.bystanders(keeper)
		for _, n := range others[:4] {
			n.do(w, name, "join")
		}
		before := w.waits(others[0], others[1], name, 100)
		slow = others[2]
		w.Pause(others[3].host)
		after := w.waits(others[0], others[1], name, 300)
		if a, b := percentile(after, 99), percentile(before, 99); a > b+2*time.Millisecond {
			t.Errorf("p99 %v, before %v", a, b)
		}
		w.Resume(others[3].host)
		for _, n := range others[2:4] {
			w.must("all is heard in the end", func() bool { return len(n.views.said[name]) == len(others[0].views.said[name]) })
		}
	})
}

// A member and its keeper do not reach each other, in one direction or in both, while all
// others reach both. Nobody else notices; within a few seconds a third node puts through what
// the two have to say to each other, nobody counts as gone, and when the line is mended they
// speak directly again.
func TestAMemberAndItsKeeperDoNotReachEachOther(t *testing.T) {
	for _, cut := range []string{"to the keeper", "to the member", "both ways"} {
		t.Run(cut, func(t *testing.T) {
			w := newWorld(t, 1)
			w.run(func() {
				w.grow(8)
				w.Sleep(20 * time.Second)
				keeper := w.nodes[5]
				name := w.roomKeptBy(func(n *node) bool { return n == keeper })
				others := w.bystanders(keeper)
				apart, says, hears := others[0], others[1], others[2]
				for _, n := range others[:3] {
					n.do(w, name, "join")
				}
				w.must("views", func() bool { return apart.sees(name) == 3 })
				before := w.waits(says, hears, name, 30)
				if cut != "to the member" {
					w.Cut(apart.host, keeper.host)
				}
				if cut != "to the keeper" {
					w.Cut(keeper.host, apart.host)
				}
				began, stream := w.Elapsed(), Stream{apart.host.Self().ID, apart.host.Run(), 9}
				_, err := apart.o.Request("room", name, stream, 1, [][]byte{[]byte("mark x")}, 5*time.Second)
				if d := w.Elapsed() - began; err != nil || d > 4*time.Second {
					t.Errorf("%v after %v", err, d)
				}
				after := w.waits(says, hears, name, 100)
				if a, b := percentile(after, 99), percentile(before, 99); a > b+2*time.Millisecond {
					t.Errorf("others wait %v, before %v", a, b)
				}
				w.must("the one apart hears all", func() bool { return len(apart.views.said[name]) == len(hears.views.said[name]) })
				w.Sleep(3 * time.Minute)
				slow := w.waits(apart, hears, name, 50)
				if p := percentile(slow, 99); p > 50*time.Millisecond {
					t.Errorf("what is put through takes %v", p)
				}
				for _, n := range others[:3] {
					if n.sees(name) != 4 { // three members and a mark
						t.Errorf("%s sees %d: somebody counts as gone", n.host.Name(), n.sees(name))
					}
				}
				w.Heal()
				w.must("they reach each other directly", func() bool { return len(apart.o.paths)+len(keeper.o.paths) == 0 })
				apart.do(w, name, "mark y")
				w.must("the same is seen by all", func() bool {
					return len(apart.views.said[name]) == len(hears.views.said[name]) && hears.sees(name) == 5 && apart.sees(name) == hears.sees(name)
				})
			})
		})
	}
}

// A living node that stands still for half a minute loses nothing of what it holds; one
// that was killed is gone within 25 seconds.
func TestAStallOfHalfAMinuteIsNoDeath(t *testing.T) {
	for seed := range seeds(10) {
		w := newWorld(t, seed)
		w.run(func() {
			w.grow(6)
			w.Sleep(20 * time.Second)
			keeper := w.nodes[5]
			name := w.roomKeptBy(func(n *node) bool { return n == keeper })
			others := w.bystanders(keeper)
			sees, stalls := others[0], others[1]
			sees.do(w, name, "join")
			stalls.do(w, name, "join")
			w.Sleep(time.Duration(seed) * 3 * time.Second)
			w.Pause(stalls.host)
			for range 30 {
				sees.do(w, name, "say something")
				w.Sleep(990 * time.Millisecond)
			}
			w.Resume(stalls.host)
			w.must("all is heard", func() bool { return len(stalls.views.said[name]) == 30 })
			w.Sleep(time.Minute)
			for _, e := range sees.views.all[name] {
				if strings.HasPrefix(string(e.Event), "gone") {
					t.Errorf("seed %d: %s", seed, e.Event)
				}
			}
			w.Crash(stalls.host)
			began := w.Elapsed()
			w.must("gone", func() bool { return sees.sees(name) == 1 })
			if d := w.Elapsed() - began; d > 25*time.Second {
				t.Errorf("seed %d: gone after %v", seed, d)
			}
		})
	}
}
