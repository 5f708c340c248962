package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// playVariable makes the test's own binary a child, which behaves as its value says.
const playVariable = "DEMO_TEST_CHILD"

func TestMain(m *testing.M) {
	if how := os.Getenv(playVariable); how != "" {
		playChild(how)
	}
	flag.Parse()
	os.Exit(m.Run())
}

// playChild is a child that is no node.
func playChild(how string) {
	fmt.Fprintln(os.Stderr, "this is its log")
	c := &Child{In: os.Stdin, Out: os.Stdout, Sever: func(peers []string) error {
		if len(peers) == 0 {
			return errors.New("there is no network")
		}
		return nil
	}}
	set := flag.NewFlagSet("child", flag.ExitOnError)
	data := set.String("data", "", "")
	listen := set.String("listen", "", "")
	for _, other := range []string{"overlay", "irc", "discovery", "join"} {
		set.String(other, "", "")
	}
	_ = set.Parse(os.Args[1:])
	switch how {
	case "dies":
		os.Exit(1)
	case "hangs":
	default:
		if *listen == "127.0.0.1:0" {
			*listen = "127.0.0.1:4747"
		}
		_ = c.Ready(Ready{ID: "id", Peer: "peer", Overlay: *listen, IRC: "127.0.0.1:6667"})
	}
	c.Obey()
	_ = Sweep(*data)
	os.Exit(0)
}

// childNode is a node whose process is such a child.
func childNode(t *testing.T, how string) *node {
	t.Helper()
	t.Setenv(playVariable, how)
	dir := filepath.Join(t.TempDir(), dirPrefix+"1")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	n := &node{number: 1, program: []string{os.Args[0]}, overlay: "demo-1", dir: nodeDir(dir, 1)}
	t.Cleanup(func() { n.kill().wait() })
	return n
}

// A node that was killed starts again at the port at which others know it.
func TestNodeStartsAndIsKilled(t *testing.T) {
	n := childNode(t, "works")
	var log strings.Builder
	n.log = &prefixed{prefix: "node 1: ", out: &log, mu: new(sync.Mutex)}
	if n.irc() != "" {
		t.Error("it takes clients before it was started")
	}
	for range 2 {
		if err := n.start(t.Context(), "127.0.0.1:1"); err != nil {
			t.Fatal(err)
		}
		if n.irc() != "127.0.0.1:6667" || n.ready().Overlay != "127.0.0.1:4747" {
			t.Errorf("it is reached at %+v", n.ready())
		}
		n.kill().wait()
		if n.irc() != "" {
			t.Error("it takes clients after its death")
		}
	}
	text, err := os.ReadFile(n.dir + ".log")
	if err != nil || strings.Count(string(text), "this is its log\n") != 2 {
		t.Errorf("the log has %q, %v", text, err)
	}
	if log.String() != strings.Repeat("node 1: this is its log\n", 2) {
		t.Errorf("shown was %q", log.String())
	}
}

// A node that does not start says why.
func TestNodeThatDoesNotStart(t *testing.T) {
	for how, want := range map[string]string{"dies": "its process has ended (exit status 1)", "hangs": "the audience has gone"} {
		t.Run(how, func(t *testing.T) {
			n := childNode(t, how)
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("the audience has gone"))
			defer cancel()
			err := n.start(ctx)
			if err == nil || !strings.Contains(err.Error(), "node 1 did not start: "+want) || !strings.Contains(err.Error(), "this is its log") {
				t.Errorf("got %v, want %q and its log", err, want)
			}
			if n.irc() != "" {
				t.Error("it takes clients")
			}
		})
	}
}

func TestNodeIsTold(t *testing.T) {
	n := childNode(t, "works")
	other := &node{number: 2, at: Ready{Peer: "other"}}
	if err := n.sever(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "does not run") {
		t.Errorf("a node that does not run was told: %v", err)
	}
	if err := n.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := n.sever(t.Context(), []*node{other}); err != nil {
		t.Error(err)
	}
	if err := n.sever(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "there is no network") {
		t.Errorf("what the child could not do: %v", err)
	}
}

// A child whose parent is gone ends, and takes the directory along.
func TestChildEndsWithItsParent(t *testing.T) {
	n := childNode(t, "works")
	if err := n.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := n.proc
	if err := p.in.Close(); err != nil { // as the end of its parent does
		t.Fatal(err)
	}
	p.wait()
	if _, err := os.Stat(filepath.Dir(n.dir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
}

// A demonstration whose nodes do not start says so, and leaves nothing.
func TestRunLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv(playVariable, "dies")
	var out strings.Builder
	cfg := Config{Program: []string{os.Args[0]}, Nodes: 3, Seed: 1, Out: &out}
	if err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "node 1 did not start") {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	// Who interrupts it finds nothing either.
	t.Setenv(playVariable, "works")
	cfg.Place = func(ctx context.Context, _ string) (Place, error) { <-ctx.Done(); return Place{}, ctx.Err() }
	ctx, stop := context.WithCancelCause(t.Context())
	time.AfterFunc(300*time.Millisecond, func() { stop(errors.New("the audience has gone")) })
	if err := Run(ctx, cfg); err == nil || !strings.Contains(err.Error(), "the audience has gone") {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	// Unless that is wanted.
	cfg.Keep = true
	t.Setenv(playVariable, "dies")
	if err := Run(t.Context(), cfg); err == nil {
		t.Error("it went well")
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*", "node1.log")); err != nil || len(left) != 1 || !strings.Contains(out.String(), filepath.Dir(left[0])) {
		t.Errorf("left: %v, %v, and said %q", left, err, out.String())
	}
}
