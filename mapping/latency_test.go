package mapping

import (
	"slices"
	"testing"
	"time"

	"ircbridge/chat"
)

// TestLatency: what a user does takes a few round trips and no timer.
func TestLatency(t *testing.T) {
	w := newSimNet(t, 1)
	w.grow(3)
	w.run(func(e *simEnv) {
		took := func(what string, f func()) {
			t.Helper()
			at := e.Now()
			f()
			if d := e.Now().Sub(at); d > 100*time.Millisecond {
				t.Errorf("%s takes %v", what, d)
			}
		}
		var ann, bob *tester
		took("open", func() { ann = e.open(w.nodes[0], "ann") })
		bob = e.open(w.nodes[1], "bob")
		for _, c := range []string{"#a", "#b", "#c"} {
			took("join", func() { ann.join(c) })
			took("join of another", func() { bob.join(c) })
			took("send", func() {
				bob.send(c, "x")
				if err := bob.Flush(bg); err != nil {
					t.Error(err)
				}
			})
			took("topic", func() {
				if err := ann.SetTopic(bg, c, "t"); err != nil {
					t.Error(err)
				}
			})
			took("mode", func() {
				if _, err := ann.SetMode(bg, c, []chat.ModeChange{{Add: true, Mode: 'v', Arg: bob.Self().Nick}}); err != nil {
					t.Error(err)
				}
			})
			took("nick", func() {
				if err := bob.SetNick(bg, "bob"+c[1:]); err != nil {
					t.Error(err)
				}
			})
		}
		took("letter", func() {
			ann.send(bob.Self().Nick, "x")
			if err := ann.Flush(bg); err != nil {
				t.Error(err)
			}
		})
		e.Eventually("ann sees the last nick", func() bool {
			c, err := ann.Channel(bg, "#a")
			return err == nil && slices.ContainsFunc(c.Members, func(m chat.Member) bool { return m.Nick == bob.Self().Nick })
		})
		took("kick", func() {
			if err := ann.Kick(bg, "#a", bob.Self().Nick, ""); err != nil {
				t.Error(err)
			}
		})
	})
}
