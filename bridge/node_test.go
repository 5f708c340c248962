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
	"sync"
	"testing"
	"time"

	"ircbridge/chat"
)

// deadline is how long a condition may take; on an idle machine all of them
// take milliseconds.
const deadline = 20 * time.Second

// door is a front-end for the tests: it gives them the Service, and lets them
// play a user who types exit, or a port that fails.
type door struct {
	service chat.Service
	end     chan error
	noted   chan string // why Serve ended
	fail    error       // of Listen
}

func newDoor() *door {
	return &door{end: make(chan error, 1), noted: make(chan string, 1)}
}

func (d *door) Listen() error   { return d.fail }
func (d *door) Hints() []string { return []string{"hint: knock"} }
func (d *door) Serve(ctx context.Context) error {
	select {
	case err := <-d.end:
		return err
	case <-ctx.Done():
		d.noted <- context.Cause(ctx).Error()
		return nil
	}
}

// running is a node under test.
type running struct {
	*Node
	door  *door
	out   *lines
	log   *lines
	dir   string
	stop  context.CancelFunc
	ended chan error
}

// startNode starts a node on a free port of loopback.
func startNode(t *testing.T, name string, join ...string) *running {
	t.Helper()
	return startWith(t, name, Overrides{DataDir: filepath.Join(t.TempDir(), name), Listen: []string{"127.0.0.1:0"}, Join: join})
}

func startWith(t *testing.T, name string, o Overrides) *running {
	t.Helper()
	cfg, err := Load("", o)
	if err != nil {
		t.Fatal(err)
	}
	return startConfig(t, name, cfg)
}

func startConfig(t *testing.T, name string, cfg Config) *running {
	t.Helper()
	r := &running{dir: cfg.Node.DataDir, out: newLines(), log: newLines(), ended: make(chan error, 1)}
	r.door = newDoor()
	var err error
	r.Node, err = New(cfg, Env{Out: r.out, Err: r.log, Version: "test", Frontends: map[string]chat.Factory{
		"door": func(s chat.Setup) (chat.Frontend, error) {
			r.door.service = s.Service
			return r.door, nil
		},
		"off": func(chat.Setup) (chat.Frontend, error) { return nil, nil },
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	done := make(chan struct{})
	go func() { defer close(done); r.ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-done
		if t.Failed() {
			t.Logf("%s said:\n%s\nand logged:\n%s", name, r.out, r.log)
		}
	})
	select {
	case <-r.Ready():
	case err := <-r.ended:
		t.Fatalf("%s ended: %v", name, err)
	case <-time.After(deadline):
		t.Fatalf("%s is not ready", name)
	}
	return r
}

// leave stops the node and waits until it is gone.
func (r *running) leave(t *testing.T) {
	t.Helper()
	began := time.Now()
	r.stop()
	r.await(t)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("leaving took %v", took)
	}
}

func (r *running) await(t *testing.T) {
	t.Helper()
	select {
	case err := <-r.ended:
		if err != nil {
			t.Errorf("the node ended with: %v", err)
		}
	case <-time.After(deadline):
		t.Fatal("the node does not end")
	}
}

// user is a session whose events are kept.
type user struct {
	chat.Session
	nick   string
	events *events
}

func (r *running) user(t *testing.T, nick string) *user {
	t.Helper()
	s, err := r.door.service.Open(t.Context(), chat.User{Nick: nick, Username: nick, Realname: nick})
	if err != nil {
		t.Fatalf("open %s: %v", nick, err)
	}
	u := &user{Session: s, nick: nick, events: &events{changed: make(chan struct{})}}
	go func() {
		for {
			e, err := s.Next(context.Background())
			if err != nil {
				return
			}
			u.events.add(e)
		}
	}()
	return u
}

// sees waits for an event that ok accepts.
func (u *user) sees(t *testing.T, what string, ok func(chat.Event) bool) {
	t.Helper()
	late := time.After(deadline)
	for {
		u.events.mu.Lock()
		found := slices.ContainsFunc(u.events.list, ok)
		changed := u.events.changed
		all := fmt.Sprintf("%+v", u.events.list)
		u.events.mu.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("%s did not see %s, but: %s", u.nick, what, all)
		}
	}
}

