package mapping

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ircbridge/host/sim"
)

// TestFiftyRestarts: a node is killed fifty times and starts again, each time at another address, at
// once or after a while, and its user comes back and speaks. He is never there
// twice, what he says is heard once, and he finds his nick his own.
func TestFiftyRestarts(t *testing.T) {
	restarts := 50
	if testing.Short() {
		restarts = 10
	}
	w := newSimNet(t, 1)
	w.grow(5)
	w.run(func(e *simEnv) {
		ann := e.open(w.nodes[0], "ann")
		ann.join("#tea")
		h := w.nodes[1].h
		var said []string
		for life := range restarts {
			bob := e.open(w.nodes[1], "bob")
			bob.join("#tea")
			e.sees(ann, "#tea", "@ann bob")
			text := fmt.Sprint("life ", life)
			bob.send("#tea", text)
			if life%3 == 0 {
				if err := bob.Flush(bg); err != nil {
					e.Fatalf("%v", err)
				}
			} else {
				e.Eventually("it is heard", func() bool { return slices.Contains(ann.texts(), text) })
			}
			said = append(said, text)
			w.Crash(h)
			e.Sleep(time.Duration(life%7) * 400 * time.Millisecond)
			h = w.Restart(h, sim.Addr(fmt.Sprint("place-", life)))
			w.nodes[1] = w.start(h, w.nodes[2])
			e.Eventually("one ring", w.settled)
			e.Sleep(time.Second)
		}
		e.Sleep(time.Minute)
		if got := ann.nicks("#tea"); got != "@ann" {
			e.T().Errorf("she sees %q", got)
		}
		if got := ann.texts(); !slices.Equal(got, said) {
			e.T().Errorf("she heard %q", got)
		}
	})
}
