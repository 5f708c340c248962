package p2p

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/host"
)

func TestIdentity(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "data")
	first, err := Identity(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Identity(dir)
	if err != nil || !first.Equal(again) {
		t.Fatalf("the second start has another identity: %v", err)
	}
	path := filepath.Join(dir, keyFile)
	for what, want := range map[string]os.FileMode{dir: 0o700, path: 0o600} {
		if info, err := os.Stat(what); err != nil || info.Mode().Perm() != want && runtime.GOOS != "windows" {
			t.Errorf("%s: mode %v, %v; want %v", what, info.Mode(), err, want)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("files left: %v", files)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ec := "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgAAAAAAAAAAAAAAAA\n-----END PRIVATE KEY-----\n"
	for name, c := range map[string]struct {
		spoil func() error
		text  string
	}{
		"empty":     {func() error { return os.WriteFile(path, nil, 0o600) }, "damaged"},
		"no PEM":    {func() error { return os.WriteFile(path, []byte("hello"), 0o600) }, "no PEM block"},
		"half":      {func() error { return os.WriteFile(path, text[:len(text)/2], 0o600) }, "damaged"},
		"other key": {func() error { return os.WriteFile(path, []byte(ec), 0o600) }, "damaged"},
		"huge":      {func() error { return os.WriteFile(path, make([]byte, 1<<20), 0o600) }, "too many"},
		"open":      {func() error { return errors.Join(os.WriteFile(path, text, 0o600), os.Chmod(path, 0o640)) }, "chmod 600 " + path},
		"directory": {func() error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, "no regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			_ = os.RemoveAll(path)
			if err := c.spoil(); err != nil && name != "directory" {
				t.Fatal(err)
			}
			if _, err := Identity(dir); err == nil || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want a line with %q", err, c.text)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Identity(file); err == nil || !strings.Contains(err.Error(), "data directory") {
		t.Errorf("a file as data directory: %v", err)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		text   string
		change func(*Config)
	}{
		{"overlay name", func(c *Config) { c.Overlay = strings.Repeat("x", 65) }},
		{"overlay name", func(c *Config) { c.Overlay = "a\xff" }},
		{"program version", func(c *Config) { c.Version = "a\nb" }},
		{"abilities", func(c *Config) { c.Abilities = []string{""} }},
		{"65 abilities", func(c *Config) { c.Abilities = make([]string, 65) }},
		{"has 64 bytes, not 32", func(c *Config) { c.Key = c.Key[:32] }},
		{"data directory", func(c *Config) { c.Key = nil }},
		{"store path", func(c *Config) { c.MemoryStore = false }},
		{"MaxPeers", func(c *Config) { c.MaxPeers = -1 }},
		{`"localhost:1": want IP:PORT`, func(c *Config) { c.Listen = []string{"localhost:1"} }},
		{`name another address of that interface, or [::]:47`, func(c *Config) { c.Listen = []string{"[fe80::1]:47"} }},
		{`a link-local address cannot be used`, func(c *Config) { c.Listen = []string{"[fe80::1%eth0]:47"} }},
	} {
		cfg := testConfig(t)
		c.change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("got %v, want an error with %q", err, c.text)
		}
	}
}

// A port that is busy on either transport is an error that names it, and
// nothing stays bound.
func TestPortBusy(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for transport, addr := range map[string]string{"TCP": l.Addr().String(), "UDP": u.LocalAddr().String()} {
		for _, ip := range []string{"127.0.0.1", "0.0.0.0"} {
			_, port, _ := net.SplitHostPort(addr)
			cfg := testConfig(t)
			cfg.Listen = []string{"127.0.0.1:0", net.JoinHostPort(ip, port)}
			h, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := h.Start(); !errors.Is(err, ErrPortBusy) || !strings.Contains(err.Error(), transport+" port "+port) {
				t.Errorf("busy %s port %s: %v", transport, port, err)
			}
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = l.Close()
	_ = u.Close()
	// Two nodes: the second is told, and may have the port after the first has gone.
	first := startNode(t)
	again := config(func(c *Config) { c.Listen = []string{"127.0.0.1:" + portOf(first)} })
	cfg := testConfig(t)
	again(&cfg, nil)
	second, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	if err := second.Start(); !errors.Is(err, ErrPortBusy) {
		t.Errorf("port of another node: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	third := startNode(t, again)
	if portOf(third) != portOf2(cfg) {
		t.Errorf("addresses %q", third.Self().Addrs)
	}
}

func portOf2(c Config) string { _, port, _ := net.SplitHostPort(c.Listen[0]); return port }

func TestListenErrors(t *testing.T) {
	cfg := testConfig(t)
	cfg.Listen = []string{"203.0.113.1:4747"} // not ours
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	if err := h.Start(); err == nil || errors.Is(err, ErrPortBusy) || !strings.Contains(err.Error(), "203.0.113.1:4747") {
		t.Errorf("an address of another machine: %v", err)
	}
}

// All interfaces: both transports on one port, this machine's own address last.
func TestSelfAddrs(t *testing.T) {
	n := startNode(t, config(func(c *Config) { c.Listen = []string{"0.0.0.0:0"} }))
	addrs := n.Self().Addrs
	port := portOf(n)
	tcp := slices.IndexFunc(addrs, func(a string) bool { return a == "/ip4/127.0.0.1/tcp/"+port })
	quic := slices.IndexFunc(addrs, func(a string) bool { return a == "/ip4/127.0.0.1/udp/"+port+"/quic-v1" })
	if tcp < 0 || quic < 0 {
		t.Fatalf("addresses %q", addrs)
	}
	for i, a := range addrs {
		own := strings.HasPrefix(a, "/ip4/127.")
		if !own && strings.Contains(a, "/tcp/") && i > tcp || strings.HasPrefix(a, "/ip4/0.") {
			t.Errorf("addresses %q: this machine's own before others, or an unspecified one", addrs)
		}
	}
	other := startNode(t)
	for _, a := range addrs {
		if _, err := other.Dial(a, patience); err != nil {
			t.Errorf("Dial(%q): %v", a, err)
		}
	}
	if none := startNode(t, config(func(c *Config) { c.Listen = nil })); len(none.Self().Addrs) != 0 {
		t.Errorf("a node that listens nowhere has addresses %q", none.Self().Addrs)
	} else if _, err := none.Call(n.Self(), mEcho, nil, patience); err != nil {
		t.Errorf("a node that listens nowhere cannot call: %v", err)
	} else if _, err := n.Call(host.Peer{ID: none.Self().ID}, mEcho, nil, patience); err != nil {
		t.Errorf("nor be called over its connection: %v", err)
	}
}

// Before Start nothing can be reached, and nothing hangs; handlers come first.
func TestBeforeStart(t *testing.T) {
	h, err := New(testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	other := startNode(t)
	if _, err := h.Call(other.Self(), mEcho, nil, patience); !errors.Is(err, host.ErrUnreachable) {
		t.Errorf("Call: %v", err)
	}
	if _, err := h.Dial(other.Self().Addrs[0], patience); !errors.Is(err, host.ErrUnreachable) {
		t.Errorf("Dial: %v", err)
	}
	h.HandleSend(mNote, func(host.Peer, []byte) {})
	panics := func(what string, f func()) {
		defer func() {
			if recover() == nil {
				t.Errorf("%s: no panic", what)
			}
		}()
		f()
	}
	panics("method twice", func() { h.HandleCall(mNote, nil) })
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	panics("handler after Start", func() { h.HandleCall(mEcho, nil) })
	panics("OnDown after Start", func() { h.OnDown(nil) })
	if h.Start() == nil {
		t.Error("Start twice")
	}
	if err := errors.Join(h.Close(), h.Close()); err != nil {
		t.Error(err)
	}
	h.Go("late", func() { t.Error("a task started after Close") })
}

// Close names what does not end, and does not wait for ever.
func TestCloseIsBounded(t *testing.T) {
	h, err := New(testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	h.limits.closing = 50 * time.Millisecond
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	defer close(release)
	h.Go("stubborn", func() { <-release })
	if err := h.Close(); err == nil || !strings.Contains(err.Error(), "stubborn (1)") {
		t.Errorf("Close: %v", err)
	}
}

// What was sent before Close arrives.
func TestCloseSendsWhatIsQueued(t *testing.T) {
	got := make(chan string, 100)
	n := startNode(t)
	other := startNode(t, inside(func(h *Host) {
		h.sends[99] = sendEntry{host.Method{Number: 99}, func(_ host.Peer, msg []byte) { got <- string(msg) }}
	}))
	if _, err := n.Call(other.Self(), mEcho, nil, patience); err != nil {
		t.Fatal(err)
	}
	for range cap(got) {
		if err := n.Send(other.Self(), host.Method{Number: 99}, make([]byte, 15<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all arrived", func() bool { return len(got) == cap(got) })
}

// restingGoroutines is their number once those of other tests are gone.
func restingGoroutines(t *testing.T) int {
	t.Helper()
	last := 0
	eventually(t, "the goroutines of other tests were gone", func() bool {
		now := runtime.NumGoroutine()
		same := now == last
		last = now
		time.Sleep(20 * time.Millisecond)
		return same
	})
	return last
}

// Goroutines end with the host, and a node at rest has few.
func TestGoroutines(t *testing.T) {
	before := restingGoroutines(t)
	h, err := New(testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("New started %d goroutines", n-before)
	}
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	at := runtime.NumGoroutine() - before
	t.Logf("%d goroutines at rest", at)
	if at > 40 {
		t.Errorf("%d goroutines at rest", at)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the goroutines were gone", func() bool { return runtime.NumGoroutine() <= before })
}

// A wait that nobody ends is ended by its context.
func TestEventContext(t *testing.T) {
	n := startNode(t)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := n.NewEvent().Wait(ctx, host.Forever); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait: %v", err)
	}
}
