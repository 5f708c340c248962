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

// late is a host that takes a moment to hear what a keeper tells it, and to say so.
type late struct{ *sim.Host }

func (l late) HandleCall(m host.Method, f host.CallHandler) {
	l.Host.HandleCall(m, func(from host.Peer, req []byte) ([]byte, error) {
		if m.Name != "overlay deliver" {
			return f(from, req)
		}
		if err := l.Sleep(2 * time.Millisecond); err != nil {
			return nil, err
		}
		reply, err := f(from, req)
		return reply, errors.Join(err, l.Sleep(3*time.Millisecond))
	})
}

// TestWhoJoinsWhileHisNodeLeavesIsShownTheChannel: a node that is still told of a channel, because one of
// its users was kicked, answers that nobody there is on it any more. Who joins while that answer is on its way is
// shown the channel.
func TestWhoJoinsWhileHisNodeLeavesIsShownTheChannel(t *testing.T) {
	for _, seed := range seeds(10) {
		w := newSimNet(t, seed)
		w.dress = func(h *sim.Host) host.Host { return late{h} }
		w.grow(3)
		w.run(func(e *simEnv) {
			channel := e.channelOn(w.nodes[2])
			ann, dan := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "dan")
			ann.join(channel)
			dan.join(channel)
			e.sees(ann, channel, "@ann dan")
			var users []*tester
			for i := range 20 {
				users = append(users, e.open(w.nodes[1], fmt.Sprint("u", i)))
			}
			users[0].join(channel)
			if err := ann.Kick(bg, channel, "dan", ""); err != nil {
				e.Fatalf("seed %d: kick: %v", seed, err)
			}
			for i, u := range users[1:] {
				e.sees(users[i], channel, fmt.Sprint("@ann u", i))
				users[i].Vanish("connection lost")
				w.nodes[1].awaitNoView(e, channel)
				e.Sleep(time.Duration(i) * 100 * time.Microsecond)
				if _, err := u.Join(bg, channel, ""); err != nil {
					e.Fatalf("seed %d: %s joins: %v", seed, u.name, err)
				}
			}
		})
	}
}

// awaitNoView waits until the node has no view of a channel.
func (n *simNode) awaitNoView(e *simEnv, channel string) {
	for open := true; open; {
		e.Sleep(50 * time.Microsecond)
		n.s.mu.Lock()
		_, open = n.s.views[chat.Fold(channel)]
		n.s.mu.Unlock()
	}
}
