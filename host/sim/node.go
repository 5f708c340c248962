package sim

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"ircbridge/host"
)

// addrScheme begins every address of the simulated world: "sim:NAME".
const addrScheme = "sim:"

// A node is what stays of a Host through its runs.
type node struct {
	world   *World
	index   uint64
	name    string
	addr    string // without the scheme; the name, unless Addr says otherwise
	key     ed25519.PrivateKey
	id      host.PeerID
	skew    time.Duration
	overlay string
	major   int
	disk    *disk
	runs    uint64
	hosts   []*Host // every run, the present one last
	group   int     // of the partition
}

// An Option of Add and Restart.
type Option func(*node)

// Key gives the node this key instead of one made from seed and name.
func Key(k ed25519.PrivateKey) Option { return func(n *node) { n.key = k } }

// Skew is how far the node's clock is ahead of the true time.
func Skew(d time.Duration) Option { return func(n *node) { n.skew = d } }

// Overlay puts the node into an overlay of that name; nodes of others are
// refused in the handshake.
func Overlay(name string) Option { return func(n *node) { n.overlay = name } }

// Major is the major version of the protocol that the node speaks; others
// are refused in the handshake.
func Major(v int) Option { return func(n *node) { n.major = v } }

// Addr gives the node the address "sim:" + name, instead of that of its own
// name; in Restart, to come back at another address.
func Addr(name string) Option { return func(n *node) { n.addr = name } }

// state is how far a run has come.
type state uint8

const (
	created  state = iota // handlers are being registered
	running               // between Start and the end
	stopping              // ended by Stop
	crashed               // ended by Crash
)

// Host is one run of one node. It implements host.Host.
type Host struct {
	world *World
	node  *node
	run   uint64
	rand  *rand.Rand
	state state
	self  host.Peer

	calls  map[uint32]callMethod
	sends  map[uint32]sendMethod
	onDown []func(host.PeerID)

	ends  map[host.PeerID]*end // connections, by peer
	known map[host.PeerID][]string
	keep  map[host.PeerID]bool
	tasks taskList

	paused   bool
	resuming bool // between Resume and the moment all that waited has been done
	pauses   uint64
	deferred []event
	touched  bool
	traffic  Traffic
}

type callMethod struct {
	host.Method
	handle host.CallHandler
}

type sendMethod struct {
	host.Method
	handle host.SendHandler
}

// Traffic counts what a run sent and received over the network; bytes are
// those of bodies.
type Traffic struct {
	SentMessages, SentBytes         uint64
	ReceivedMessages, ReceivedBytes uint64
}

// Add makes a node. Register its handlers, then Start it. The name must be
// new, and is its address: "sim:NAME".
func (w *World) Add(name string, opts ...Option) *Host {
	if slices.ContainsFunc(w.nodes, func(n *node) bool { return n.name == name }) {
		panic(fmt.Sprintf("sim: there is a node %q already", name))
	}
	n := &node{world: w, index: uint64(len(w.nodes)), name: name, addr: name, disk: newDisk(w), major: 1}
	for _, o := range opts {
		o(n)
	}
	if n.key == nil {
		seed := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("sim key "+name+" "), w.seed))
		n.key = ed25519.NewKeyFromSeed(seed[:])
	}
	n.id = host.PeerIDFromKey(n.key.Public().(ed25519.PublicKey))
	if o := w.byID[n.id]; o != nil {
		panic(fmt.Sprintf("sim: nodes %q and %q have the same key", o.name, name))
	}
	w.nodes = append(w.nodes, n)
	w.byID[n.id] = n
	return n.newRun()
}

func (n *node) newRun() *Host {
	if n.addr == "" || strings.ContainsAny(n.addr, "/: \n") {
		panic(fmt.Sprintf("sim: %q is no address: it is empty or has one of /: and space in it", n.addr))
	}
	if o := n.world.byAddr[n.addr]; o != nil && o != n {
		panic(fmt.Sprintf("sim: nodes %q and %q have the same address", o.name, n.name))
	}
	n.world.byAddr[n.addr] = n
	n.runs++
	var d digest
	d.addBytes([]byte(n.name))
	r := rand.New(rand.NewPCG(n.world.seed^uint64(d), n.runs))
	h := &Host{
		world: n.world,
		node:  n,
		run:   r.Uint64(),
		rand:  r,
		self:  host.Peer{ID: n.id, Addrs: []string{addrScheme + n.addr}},
		calls: make(map[uint32]callMethod),
		sends: make(map[uint32]sendMethod),
		ends:  make(map[host.PeerID]*end),
		known: make(map[host.PeerID][]string),
		keep:  make(map[host.PeerID]bool),
	}
	n.hosts = append(n.hosts, h)
	return h
}

// live is the present run if it is running, else nil.
func (n *node) live() *Host {
	if h := n.hosts[len(n.hosts)-1]; h.state == running {
		return h
	}
	return nil
}

// Start lets h serve and runs its main task, if it has one. What Go was given
// before begins now.
func (w *World) Start(h *Host, main func()) {
	if h.state != created {
		panic("sim: node " + h.node.name + " was started before; Restart makes a new run")
	}
	h.state = running
	w.note(h, "start")
	if main != nil {
		h.Go("main", main)
	}
	for _, e := range h.deferred {
		e.at = w.now
		w.queue.push(e)
	}
	h.deferred = nil
}

