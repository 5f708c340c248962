package script

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"ircbridge/freeport"
)

// node is a process of the program under test, over all of its runs: it keeps its
// ports and its directory. Guarded by play.mu.
type node struct {
	name    string
	place   Place
	dir     string // holds config.toml and data
	irc     string // HOST:PORT of its IRC listener
	listen  string // HOST:PORT of its overlay listener
	tls     string // HOST:PORT for a TLS listener, if the configuration wants one
	web     string // HOST:PORT for one of WebSocket, likewise
	id      string // 40 hexadecimal digits, "" before the first run
	peer    string // its peer ID, "" before the first run
	config  string
	console string   // the actor at its console, "" without one
	join    []string // HOST:PORT or multiaddresses
	alone   bool     // joins nobody, though it is told to

	// Of the present or last run:
	process *os.Process
	stdin   io.WriteCloser
	out     *stream
	log     *stream
	running bool
	ended   chan struct{} // closed when the process has been waited for
	status  error         // how it ended
}

// nodeID and peerID are how the program prints its IDs.
var (
	nodeID = regexp.MustCompile(`\b[0-9a-f]{40}\b`)
	peerID = regexp.MustCompile(`^Peer ID: *(\w+)$`)
)

// known is what a script may know of a node.
func (n *node) known(what string) (text string, ok bool) {
	ip, port, _ := net.SplitHostPort(n.listen) // made by JoinHostPort
	switch what {
	case "id":
		text = n.id
	case "peer":
		text = n.peer
	case "irc":
		text = n.irc
	case "tls":
		text = n.tls
	case "web":
		text = n.web
	case "listen":
		text = n.listen
	case "ip":
		text = ip
	case "port":
		text = port
	case "data":
		text = n.data()
	}
	return text, text != ""
}

// data is the node's data directory.
func (n *node) data() string { return filepath.Join(n.dir, "data") }

func (n *node) runningLocked() bool { return n != nil && n.running }

func (n *node) stateLocked() string {
	switch {
	case n.running:
		return "running"
	case n.process == nil:
		return "never started"
	case n.status != nil:
		return "ended: " + n.status.Error()
	}
	return "ended"
}

// destroyLocked ends the process without ceremony.
func (n *node) destroyLocked() {
	if n.running {
		// It may have ended by itself meanwhile.
		_ = n.process.Kill()
	}
}

// node is the node of that name, made when it is new.
func (p *play) node(name string) (*node, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.nodes[name]; n != nil {
		return n, nil
	}
	n := &node{name: name, place: Place{IP: "127.0.0.1"}, dir: filepath.Join(p.opts.Dir, name), log: &stream{}, out: &stream{}}
	if p.opts.Place != nil {
		var err error
		if n.place, err = p.opts.Place(name); err != nil {
			return nil, fmt.Errorf("finding a place for %s: %w", name, err)
		}
	}
	if n.place.IP == "" {
		n.place.IP = "127.0.0.1"
	}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making a directory for %s: %w", name, err)
	}
	for _, addr := range []*string{&n.irc, &n.listen, &n.tls, &n.web} {
		port, err := freeport.Take()
		if err != nil {
			return nil, err
		}
		*addr = net.JoinHostPort(n.place.IP, port)
	}
	p.nodes[name] = n
	return n, nil
}

// launch starts the process of a node.
func (p *play) launch(n *node) error {
	if p.opts.Program == "" {
		return errors.New("no program to start nodes with was given")
	}
	config, err := p.writeConfig(n)
	if err != nil {
		return err
	}
	data := n.data()
	args := append(append([]string{}, n.place.Prefix...), p.opts.Program,
		"run", "-config", config, "-irc", n.irc, "-listen", n.listen, "-data", data)
	for _, addr := range n.join {
		args = append(args, "-join", addr)
	}
	if n.console != "" {
		args = append(args, "-console", "-nick", n.console)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = n.dir
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	stderr, err3 := cmd.StderrPipe()
	if err := errors.Join(err1, err2, err3); err != nil {
		return fmt.Errorf("starting %s: %w", n.name, err)
	}
	oldLogs := sizes(data)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", n.name, err)
	}
	p.logf("%s runs as process %d: %s", n.name, cmd.Process.Pid, strings.Join(args, " "))
	p.mu.Lock()
	defer p.mu.Unlock()
	n.process, n.stdin, n.running, n.status = cmd.Process, stdin, true, nil
	n.out, n.log, n.ended = &stream{}, &stream{}, make(chan struct{})
	if n.console != "" {
		p.actors[n.console] = &actor{name: n.console, nick: n.console, echo: true, in: n.out, out: stdin, conn: stdin}
		p.tasks.Add(1)
		go p.followLogs(n, n.log, n.ended, data, oldLogs)
	}
	p.tasks.Add(1)
	go p.attend(n, cmd, stdout, stderr, n.out, n.log, n.console != "")
	return nil
}

// writeConfig writes a node's configuration file and returns its name.
func (p *play) writeConfig(n *node) (name string, err error) {
	name = filepath.Join(n.dir, "config.toml")
	if err := os.WriteFile(name, []byte(p.configOf(n)), 0o600); err != nil {
		return "", fmt.Errorf("writing the configuration of %s: %w", n.name, err)
	}
	return name, nil
}

// configOf is a node's configuration file: what the session gave, and an overlay
// of this run's own, where nobody else is found by accident.
func (p *play) configOf(n *node) string {
	text := n.config
	if !strings.Contains(text, "[overlay]") {
		text += "\n[overlay]\nname = \"" + p.overlay + "\"\n"
	}
	if !strings.Contains(text, "[node]") {
		text += "\n[node]\ndiscovery = false\n"
	}
	return text
}

