package p2p

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"

	"ircbridge/host"
	"ircbridge/host/p2p/wire"
)

func idOf(key ed25519.PrivateKey) host.PeerID {
	return host.PeerIDFromKey(key.Public().(ed25519.PublicKey))
}

// crossing is a node whose own Hello waits for the answer of a stranger.
type crossing struct {
	n      *node
	s      *stranger
	call   chan error // the result of a call that waits for the link
	theirs network.Stream
	hello  *wire.Hello
	br     *bufio.Reader
}

func cross(t *testing.T, nodeIsLower bool) *crossing {
	t.Helper()
	a, b := testKey(t), testKey(t)
	if (idOf(a) < idOf(b)) != nodeIsLower {
		a, b = b, a
	}
	c := &crossing{s: newStranger(t, b), call: make(chan error, 1)}
	opened := make(chan network.Stream, 8)
	c.s.SetStreamHandler(protoRequests, func(st network.Stream) { opened <- st })
	c.n = startNode(t, config(func(cfg *Config) { cfg.Key = a }))
	go func() {
		_, err := c.n.Call(c.s.peer(), mEcho, []byte("x"), patience)
		c.call <- err
	}()
	c.theirs = next(t, "the node's stream", opened)
	c.br = bufio.NewReader(c.theirs)
	c.hello = c.s.read(c.br).GetHello()
	if c.hello.GetRun() != c.n.Run() || c.hello.GetAttempt() == 0 {
		t.Fatalf("Hello of the node: %v", c.hello)
	}
	return c
}

// answerCall serves the waiting call on a stream.
func (c *crossing) answerCall(t *testing.T, st network.Stream, br *bufio.Reader) {
	t.Helper()
	r := c.s.read(br).GetRequest()
	if r == nil {
		t.Fatal("no request on the link that stands")
	}
	c.s.write(st, frame(&wire.Reply{Number: r.GetNumber(), Body: r.GetBody()}))
	if err := next(t, "the waiting call", c.call); err != nil {
		t.Fatalf("the waiting call: %v", err)
	}
}

// Both sides open a link at once: the one of the lower peer ID stands.
func TestCrossedLowerRefuses(t *testing.T) {
	c := cross(t, true)
	mine := c.s.open(c.n, protoRequests)
	c.s.write(mine, helloFrame(nil))
	if r := c.s.read(bufio.NewReader(mine)).GetRefusal(); r.GetReason() != wire.Refusal_CROSSED {
		t.Fatalf("the lower node answered %v", r)
	}
	c.s.write(c.theirs, helloFrame(nil))
	c.answerCall(t, c.theirs, c.br)
}

func TestCrossedHigherAdmits(t *testing.T) {
	c := cross(t, false)
	mine := c.s.open(c.n, protoRequests)
	br := bufio.NewReader(mine)
	c.s.write(mine, helloFrame(nil))
	hello := c.s.read(br).GetHello()
	if hello.GetAttempt() < c.hello.GetAttempt() {
		t.Fatalf("the higher node's answer %v does not cover its own attempt %d", hello, c.hello.GetAttempt())
	}
	_, _ = c.theirs.Write(frame(&wire.Refusal{Reason: wire.Refusal_CROSSED})) // the node may have given it up
	c.answerCall(t, mine, br)
}

// The one who was refused as crossed waits for the other's link.
func TestCrossedWaits(t *testing.T) {
	c := cross(t, false)
	c.s.write(c.theirs, frame(&wire.Refusal{Reason: wire.Refusal_CROSSED}))
	st, br := c.s.greeted(c.n, nil)
	c.answerCall(t, st, br)
}

// A Hello that was sent before the present link is told from a newer one.
func TestLateAndNewHello(t *testing.T) {
	downs := make(chan host.PeerID, 9)
	n := startNode(t, inside(func(h *Host) { h.OnDown(func(id host.PeerID) { downs <- id }) }))
	s := newStranger(t, testKey(t))
	with := func(run, attempt uint64) func(*wire.Hello) {
		return func(h *wire.Hello) { h.Run, h.Attempt = run, attempt }
	}
	first, _ := s.greeted(n, with(7, 5))
	late := s.open(n, protoRequests)
	s.write(late, helloFrame(with(7, 4)))
	if r := s.read(bufio.NewReader(late)).GetRefusal(); r.GetReason() != wire.Refusal_CROSSED {
		t.Fatalf("a late Hello got %v", r)
	}
	// A newer attempt of the same run replaces the link; nobody is down.
	second, _ := s.greeted(n, with(7, 6))
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("the replaced link still stands")
	}
	// A new run is a new process: the old one is down.
	_, br := s.greeted(n, with(8, 1))
	if _, err := second.Read(make([]byte, 1)); err == nil {
		t.Error("the link of the old run still stands")
	}
	if id := next(t, "the loss to be told", downs); id != s.id() {
		t.Errorf("down: %v", id)
	}
	if run, ok := n.PeerRun(s.id()); !ok || run != 8 {
		t.Errorf("PeerRun = %d, %v", run, ok)
	}
	if err := n.Send(host.Peer{ID: s.id()}, mNote, []byte("x")); err != nil {
		t.Error(err)
	}
	if got := s.read(br).GetNote(); string(got.GetBody()) != "x" {
		t.Errorf("note on the new link: %v", got)
	}
	_ = s.Close()
	if id := next(t, "the loss to be told", downs); id != s.id() {
		t.Errorf("down: %v", id)
	}
	if len(downs) != 0 {
		t.Errorf("told of %d losses too many", len(downs))
	}
}

// Many pairs of strangers call each other at once: every call succeeds at
// the first try, and one link is left for each pair.
func TestCrossingsLoseNoCall(t *testing.T) {
	const nodes, rounds = 5, 3
	for range rounds {
		var ns []*node
		for range nodes {
			ns = append(ns, startNode(t))
		}
		var wg sync.WaitGroup
		var failed atomic.Pointer[error]
		start := make(chan struct{})
		for i, from := range ns {
			for k, to := range ns {
				if i == k {
					continue
				}
				peer := to.Self()
				for range 4 {
					wg.Go(func() {
						<-start
						if _, err := from.Call(peer, mEcho, nil, patience); err != nil {
							failed.Store(&err)
						}
					})
				}
			}
		}
		close(start)
		wg.Wait()
		if err := failed.Load(); err != nil {
			t.Fatal(*err)
		}
		for _, n := range ns {
			n.mu.Lock()
			links := n.links
			n.mu.Unlock()
			ended := n.log.count("link to peer ended") + n.log.count("cut off")
			if links != nodes-1 || ended != 0 {
				t.Errorf("%d links, %d ended, want %d and none:\n%v", links, ended, nodes-1, n.log)
			}
		}
	}
}

// Bulk works for the side that did not open the link, and for both at once.
func TestBulkFromBothSides(t *testing.T) {
	a, b := startNode(t), startNode(t)
	if _, err := a.Call(b.Self(), mEcho, nil, patience); err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("bulk"), 1<<18)
	for _, pairs := range [][][2]*node{{{b, a}}, {{a, b}, {b, a}, {a, b}, {b, a}}} {
		errs := make(chan error, len(pairs))
		for _, p := range pairs {
			go func() {
				got, err := p[0].Call(p[1].Self(), mBulk, body, patience)
				if err == nil && !bytes.Equal(got, body) {
					err = errors.New("another body came back")
				}
				errs <- err
			}()
		}
		for range pairs {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	}
}
