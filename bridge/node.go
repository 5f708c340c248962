package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"

	"ircbridge/bridge/control"
	"ircbridge/chat"
	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/host/p2p"
	"ircbridge/mapping"
	"ircbridge/overlay"
)

// Env is what the process gives its node.
type Env struct {
	// Out takes what a person needs to know, line by line; standard output.
	Out io.Writer
	// Err takes the log; standard error.
	Err io.Writer
	// Version of the program.
	Version string
	// Load reads the configuration again, when a front-end's user asks for that; nil
	// where it cannot be.
	Load func() (Config, error)
	// Frontends are the factories of all front-ends, by the name of their
	// table in the configuration.
	Frontends map[string]chat.Factory
	// Terminal are the names of those that talk to a person at the terminal:
	// while one of them is on, the log goes to a file in the data directory.
	Terminal []string
}

// ConfigError is a mistake in the configuration, for the person who wrote it.
type ConfigError struct{ Err error }

func (e *ConfigError) Error() string { return e.Err.Error() }
func (e *ConfigError) Unwrap() error { return e.Err }

// Node is one node. Its methods are safe for use by many goroutines.
type Node struct {
	cfg Config
	env Env

	saying    sync.Mutex // one line after the other to env.Out
	reloading sync.Mutex // one Reload after the other
	ready     chan struct{}

	mu    sync.Mutex // guards what follows
	parts *parts     // nil before Run, and after it
}

// New checks that every table of the configuration has its front-end. It
// starts nothing and touches no file.
func New(cfg Config, env Env) (*Node, error) {
	if err := cfg.checkTables(sortedKeys(env.Frontends)); err != nil {
		return nil, &ConfigError{err}
	}
	return &Node{cfg: cfg, env: env, ready: make(chan struct{})}, nil
}

// Ready is closed when the node serves its users and is in a ring, be it its
// own.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Status describes the node as it is now; the zero Status when it does not run.
func (n *Node) Status() Status {
	n.mu.Lock()
	p := n.parts
	n.mu.Unlock()
	if p == nil {
		return Status{}
	}
	return n.status(p)
}

// Run runs the node until ctx is done or a user asks the program to end, then
// leaves in order, within leaveTime. It returns nil after that; else why the
// node could not start or go on: *LockedError, *ConfigError, or any other, each
// in one line. It may be called once.
func (n *Node) Run(ctx context.Context) error {
	dir, err := openDataDir(n.cfg.Node.DataDir)
	if err != nil {
		return err
	}
	defer dir.close()
	listen, moved, err := n.cfg.choosePorts()
	if err != nil {
		return err
	}
	p, err := n.assemble(dir, listen)
	if err != nil {
		return err
	}
	defer p.closeLog()
	if err := n.start(p); err != nil {
		p.abandon()
		return err
	}
	n.mu.Lock()
	n.parts = p
	n.mu.Unlock()
	n.announce(p, moved)
	err = n.serve(ctx, p)
	n.mu.Lock()
	n.parts = nil
	n.mu.Unlock()
	return err
}

// parts is what a running node is made of.
type parts struct {
	dir     *dataDir
	log     *slog.Logger
	logTo   io.Closer // nil: standard error
	host    *p2p.Host
	ring    *chord.Ring
	overlay *overlay.Overlay
	service *mapping.Service
	fronts  []front
	joiner  *joiner
	reach   *reacher
	control *control.Server // nil: there is no place for a socket
}

// neighbours are the nodes next to this one on the ring.
func (p *parts) neighbours() []host.PeerID {
	var ids []host.PeerID
	for _, c := range p.ring.Successors() {
		ids = append(ids, c.Peer.ID)
	}
	if c, ok := p.ring.Predecessor(); ok {
		ids = append(ids, c.Peer.ID)
	}
	return ids
}

// known are the nodes that the ring knows, those of earlier runs included.
func (p *parts) known() []host.Peer {
	var peers []host.Peer
	for _, c := range p.ring.Known() {
		peers = append(peers, c.Peer)
	}
	return peers
}

// front is a front-end, the name of its table, and its sessions.
type front struct {
	name string
	chat.Frontend
	service *counted
}

// assemble makes all parts, from the host upwards, and starts none.
func (n *Node) assemble(dir *dataDir, listen []string) (*parts, error) {
	p := &parts{dir: dir}
	out := &switchWriter{to: n.env.Err}
	p.log = slog.New(slog.NewTextHandler(out, nil))
	var err error
	p.host, err = p2p.New(p2p.Config{
		DataDir: dir.path, Overlay: n.cfg.Overlay.Name, Listen: listen,
		Version: "ircbridge-" + n.env.Version, Log: p.log,
	})
	if err != nil {
		return nil, err
	}
	p.reach = newReacher(p)
	p.ring = chord.New(p.host, chord.Config{Log: p.log})
	p.overlay = overlay.New(p.host, p.ring, overlay.Config{Copies: n.cfg.Overlay.Copies, Log: p.log})
	p.service = mapping.New(mapping.Config{Host: p.host, Ring: p.ring, Overlay: p.overlay, Log: p.log, Neighbours: p.neighbours})
	if err := n.makeFrontends(p); err != nil {
		p.abandon()
		return nil, err
	}
	if err := n.placeLog(p, out); err != nil {
		p.abandon()
		return nil, err
	}
	p.joiner = n.joiner(p)
	return p, nil
}

// makeFrontends makes those that the configuration does not turn off, in the
// order of their names.
func (n *Node) makeFrontends(p *parts) error {
	for _, name := range sortedKeys(n.env.Frontends) {
		service := &counted{Service: p.service}
		f, err := n.env.Frontends[name](n.setup(p, name, &n.cfg, p.log.With("frontend", name), service))
		if err != nil {
			return &ConfigError{err}
		}
		if f != nil {
			p.fronts = append(p.fronts, front{name, f, service})
		}
	}
	return nil
}

// placeLog sends the log to a file when the terminal is somebody's.
func (n *Node) placeLog(p *parts, out *switchWriter) error {
	for _, f := range p.fronts {
		for _, name := range n.env.Terminal {
			if f.name != name {
				continue
			}
			file, err := openRotating(filepath.Join(p.dir.path, logFile), maxLogFile)
			if err != nil {
				return err
			}
			out.set(file)
			p.logTo = file
			return nil
		}
	}
	return nil
}

// start takes the ports, the front-ends' first: they are the cheaper to give
// back.
func (n *Node) start(p *parts) error {
	for _, f := range p.fronts {
		if err := f.Listen(); err != nil {
			return err
		}
	}
	if err := p.host.Start(); err != nil {
		if errors.Is(err, p2p.ErrPortBusy) {
			return fmt.Errorf("%w (flag -listen, or listen under [node])", err)
		}
		return err
	}
	n.openControl(p)
	p.service.Run()
	p.overlay.Run()
	p.ring.Run()
	return nil
}

// abandon gives back what a node took that could not start.
func (p *parts) abandon() {
	p.abandonFrontends()
	if err := p.host.Close(); err != nil {
		p.log.Warn("closing the host", "err", err)
	}
	p.closeLog()
}

func (p *parts) closeLog() {
	if p.logTo != nil {
		_ = p.logTo.Close() // there is nowhere left to tell it
	}
}
