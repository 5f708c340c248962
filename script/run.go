package script

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"sync"
	"time"
)

// DefaultTimeout is how long a step may take when the session says nothing
// else.
const DefaultTimeout = 10 * time.Second

// Options say what a session runs against.
type Options struct {
	// Program is the ircbridge to start nodes with. It may be empty for
	// sessions that start none.
	Program string
	// Server is the address (HOST:PORT) that `enters server` means. When it
	// is given no nodes can be started; when it is empty the runner starts
	// one node as the server at its first use.
	Server string
	// Dir is where nodes keep their data, each in a folder of its own. It
	// must exist. Empty: a temporary one, removed at the end.
	Dir string
	// Log takes what happens, line by line; nil for nothing.
	Log io.Writer
	// Timeout of a step, DefaultTimeout when 0.
	Timeout time.Duration
	// Place says where a node runs, nil for here. It is called once for each name.
	Place func(node string) (Place, error)
	// Network is what `cut` and `mend` work on, nil for nothing.
	Network Network
}

// Place is where a node runs.
type Place struct {
	// IP is the address its ports are on, and at which the runner reaches
	// them. Empty for 127.0.0.1.
	IP string
	// Prefix is put before the program's command line, for example
	// `ip netns exec NAME`. It must replace itself by the program, so that signals
	// reach it.
	Prefix []string
}

// play is one run of a script.
type play struct {
	opts    Options
	script  *Script
	began   time.Time
	overlay string // its name, for the nodes that are started here

	tasks sync.WaitGroup // every goroutine of this run

	mu      sync.Mutex // guards all below, and the streams, actors and nodes
	changed chan struct{}
	vars    map[string]string
	actors  map[string]*actor
	nodes   map[string]*node
	idle    []net.Conn
	bursts  []*burst
	timeout time.Duration
	fences  int
	logging sync.Mutex
}

// Run plays a session. It returns nil when every step held, and otherwise an
// error of several lines: file and line, what was expected, what the actor
// received last, and the last lines of the nodes' logs. Before it returns, its
// connections are closed and its processes killed.
func Run(ctx context.Context, s *Script, opts Options) error {
	if opts.Dir == "" {
		dir, err := os.MkdirTemp("", "ircbridge-script-")
		if err != nil {
			return fmt.Errorf("making a directory for the nodes: %w", err)
		}
		defer os.RemoveAll(dir)
		opts.Dir = dir
	}
	p := &play{
		opts: opts, script: s, began: time.Now(), changed: make(chan struct{}),
		vars: map[string]string{}, actors: map[string]*actor{}, nodes: map[string]*node{},
		timeout: DefaultTimeout, overlay: fmt.Sprintf("script-%016x", rand.Uint64()),
	}
	if opts.Timeout > 0 {
		p.timeout = opts.Timeout
	}
	ctx, cancel := context.WithCancel(ctx)
	defer p.cleanUp(cancel)
	for _, st := range s.steps {
		if err := p.step(ctx, st); err != nil {
			return p.report(st, err)
		}
	}
	return nil
}

func (p *play) step(ctx context.Context, s *step) error {
	p.logf("%s:%d: %s", p.script.name, s.line, s.text)
	return s.do.play(ctx, p, s)
}

// cleanUp ends everything that the run started.
func (p *play) cleanUp(cancel context.CancelFunc) {
	cancel()
	p.mu.Lock()
	for _, a := range p.actors {
		a.frozen = false
		if a.conn != nil {
			a.conn.Close()
		}
	}
	for _, c := range p.idle {
		c.Close()
	}
	for _, n := range p.nodes {
		n.destroyLocked()
	}
	p.wakeLocked()
	p.mu.Unlock()
	p.tasks.Wait()
}

// wakeLocked tells all who wait that something changed.
func (p *play) wakeLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// until waits for a condition, which is asked with p.mu held, now and after
// every change.
func (p *play) until(ctx context.Context, within time.Duration, holds func() (bool, error)) error {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	for {
		p.mu.Lock()
		ok, err := holds()
		changed := p.changed
		p.mu.Unlock()
		if ok || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-deadline.C:
			return errTimeout{within}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// errTimeout: a condition did not come to hold.
type errTimeout struct{ within time.Duration }

func (e errTimeout) Error() string { return fmt.Sprintf("not within %v", e.within) }

func isTimeout(err error) bool {
	var t errTimeout
	return errors.As(err, &t)
}

// limit is how long a step may take.
func (p *play) limit(s *step) time.Duration {
	if s.within > 0 {
		return s.within
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.timeout
}

// text expands a template that is no pattern.
func (p *play) text(t template) (string, error) {
	e, err := p.pattern(t)
	return e.plain(), err
}

// pattern expands a pattern.
func (p *play) pattern(t template) (template, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return t.expand(p.lookupLocked)
}

func (p *play) logf(format string, args ...any) {
	if p.opts.Log == nil {
		return
	}
	p.logging.Lock()
	defer p.logging.Unlock()
	fmt.Fprintf(p.opts.Log, "%7.3f %s\n", time.Since(p.began).Seconds(), fmt.Sprintf(format, args...))
}
