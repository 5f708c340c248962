package mapping

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/host/sim"
)

// deaf is a host that hears late what a keeper tells it.
type deaf struct{ *sim.Host }

func (d deaf) HandleCall(m host.Method, f host.CallHandler) {
	d.Host.HandleCall(m, func(from host.Peer, req []byte) ([]byte, error) {
		if m.Name == "overlay deliver" {
			if err := d.Sleep(100 * time.Millisecond); err != nil {
				return nil, err
			}
		}
		return f(from, req)
	})
}

// TestWhoHasJustComeIsKnownToTheKeeper: an operator whose node has not heard of a join gives who came a status,
// and kicks him; who is on the network and not on the channel is refused as before.
func TestWhoHasJustComeIsKnownToTheKeeper(t *testing.T) {
	for _, seed := range seeds(5) {
		w := newSimNet(t, seed)
		first := true
		w.dress = func(h *sim.Host) host.Host {
			if first {
				first = false
				return deaf{h}
			}
			return h
		}
		w.grow(3)
		w.run(func(e *simEnv) {
			channel := e.channelOn(w.nodes[2])
			ann, bob, cat := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob"), e.open(w.nodes[1], "cat")
			ann.join(channel)
			for _, does := range []func() error{
				func() error {
					done, err := ann.SetMode(bg, channel, []chat.ModeChange{{Add: true, Mode: 'v', Arg: "BOB"}})
					if err == nil && (len(done) != 1 || done[0].Arg != "bob") {
						err = fmt.Errorf("it took effect as %v", done)
					}
					return err
				},
				func() error { return ann.Kick(bg, channel, "bob", "") },
			} {
				e.sees(ann, channel, "@ann")
				bob.join(channel)
				if got := ann.nicks(channel); got != "@ann" {
					e.Fatalf("seed %d: she has heard of it: %s", seed, got)
				}
				if err := does(); err != nil {
					e.T().Errorf("seed %d: %v", seed, err)
				}
				if err := bob.Part(bg, channel, ""); err != nil && !errors.Is(err, chat.ErrNotOnChannel) {
					e.Fatalf("seed %d: part: %v", seed, err)
				}
			}
			if err := ann.Kick(bg, channel, cat.name, ""); !errors.Is(err, chat.ErrNotInChannel) {
				e.T().Errorf("seed %d: a kick of who is not there: %v", seed, err)
			}
		})
	}
}
