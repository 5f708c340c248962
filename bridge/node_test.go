package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/chat"
)

// The whole of two nodes: users on both chat, one node leaves, its user quits
// on the other's screen, and the channel goes on there.
func TestTwoNodesChat(t *testing.T) {
	a := startNode(t, "a")
	b := startNode(t, "b", a.Status().Node.Addresses[0])
	b.out.await(t, "Joined the ring through "+a.Status().Node.Addresses[0])
	if n := b.door.service.Counts().KnownNodes; n != 2 {
		t.Errorf("b knows %d nodes", n)
	}

	ann, bob := a.user(t, "ann"), b.user(t, "bob")
	joinChannel(t, ann, "#tea")
	joinChannel(t, bob, "#tea")
	ann.sees(t, "bob come", func(e chat.Event) bool { j, ok := e.(chat.Joined); return ok && j.Who.Nick == "bob" })
	send(t, ann, "#tea", "hello bob")
	bob.sees(t, "ann's message", message("ann", "hello bob"))
	send(t, bob, "#tea", "hello ann")
	ann.sees(t, "bob's message", message("bob", "hello ann"))
	send(t, bob, "ann", "in private")
	ann.sees(t, "bob's private message", message("bob", "in private"))

	b.log.await(t, "we answer for it now") // until then the first answers for everything
	kept := keptBy(t, ann)
	joinChannel(t, bob, kept)

	a.leave(t)
	b.log.await(t, "took over channel "+kept)
	b.log.await(t, "node left")
	if why := <-a.door.noted; why != "node stopped" {
		t.Errorf("front-ends were told %q", why)
	}
	bob.sees(t, "ann quit", func(e chat.Event) bool { q, ok := e.(chat.Quit); return ok && q.Who.Nick == "ann" })
	cat := b.user(t, "cat")
	joinChannel(t, cat, "#tea")
	send(t, cat, "#tea", "still here")
	bob.sees(t, "cat's message", message("cat", "still here"))
	if _, err := cat.Lookup(t.Context(), "ann"); !errors.Is(err, chat.ErrNoSuchNick) {
		t.Errorf("ann's name after her node has left: %v", err)
	}
}

// A node with users of its own that finds its ring late takes them along.
func TestUsersOfALoneNodeComeAlong(t *testing.T) {
	gate := newGate(t)
	b := startNode(t, "b", gate.addr)
	bob := b.user(t, "bob")
	joinChannel(t, bob, "#tea")

	a := startNode(t, "a")
	ann := a.user(t, "ann")
	joinChannel(t, ann, "#tea") // founds it there as well: the two meet
	gate.open(a)
	b.out.await(t, "Joined the ring through "+gate.addr)
	come := func(nick string) func(chat.Event) bool {
		return func(e chat.Event) bool {
			switch e := e.(type) {
			case chat.Joined:
				return e.Who.Nick == nick
			case chat.ViewChanged:
				return slices.ContainsFunc(e.Came, func(m chat.Member) bool { return m.Nick == nick })
			}
			return false
		}
	}
	ann.sees(t, "bob come", come("bob"))
	bob.sees(t, "ann come", come("ann"))
	send(t, ann, "#tea", "found you")
	bob.sees(t, "ann's message", message("ann", "found you"))
	send(t, bob, "#tea", "at last")
	ann.sees(t, "bob's message", message("bob", "at last"))
	// Channel and name move one after the other.
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	late := time.After(deadline)
	for _, err := ann.Lookup(t.Context(), "bob"); err != nil; _, err = ann.Lookup(t.Context(), "bob") {
		select {
		case <-look.C:
		case <-late:
			t.Fatalf("bob's name did not come along: %v", err)
		}
	}
	send(t, ann, "bob", "in private")
	bob.sees(t, "ann's private message", message("ann", "in private"))
}

