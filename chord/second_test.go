package chord

import (
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/host/sim"
)

// The second node of a ring is given its predecessor at once, not at the
// first node's next round: until then nobody answers for its keys.
func TestSecondNodeGetsItsPredecessorAtOnce(t *testing.T) {
	w := sim.New(1, sim.Config{})
	t.Cleanup(w.Close)
	first, second := w.Add("first"), w.Add("second")
	a, b := New(first, Config{}), New(second, Config{})
	w.Start(first, func() { a.Run(); a.Create() })
	w.Start(second, func() { b.Run() })
	w.Go("test", func() {
		w.Sleep(300 * time.Millisecond) // amid the first node's pause
		if err := b.Join([]host.Peer{first.Self()}, time.Second); err != nil {
			t.Fatal(err)
		}
		began := w.Elapsed()
		w.Eventually(time.Minute, func() bool { return b.Owns(b.Self().ID) })
		if d := w.Elapsed() - began; d > 50*time.Millisecond {
			t.Errorf("the second node owned nothing for %v", d)
		}
	})
	w.Run()
}
