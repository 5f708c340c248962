package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"ircbridge/load"
)

// startTime is what a node may take to start, and to join.
const startTime = 20 * time.Second

// nodes are the processes of -local.
type nodes struct {
	dir     string
	version string
	all     []*node
}

// node is one of them. What it told is complete when startNodes returns.
type node struct {
	cmd              *exec.Cmd
	log              string // file that has what it printed on stderr
	id, irc, overlay string
	joined           bool
	ended            chan struct{}
}

// configuration has room for many clients; the rest is the program's default.
const configuration = `[overlay]
name = "%s"
[node]
discovery = false
[irc.limits]
max_connections = 50000
`

// startNodes builds the program unless it is given, starts n nodes and waits
// until they are one ring. stop must be called, also after an error.
func startNodes(ctx context.Context, program string, n int, progress io.Writer) (*nodes, error) {
	ns := &nodes{}
	var err error
	if ns.dir, err = os.MkdirTemp("", "ircload-"); err != nil {
		return ns, fmt.Errorf("making a directory for the nodes: %w", err)
	}
	if program == "" {
		fmt.Fprintln(progress, "building ircbridge …")
		program = filepath.Join(ns.dir, "ircbridge")
		if runtime.GOOS == "windows" {
			program += ".exe"
		}
		build := exec.CommandContext(ctx, "go", "build", "-o", program, "ircbridge/cmd/ircbridge")
		if out, err := build.CombinedOutput(); err != nil {
			return ns, fmt.Errorf("building ircbridge (run this in its tree, or give -program FILE): %w: %s", err, bytes.TrimSpace(out))
		}
	} else if program, err = filepath.Abs(program); err != nil {
		return ns, fmt.Errorf("-program: %w", err)
	}
	config := filepath.Join(ns.dir, "config.toml")
	text := fmt.Sprintf(configuration, fmt.Sprintf("ircload-%08x", rand.Uint32()))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return ns, fmt.Errorf("writing the configuration of the nodes: %w", err)
	}
	for i := range n {
		if err := ns.start(ctx, program, config, i); err != nil {
			return ns, err
		}
	}
	return ns, nil
}

var (
	versionLine = regexp.MustCompile(`^(ircbridge \S+.*)$`)
	idLine      = regexp.MustCompile(`^Node ID:\s+([0-9a-f]{40})$`)
	ircLine     = regexp.MustCompile(`^irssi:.* -c (\S+) -p (\d+)$`)
	overlayLine = regexp.MustCompile(`^Overlay:\s+.* at (127\.0\.0\.1:\d+)`)
)

// start starts one node and waits until it is in the ring of the others.
func (ns *nodes) start(ctx context.Context, program, config string, i int) error {
	x := &node{log: filepath.Join(ns.dir, fmt.Sprintf("node%d.log", i+1)), ended: make(chan struct{})}
	args := []string{"run", "-config", config, "-data", filepath.Join(ns.dir, fmt.Sprintf("node%d", i+1)),
		"-irc", "127.0.0.1:0", "-listen", "127.0.0.1:0"}
	if i > 0 {
		args = append(args, "-join", ns.all[0].overlay)
	}
	logFile, err := os.Create(x.log)
	if err != nil {
		return fmt.Errorf("making the log of node %d: %w", i+1, err)
	}
	defer logFile.Close()
	x.cmd = exec.Command(program, args...)
	x.cmd.Stderr = logFile
	stdout, err := x.cmd.StdoutPipe()
	if err == nil {
		err = x.cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("starting node %d: %w", i+1, err)
	}
	ns.all = append(ns.all, x)
	ready := make(chan struct{})
	go func() {
		defer close(x.ended)
		told := false
		for s := bufio.NewScanner(stdout); s.Scan(); {
			if !told && ns.heed(x, s.Text(), i > 0) { // afterwards the lines are not ours
				told = true
				close(ready)
			}
		}
		// How it ended is of no interest here; its log tells.
		_ = x.cmd.Wait()
	}()
	late := time.NewTimer(startTime)
	defer late.Stop()
	select {
	case <-ready:
	case <-x.ended:
		return fmt.Errorf("node %d ended: %s", i+1, x.lastWords())
	case <-late.C:
		return fmt.Errorf("node %d is not in the ring after %v: %s", i+1, startTime, x.lastWords())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// heed takes a line that a node printed, and reports whether it has told all
// that is needed, and is in the ring.
func (ns *nodes) heed(x *node, line string, joins bool) (ready bool) {
	if m := versionLine.FindStringSubmatch(line); m != nil && ns.version == "" {
		ns.version = m[1]
	} else if m := idLine.FindStringSubmatch(line); m != nil {
		x.id = m[1]
	} else if m := overlayLine.FindStringSubmatch(line); m != nil {
		x.overlay = m[1]
	} else if m := ircLine.FindStringSubmatch(line); m != nil {
		x.irc = m[1] + ":" + m[2]
	} else if strings.HasPrefix(line, "Joined the ring ") {
		x.joined = true
	}
	return x.id != "" && x.irc != "" && x.overlay != "" && (x.joined || !joins)
}

// lastWords is the end of a node's log, in one line.
func (x *node) lastWords() string {
	b, err := os.ReadFile(x.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(len(lines)-2, 0):], "; ")
}

// fill points a mode at the nodes.
func (ns *nodes) fill(o *load.Options) {
	for _, x := range ns.all {
		o.Servers = append(o.Servers, x.irc)
		o.PIDs = append(o.PIDs, x.cmd.Process.Pid)
	}
	if o.Channel == "" {
		o.Channel = ns.channelOf(ns.all[len(ns.all)-1])
	}
}

// channelOf is a channel that a node keeps: with three nodes or more, one on
// which there is neither the sender nor the receiver.
func (ns *nodes) channelOf(keeper *node) string {
	ring := slices.SortedFunc(slices.Values(ns.all), func(a, b *node) int { return strings.Compare(a.id, b.id) })
	for i := range 100_000 {
		name := fmt.Sprintf("#load%d", i)
		key := keyOf(name)
		at, _ := slices.BinarySearchFunc(ring, key, func(x *node, key string) int { return strings.Compare(x.id, key) })
		if ring[at%len(ring)] == keeper {
			return name
		}
	}
	return "" // its share is tiny; any channel will do
}

// keyOf is the key of a channel, in lower case, as docs/protocol.md has it.
func keyOf(channel string) string {
	sum := sha256.Sum256([]byte("ircbridge/1\x00channel\x00" + channel))
	return hex.EncodeToString(sum[:20])
}

// stop ends all nodes in order, kills those that do not, and removes their
// directories.
func (ns *nodes) stop() {
	for _, x := range slices.Backward(ns.all) {
		end := x.cmd.Process.Signal(os.Interrupt)
		if errors.Is(end, os.ErrProcessDone) {
			continue
		}
		late := time.NewTimer(10 * time.Second)
		if end != nil { // no such signal on this system
			late.Reset(0)
		}
		select {
		case <-x.ended:
		case <-late.C:
			_ = x.cmd.Process.Kill()
			<-x.ended
		}
		late.Stop()
	}
	if ns.dir != "" {
		// What cannot be removed lies in the system's temporary directory.
		_ = os.RemoveAll(ns.dir)
	}
}
