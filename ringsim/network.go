package ringsim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"ircbridge/chord"
	"ircbridge/chord/ringcheck"
	"ircbridge/host"
	"ircbridge/host/sim"
	"ircbridge/mapping"
	"ircbridge/overlay"
)

// network is a simulated network of whole nodes.
type network struct {
	*sim.World
	listLen int
	nodes   []*node
	by      map[*sim.Host]*node
	slow    map[string]time.Duration // by name of the node
	parted  bool
	log     *log
}

// A node is one node through all its runs.
type node struct {
	net     *network
	index   int
	h       *sim.Host
	ring    *chord.Ring
	overlay *overlay.Overlay
	chat    *mapping.Service
	told    []string // the addresses that its configuration names
	paused  bool
	leaving bool
	returns bool // it will be started again
	group   int  // of the partition

	came time.Duration // when its run began
	gone time.Duration // when it crashed, left or was paused last; later than came if so now
}

var background = context.Background()

func newNetwork(p *plan, seed uint64, l *log) *network {
	n := &network{listLen: p.listLen, by: make(map[*sim.Host]*node), slow: make(map[string]time.Duration), log: l}
	base := sim.LAN()
	if p.wan {
		base = sim.WAN()
	}
	n.World = sim.New(seed, sim.Config{Trace: l.events, Latency: func(r *rand.Rand, from, to string) time.Duration {
		return base(r, from, to) + n.slow[from] + n.slow[to]
	}})
	return n
}

// add makes a node that knows the addresses of some that run, and starts it.
// The first one begins the ring.
func (w *network) add(rng *rand.Rand, skew time.Duration) *node {
	n := &node{net: w, index: len(w.nodes)}
	running := w.running()
	for range min(2, len(running)) {
		if a := running[rng.IntN(len(running))].h.Addr(); !slices.Contains(n.told, a) {
			n.told = append(n.told, a)
		}
	}
	w.nodes = append(w.nodes, n)
	n.start(w.Add(n.name(), sim.Skew(skew)), len(w.nodes) == 1)
	return n
}

func (n *node) name() string { return fmt.Sprintf("n%d", n.index) }

func (n *node) up() bool { return n.h.Running() }

// awake reports whether users of the node can do anything.
func (n *node) awake() bool { return n.up() && !n.paused }

// running lists the nodes that run.
func (w *network) running() []*node {
	return slices.DeleteFunc(slices.Clone(w.nodes), func(n *node) bool { return !n.up() })
}

// start puts the protocols on a run of the node, as the program does, and lets
// it join.
func (n *node) start(h *sim.Host, first bool) {
	n.h, n.came, n.paused, n.leaving = h, n.net.Elapsed(), false, false
	n.net.by[h] = n
	log := n.net.log.of(n)
	n.ring = chord.New(h, chord.Config{SuccessorListLen: n.net.listLen, Log: log})
	n.overlay = overlay.New(h, n.ring, overlay.Config{Log: log})
	n.chat = mapping.New(mapping.Config{Host: h, Ring: n.ring, Overlay: n.overlay, Log: log})
	n.net.Start(h, func() {
		n.ring.Run()
		n.overlay.Run()
		n.chat.Run()
		if first {
			n.overlay.Create()
			return
		}
		(&joiner{n: n, h: h, ring: n.ring, overlay: n.overlay}).run()
	})
}

// restart starts the node again after it crashed or stopped.
func (n *node) restart() { n.start(n.net.Restart(n.h), false) }

// leave ends the node as the program does when it is asked to.
func (n *node) leave() {
	h, ring, o, chat := n.h, n.ring, n.overlay, n.chat
	n.leaving = true
	n.net.Go("leave", func() {
		chat.Leave(2 * time.Second)
		o.Leave(2 * time.Second)
		ring.Leave(time.Second)
		if n.h == h {
			n.gone = n.net.Elapsed()
		}
		n.net.Stop(h)
	})
}

