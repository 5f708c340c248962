package script

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// configStep writes the configuration of a node's next runs; one that runs may read it
// again.
type configStep struct {
	node  string
	lines []template
}

func (a *configStep) play(_ context.Context, p *play, _ *step) error {
	if err := p.ownNodes("config"); err != nil {
		return err
	}
	n, err := p.node(a.node)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, t := range a.lines {
		line, err := p.text(t)
		if err != nil {
			return err
		}
		b.WriteString(line + "\n")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n.config = b.String()
	if n.running {
		_, err = p.writeConfig(n)
	}
	return err
}

// started is the node of a name that may come from a variable.
func (p *play) started(t template) (*node, error) {
	name, err := p.text(t)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.nodes[name]
	if n == nil {
		return nil, fmt.Errorf("there is no node %q", name)
	}
	return n, nil
}

// nodeSignal is what is done to a process.
type nodeSignal string

const (
	stopNode   nodeSignal = "stop"
	killNode   nodeSignal = "kill"
	pauseNode  nodeSignal = "pause"
	resumeNode nodeSignal = "resume"
)

// signalStep sends a signal to each node; stop and kill wait for their end.
type signalStep struct {
	what  nodeSignal
	nodes []template
}

func (a *signalStep) play(ctx context.Context, p *play, s *step) error {
	if err := p.ownNodes(string(a.what)); err != nil {
		return err
	}
	signal, err := signalOf(a.what)
	if err != nil {
		return err
	}
	var nodes []*node
	for _, name := range a.nodes {
		n, err := p.started(name)
		if err != nil {
			return err
		}
		p.mu.Lock()
		running, process := n.running, n.process
		p.mu.Unlock()
		if !running {
			return fmt.Errorf("%s does not run", n.name)
		}
		if err := process.Signal(signal); err != nil {
			return fmt.Errorf("%s %s: %w", a.what, n.name, err)
		}
		nodes = append(nodes, n)
	}
	if a.what == pauseNode || a.what == resumeNode {
		return nil
	}
	err = p.until(ctx, p.limit(s), func() (bool, error) {
		for _, n := range nodes {
			if n.running {
				return false, nil
			}
			if a.what == stopNode && n.status != nil {
				return false, fmt.Errorf("%s did not end well: %w", n.name, n.status)
			}
		}
		return true, nil
	})
	if isTimeout(err) {
		return fmt.Errorf("the process ended %w", err)
	}
	return err
}

// logStep waits for a line of a node's log.
type logStep struct {
	node    template
	pattern template
}

func (a *logStep) prepare(p *play) (condition, error) {
	if err := p.ownNodes("wait"); err != nil {
		return nil, err
	}
	t, err := p.pattern(a.pattern)
	if err != nil {
		return nil, err
	}
	n, err := p.started(a.node)
	return &logCondition{n, t}, err
}

func (a *logStep) play(ctx context.Context, p *play, s *step) error {
	c, err := a.prepare(p)
	if err != nil {
		return err
	}
	return p.await(ctx, s, []condition{c})
}

type logCondition struct {
	node    *node
	pattern template
}

func (c *logCondition) String() string {
	return c.node.name + " logs " + printable(c.pattern.String())
}

func (c *logCondition) find(_ *play, f *findings) (bool, error) {
	log := c.node.log
	for i, line := range log.lines {
		if log.taken[i] || f.lines[log][i] {
			continue
		}
		if kept, ok := c.pattern.match(line); ok {
			f.take(log, i, kept)
			return true, nil
		}
	}
	return false, nil
}

// endedStep waits until a process has ended by itself.
type endedStep struct {
	node   template
	failed bool
}

func (a *endedStep) prepare(p *play) (condition, error) {
	if err := p.ownNodes("wait"); err != nil {
		return nil, err
	}
	n, err := p.started(a.node)
	return &endedCondition{n, a.failed}, err
}

func (a *endedStep) play(ctx context.Context, p *play, s *step) error {
	c, err := a.prepare(p)
	if err != nil {
		return err
	}
	return p.await(ctx, s, []condition{c})
}

type endedCondition struct {
	node   *node
	failed bool
}

func (c *endedCondition) String() string { return c.node.name + " ended" }

func (c *endedCondition) find(*play, *findings) (bool, error) {
	switch {
	case c.node.running || c.node.process == nil:
		return false, nil
	case c.failed && c.node.status == nil:
		return false, fmt.Errorf("%s ended well, which was not expected", c.node.name)
	case !c.failed && c.node.status != nil:
		return false, fmt.Errorf("%s did not end well: %w", c.node.name, c.node.status)
	}
	return true, nil
}

// idleStep opens connections on which nothing is said. They stay open until
// the end of the session, unless the server closes them.
type idleStep struct {
	count int
	place string
}

func (a *idleStep) play(ctx context.Context, p *play, s *step) error {
	within := p.limit(s)
	addr, err := p.address(ctx, a.place, door{}, within)
	if err != nil {
		return err
	}
	for n := range a.count {
		conn, err := net.DialTimeout("tcp", addr, within)
		if err != nil {
			return fmt.Errorf("connection %d of %d: %w", n+1, a.count, err)
		}
		p.mu.Lock()
		p.idle = append(p.idle, conn)
		p.mu.Unlock()
	}
	return nil
}

// idleGoneStep waits until the server has closed all idle connections.
type idleGoneStep struct{}

func (a *idleGoneStep) play(_ context.Context, p *play, s *step) error {
	deadline := time.Now().Add(p.limit(s))
	p.mu.Lock()
	conns := p.idle
	p.idle = nil
	p.mu.Unlock()
	open := 0
	for _, conn := range conns {
		if err := conn.SetReadDeadline(deadline); err != nil {
			return fmt.Errorf("reading an idle connection: %w", err)
		}
		// What the server says before it closes is not looked at, nor how it closes.
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			open++
		}
		conn.Close()
	}
	if open > 0 {
		return fmt.Errorf("%d of %d idle connections were still open", open, len(conns))
	}
	return nil
}

