// Package p2p is the real host: it carries protocol code over go-libp2p, with
// goroutines, the machine's clock and a database file. It knows frames and
// peers; it never knows what a ring, a key or a channel is.
//
// # A link
//
// Two nodes that talk share one link: a long-lived stream for requests and,
// once somebody needs it, one for bulk. Frames (host/p2p/wire) of both
// directions travel on it, many requests at a time. The first frame each way
// is Hello; another overlay or major version is answered by a Refusal that says
// what is needed, and so is a second node with the key of a peer (twin.go). When both sides open a link at once, the one opened by the
// lower peer ID stands, and the other is refused as crossed before anything
// was sent on it (see admit), so no call is lost. Nor is one lost when a link that
// is not used ends to make room, or moves from QUIC to TCP (see part.go).
//
// Nodes reach each other over TCP where they can, because a killed process is
// noticed at once there; QUIC is tried after TCP failed. TCP connections are
// dialled from fresh ports: from the listening port, two nodes that dial each
// other at one moment would meet in a simultaneous open, which no handshake survives.
//
// # Concurrency
//
// Each stream of a link has two goroutines: the reader owns the stream's read
// side and never waits for the writer; the writer owns the write side and
// flushes when its queue is empty. Each request runs in a goroutine of its own; one-way
// messages run in the reader, one at a time for each sender. Host.mu guards the
// table of peers, link.mu the pending calls of one link, and neither is held
// while anything blocks. Every queue, list and number of goroutines has a bound
// (limits, in config.go). New starts nothing; Start binds the ports; Close ends everything.
//
// Sources: the libp2p specifications (peer IDs, connections, multistream-select,
// Noise), Protocol Buffers for the frames.
package p2p

import (
	"context"
	"crypto/ed25519"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	lphost "github.com/libp2p/go-libp2p/core/host"

	"ircbridge/host"
)

// The version of the framing and of all that travels in it.
const (
	Major = 1 // nodes of different majors refuse each other
	Minor = 2 // nodes of different minors mix
)

// Errors of this package beside those of package host.
var (
	// ErrPortBusy: another program listens on a port that was asked for.
	ErrPortBusy = errors.New("port is in use")
	// ErrSelf: the address that was dialled is this node's own.
	ErrSelf = errors.New("that is this node itself")
)

// Host implements host.Host. Make it with New, register handlers, Start it.
type Host struct {
	cfg    Config
	log    *slog.Logger
	id     host.PeerID
	key    ed25519.PrivateKey
	run    uint64
	born   int64  // when this run began, in Unix milliseconds
	major  uint32 // Major, except in tests
	limits limits
	store  openStore

	calls  map[uint32]callEntry // fixed at Start
	sends  map[uint32]sendEntry // fixed at Start
	onDown []func(host.PeerID)  // fixed at Start

	tasks   tasks
	ctx     context.Context // done when the host stops
	stop    context.CancelFunc
	closing sync.Once
	running atomic.Int32   // handlers that run, of all peers
	notes   [64]sync.Mutex // by the last byte of the sender; see link.notes
	own     loopback
	twin    chan error // see Twin
	rivals  sync.Once  // that a peer met another run of this node was logged

	mu        sync.Mutex
	started   bool
	moving    bool        // a link is moved to TCP
	discovers bool        // Discover was called
	lp        lphost.Host // nil before Start
	unlog     func()      // gives libp2p's log back; set with lp
	peers     map[host.PeerID]*peerState
	links     int                        // peers with a link
	kept      map[host.PeerID]bool       // see Keep
	former    map[host.PeerID]formerLink // for a moment after their end
	greeting  map[host.PeerID]int        // inbound handshakes that run
	asking    map[*Attempt]struct{}      // dials that do not know yet who answers
	attempts  uint64                     // links that this node tried to open

	addrs   addrCache
	gate    gate
	silent  silentTCP
	failed  failedDials
	severed severed
}

var _ host.Host = (*Host)(nil)

type callEntry struct {
	m host.Method
	h host.CallHandler
}

type sendEntry struct {
	m host.Method
	h host.SendHandler
}

// New checks cfg, loads or creates the identity and opens the database. It
// opens no socket and starts no goroutine. Close must be called in the end.
func New(cfg Config) (*Host, error) {
	cfg, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	key := cfg.Key
	if key == nil {
		if key, err = Identity(cfg.DataDir); err != nil {
			return nil, err
		}
	}
	var run [8]byte
	if _, err := crand.Read(run[:]); err != nil {
		return nil, fmt.Errorf("drawing the run number: %w", err)
	}
	h := &Host{
		cfg:      cfg,
		log:      cfg.Log,
		id:       host.PeerIDFromKey(key.Public().(ed25519.PublicKey)),
		key:      key,
		run:      binary.BigEndian.Uint64(run[:]),
		born:     time.Now().UnixMilli(),
		twin:     make(chan error, 1),
		major:    Major,
		limits:   defaultLimits(),
		calls:    make(map[uint32]callEntry),
		sends:    make(map[uint32]sendEntry),
		peers:    make(map[host.PeerID]*peerState),
		kept:     make(map[host.PeerID]bool),
		former:   make(map[host.PeerID]formerLink),
		greeting: make(map[host.PeerID]int),
		asking:   make(map[*Attempt]struct{}),
	}
	if h.store, err = newStore(cfg); err != nil {
		return nil, err
	}
	h.ctx, h.stop = context.WithCancel(context.Background())
	h.own.h = h
	h.registerTwin()
	return h, nil
}

