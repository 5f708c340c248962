package mapping

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestWhoJoinedDuringASplitSeesBothSides: users who came to a channel while
// its keepers were apart were there when it was said, on either side: the
// stamps of the two keepers say nothing of what came first.
func TestWhoJoinedDuringASplitSeesBothSides(t *testing.T) {
	for _, seed := range seeds(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newSimNet(t, seed)
			w.grow(6)
			w.run(func(e *simEnv) {
				w.cutAfter(3)
				e.Sleep(60 * time.Second) // both rings are closed
				ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[5], "bob")
				ann.join("#tea")
				bob.join("#tea")
				e.Sleep(time.Second)
				for i := range 3 {
					ann.send("#tea", fmt.Sprint("left ", i))
					bob.send("#tea", fmt.Sprint("right ", i))
					e.Sleep(time.Second)
				}
				w.Heal()
				e.Eventually("the ring is whole", w.settled)
				e.Eventually("ann saw what bob said, once each and in order", func() bool {
					return slices.Equal(ann.texts(), []string{"right 0", "right 1", "right 2"})
				})
				e.Eventually("bob saw what ann said, once each and in order", func() bool {
					return slices.Equal(bob.texts(), []string{"left 0", "left 1", "left 2"})
				})
				// Who comes now was not there.
				eve := e.open(w.nodes[1], "eve")
				eve.join("#tea")
				e.Sleep(40 * time.Second)
				if got := eve.texts(); len(got) > 0 {
					e.T().Errorf("seed %d: who came afterwards is shown %q", seed, got)
				}
			})
		})
	}
}
