package mapping

import (
	"fmt"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/host/sim"
)

// notices lists what the node told a user.
func (u *tester) notices() (texts []string) {
	for _, n := range eventsOf[chat.Notice](u) {
		texts = append(texts, n.Text)
	}
	return texts
}

// TestRingLost: the users of a node that is cut off are told once, soon, and
// once when it is back; those of the others never.
func TestRingLost(t *testing.T) {
	for _, seed := range seeds(5) {
		w := newSimNet(t, seed)
		w.grow(5)
		w.run(func(e *simEnv) {
			ann, bob, far := e.open(w.nodes[4], "ann"), e.open(w.nodes[4], "bob"), e.open(w.nodes[0], "far")
			var others []*sim.Host
			for _, n := range w.nodes[:4] {
				others = append(others, n.h)
			}
			expect := func(when string, want ...string) {
				for _, u := range []*tester{ann, bob} {
					if got := fmt.Sprint(u.notices()); got != fmt.Sprint(want) {
						e.T().Errorf("seed %d: %s %s was told %v, want %v", seed, when, u.name, got, want)
					}
				}
			}
			e.Sleep(time.Minute)
			expect("at rest")
			w.Partition(others, []*sim.Host{w.nodes[4].h})
			cut := e.Now()
			e.Eventually("the node is alone", w.nodes[4].ring.Alone)
			t.Logf("seed %d: the ring knows after %v", seed, e.Now().Sub(cut))
			e.Sleep(5 * time.Second)
			expect("cut off", ringLost)
			late := e.open(w.nodes[4], "late")
			e.Sleep(time.Minute)
			w.Heal()
			e.Eventually("the ring is whole", w.settled)
			e.Sleep(5 * time.Second)
			expect("back", ringLost, ringBack)
			if got := fmt.Sprint(late.notices()); got != fmt.Sprint([]string{ringBack}) {
				e.T().Errorf("seed %d: who came meanwhile was told %v", seed, got)
			}
			if got := far.notices(); len(got) != 0 {
				e.T().Errorf("seed %d: a user of another node was told %v", seed, got)
			}
		})
	}
}

// TestNeverInCompany: a node that begins alone has lost nobody, and nor has one
// that finds others then.
func TestNeverInCompany(t *testing.T) {
	w := newSimNet(t, 1)
	w.grow(1)
	w.run(func(e *simEnv) {
		ann := e.open(w.nodes[0], "ann")
		e.Sleep(time.Minute)
		w.add()
		e.Eventually("the ring is whole", w.settled)
		e.Sleep(time.Minute)
		if got := ann.notices(); len(got) != 0 {
			e.T().Errorf("she was told %v", got)
		}
	})
}

// TestToldWithinFiveSeconds: all others die, hang, or are on the other side of a
// cut. Whatever the size of the ring, the users are told within five seconds; and
// when the others are there again, soon and once.
func TestToldWithinFiveSeconds(t *testing.T) {
	for _, how := range []string{"killed", "hung", "cut"} {
		var worst, back time.Duration
		for _, size := range []int{2, 5, 16, 40} {
			for _, seed := range seeds(2) {
				w := newSimNet(t, seed)
				w.grow(size)
				w.run(func(e *simEnv) {
					ann := e.open(w.nodes[0], "ann")
					e.Sleep(time.Minute)
					var others []*sim.Host
					for _, o := range w.nodes[1:] {
						others = append(others, o.h)
					}
					at := e.Now()
					for _, o := range others {
						switch how {
						case "killed":
							w.Crash(o)
						case "hung":
							w.Pause(o)
						}
					}
					if how == "cut" {
						w.Partition(others, []*sim.Host{w.nodes[0].h})
					}
					e.Eventually("she is told", func() bool { return len(ann.notices()) > 0 })
					worst = max(worst, e.Now().Sub(at))
					if how == "killed" {
						return
					}
					e.Sleep(10 * time.Second)
					at = e.Now()
					if w.Heal(); how == "hung" {
						for _, o := range others {
							w.Resume(o)
						}
					}
					e.Eventually("she is told again", func() bool { return len(ann.notices()) > 1 })
					back = max(back, e.Now().Sub(at))
					e.Sleep(time.Minute)
					if got := fmt.Sprint(ann.notices()); got != fmt.Sprint([]string{ringLost, ringBack}) {
						e.T().Errorf("%s, %d nodes, seed %d: she was told %v", how, size, seed, got)
					}
				})
			}
		}
		t.Logf("%s: told after %v at most, and after %v that it is over", how, worst, back)
		if worst > 5*time.Second || back > 10*time.Second {
			t.Errorf("%s: told after %v, and after %v that it is over", how, worst, back)
		}
	}
}

// TestSomeAreThere: as long as one other node answers, nobody is told that all
// are lost.
func TestSomeAreThere(t *testing.T) {
	for _, seed := range seeds(5) {
		w := newSimNet(t, seed)
		w.grow(8)
		w.run(func(e *simEnv) {
			ann := e.open(w.nodes[0], "ann")
			e.Sleep(20 * time.Second)
			for _, n := range w.nodes[2:] {
				w.Pause(n.h)
			}
			e.Sleep(time.Minute)
			if got := ann.notices(); len(got) != 0 {
				e.T().Errorf("seed %d: she was told %v", seed, got)
			}
		})
	}
}