// attend reads what a process writes, and waits for its end.
func (p *play) attend(n *node, cmd *exec.Cmd, stdout, stderr io.Reader, out, log *stream, console bool) {
	defer p.tasks.Done()
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.follow(n.name+" log", stderr, log)
	}()
	p.follow(n.name+" says", stdout, out)
	<-read
	err := cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	n.running, n.status = false, err
	close(n.ended)
	out.end(nil)
	if !console { // followLogs ends it otherwise
		log.end(nil)
	}
	p.logf("%s ended (%v)", n.name, err)
	p.wakeLocked()
}

// follow puts the lines of r into a stream until r ends. What comes after too long
// a line is thrown away, but still read: the process must not stall.
func (p *play) follow(who string, r io.Reader, s *stream) {
	err := readLines(r, func(line string) {
		p.logf("%s: %s", who, printable(line))
		p.mu.Lock()
		defer p.mu.Unlock()
		s.add(line)
		p.wakeLocked()
	})
	if err != nil && !errors.Is(err, os.ErrClosed) {
		p.logf("%s: %v", who, err)
		_, _ = io.Copy(io.Discard, r)
	}
}

// startStep starts nodes, all at once, and waits until each is ready.
type startStep struct {
	nodes   []string
	join    []template // names of nodes, or addresses
	console string
	alone   bool
}

func (a *startStep) play(ctx context.Context, p *play, s *step) error {
	if err := p.ownNodes("start"); err != nil {
		return err
	}
	join, err := p.doors(a.join)
	if err != nil {
		return err
	}
	var nodes []*node
	for _, name := range a.nodes {
		n, err := p.node(name)
		if err != nil {
			return err
		}
		p.mu.Lock()
		running := n.running
		n.join, n.alone, n.console = join, a.alone, a.console
		p.mu.Unlock()
		if running {
			return fmt.Errorf("%s runs already", name)
		}
		if err := p.launch(n); err != nil {
			return err
		}
		nodes = append(nodes, n)
	}
	deadline := time.Now().Add(p.limit(s))
	for _, n := range nodes {
		if err := p.ready(ctx, n, time.Until(deadline)); err != nil {
			return fmt.Errorf("%s did not become ready: %w", n.name, err)
		}
	}
	return nil
}

// doors are the addresses to join through: those of nodes, or as they are written.
func (p *play) doors(join []template) ([]string, error) {
	var out []string
	for _, t := range join {
		addr, err := p.text(t)
		if err != nil {
			return nil, err
		}
		p.mu.Lock()
		if n := p.nodes[addr]; n != nil {
			addr = n.listen
		}
		p.mu.Unlock()
		out = append(out, addr)
	}
	return out, nil
}

// ready waits until a node has said its IDs, takes IRC connections and, if it is to
// join, has joined.
func (p *play) ready(ctx context.Context, n *node, within time.Duration) error {
	err := p.until(ctx, within, func() (bool, error) {
		for _, line := range n.out.lines {
			if id := nodeID.FindString(line); id != "" && n.id == "" {
				n.id = id
			}
			if m := peerID.FindStringSubmatch(line); m != nil {
				n.peer = m[1]
			}
		}
		if !n.running {
			return false, errors.New("its process " + n.stateLocked())
		}
		return n.id != "" && n.peer != "" && (len(n.join) == 0 || n.alone || n.hasJoinedLocked()), nil
	})
	if isTimeout(err) {
		return fmt.Errorf("its IDs on standard output, and in its log that it joined, came %w", err)
	}
	if err != nil {
		return err
	}
	return p.answers(ctx, n, within)
}

// joinedSigns are the log lines of a node that has come into a ring, and that answers for its part
// of it. Before the second one, what is its own may still lie with another node.
var joinedSigns = []string{"joined the ring", "we answer for it now"}

// hasJoinedLocked looks for the log lines that say so.
func (n *node) hasJoinedLocked() bool {
	for _, sign := range joinedSigns {
		if !slices.ContainsFunc(n.log.lines, func(line string) bool { return strings.Contains(line, sign) }) {
			return false
		}
	}
	return true
}

// answers waits until a node takes IRC connections.
func (p *play) answers(ctx context.Context, n *node, within time.Duration) error {
	deadline := time.Now().Add(within)
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		conn, err := net.DialTimeout("tcp", n.irc, time.Second)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("its IRC port does not answer: %w", err)
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ownNodes reports an error when the session runs against a given server.
func (p *play) ownNodes(statement string) error {
	if p.opts.Server != "" {
		return fmt.Errorf("%s is for sessions whose nodes the runner starts itself; this one runs against the server %s, which it can neither start nor stop (leave out -server)", statement, p.opts.Server)
	}
	return nil
}

// address is where a place of the script is, for clients of that door.
func (p *play) address(ctx context.Context, place string, to door, within time.Duration) (string, error) {
	if place == "server" && p.opts.Server != "" {
		return p.opts.Server, nil
	}
	if strings.Contains(place, ":") {
		return place, nil
	}
	n, err := p.node(place)
	if err != nil {
		return "", err
	}
	p.mu.Lock()
	running := n.running
	p.mu.Unlock()
	if place == "server" && !running {
		if err := p.launch(n); err != nil {
			return "", err
		}
		if err := p.ready(ctx, n, within); err != nil {
			return "", fmt.Errorf("the server did not become ready: %w", err)
		}
	}
	switch {
	case to.web:
		return n.web, nil
	case to.tls:
		return n.tls, nil
	}
	return n.irc, nil
}
