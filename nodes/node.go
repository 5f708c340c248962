package nodes

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// StartTime is what a node may take to start, and to come into its ring.
const StartTime = 20 * time.Second

// Node is a node over all of its runs: it keeps its ports, its directory and so its identity.
type Node struct {
	group        *Group
	number       int
	place        Place
	dir          string // its data directory
	irc, overlay string // HOST:PORT

	mu      sync.Mutex
	id      string // 40 hexadecimal digits, "" before the first run
	version string
	process *process // of the last run, nil before the first
}

// process is one run.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has been waited for

	mu     sync.Mutex
	change chan struct{} // closed and replaced with each line that counts
	listen bool          // it told its IRC address
	joined bool          // it came into a ring
	opened bool          // it answers for its part of it
}

// String names the node as messages do.
func (n *Node) String() string { return fmt.Sprintf("n%d", n.number) }

// Number is the node's place in its group, from 1.
func (n *Node) Number() int { return n.number }

// IRC is where clients connect, HOST:PORT.
func (n *Node) IRC() string { return n.irc }

// Overlay is where nodes connect, HOST:PORT.
func (n *Node) Overlay() string { return n.overlay }

// Data is the data directory.
func (n *Node) Data() string { return n.dir }

func (n *Node) log() string { return n.dir + ".log" }

// ID is the node ID, "" before the first start.
func (n *Node) ID() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.id
}

// Version is the first line that the node printed.
func (n *Node) Version() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.version
}

// PID is the process, 0 if none was started.
func (n *Node) PID() int {
	if p := n.run(); p != nil {
		return p.cmd.Process.Pid
	}
	return 0
}

func (n *Node) run() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process
}

// Runs reports whether the process runs (a stopped one does).
func (n *Node) Runs() bool {
	p := n.run()
	if p == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Ended is closed when the process of the last run has ended; nil, which blocks for ever, before the first.
func (n *Node) Ended() <-chan struct{} {
	if p := n.run(); p != nil {
		return p.ended
	}
	return nil
}

// Start starts the node and waits until clients can connect and, if there is somebody to join, until it
// answers for its part of the ring. join has addresses HOST:PORT.
func (n *Node) Start(ctx context.Context, join ...string) error {
	if err := n.Launch(join...); err != nil {
		return err
	}
	return n.Ready(ctx, len(join) > 0)
}

// Ready waits until clients can connect to a node that was launched, and if it joins, be it because it
// was told to or because it remembers others, until it answers for its part of the ring.
func (n *Node) Ready(ctx context.Context, joins bool) error {
	p := n.run()
	if p == nil {
		return fmt.Errorf("%s was never started", n)
	}
	return n.await(ctx, p, func() bool { return p.listen && (!joins || p.joined && p.opened) })
}

// Launch starts the process and waits for nothing.
func (n *Node) Launch(join ...string) error {
	if n.Runs() {
		return fmt.Errorf("%s runs already", n)
	}
	args := append(append([]string{}, n.place.Prefix...), n.group.program,
		"run", "-config", n.group.config, "-data", n.dir, "-irc", n.irc, "-listen", n.overlay)
	for _, addr := range join {
		args = append(args, "-join", addr)
	}
	log, err := os.OpenFile(n.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", n, err)
	}
	p := &process{cmd: exec.Command(args[0], args[1:]...), ended: make(chan struct{}), change: make(chan struct{})}
	p.cmd.Dir = filepath.Dir(n.dir)
	stdout, err1 := p.cmd.StdoutPipe()
	stderr, err2 := p.cmd.StderrPipe()
	if err = errors.Join(err1, err2); err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		log.Close()
		return fmt.Errorf("starting %s: %w", n, err)
	}
	n.mu.Lock()
	n.process = p
	n.mu.Unlock()
	go n.attend(p, stdout, stderr, log)
	return nil
}

// attend reads what a process writes, and waits for its end.
func (n *Node) attend(p *process, stdout, stderr io.Reader, log *os.File) {
	var both sync.WaitGroup
	both.Go(func() { lines(stdout, func(l string) { n.heed(p, l) }) })
	both.Go(func() {
		lines(stderr, func(l string) {
			// A log that cannot be written is missed by whoever looks for it.
			_, _ = fmt.Fprintln(log, l)
			p.heedLog(l)
		})
	})
	both.Wait()
	// How it ended is of no interest here; its log tells.
	_ = p.cmd.Wait()
	log.Close()
	close(p.ended)
}

// lines calls f with each line until r ends. What follows too long a line is thrown away, but read: the
// process must not stall.
func lines(r io.Reader, f func(line string)) {
	for s := bufio.NewScanner(r); s.Scan(); {
		f(s.Text())
	}
	_, _ = io.Copy(io.Discard, r)
}

var idLine = regexp.MustCompile(`^Node ID:\s+([0-9a-f]{40})$`)

// heed takes a line that a node printed.
func (n *Node) heed(p *process, line string) {
	n.mu.Lock()
	if m := idLine.FindStringSubmatch(line); m != nil {
		n.id = m[1]
	} else if n.version == "" && strings.HasPrefix(line, "ircbridge ") {
		n.version = line
	}
	n.mu.Unlock()
	if strings.HasPrefix(line, "irssi:") { // one of the last lines of what a node says first
		p.note(&p.listen)
	}
}

// heedLog looks for the lines that say that a node came into a ring, and that it answers for its part of
// it: before the second one, what is its own may still lie with another node.
func (p *process) heedLog(line string) {
	if strings.Contains(line, "joined the ring") {
		p.note(&p.joined)
	}
	if strings.Contains(line, "we answer for it now") {
		p.note(&p.opened)
	}
}

func (p *process) note(what *bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*what = true
	close(p.change)
	p.change = make(chan struct{})
}

// await waits until a run has come so far.
func (n *Node) await(ctx context.Context, p *process, so func() bool) error {
	late := time.NewTimer(StartTime)
	defer late.Stop()
	for {
		p.mu.Lock()
		done, change := so(), p.change
		p.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-change:
		case <-p.ended:
			return fmt.Errorf("%s ended: %s", n, n.LastWords())
		case <-late.C:
			return fmt.Errorf("%s is not in its ring after %v: %s", n, StartTime, n.LastWords())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// LastWords is the end of a node's log, in one line.
func (n *Node) LastWords() string {
	b, err := os.ReadFile(n.log())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(len(lines)-2, 0):], "; ")
}
