package nodes

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"ircbridge/freeport"
)

// Options say what nodes a group has.
type Options struct {
	// Program is the ircbridge to run; "" builds the one of the tree in which this runs.
	Program string
	// IRC is what the table [irc] of the configuration has, besides its limits.
	IRC string
	// Place says where the node of that number (from 1) runs; nil is 127.0.0.1 for all.
	Place func(number int) Place
	// Progress is told what takes long; nil tells nobody.
	Progress io.Writer
}

// Place is where a node runs.
type Place struct {
	IP     string   // its address
	Prefix []string // what its command line begins with, to run it in a network namespace
}

// Group is nodes of one overlay.
type Group struct {
	opts    Options
	dir     string
	program string
	config  string // file

	mu  sync.Mutex
	all []*Node // guarded by mu
}

// configuration has room for many clients, and for those of a test that come all from one address.
const configuration = `[overlay]
name = "%s"
[node]
discovery = false
[irc]
%s
[irc.limits]
max_connections = 50000
line_rate = 0.0
`

// New prepares a group without nodes, and builds the program unless it is given. Close must be called
// unless there was an error.
func New(ctx context.Context, opts Options) (*Group, error) {
	g := &Group{opts: opts}
	if g.opts.Progress == nil {
		g.opts.Progress = io.Discard
	}
	var err error
	if g.dir, err = os.MkdirTemp("", "ircb-"); err != nil {
		return nil, fmt.Errorf("making a directory for the nodes: %w", err)
	}
	if err := g.prepare(ctx); err != nil {
		_ = os.RemoveAll(g.dir)
		return nil, err
	}
	return g, nil
}

func (g *Group) prepare(ctx context.Context) (err error) {
	if g.opts.Program != "" {
		if g.program, err = filepath.Abs(g.opts.Program); err != nil {
			return fmt.Errorf("finding the program: %w", err)
		}
	} else {
		fmt.Fprintln(g.opts.Progress, "building ircbridge …")
		g.program = filepath.Join(g.dir, "ircbridge")
		if runtime.GOOS == "windows" {
			g.program += ".exe"
		}
		build := exec.CommandContext(ctx, "go", "build", "-o", g.program, "ircbridge/cmd/ircbridge")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building ircbridge (run this in its tree, or name a built one): %w: %s", err, bytes.TrimSpace(out))
		}
	}
	g.config = filepath.Join(g.dir, "config.toml")
	text := fmt.Sprintf(configuration, fmt.Sprintf("group-%08x", rand.Uint32()), g.opts.IRC)
	if err := os.WriteFile(g.config, []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing the configuration of the nodes: %w", err)
	}
	return nil
}

// Add makes one more node, which is not started yet.
func (g *Group) Add() (*Node, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := &Node{group: g, number: len(g.all) + 1, place: Place{IP: "127.0.0.1"}}
	if g.opts.Place != nil {
		n.place = g.opts.Place(n.number)
	}
	n.dir = filepath.Join(g.dir, fmt.Sprintf("n%d", n.number))
	for _, addr := range []*string{&n.irc, &n.overlay} {
		port, err := freeport.Take()
		if err != nil {
			return nil, err
		}
		*addr = net.JoinHostPort(n.place.IP, port)
	}
	g.all = append(g.all, n)
	return n, nil
}

// Ring adds n nodes and starts them, one after the other, each joined to the first.
func (g *Group) Ring(ctx context.Context, n int) error {
	for range n {
		x, err := g.Add()
		if err != nil {
			return err
		}
		var join []string
		if first := g.Nodes()[0]; first != x {
			join = []string{first.Overlay()}
		}
		if err := x.Start(ctx, join...); err != nil {
			return err
		}
	}
	return nil
}

// Nodes are all nodes, in the order in which they were added.
func (g *Group) Nodes() []*Node {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.all)
}

// Running are those whose process runs.
func (g *Group) Running() []*Node {
	return slices.DeleteFunc(g.Nodes(), func(n *Node) bool { return !n.Runs() })
}

// Close ends all nodes in order, kills those that do not, and removes the
// directory.
func (g *Group) Close() {
	var all sync.WaitGroup
	for _, n := range slices.Backward(g.Nodes()) {
		all.Go(n.end)
	}
	all.Wait()
	// What cannot be removed lies in the system's temporary directory.
	_ = os.RemoveAll(g.dir)
}

// Keep copies the logs of all nodes into a directory, for who looks for the cause of something.
func (g *Group) Keep(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making a directory for the nodes' logs: %w", err)
	}
	for _, n := range g.Nodes() {
		b, err := os.ReadFile(n.log())
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(n.log())), b, 0o600)
		}
		if err != nil {
			return fmt.Errorf("keeping the log of %s: %w", n, err)
		}
	}
	return nil
}
