package bridge

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
func startNode(t testing.TB, name string, join ...string) *running {
	t.Helper()
	return startWith(t, name, Overrides{DataDir: filepath.Join(t.TempDir(), name), Listen: []string{"127.0.0.1:0"}, Join: join})
}

func startWith(t testing.TB, name string, o Overrides) *running {
	t.Helper()
	cfg, err := Load("", o)
	if err != nil {
		t.Fatal(err)
	}
	return startConfig(t, name, cfg)
}

// startFrontend starts a node and shows seen what its front-end is made of.
func startFrontend(t testing.TB, seen func(chat.Setup)) *running {
	t.Helper()
	cfg, err := Load("", Overrides{DataDir: filepath.Join(t.TempDir(), "node"), Listen: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	return startSeen(t, "node", cfg, seen)
}

func startConfig(t testing.TB, name string, cfg Config) *running {
	t.Helper()
	return startSeen(t, name, cfg, func(chat.Setup) {})
}

func startSeen(t testing.TB, name string, cfg Config, seen func(chat.Setup)) *running {
	t.Helper()
	cfg.Node.Discovery = false // nodes of other tests are on this network
	r := &running{dir: cfg.Node.DataDir, out: newLines(), log: newLines(), ended: make(chan error, 1)}
	r.door = newDoor()
	var err error
	r.Node, err = New(cfg, Env{Out: r.out, Err: r.log, Version: "test", Frontends: map[string]chat.Factory{
		"door": func(s chat.Setup) (chat.Frontend, error) {
			r.door.service = s.Service
			seen(s)
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

// gate is an address at which nobody is reached until it is opened, and then a
// node. The port is the test's all the while, so that no other program takes it.
type gate struct {
	addr string
	to   atomic.Pointer[string]
}

func newGate(t testing.TB) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{addr: l.Addr().String()}
	var pipes sync.WaitGroup
	pipes.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			pipes.Go(func() { g.pass(in) })
		}
	})
	t.Cleanup(func() { l.Close(); pipes.Wait() }) // the nodes have ended by now
	return g
}

func (g *gate) open(r *running) {
	to := r.Status().Node.Addresses[0]
	g.to.Store(&to)
}

func (g *gate) pass(in net.Conn) {
	defer in.Close()
	to := g.to.Load()
	if to == nil {
		return
	}
	out, err := net.Dial("tcp", *to)
	if err != nil {
		return
	}
	defer out.Close()
	var back sync.WaitGroup
	back.Go(func() { _, _ = io.Copy(in, out); in.Close() })
	_, _ = io.Copy(out, in)
	out.Close()
	back.Wait()
}

// leave stops the node and waits until it is gone.
func (r *running) leave(t testing.TB) {
	t.Helper()
	began := time.Now()
	r.stop()
	r.await(t)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("leaving took %v", took)
	}
}

func (r *running) await(t testing.TB) {
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

func (r *running) user(t testing.TB, nick string) *user {
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
func (u *user) sees(t testing.TB, what string, ok func(chat.Event) bool) {
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

func (l *lines) await(t testing.TB, text string) {
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

func joinChannel(t testing.TB, u *user, channel string) {
	t.Helper()
	if _, err := u.Join(t.Context(), channel, ""); err != nil {
		t.Fatalf("%s joins: %v", u.nick, err)
	}
}

func send(t testing.TB, u *user, target, text string) {
	t.Helper()
	if _, err := u.Send(chat.Outgoing{Target: target, Text: text}); err != nil {
		t.Fatalf("%s sends: %v", u.nick, err)
	}
}

// keptBy is a channel that the user's own node would keep.
func keptBy(t testing.TB, u *user) string {
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
