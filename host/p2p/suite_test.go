package p2p

import (
	"crypto/ed25519"
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/host/hosttest"
)

// logTo writes a host's log to the test's log, until the test ends.
type logTo struct{ t testing.TB }

func (w logTo) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func testKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func testConfig(t testing.TB) Config {
	return Config{
		Key: testKey(t), Overlay: "test", Listen: []string{"127.0.0.1:0"}, MemoryStore: true, Version: "test",
		Log: slog.New(slog.NewTextHandler(logTo{t}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// world is hosttest's environment in this process.
type world struct {
	t       *testing.T
	setup   func(i int, h host.Host)
	configs []Config
	hosts   []*Host
}

func (w *world) start(i int) {
	h, err := New(w.configs[i])
	if err != nil {
		w.t.Error(err)
		runtime.Goexit()
	}
	w.setup(i, h)
	if err := h.Start(); err != nil {
		w.t.Error(err)
		runtime.Goexit()
	}
	w.hosts[i] = h
}

func (w *world) Host(i int) host.Host { return w.hosts[i] }

func (w *world) DialAddr(i int) string {
	addr, _, _ := strings.Cut(strings.TrimPrefix(w.hosts[i].Self().Addrs[0], "/ip4/127.0.0.1/tcp/"), "/")
	return "127.0.0.1:" + addr
}

func (w *world) Kill(i int) {
	if err := w.hosts[i].close(false); err != nil {
		w.t.Errorf("killing host %d: %v", i, err)
	}
}

func (w *world) Stop(i int) {
	if err := w.hosts[i].Close(); err != nil {
		w.t.Errorf("stopping host %d: %v", i, err)
	}
}

func (w *world) Restart(i int) { w.start(i) }

func inProcess(t *testing.T, n int, setup func(i int, h host.Host), body func(hosttest.Env)) {
	w := &world{t: t, setup: setup, configs: make([]Config, n), hosts: make([]*Host, n)}
	for i := range n {
		w.configs[i] = testConfig(t)
		w.configs[i].MemoryStore = false
		w.configs[i].StorePath = filepath.Join(t.TempDir(), "store.db")
		w.start(i)
	}
	defer func() {
		for i, h := range w.hosts {
			if err := h.Close(); err != nil {
				t.Errorf("closing host %d: %v", i, err)
			}
		}
	}()
	done := make(chan struct{})
	w.hosts[0].Go("body", func() {
		defer close(done)
		body(w)
	})
	select {
	case <-done:
	case <-time.After(3 * time.Minute):
		t.Error("the body did not return")
	}
}

func TestConformance(t *testing.T) { hosttest.Run(t, inProcess) }
