package overlay

import (
	"fmt"
	"testing"
	"time"

	"ircbridge/host"
)

// allOpen: every node answers for its range.
func (w *world) allOpen() bool {
	for _, n := range w.nodes {
		n.o.mu.Lock()
		open := n.o.open && !n.o.joining
		n.o.mu.Unlock()
		if _, ok := n.ring.Predecessor(); !open || !n.ring.Member() || !ok {
			return false
		}
	}
	return true
}

// Nodes that all start again dial each other: who began the ring may be joining one
// of those that have just come to him. There is nothing for him to join; he goes on
// answering for his range, and lists the others theirs.
func TestWhoBeganTheRingJoinsOneThatCameToHim(t *testing.T) {
	for seed := range seeds(40) {
		w := newWorld(t, seed)
		w.run(func() {
			for i := range 4 {
				w.nodes = append(w.nodes, w.dress(w.Add(fmt.Sprintf("n%d", i))))
			}
			first := w.nodes[0]
			for i, n := range w.nodes {
				w.Start(n.host, func() {
					n.ring.Run()
					n.o.Run()
					if i == 0 {
						n.o.Create()
						_ = n.host.Sleep(time.Duration(seed) * time.Millisecond / 4)
						_ = n.o.Join([]host.Peer{w.nodes[1].host.Self()}, 3*time.Second)
						return
					}
					_ = n.o.Join([]host.Peer{first.host.Self()}, 3*time.Second)
				})
			}
			w.must("all are open", w.allOpen)
			for i, n := range w.nodes {
				n.do(w, fmt.Sprint("room", i), "join")
			}
		})
	}
}

// Nodes that each began a ring of their own join each other's at one time, so that none
// is left of whom it was.
func TestWhoBeganRingsJoinEachOther(t *testing.T) {
	for seed := range seeds(40) {
		w := newWorld(t, seed)
		w.run(func() {
			for i := range 2 + int(seed%3) {
				w.nodes = append(w.nodes, w.dress(w.Add(fmt.Sprintf("n%d", i))))
			}
			for i, n := range w.nodes {
				next := w.nodes[(i+1)%len(w.nodes)]
				w.Start(n.host, func() {
					n.ring.Run()
					n.o.Run()
					n.o.Create()
					n.do(w, fmt.Sprint("mine", i), "join")
					_ = n.host.Sleep(time.Second - w.Elapsed() + time.Duration(i)*time.Duration(seed)*time.Millisecond/20)
					for n.ring.Alone() && n.o.Join([]host.Peer{next.host.Self()}, 3*time.Second) != nil {
					}
				})
			}
			w.must("all are open", w.allOpen)
			w.must("all is with whom it belongs to", w.allHome)
			for i, n := range w.nodes {
				n.do(w, fmt.Sprint("room", i), "join")
			}
		})
	}
}

// The peer of who began a ring is in no ring yet. While he asks it, another one joins him,
// and so he joins nobody; then the peer begins a ring too. The two become one.
func TestWhoIsJoinedWhileHeJoinsIntroducesHisPeer(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func() {
		for i := range 3 {
			w.nodes = append(w.nodes, w.dress(w.Add(fmt.Sprintf("n%d", i))))
		}
		first, peer, other := w.nodes[0], w.nodes[1], w.nodes[2]
		start := func(n *node, after time.Duration, join func()) {
			w.Start(n.host, func() {
				n.ring.Run()
				n.o.Run()
				if n.host.Sleep(after) == nil {
					join()
				}
			})
		}
		start(peer, time.Second, peer.o.Create)
		start(first, 0, func() {
			first.o.Create()
			_ = first.o.Join([]host.Peer{peer.host.Self()}, 5*time.Second)
		})
		start(other, time.Second/4, func() { _ = other.o.Join([]host.Peer{first.host.Self()}, time.Second) })
		w.must("all are in one ring", func() bool { return w.allOpen() && len(first.ring.Successors()) == 2 })
	})
}