// joiner brings one run of a node into a ring, as the joiner of the program
// does: through the addresses that it was told; after half a second without an
// answer through the nodes that it remembers, or it begins a ring of its own; and
// it goes on trying.
type joiner struct {
	n       *node
	h       *sim.Host
	ring    *chord.Ring
	overlay *overlay.Overlay
	begun   bool
}

func (j *joiner) run() {
	for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
		for j.round() {
			pause = time.Second
			for !j.ring.Alone() {
				if j.h.Sleep(10*time.Second) != nil {
					return
				}
			}
		}
		j.begin()
		if j.h.Sleep(pause/2+time.Duration(j.h.Rand()%uint64(pause))) != nil {
			return
		}
	}
}

// round dials all addresses once, and reports whether the node is in a ring
// with one that answered.
func (j *joiner) round() (joined bool) {
	told := j.n.livingAddresses()
	answered, left := j.h.NewEvent(), len(told)
	var peers []host.Peer
	for _, addr := range told {
		j.h.Go("dial", func() {
			if p, err := j.h.Dial(addr, 5*time.Second); err == nil {
				peers = append(peers, p)
			}
			left--
			answered.Signal()
		})
	}
	for soon := j.h.Now().Add(500 * time.Millisecond); left > 0 || len(peers) > 0; {
		if len(peers) == 0 {
			d := time.Duration(host.Forever)
			if !j.begun {
				d = soon.Sub(j.h.Now())
			}
			if d <= 0 || answered.Wait(background, d) != nil {
				if !j.h.Running() {
					return false
				}
				j.begin()
			}
			continue
		}
		p := peers[0]
		peers = peers[1:]
		switch {
		case joined, j.begun && !j.ring.Alone():
			j.ring.Introduce(p)
			joined = true
		case j.overlay.Join([]host.Peer{p}, 3*time.Second) == nil:
			joined, j.begun = true, true
		}
	}
	return joined
}

// livingAddresses are the addresses that the node was told; or that of some
// other node, as a person would name another one, when none of these will ever
// answer again: the oldest that runs or will, since two that are new and know each
// other only would never hear of the rest.
func (n *node) livingAddresses() []string {
	other := ""
	for _, o := range n.net.nodes {
		if slices.Contains(n.told, o.h.Addr()) && (o.up() || o.returns) {
			return n.told
		}
		if o != n && (o.up() || o.returns) && other == "" {
			other = o.h.Addr()
		}
	}
	if other == "" {
		return n.told
	}
	return []string{other}
}

// begin goes on without the addresses.
func (j *joiner) begin() {
	if j.begun {
		return
	}
	j.begun = true
	var known []host.Peer
	for _, c := range j.ring.Known() {
		known = append(known, c.Peer)
	}
	if len(known) == 0 || j.overlay.Join(known, 500*time.Millisecond) != nil {
		j.overlay.Create()
	}
}

// look is what package ringcheck looks at: the members among some nodes.
func look(nodes []*node) ringcheck.Ring {
	ring := make(ringcheck.Ring, 0, len(nodes))
	for _, n := range nodes {
		at := n.ring.Inspect()
		if !n.up() || !at.Member {
			continue
		}
		c := ringcheck.Node{Name: n.name(), ID: ringcheck.ID(at.ID), Settled: at.Settled, Alone: at.Alone, Owns: at.Owns}
		for _, s := range at.Succs {
			c.Succs = append(c.Succs, ringcheck.ID(s.ID))
		}
		if at.Pred != nil {
			id := ringcheck.ID(at.Pred.ID)
			c.Pred = &id
		}
		ring = append(ring, c)
	}
	return ringcheck.Sort(ring)
}

// ideal finds what keeps all running nodes from being one ideal ring.
func (w *network) ideal() error {
	running := w.running()
	ring := look(running)
	if len(ring) != len(running) {
		return fmt.Errorf("%d of %d nodes are members", len(ring), len(running))
	}
	return ring.Ideal(w.listLen)
}