// Start binds the listen addresses and begins to serve. A port that is in use
// is ErrPortBusy, with the port in the text; nothing is bound then, and Start
// may not be called again.
func (h *Host) Start() error {
	h.mu.Lock()
	if h.started {
		h.mu.Unlock()
		return errors.New("p2p: Start called twice")
	}
	h.started = true
	h.mu.Unlock()
	if h.ctx.Err() != nil {
		return host.ErrStopped
	}
	unlog := takeLibraryLog(h.log)
	lp, err := h.listen()
	if err != nil {
		unlog()
		return err
	}
	h.mu.Lock()
	h.lp, h.unlog = lp, unlog
	h.mu.Unlock()
	h.store.start(&h.tasks, h.ctx.Done())
	h.tasks.start("tidy connections", h.tidy)
	lp.SetStreamHandler(protoRequests, h.acceptRequests)
	lp.SetStreamHandler(protoBulk, h.acceptBulk)
	return nil
}

// Close stops the host: tasks get ErrStopped, what is queued is sent if that
// takes no time, connections end, the database is written. It returns when all
// goroutines are gone, or after five seconds with an error that names the tasks that
// are not. It must not be called from a task of this host.
func (h *Host) Close() error { return h.close(true) }

func (h *Host) close(orderly bool) (err error) {
	h.closing.Do(func() {
		if !orderly { // who was killed says nothing more, not even that he stops
			h.mu.Lock()
			links := h.linksLocked()
			h.mu.Unlock()
			for _, l := range links {
				l.fail(host.ErrStopped)
			}
		}
		h.stop()
		h.mu.Lock()
		lp, unlog := h.lp, h.unlog
		links := h.linksLocked()
		h.mu.Unlock()
		if orderly {
			drain(links, h.limits.drain)
		}
		for _, l := range links {
			l.fail(host.ErrStopped)
		}
		if lp != nil {
			err = lp.Close()
			unlog()
		}
		err = errors.Join(err, h.tasks.wait(h.limits.closing), h.store.close(orderly))
	})
	return err
}

func (h *Host) linksLocked() []*link {
	links := make([]*link, 0, len(h.peers))
	for _, p := range h.peers {
		if p.link != nil {
			links = append(links, p.link)
		}
	}
	return links
}

// Self implements host.Host. Before Start it has no addresses.
func (h *Host) Self() host.Peer { return host.Peer{ID: h.id, Addrs: h.selfAddrs()} }

// Run implements host.Host.
func (h *Host) Run() uint64 { return h.run }

// PeerRun implements host.Host.
func (h *Host) PeerRun(id host.PeerID) (uint64, bool) {
	if id == h.id {
		return h.run, true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.peers[id]; p != nil && p.link != nil {
		return p.link.run, true
	}
	return 0, false
}

// Sign implements host.Host.
func (h *Host) Sign(msg []byte) []byte { return ed25519.Sign(h.key, msg) }

// HandleCall implements host.Host. It panics after Start, and when the number is taken.
func (h *Host) HandleCall(m host.Method, f host.CallHandler) {
	h.mustRegister(m)
	h.calls[m.Number] = callEntry{m, f}
}

// HandleSend implements host.Host. It panics after Start, and when the number is taken.
func (h *Host) HandleSend(m host.Method, f host.SendHandler) {
	h.mustRegister(m)
	h.sends[m.Number] = sendEntry{m, f}
}

func (h *Host) mustRegister(m host.Method) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.started {
		panic("p2p: handler of " + m.Name + " registered after Start")
	}
	_, call := h.calls[m.Number]
	_, send := h.sends[m.Number]
	if call || send {
		panic(fmt.Sprintf("p2p: method %d (%s) registered twice", m.Number, m.Name))
	}
}

// OnDown implements host.Host. It panics after Start.
func (h *Host) OnDown(f func(id host.PeerID)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.started {
		panic("p2p: OnDown after Start")
	}
	h.onDown = append(h.onDown, f)
}

// Keep implements host.Host.
func (h *Host) Keep(id host.PeerID, keep bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if keep {
		h.kept[id] = true
	} else {
		delete(h.kept, id)
	}
}

func (h *Host) libp2p() lphost.Host {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lp
}

// Now implements host.Host.
func (h *Host) Now() time.Time { return time.Now() }

// Rand implements host.Host.
func (h *Host) Rand() uint64 { return rand.Uint64() }

// Store implements host.Host.
func (h *Host) Store() host.Store { return h.store }

// Stopped is closed when the host begins to stop.
func (h *Host) Stopped() <-chan struct{} { return h.ctx.Done() }

// helloAddrs is where this node says to a peer that it may be reached.
func (h *Host) helloAddrs() [][]byte {
	var raw [][]byte
	for _, a := range h.selfMultiaddrs() {
		if b := a.Bytes(); len(b) <= maxAddrLen {
			raw = append(raw, slices.Clone(b))
		}
	}
	return raw[:min(len(raw), maxAddrs)]
}