// Two rings that were started apart become one when a node of the one reaches
// an address of the other.
func TestTwoRingsBecomeOne(t *testing.T) {
	gate := newGate(t)
	a := startNode(t, "a", gate.addr)
	b := startNode(t, "b", a.Status().Node.Addresses[0])
	b.out.await(t, "Joined the ring")
	c := startNode(t, "c")
	d := startNode(t, "d", c.Status().Node.Addresses[0])
	d.out.await(t, "Joined the ring")
	gate.open(c)
	a.out.await(t, gate.addr+" answers (peer "+c.Status().Node.Peer+"). If it is in another ring than this node, the two become one.")
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	late := time.After(deadline)
	for _, n := range []*running{a, b, c, d} {
		for len(n.Status().Ring.Successors) < 3 {
			select {
			case <-look.C:
			case <-late:
				t.Fatalf("a node has the ring %+v", n.Status().Ring)
			}
		}
	}
}

// A node that was in a ring finds it again without being told an address.
func TestARestartedNodeComesBack(t *testing.T) {
	a := startNode(t, "a")
	b := startNode(t, "b", a.Status().Node.Addresses[0])
	b.out.await(t, "Joined the ring")
	id := b.Status().Node.ID
	b.leave(t)
	b = startWith(t, "b again", Overrides{DataDir: b.dir, Listen: []string{"127.0.0.1:0"}})
	b.out.await(t, "Back in the ring")
	if s := b.Status(); s.Node.ID != id || s.Ring.Alone || len(s.Ring.Successors) != 1 || s.Ring.Successors[0].ID != a.Status().Node.ID {
		t.Errorf("b is now %+v", s)
	}
}

func TestStartOutput(t *testing.T) {
	a := startNode(t, "a")
	s := a.Status()
	want := fmt.Sprintf(`ircbridge test
Node ID:  %s
Peer ID:  %s
Overlay:  default, at %s (TCP and QUIC)
Data:     %s
hint: knock
A friend joins with:
  ircbridge -join %s
`, s.Node.ID, s.Node.Peer, s.Node.Addresses[0], a.dir, s.Node.Addresses[0])
	if got := a.out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if !s.Ring.Member || !s.Ring.Alone || len(s.Node.ID) != 40 || !strings.HasPrefix(s.Node.Addresses[0], "127.0.0.1:") {
		t.Errorf("status %+v", s)
	}
}

// A node can be stopped while it waits for an address that takes connections
// and says nothing; and users are let in meanwhile.
func TestLeavingWhileJoining(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	began := time.Now()
	a := startNode(t, "a", silent.Addr().String())
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("ready only after %v", took)
	}
	ann := a.user(t, "ann")
	joinChannel(t, ann, "#tea")
	a.leave(t)
}