// logPoll is how often the log files of a node with a console are looked at.
const logPoll = 50 * time.Millisecond

// sizes are the sizes of the log files in a directory.
func sizes(dir string) map[string]int64 {
	found := map[string]int64{}
	names, _ := filepath.Glob(filepath.Join(dir, "*.log")) // the only error is a bad pattern
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			found[name] = info.Size()
		}
	}
	return found
}

// followLogs puts what a node with a console logs, to files in its directory,
// into its log stream. Guarded by itself: it owns read.
func (p *play) followLogs(n *node, log *stream, ended <-chan struct{}, dir string, read map[string]int64) {
	defer p.tasks.Done()
	tick := time.NewTicker(logPoll)
	defer tick.Stop()
	for last := false; ; {
		for name, size := range sizes(dir) {
			if size < read[name] {
				read[name] = 0 // begun anew
			}
			if size > read[name] {
				read[name] += p.readLog(n, log, name, read[name])
			}
		}
		if last {
			p.mu.Lock()
			log.end(nil)
			p.wakeLocked()
			p.mu.Unlock()
			return
		}
		select {
		case <-tick.C:
		case <-ended:
			last = true
		}
	}
}

// readLog reads whole lines from an offset and returns the bytes read.
func (p *play) readLog(n *node, log *stream, name string, from int64) int64 {
	f, err := os.Open(name)
	if err != nil {
		return 0 // renamed meanwhile
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, from, maxStreamBytes))
	if err != nil && !errors.Is(err, io.EOF) {
		p.logf("%s: reading %s: %v", n.name, name, err)
	}
	end := bytes.LastIndexByte(b, '\n') + 1
	p.mu.Lock()
	defer p.mu.Unlock()
	for line := range bytes.Lines(b[:end]) {
		text := strings.TrimRight(string(line), "\r\n")
		p.logf("%s log: %s", n.name, printable(text))
		log.add(text)
	}
	p.wakeLocked()
	return int64(end)
}
