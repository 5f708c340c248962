package overlay

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// Four nodes say more than a member can be told in time: they are made to
// wait, and nothing is lost to the member.
func TestSendersWaitForAMemberThatKeepsUpSlowly(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func() {
		w.grow(6)
		name := w.roomKeptBy(func(n *node) bool { return n == w.nodes[5] })
		w.nodes[0].do(w, name, "join")
		const senders, batches, lines = 4, 40, 12
		done := 0
		for i, n := range w.nodes[1 : 1+senders] {
			w.Go("sender", func() {
				stream := Stream{n.host.Self().ID, n.host.Run(), 9}
				next := uint64(1)
				for range batches {
					var items [][]byte
					for k := range lines {
						items = append(items, append(fmt.Appendf(nil, "say %d.%d ", i, int(next)+k), bytes.Repeat([]byte("x"), 4096)...))
					}
					if _, err := n.o.Request("room", name, stream, next, items, 30*time.Second); err != nil {
						t.Error(err)
					}
					next += lines
				}
				done++
			})
		}
		w.must("all said", func() bool { return done == senders })
		heard := func() int { return len(w.nodes[0].views.said[name]) }
		w.Eventually(10*time.Second, func() bool { return heard() == senders*batches*lines })
		if heard() != senders*batches*lines {
			t.Errorf("heard %d of %d", heard(), senders*batches*lines)
		}
	})
}
