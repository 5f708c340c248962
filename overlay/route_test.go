package overlay

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"ircbridge/chord"
)

// A message to a key reaches its owner, whoever that is.
func TestRouteReachesTheOwner(t *testing.T) {
	for seed := range uint64(10) {
		w := newWorld(t, seed)
		w.run(func() {
			w.grow(4)
			check := func() {
				for i := range 12 {
					key := Key("test", fmt.Sprint(i))
					got, err := w.nodes[0].o.Route(key, []byte("hi"), 10*time.Second)
					if err != nil {
						t.Errorf("seed %d: %v", seed, err)
					}
					w.must("the one that answered is the owner", func() bool {
						for _, n := range w.nodes {
							if n.host.Running() && n.ring.Owns(key) {
								return string(got) == "at "+n.host.Name()+": hi"
							}
						}
						return false // a death is being found out
					})
				}
			}
			check()
			w.add()
			w.grow(5)
			check()
			w.Crash(w.nodes[2].host)
			check()
		})
	}
	if _, err := new(Overlay).Route(chord.ID{}, nil, time.Second); !errors.Is(err, ErrNotRegistered) {
		t.Error(err)
	}
}