// A node that is told to end before it has begun lets nobody in.
func TestEndingBeforeTheStart(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	cfg, err := Load("", Overrides{DataDir: t.TempDir(), Listen: []string{"127.0.0.1:0"}, Join: []string{silent.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	d := newDoor()
	n, err := New(cfg, Env{Out: newLines(), Err: newLines(), Frontends: map[string]chat.Factory{
		"door": func(chat.Setup) (chat.Frontend, error) { return d, nil },
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Run(ctx); err != nil {
		t.Error(err)
	}
	select {
	case <-n.Ready():
		t.Error("it was ready")
	default:
	}
	if len(d.noted) != 1 {
		t.Error("the front-end was not ended")
	}
}

// A node of another overlay is told apart, and tried again.
func TestAnotherOverlay(t *testing.T) {
	a := startNode(t, "a")
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte("[overlay]\nname = \"other\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(path, Overrides{DataDir: t.TempDir(), Listen: []string{"127.0.0.1:0"}, Join: a.Status().Node.Addresses})
	if err != nil {
		t.Fatal(err)
	}
	b := startConfig(t, "b", cfg)
	b.out.await(t, a.Status().Node.Addresses[0]+" belongs to another overlay")
	b.out.await(t, "  ircbridge -join "+b.Status().Node.Addresses[0]+" -overlay other\n")
	if s := b.Status(); !s.Ring.Alone {
		t.Errorf("status %+v", s)
	}
}

func TestAUserEndsTheProgram(t *testing.T) {
	a := startNode(t, "a")
	a.door.end <- fmt.Errorf("exit: %w", chat.ErrExit)
	a.await(t)
	a.log.await(t, "msg=left")
}

func TestAFrontendFails(t *testing.T) {
	a := startNode(t, "a")
	a.door.end <- errors.New("the port burnt down")
	select {
	case err := <-a.ended:
		if err == nil || err.Error() != "[door] failed: the port burnt down" {
			t.Errorf("got %v", err)
		}
	case <-time.After(deadline):
		t.Fatal("the node does not end")
	}
	a.log.await(t, "msg=left")
}

func TestAFrontendThatIsDoneLeavesTheNodeRunning(t *testing.T) {
	a := startNode(t, "a")
	a.door.end <- nil
	if _, err := a.door.service.Open(t.Context(), chat.User{Nick: "ann"}); err != nil {
		t.Error(err)
	}
	a.leave(t)
}

// wrongStart runs a node that must not start, and returns why.
func wrongStart(t *testing.T, o Overrides, d *door) error {
	t.Helper()
	cfg, err := Load("", o)
	if err != nil {
		t.Fatal(err)
	}
	n, err := New(cfg, Env{Out: newLines(), Err: newLines(), Frontends: map[string]chat.Factory{
		"door": func(s chat.Setup) (chat.Frontend, error) {
			var table struct {
				Colour string `toml:"colour"`
			}
			if err := s.Decode(&table); err != nil {
				return nil, err
			}
			return d, nil
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if err = n.Run(ctx); err == nil {
		t.Fatal("the node started")
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %v", err)
	}
	// Whatever it took it has given back.
	dir, err2 := openDataDir(o.DataDir)
	var locked *LockedError
	if errors.As(err2, &locked) {
		t.Errorf("the data directory is still locked")
	} else if err2 == nil {
		dir.close()
	}
	return err
}

func TestWrongStarts(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()

	err = wrongStart(t, Overrides{DataDir: t.TempDir(), Listen: []string{busy.Addr().String()}}, newDoor())
	port := fmt.Sprint(busy.Addr().(*net.TCPAddr).Port)
	if !strings.Contains(err.Error(), port) || !strings.Contains(err.Error(), "flag -listen") {
		t.Errorf("busy port: %v", err)
	}

	jammed, dir := newDoor(), t.TempDir()
	jammed.fail = errors.New("[door] is jammed: oil it")
	err = wrongStart(t, Overrides{DataDir: dir, Listen: []string{"127.0.0.1:0"}}, jammed)
	if err.Error() != "[door] is jammed: oil it" {
		t.Errorf("front-end: %v", err)
	}
	if len(jammed.noted) != 1 {
		t.Error("a front-end that had listened was not ended")
	}
	startWith(t, "oiled", Overrides{DataDir: dir, Listen: []string{"127.0.0.1:0"}}) // nothing holds the database

	err = wrongStart(t, Overrides{
		DataDir: t.TempDir(), Listen: []string{"127.0.0.1:0"},
		Tables: map[string]map[string]any{"door": {"color": "red"}},
	}, &door{})
	var config *ConfigError
	if !errors.As(err, &config) || err.Error() != `command line: unknown field "color" in [door]; did you mean "colour"?` {
		t.Errorf("configuration: %v", err)
	}

	damaged := t.TempDir()
	if err := os.Chmod(damaged, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(damaged, "node.key"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	err = wrongStart(t, Overrides{DataDir: damaged, Listen: []string{"127.0.0.1:0"}}, &door{})
	if !strings.Contains(err.Error(), "node.key is damaged") {
		t.Errorf("damaged key: %v", err)
	}
}

func TestTheLogGoesToAFileWhenTheTerminalIsTaken(t *testing.T) {
	d := newDoor()
	dir := t.TempDir()
	cfg, err := Load("", Overrides{DataDir: dir, Listen: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	log := newLines()
	n, err := New(cfg, Env{Out: newLines(), Err: log, Terminal: []string{"door"}, Frontends: map[string]chat.Factory{
		"door": func(chat.Setup) (chat.Frontend, error) { return d, nil },
	}})
	if err != nil {
		t.Fatal(err)
	}
	d.end <- chat.ErrExit
	if err := n.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, logFile))
	if err != nil || !strings.Contains(string(text), "msg=left") {
		t.Errorf("the log file holds %q, %v", text, err)
	}
	if log.String() != "" {
		t.Errorf("standard error got %q", log)
	}
}
