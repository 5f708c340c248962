package p2p

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	lphost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"ircbridge/host"
	"ircbridge/host/p2p/wire"
)

const patience = 20 * time.Second

// records keeps the log, so that tests can ask what was logged.
type records struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *records) count(part string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.text.String(), part)
}

func (r *records) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func (r *records) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }

func (r *records) debugLogger() *slog.Logger {
	return slog.New(slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// node is a started host with the methods that tests need.
type node struct {
	*Host
	log *records
}

var (
	mEcho  = host.Method{Number: 1, Name: "echo"}
	mStall = host.Method{Number: 2, Name: "stall"}
	mNote  = host.Method{Number: 3, Name: "note"}
	mBulk  = host.Method{Number: 4, Name: "bulk", Bulk: true}
)

func startNode(t testing.TB, changes ...func(*Config, *Host)) *node {
	t.Helper()
	log := new(records)
	cfg := testConfig(t)
	cfg.Log = log.logger()
	for _, c := range changes {
		c(&cfg, nil)
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.HandleCall(mEcho, func(_ host.Peer, req []byte) ([]byte, error) { return req, nil })
	h.HandleCall(mBulk, func(_ host.Peer, req []byte) ([]byte, error) { return req, nil })
	h.HandleCall(mStall, func(host.Peer, []byte) ([]byte, error) { return nil, h.Sleep(patience) })
	h.HandleSend(mNote, func(host.Peer, []byte) {})
	for _, c := range changes {
		c(nil, h)
	}
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if t.Failed() {
			t.Logf("log of %v:\n%v", h.Self().ID, log)
		}
	})
	return &node{h, log}
}

// config and inside change what startNode makes.
func config(f func(*Config)) func(*Config, *Host) {
	return func(c *Config, _ *Host) {
		if c != nil {
			f(c)
		}
	}
}

func inside(f func(*Host)) func(*Config, *Host) {
	return func(_ *Config, h *Host) {
		if h != nil {
			f(h)
		}
	}
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain until %s", patience, what)
		}
	}
}

// next takes from a channel what must come soon.
func next[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("waited %v in vain for %s", patience, what)
	}
	return v
}

// stranger is a libp2p node that is not ours and speaks whatever a test wants.
type stranger struct {
	lphost.Host
	t testing.TB
}

func newStranger(t testing.TB, key ed25519.PrivateKey) *stranger {
	t.Helper()
	k, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	lp, err := libp2p.New(libp2p.Identity(k), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.Transport(tcp.NewTCPTransport), libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lp.Close() })
	return &stranger{lp, t}
}

func (s *stranger) id() host.PeerID { return host.PeerID(s.ID()) }

func (s *stranger) peer() host.Peer {
	p := host.Peer{ID: s.id()}
	for _, a := range s.Addrs() {
		p.Addrs = append(p.Addrs, a.String())
	}
	return p
}

// open opens a stream to n.
func (s *stranger) open(n *node, proto protocol.ID) network.Stream {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	info := peer.AddrInfo{ID: peer.ID(n.id), Addrs: n.libp2p().Addrs()}
	if err := s.Connect(ctx, info); err != nil {
		s.t.Fatal(err)
	}
	st, err := s.NewStream(ctx, info.ID, proto)
	if err != nil {
		s.t.Fatal(err)
	}
	return st
}

func helloFrame(change func(*wire.Hello)) []byte {
	hello := &wire.Hello{Overlay: "test", Major: Major, Minor: Minor, Run: 7, Program: "stranger", Attempt: 1}
	if change != nil {
		change(hello)
	}
	return encode(&wire.Frame{Kind: &wire.Frame_Hello{Hello: hello}})
}

// greeted opens a request stream and shakes hands as a good peer does.
func (s *stranger) greeted(n *node, change func(*wire.Hello)) (network.Stream, *bufio.Reader) {
	s.t.Helper()
	st := s.open(n, protoRequests)
	br := bufio.NewReader(st)
	s.write(st, helloFrame(change))
	if f := s.read(br); f.GetHello() == nil {
		s.t.Fatalf("answer to a good Hello: %v", f)
	}
	return st, br
}

func (s *stranger) write(st network.Stream, raw []byte) {
	s.t.Helper()
	if _, err := st.Write(raw); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stranger) read(br *bufio.Reader) *wire.Frame {
	s.t.Helper()
	f, err := readFrame(br, host.MaxBulk+frameMargin, nil, 0)
	if err != nil {
		s.t.Fatalf("reading a frame: %v", err)
	}
	return f
}

// cutOffWith waits until n has ended the stream and logged the reason once.
func (s *stranger) cutOffWith(n *node, st network.Stream, reason string) {
	s.t.Helper()
	_ = st.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, st); err == nil {
		s.t.Errorf("the stream ended in order, want a reset")
	} else if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		s.t.Fatalf("the peer was not cut off")
	}
	eventually(s.t, "the reason was logged: "+reason, func() bool { return n.log.count("peer is cut off") > 0 })
	if got := n.log.String(); strings.Count(got, "peer is cut off") != 1 || !strings.Contains(got, reason) {
		s.t.Errorf("log, want one line with %q:\n%s", reason, got)
	}
	eventually(s.t, "its connection was closed", func() bool { return len(n.libp2p().Network().ConnsToPeer(s.ID())) == 0 })
}
