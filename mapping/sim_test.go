package mapping

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/chat/chattest"
	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/host/sim"
	"ircbridge/overlay"
)

// simNode is one node of a simulated network, with all layers.
type simNode struct {
	h    *sim.Host
	ring *chord.Ring
	o    *overlay.Overlay
	s    *Service
}

// simNet is a simulated network.
type simNet struct {
	*sim.World
	t     *testing.T
	nodes []*simNode
	dress func(*sim.Host) host.Host // what the protocols of nodes that are started run on; nil: the host itself
}

func newSimNet(t *testing.T, seed uint64) *simNet {
	w := &simNet{World: sim.New(seed, sim.Config{}), t: t}
	t.Cleanup(w.Close)
	return w
}

// start puts the protocols on a host and starts it; without others it begins
// a ring.
func (w *simNet) start(h *sim.Host, others ...*simNode) *simNode {
	n := &simNode{h: h}
	var on host.Host = h
	if w.dress != nil {
		on = w.dress(h)
	}
	n.ring = chord.New(on, chord.Config{})
	n.o = overlay.New(on, n.ring, overlay.Config{})
	n.s = New(Config{Host: on, Ring: n.ring, Overlay: n.o})
	w.Start(h, func() {
		n.ring.Run()
		n.o.Run()
		n.s.Run()
		var peers []host.Peer
		for _, o := range others {
			peers = append(peers, o.h.Self())
		}
		if len(peers) == 0 {
			n.o.Create()
			return
		}
		for n.o.Join(peers, 5*time.Second) != nil {
			if h.Sleep(100*time.Millisecond) != nil {
				return
			}
		}
	})
	return n
}

// add starts one more node.
func (w *simNet) add() *simNode {
	var others []*simNode
	if len(w.nodes) > 0 {
		others = w.nodes[:1]
	}
	n := w.start(w.Add(fmt.Sprintf("n%d", len(w.nodes))), others...)
	w.nodes = append(w.nodes, n)
	return n
}

// live lists the nodes that run.
func (w *simNet) live() []*simNode {
	var list []*simNode
	for _, n := range w.nodes {
		if n.h.Running() {
			list = append(list, n)
		}
	}
	return list
}

// settled reports whether the ring is whole: as many steps as there are nodes
// lead round it.
func (w *simNet) settled() bool {
	live := w.live()
	at := map[chord.ID]*simNode{}
	for _, n := range live {
		if !n.ring.Member() {
			return false
		}
		at[n.ring.Self().ID] = n
	}
	n, steps := live[0], 0
	for ; steps < len(live); steps++ {
		if _, ok := n.ring.Predecessor(); !ok && len(live) > 1 {
			return false
		}
		if len(n.ring.Successors()) == 0 {
			return len(live) == 1
		}
		if n = at[n.ring.Successors()[0].ID]; n == nil || n == live[0] {
			break
		}
	}
	return n == live[0] && steps == len(live)-1
}

// grow starts nodes until there are total, one by one.
func (w *simNet) grow(total int) {
	for len(w.nodes) < total {
		w.add()
		if !w.Await(time.Minute, w.settled) {
			w.t.Fatalf("seed %d: the ring of %d does not settle", w.Seed(), len(w.nodes))
		}
	}
	w.RunFor(5 * time.Second) // ranges open
}

// cutAfter parts the first so many nodes from the others.
func (w *simNet) cutAfter(near int) {
	var left, right []*sim.Host
	for i, n := range w.nodes {
		if i < near {
			left = append(left, n.h)
		} else {
			right = append(right, n.h)
		}
	}
	w.Partition(left, right)
}

// simEnv is the suite's Env on a simulated network.
type simEnv struct {
	chattest.Base
	w *simNet
}

func (e *simEnv) Service(i int) chat.Service { return e.w.nodes[i].s }
func (e *simEnv) Go(name string, f func())   { e.w.Go(name, func() { chattest.Guard(f) }) }
func (e *simEnv) Sleep(d time.Duration)      { e.w.Sleep(d) }
func (e *simEnv) Now() time.Time             { return e.w.Now() }

// Cut implements chattest.Cutter.
func (e *simEnv) Cut(nodes ...int) bool {
	var far, near []*sim.Host
	for i, n := range e.w.nodes {
		if slices.Contains(nodes, i) {
			far = append(far, n.h)
		} else {
			near = append(near, n.h)
		}
	}
	if slices.Contains(near, far[0]) {
		return false
	}
	e.w.Partition(near, far)
	return true
}

// Mend implements chattest.Cutter.
func (e *simEnv) Mend() { e.w.Heal() }

func (e *simEnv) Eventually(what string, cond func() bool) {
	for end := e.w.Elapsed() + 2*time.Minute; !cond(); e.w.Sleep(20 * time.Millisecond) {
		if e.w.Elapsed() > end {
			e.Fatalf("seed %d: still not: %s", e.w.Seed(), what)
		}
	}
}

// run runs a body to its end in a task of the test.
func (w *simNet) run(body func(e *simEnv)) {
	w.t.Helper()
	done := false
	w.Go("body", func() {
		defer func() { done = true }()
		chattest.Guard(func() { body(&simEnv{Base: chattest.Base{Test: w.t}, w: w}) })
	})
	if !w.Await(30*time.Minute, func() bool { return done }) {
		w.t.Fatalf("seed %d: the body does not end", w.Seed())
	}
	w.RunFor(10 * time.Second)
}

// seeds are those to run: n from 1, a fifth of them with -short, or the one in
// the environment.
func seeds(n int) []uint64 {
	if testing.Short() {
		n = (n + 4) / 5
	}
	if s, err := strconv.ParseUint(os.Getenv("MAPPING_SEED"), 10, 64); err == nil {
		return []uint64{s}
	}
	var list []uint64
	for i := range n {
		list = append(list, uint64(i+1))
	}
	return list
}

// TestConformance runs the suite of package chat on rings of simulated nodes.
func TestConformance(t *testing.T) {
	for _, size := range []int{1, 3, 20} {
		t.Run(fmt.Sprintf("ring of %d", size), func(t *testing.T) {
			if size > 3 && testing.Short() {
				t.Skip("many nodes")
			}
			chattest.Run(t, func(t *testing.T, nodes int, body func(chattest.Env)) {
				w := newSimNet(t, uint64(size))
				w.grow(max(size, 1))
				// A ring of one serves all of a body's nodes.
				for len(w.nodes) < nodes {
					w.nodes = append(w.nodes, w.nodes[0])
				}
				w.run(func(e *simEnv) { body(e) })
			})
		})
	}
}
