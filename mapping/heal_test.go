package mapping

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/chat"
)

// TestPartitionHeals: a node is cut off for a while, goes on alone, and comes
// back. (Rings of several nodes on both sides are not united yet.)
// Members are the union, the older channel's operator stays the only one, and
// of two users with one nick one is renamed.
func TestPartitionHeals(t *testing.T) {
	for _, seed := range seeds(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newSimNet(t, seed)
			w.grow(6)
			w.run(func(e *simEnv) {
				ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[5], "bob")
				ann.join("#old")
				bob.join("#old")
				e.sees(bob, "#old", "@ann bob")
				w.cutAfter(5)
				e.Sleep(90 * time.Second)
				e.sees(ann, "#old", "@ann")
				eve, zoe := e.open(w.nodes[1], "eve"), e.open(w.nodes[2], "zoe")
				e.Sleep(time.Second)
				zoe2 := e.open(w.nodes[5], "zoe")
				eve.join("#new")
				zoe.join("#new")
				e.Sleep(time.Second)
				zoe2.join("#new")
				e.Sleep(10 * time.Second)
				w.Heal()
				e.Eventually("the ring is whole", w.settled)
				e.Sleep(40 * time.Second)
				e.sees(ann, "#old", "@ann bob")
				e.sees(bob, "#old", "@ann bob")
				lost := zoe2.Self().Nick
				if !strings.HasPrefix(lost, "zoe-") || zoe.Self().Nick != "zoe" {
					e.T().Errorf("seed %d: they are %s and %s", seed, zoe.Self().Nick, lost)
				}
				for _, u := range []*tester{eve, zoe, zoe2} {
					e.sees(u, "#new", "@eve zoe "+lost)
				}
				own := slices.DeleteFunc(eventsOf[chat.Renamed](zoe2), func(r chat.Renamed) bool { return r.Why == "" })
				if len(own) != 1 || own[0].Nick != lost || !strings.Contains(own[0].Why, zoe.Self().Mask()) {
					e.T().Errorf("seed %d: the loser was told %v", seed, own)
				}
				if won := zoe.notices(); len(won) != 1 || !strings.Contains(won[0], "zoe!u@"+zoe2.Self().Host) {
					e.T().Errorf("seed %d: the winner was told %v", seed, won)
				}
				for i, u := range []*tester{ann, bob} {
					u.send("#old", fmt.Sprint("again ", i))
				}
				e.Eventually("they hear each other", func() bool {
					return strings.Contains(strings.Join(ann.texts(), ","), "again 1") && strings.Contains(strings.Join(bob.texts(), ","), "again 0")
				})
			})
		})
	}
}
