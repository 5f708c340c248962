package overlay

import (
	"testing"
	"time"

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
