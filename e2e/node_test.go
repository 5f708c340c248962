package e2e

import (
	"bytes"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a condition may take to come about.
const patience = 20 * time.Second

// eventually asks for a condition until it holds.
func eventually(t *testing.T, what string, holds func() bool, explain func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s\n%s", patience, what, explain())
		}
		<-tick.C
	}
}

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// node is a running node, for tests that are no scripted sessions.
type node struct {
	t       *testing.T
	cmd     *exec.Cmd
	all     output
	port    string // of IRC
	overlay string // HOST:PORT
	ended   chan struct{}
}

func startNode(t *testing.T, join *node) *node {
	t.Helper()
	return startNodeAt(t, "127.0.0.1", nil, join)
}

// startNodeAt starts a node at an address, by a command that puts it there, such as ip netns
// exec. Its users come to 127.0.0.1.
func startNodeAt(t *testing.T, ip string, prefix []string, join *node) *node {
	t.Helper()
	n := &node{t: t, port: freePort(t), overlay: net.JoinHostPort(ip, freePort(t)), ended: make(chan struct{})}
	// An overlay of its own, which nobody else on the network finds.
	args := []string{"run", "-overlay", "e2e-" + t.Name(), "-discovery=false", "-irc", net.JoinHostPort("127.0.0.1", n.port), "-listen", n.overlay, "-data", filepath.Join(t.TempDir(), "data")}
	sign := "Node ID"
	if join != nil {
		args = append(args, "-join", join.overlay)
		sign = "joined the ring"
	}
	command := slices.Concat(prefix, []string{program}, args)
	n.cmd = exec.Command(command[0], command[1:]...)
	n.cmd.Env = append(n.cmd.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
	n.cmd.Stdout, n.cmd.Stderr = io.Writer(&n.all), io.Writer(&n.all)
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		// How it ended shows in its output.
		_ = n.cmd.Wait()
		close(n.ended)
	}()
	t.Cleanup(func() {
		// It may have ended before.
		_ = n.cmd.Process.Kill()
		<-n.ended
	})
	eventually(t, "the node says "+sign, func() bool { return strings.Contains(n.all.String(), sign) }, n.all.String)
	return n
}

// stop ends the node as SIGTERM does.
func (n *node) stop() {
	n.t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		n.t.Fatal(err)
	}
	select {
	case <-n.ended:
	case <-time.After(patience):
		n.t.Fatalf("the node did not end\n%s", n.all.String())
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
