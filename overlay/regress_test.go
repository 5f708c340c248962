package overlay

import (
	"fmt"
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/host/sim"
)

// Bugs that simulations showed, each as small as it could be made.

// The reply of one node that a lookup goes through is lost. The request waits a second for it, not
// for all of its five, and is answered.
func TestALostReplyOfALookupCostsASecond(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func() {
		w.grow(6)
		w.nodes[0].do(w, "tea", "join")
		n := w.nodes[1]
		if n.ring.Owns(Key("room", "tea")) {
			n = w.nodes[2]
		}
		w.SetFaults(sim.Faults{ReplyLoss: 1})
		w.Go("end of the loss", func() {
			w.Sleep(300 * time.Millisecond)
			w.SetFaults(sim.Faults{})
		})
		began := w.Elapsed()
		n.do(w, "tea", "mark x")
		if d := w.Elapsed() - began; d > 2*time.Second {
			t.Errorf("answered after %v", d)
		}
	})
}

// The answer to a hand-over is late: the new keeper serves, and the old one does not know. It
// asks again before it takes anything itself, so that all that is answered meanwhile is heard.
func TestALateAnswerToAHandOver(t *testing.T) {
	for seed := range seeds(10) {
		w := newWorld(t, seed)
		late := false
		w.tap = func(h *sim.Host, s stage, m host.Method, _ int) {
			if late && s == atAnswer && m.Number == methodHandOver.Number {
				late = false
				_ = h.Sleep(3500 * time.Millisecond)
			}
		}
		w.run(func() {
			w.grow(5)
			for i := range 5 {
				w.nodes[i].do(w, "tea", "join")
			}
			late = true
			for late {
				w.add()
				w.Sleep(500 * time.Millisecond)
				w.must("whole", func() bool { return !late || w.allHome() })
			}
			for k := range 40 {
				for i, n := range w.nodes[:5] {
					n.do(w, "tea", fmt.Sprintf("say %d.%d", i, k))
				}
			}
			for _, n := range w.nodes[:5] {
				w.must("heard", func() bool { return len(n.views.said["tea"]) == 200 })
			}
		})
	}
}
