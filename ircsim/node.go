package ircsim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ircbridge/chat"
	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/host/sim"
	"ircbridge/ircd"
	"ircbridge/mapping"
	"ircbridge/overlay"
)

// settleTime is how long a ring may take until a new node is in it.
const settleTime = 30 * time.Second

// node is one node through all its runs.
type node struct {
	net    *Network
	number int
	h      *sim.Host
	ring   *chord.Ring
	server *ircd.Server
	ctx    context.Context // of the server's connections
	cancel context.CancelCauseFunc
}

// add starts one more node and waits until it is in the ring.
func (n *Network) add() {
	nd := &node{net: n, number: len(n.nodes)}
	n.nodes = append(n.nodes, nd)
	nd.start(n.World.Add(fmt.Sprintf("n%d", nd.number)))
	if !n.World.Await(settleTime, func() bool { return nd.ring.Member() && (nd.number == 0 || !nd.ring.Alone()) }) {
		panic(fmt.Sprintf("ircsim: seed %d: node %d does not join the ring", n.World.Seed(), nd.number))
	}
}

// start puts protocols and server on a run of the node, and lets it join.
func (nd *node) start(h *sim.Host) {
	nd.h = h
	nd.ring = chord.New(h, chord.Config{})
	o := overlay.New(h, nd.ring, overlay.Config{})
	service := mapping.New(mapping.Config{Host: h, Ring: nd.ring, Overlay: o})
	front, err := ircd.New(chat.Setup{Service: &network{service, nd.net}, Version: "1", Decode: func(v any) error {
		if nd.net.setup != nil {
			nd.net.setup(v.(*ircd.Config))
		}
		return nil
	}})
	if err != nil {
		panic(err)
	}
	nd.server = front.(*ircd.Server)
	nd.ctx, nd.cancel = context.WithCancelCause(context.Background())
	ring := nd.ring
	nd.net.World.Start(h, func() {
		ring.Run()
		o.Run()
		service.Run()
		nd.join(h, ring, o)
	})
}

// join brings a run of the node into the ring of the others, as the program does: a node that nobody
// answers begins a ring of its own, which becomes one with the others' later.
func (nd *node) join(h *sim.Host, ring *chord.Ring, o *overlay.Overlay) {
	var peers []host.Peer
	for _, other := range nd.net.nodes {
		if other != nd {
			peers = append(peers, other.h.Self())
		}
	}
	if len(peers) > 0 && o.Join(peers, 500*time.Millisecond) == nil {
		return
	}
	o.Create()
	for len(peers) > 0 && ring.Alone() && h.Sleep(time.Second) == nil {
		for _, p := range peers {
			if found, err := h.Dial(p.Addrs[0], time.Second); err == nil {
				ring.Introduce(found)
			}
		}
	}
}

// stopServers ends all connections.
func (n *Network) stopServers() {
	for _, nd := range n.nodes {
		nd.cancel(nil)
	}
}

// Kill ends a node as kill -9 does, and starts it again after a time, from its disk. A node that does not
// run is left alone.
func (n *Network) Kill(number int, back time.Duration) {
	n.do("", func() {
		nd := n.nodes[number]
		if !nd.h.Running() {
			return
		}
		n.World.Crash(nd.h)
		for _, c := range n.conns {
			if c.node == nd && c.server == nd.server {
				n.wake(c.breakOff)
			}
		}
		stop, why := nd.cancel, errors.New("killed")
		n.wake(func() { stop(why) })
		n.later(back, func() { nd.start(n.World.Restart(nd.h)) })
	})
}

// Cut cuts nodes off from the others, for a time. It replaces an earlier cut.
func (n *Network) Cut(d time.Duration, numbers ...int) {
	n.do("", func() {
		var near, far []*sim.Host
		for _, nd := range n.nodes {
			if slices.Contains(numbers, nd.number) {
				far = append(far, nd.h)
			} else {
				near = append(near, nd.h)
			}
		}
		n.World.Partition(near, far)
		n.later(d, n.World.Heal)
	})
}

// Pause has a node stand still for a time, as SIGSTOP does; its clients wait.
func (n *Network) Pause(number int, d time.Duration) {
	n.do("", func() {
		h := n.nodes[number].h
		n.World.Pause(h)
		n.later(d, func() { n.World.Resume(h) })
	})
}

// Disturb has messages between nodes lost, doubled and overtaken, for a time.
func (n *Network) Disturb(d time.Duration, f sim.Faults) {
	n.do("", func() {
		n.World.SetFaults(f)
		n.later(d, func() { n.World.SetFaults(sim.Faults{}) })
	})
}
