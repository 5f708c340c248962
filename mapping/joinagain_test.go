package mapping

import (
	"context"
	"errors"
	"testing"
	"time"

	"ircbridge/chat"
)

// TestJoinAgainAfterGivingUp: who has given a join up that the network has not answered, and asks again, is in when
// that is answered, be it with another key too. He is not told that he was in all the time.
func TestJoinAgainAfterGivingUp(t *testing.T) {
	for _, keys := range [][2]string{{"", ""}, {"key", "key"}, {"wrong", "key"}, {"", "key"}} {
		for _, seed := range seeds(3) {
			w := newSimNet(t, seed)
			w.grow(3)
			w.run(func(e *simEnv) {
				ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
				ann.join("#a")
				if keys[1] != "" {
					if _, err := ann.SetMode(bg, "#a", []chat.ModeChange{{Add: true, Mode: 'k', Arg: "key"}}); err != nil {
						t.Fatal(err)
					}
				}
				w.Pause(w.nodes[0].h)
				w.Pause(w.nodes[2].h) // one of them keeps the channel, or all its copies
				ctx, giveUp := context.WithCancel(bg)
				w.Go("give up", func() {
					w.Sleep(50 * time.Millisecond)
					giveUp()
				})
				if _, err := bob.Join(ctx, "#a", keys[0]); !errors.Is(err, context.Canceled) {
					t.Fatalf("seed %d, keys %q: the first join: %v", seed, keys, err)
				}
				w.Go("go on", func() {
					w.Sleep(time.Second)
					w.Resume(w.nodes[0].h)
					w.Resume(w.nodes[2].h)
				})
				if _, err := bob.Join(bg, "#a", keys[1]); err != nil {
					t.Errorf("seed %d, keys %q: the second join: %v", seed, keys, err)
				}
				if _, err := bob.Join(bg, "#a", keys[1]); !errors.Is(err, chat.ErrAlreadyJoined) {
					t.Errorf("seed %d, keys %q: the third join: %v", seed, keys, err)
				}
				e.sees(ann, "#a", "@ann bob")
				e.sees(bob, "#a", "@ann bob")
			})
		}
	}
}