type events struct {
	mu      sync.Mutex
	list    []chat.Event
	changed chan struct{} // closed with each new event
}

func (e *events) add(ev chat.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, ev)
	close(e.changed)
	e.changed = make(chan struct{})
}

// lines is what a node wrote; it can be waited on.
type lines struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{}
}

func newLines() *lines { return &lines{changed: make(chan struct{})} }

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) await(t *testing.T, text string) {
	t.Helper()
	late := time.After(deadline)
	for {
		l.mu.Lock()
		found, changed := strings.Contains(l.text.String(), text), l.changed
		l.mu.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("%q was not written, but:\n%s", text, l)
		}
	}
}

func message(from, text string) func(chat.Event) bool {
	return func(e chat.Event) bool {
		m, ok := e.(chat.Message)
		return ok && m.From.Nick == from && m.Text == text
	}
}

func joinChannel(t *testing.T, u *user, channel string) {
	t.Helper()
	if _, err := u.Join(t.Context(), channel, ""); err != nil {
		t.Fatalf("%s joins: %v", u.nick, err)
	}
}

func send(t *testing.T, u *user, target, text string) {
	t.Helper()
	if _, err := u.Send(chat.Outgoing{Target: target, Text: text}); err != nil {
		t.Fatalf("%s sends: %v", u.nick, err)
	}
}

// The whole of two nodes: users on both chat, one node leaves, its user quits
// on the other's screen, and the channel goes on there.
func TestTwoNodesChat(t *testing.T) {
	a := startNode(t, "a")
	b := startNode(t, "b", a.Status().Addrs[0])
	b.out.await(t, "Joined the ring through "+a.Status().Addrs[0])
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

// keptBy is a channel that the user's own node would keep.
func keptBy(t *testing.T, u *user) string {
	t.Helper()
	for i := range 100_000 {
		name := fmt.Sprintf("#kept%d", i)
		switch k, err := u.Keeper(t.Context(), name); {
		case err != nil:
			t.Fatal(err)
		case k.Self:
			return name
		}
	}
	t.Fatal("the node keeps nothing")
	return ""
}

// A node with users of its own that finds its ring late takes them along.
func TestUsersOfALoneNodeComeAlong(t *testing.T) {
	// A port on which nobody listens yet.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()

	b := startNode(t, "b", addr)
	b.out.await(t, addr+" does not answer")
	bob := b.user(t, "bob")
	joinChannel(t, bob, "#tea")

	a := startWith(t, "a", Overrides{DataDir: filepath.Join(t.TempDir(), "a"), Listen: []string{addr}})
	ann := a.user(t, "ann")
	joinChannel(t, ann, "#tea") // founds it there as well: the two meet
	b.out.await(t, "Joined the ring through "+addr)
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

// A node that was in a ring finds it again without being told an address.
func TestARestartedNodeComesBack(t *testing.T) {
	a := startNode(t, "a")
	b := startNode(t, "b", a.Status().Addrs[0])
	b.out.await(t, "Joined the ring")
	id := b.Status().ID
	b.leave(t)
	b = startWith(t, "b again", Overrides{DataDir: b.dir, Listen: []string{"127.0.0.1:0"}})
	b.out.await(t, "Back in the ring")
	if s := b.Status(); s.ID != id || s.Alone || !slices.Equal(s.Successors, []string{a.Status().ID}) {
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
`, s.ID, s.Peer, s.Addrs[0], a.dir, s.Addrs[0])
	if got := a.out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if !s.Member || !s.Alone || len(s.ID) != 40 || !strings.HasPrefix(s.Addrs[0], "127.0.0.1:") {
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
	cfg, err := Load(path, Overrides{DataDir: t.TempDir(), Listen: []string{"127.0.0.1:0"}, Join: a.Status().Addrs})
	if err != nil {
		t.Fatal(err)
	}
	b := startConfig(t, "b", cfg)
	b.out.await(t, a.Status().Addrs[0]+" belongs to another overlay")
	b.out.await(t, `(and needs name = "other" under [overlay] in the configuration, as you have it)`)
	if s := b.Status(); !s.Alone {
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