// frozen reports whether tasks of h have to wait.
func (h *Host) frozen() bool { return h.state == created || h.paused || h.resuming }

// Name is the node's name.
func (h *Host) Name() string { return h.node.name }

// Addr is the node's address, to be given to Dial.
func (h *Host) Addr() string { return h.self.Addrs[0] }

// Running reports whether the run has started and not ended.
func (h *Host) Running() bool { return h.state == running }

// Connections is the number of peers with an open connection.
func (h *Host) Connections() int {
	n := 0
	for _, e := range h.ends {
		if e.open {
			n++
		}
	}
	return n
}

// Traffic is what h sent and received so far.
func (h *Host) Traffic() Traffic { return h.traffic }

// Self is this node and its address.
func (h *Host) Self() host.Peer { return h.self }

// Run is the number of this run.
func (h *Host) Run() uint64 { return h.run }

// PeerRun is the run of the peer at the other end of an open connection.
func (h *Host) PeerRun(id host.PeerID) (uint64, bool) {
	if id == h.node.id {
		return h.run, true
	}
	if e := h.ends[id]; e != nil && e.open {
		return e.other().host.run, true
	}
	return 0, false
}

// Sign signs msg with the node's key.
func (h *Host) Sign(msg []byte) []byte { return ed25519.Sign(h.node.key, msg) }

// HandleCall registers the handler of a request, before Start.
func (h *Host) HandleCall(m host.Method, f host.CallHandler) {
	h.mayRegister(m)
	h.calls[m.Number] = callMethod{m, f}
}

// HandleSend registers the handler of a one-way message, before Start.
func (h *Host) HandleSend(m host.Method, f host.SendHandler) {
	h.mayRegister(m)
	h.sends[m.Number] = sendMethod{m, f}
}

func (h *Host) mayRegister(m host.Method) {
	_, call := h.calls[m.Number]
	_, send := h.sends[m.Number]
	if h.state != created || call || send {
		panic(fmt.Sprintf("sim: node %s: method %d (%s) is registered twice or after Start", h.node.name, m.Number, m.Name))
	}
}

// OnDown registers f to be told of lost connections.
func (h *Host) OnDown(f func(id host.PeerID)) { h.onDown = append(h.onDown, f) }

// Keep marks a connection as one that must not be trimmed.
func (h *Host) Keep(id host.PeerID, keep bool) {
	if keep {
		h.keep[id] = true
	} else {
		delete(h.keep, id)
	}
}

// Go starts a task of this node. Before Start it waits for it; after the end
// of the run it does nothing.
func (h *Host) Go(name string, f func()) {
	w := h.world
	w.touch(h)
	if h.state >= stopping || w.closed {
		return
	}
	t := w.newTask(h, name)
	t.f = f
	w.begin(t)
}

// Sleep blocks for d of virtual time.
func (h *Host) Sleep(d time.Duration) error {
	t, err := h.enter("Sleep")
	if err != nil {
		return err
	}
	if t.block(h, int64(max(d, 0))) == wakeStopped {
		return host.ErrStopped
	}
	return nil
}

// NewEvent makes an Event.
func (h *Host) NewEvent() host.Event { return &Event{world: h.world, host: h} }

// Now is the node's clock: virtual time and its skew.
func (h *Host) Now() time.Time { return h.world.Now().Add(h.node.skew) }

// Rand is 64 random bits from the node's own seeded source.
func (h *Host) Rand() uint64 { return h.rand.Uint64() }

// Store is the node's database.
func (h *Host) Store() host.Store { return store{h} }

// enter begins a blocking host call: it gives the running task, or the error
// with which the call must end at once.
func (h *Host) enter(op string) (*task, error) {
	w := h.world
	t := w.cur
	switch {
	case t == nil && w.inSend != nil:
		panic("sim: " + op + " in a SendHandler, which must not block")
	case t == nil:
		panic("sim: " + op + " outside a task: use Host.Go or World.Go")
	case t.host != nil && t.host != h && h.state < stopping:
		panic("sim: a task of node " + t.host.node.name + " blocks through the host of " + h.node.name)
	case t.killed:
		return nil, t.refuse()
	}
	w.touch(h)
	for {
		if h.state == crashed && t.host == h {
			t.killed = true // it crashed its own node
			panic(unwinding{})
		}
		if h.state >= stopping {
			return nil, t.refuse()
		}
		if !h.frozen() {
			return t, nil
		}
		h.deferred = append(h.deferred, event{gen: t.gen, task: t, kind: wakeResumed})
		t.block(h, -1)
	}
}

// remember keeps the addresses of a peer, for calls that name none.
func (h *Host) remember(p host.Peer) {
	if len(p.Addrs) > 0 {
		h.known[p.ID] = p.Addrs
	}
}

// copyPeer makes a Peer that shares no memory with another node.
func copyPeer(p host.Peer) host.Peer { return host.Peer{ID: p.ID, Addrs: slices.Clone(p.Addrs)} }
