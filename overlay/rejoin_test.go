package overlay

import (
	"fmt"
	"testing"
	"time"

	"ircbridge/overlay/wire"
)

// A node that leaves and comes again at once is given its view at once: what
// it acknowledged before it left says nothing about what it has now, and that
// it had no stake for a moment holds up nothing.
func TestLeavingAndJoiningAtOnce(t *testing.T) {
	for seed := range seeds(20) {
		w := newWorld(t, seed)
		w.run(func() {
			w.grow(4)
			name := w.roomKeptBy(func(n *node) bool { return n == w.nodes[3] })
			w.nodes[0].do(w, name, "join")
			speaking := true
			w.Go("speaker", func() {
				for speaking {
					w.nodes[2].do(w, name, "say something")
				}
			})
			n := w.nodes[1]
			for k := range 60 {
				began := w.Elapsed()
				resets := n.views.resets
				n.do(w, name, "join")
				w.must(fmt.Sprint("view ", k), func() bool { return n.views.resets > resets })
				if d := w.Elapsed() - began; d > 100*time.Millisecond {
					t.Errorf("seed %d: the view of join %d came after %v", seed, k, d)
				}
				n.views.at = map[string]Stamp{}
				n.o.Release("room", name)
				w.Go("leave", func() { n.do(w, name, "leave") })
				w.Sleep(time.Duration(seed%5) * time.Millisecond / 2)
				w.must("left", func() bool { return n.acked[name] == n.next[name] })
			}
			speaking = false
		})
	}
}

// The view that a node acknowledges belongs to the stay for which it was sent:
// a node that left and came back since still needs one.
func TestAnAcknowledgementOfAnEarlierStayIsVoid(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func() {
		w.grow(1)
		n := w.nodes[0]
		n.do(w, "tea", "join")
		o, r := n.o, ref{"room", "tea"}
		other := w.Add("other").Self().ID
		o.mu.Lock()
		ob, p := o.objects[r], &pusher{dirty: map[ref]bool{r: true}, order: []ref{r}}
		ob.cursors[other] = &cursor{number: ob.number, needView: true}
		msg := o.nextPushLocked(other, p)
		ob.cursors[other] = &cursor{number: ob.number, needView: true} // left, and came again
		o.mu.Unlock()
		reply := &wire.DeliverReply{Items: []*wire.Ack{{Kind: wire.Ack_HAVE, Number: ob.number}}, Run: 1}
		if !o.acknowledge(other, p, msg, reply) || !ob.cursors[other].needView {
			t.Error("the view of the second stay counts as given")
		}
	})
}
