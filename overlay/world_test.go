package overlay

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/host/sim"
)

// The simulated rings that the tests of this package run on.

// node is one node of a simulated overlay.
type node struct {
	host  *sim.Host
	ring  *chord.Ring
	o     *Overlay
	views *roomViews
	next  map[string]uint64 // number of the last request for a room
	acked map[string]uint64 // and of the last that was answered

	routed []string // messages to keys of this node
}

// world is a simulated overlay.
type world struct {
	*sim.World
	t     testing.TB
	nodes []*node
	cfg   Config                                                  // of nodes that are added
	tap   func(h *sim.Host, stage stage, m host.Method, size int) // hears of calls of nodes that are added; see tapped
}

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{World: sim.New(seed, sim.Config{}), t: t}
	t.Cleanup(w.Close)
	return w
}

// dress puts the protocols on a host.
func (w *world) dress(h *sim.Host) *node {
	if w.tap != nil {
		return w.dressOn(h, &tapped{h, w.tap})
	}
	return w.dressOn(h, h)
}

// dressOn is dress with something between the protocols and their host.
func (w *world) dressOn(h *sim.Host, on host.Host) *node {
	n := &node{host: h, views: newRoomViews(), next: map[string]uint64{}, acked: map[string]uint64{}}
	n.ring = chord.New(on, chord.Config{})
	n.o = New(on, n.ring, w.cfg)
	n.o.Register(Kind{Name: "room", New: newRoom, Views: n.views})
	n.o.HandleDirect(func(from host.Peer, msg []byte) []byte { return append([]byte("got "), msg...) })
	n.o.RegisterRecords()
	n.o.RegisterGroups()
	n.o.HandleRoute(func(from host.PeerID, key chord.ID, msg []byte) []byte {
		n.routed = append(n.routed, string(msg))
		return append([]byte("at "+h.Name()+": "), msg...)
	})
	return n
}

// assemble puts the protocols on a host and starts it; via nil creates a ring.
func (w *world) assemble(h *sim.Host, via *node) *node {
	n := w.dress(h)
	w.Start(h, func() {
		n.ring.Run()
		n.o.Run()
		if via == nil {
			n.o.Create()
			return
		}
		for n.o.Join([]host.Peer{via.host.Self()}, 5*time.Second) != nil {
			if h.Sleep(100*time.Millisecond) != nil {
				return
			}
		}
	})
	return n
}

// add starts one more node, joined through the first.
func (w *world) add() *node {
	var via *node
	if len(w.nodes) > 0 {
		via = w.nodes[0]
	}
	n := w.assemble(w.Add(fmt.Sprintf("n%d", len(w.nodes))), via)
	w.nodes = append(w.nodes, n)
	return n
}

// grow starts nodes until there are total, and waits until all are open.
func (w *world) grow(total int) {
	for len(w.nodes) < total {
		w.add()
	}
	w.must("all nodes are open", func() bool {
		for _, n := range w.nodes {
			if !n.o.open || !n.ring.Member() {
				return false
			}
			if _, ok := n.ring.Predecessor(); !ok && total > 1 {
				return false
			}
		}
		return true
	})
}

// must waits up to a virtual minute for a condition; for tasks of the test.
func (w *world) must(what string, cond func() bool) {
	w.t.Helper()
	if !w.Eventually(time.Minute, cond) {
		w.t.Fatalf("seed %d: never happened: %s", w.Seed(), what)
	}
}

// do makes one request and fails the test on an error.
func (n *node) do(w *world, room, req string) string {
	w.t.Helper()
	n.next[room]++
	number := n.next[room]
	if req == "join" {
		n.views.in[room] = true
		n.o.Hold("room", room)
	}
	res, err := n.o.Request("room", room, Stream{n.host.Self().ID, n.host.Run(), 1}, number, [][]byte{[]byte(req)}, 5*time.Second)
	if err != nil {
		w.t.Errorf("seed %d: %s in %s: %v", w.Seed(), req, room, err)
		return ""
	}
	n.acked[room] = number
	return string(res[0])
}

// seeds is how many seeds a simulation runs through; few with -short, which
// goes with the race detector: a simulation is one goroutine at a time.
func seeds(n uint64) uint64 {
	if testing.Short() {
		return min(n, 2)
	}
	return n
}

// keeperOf is the node that keeps a room.
func (w *world) keeperOf(room string) *node {
	for _, n := range w.living() {
		if n.o.KeepsNow("room", room) {
			return n
		}
	}
	return nil
}

// roomKeptBy finds a name whose key lies with one of the nodes wanted.
func (w *world) roomKeptBy(ok func(*node) bool) string {
	for i := range 10000 {
		name := fmt.Sprintf("room%d", i)
		for _, n := range w.nodes {
			if n.ring.Owns(Key("room", name)) && ok(n) {
				return name
			}
		}
	}
	w.t.Fatal("no such name")
	return ""
}

// run runs a test task to its end.
func (w *world) run(f func()) {
	w.Go("test", f)
	w.Run()
}

// living are the nodes that run.
func (w *world) living() []*node {
	var nodes []*node
	for _, n := range w.nodes {
		if n.host.Running() {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// by is the node of an ID.
func (w *world) by(id chord.ID) *node {
	return w.nodes[slices.IndexFunc(w.nodes, func(n *node) bool { return n.o.self == id })]
}

// allHome: every object is kept once, by the owner of its key.
func (w *world) allHome() bool {
	kept := map[string]int{}
	for _, n := range w.nodes {
		if n.host.Sleep(0) != nil {
			continue
		}
		for _, r := range n.o.Kept("room") {
			kept[r]++
			if !n.ring.Owns(Key("room", r)) || kept[r] > 1 {
				return false
			}
		}
	}
	return true
}
