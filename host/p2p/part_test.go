package p2p

import (
	"bufio"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"ircbridge/host"
	"ircbridge/host/p2p/wire"
)

// linkOf is n's link to a peer, or nil.
func (n *node) linkOf(id host.PeerID) *link {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.peers[id]; p != nil {
		return p.link
	}
	return nil
}

// talk makes calls in both directions, of both kinds, until the function
// returned is called, which reports those that failed. Each is made once by
// its handler: what was begun is never asked again.
func talk(t *testing.T, a, b *node, begun *atomic.Int64) (stop func()) {
	t.Helper()
	var wg sync.WaitGroup
	var made atomic.Int64
	done := make(chan struct{})
	for _, p := range [][2]*node{{a, b}, {b, a}} {
		for _, m := range []host.Method{mEcho, mBulk} {
			wg.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					if _, err := p[0].Call(p[1].Self(), m, []byte("x"), patience); err != nil {
						t.Errorf("%s: %v", m.Name, err)
						return
					}
					made.Add(1)
					time.Sleep(time.Millisecond) // links are quiet between calls
				}
			})
		}
	}
	return func() {
		close(done)
		wg.Wait()
		if begun.Load() != made.Load() {
			t.Errorf("%d calls were begun for %d that were made", begun.Load(), made.Load())
		}
	}
}

// counting counts what the echoing handlers begin, and losses.
func counting(begun, downs *atomic.Int64) func(*Config, *Host) {
	return inside(func(h *Host) {
		for _, m := range []host.Method{mEcho, mBulk} {
			h.calls[m.Number] = callEntry{m, func(_ host.Peer, req []byte) ([]byte, error) {
				begun.Add(1)
				return req, nil
			}}
		}
		h.OnDown(func(host.PeerID) { downs.Add(1) })
	})
}

// Links that are trimmed on both sides again and again lose no call, make none
// twice, and are no loss that anybody is told of.
func TestTrimLosesNoCall(t *testing.T) {
	var begun, downs atomic.Int64
	a, b := startNode(t, counting(&begun, &downs)), startNode(t, counting(&begun, &downs))
	stop := talk(t, a, b, &begun)
	trimmed, before := 0, int64(0)
	eventually(t, "both had trimmed the link many times", func() bool {
		if begun.Load() == before {
			return t.Failed()
		}
		before = begun.Load()
		for _, p := range [][2]*node{{a, b}, {b, a}} {
			if l := p[0].linkOf(p[1].id); l != nil {
				p[0].trimLink(l)
				if p[0].linkOf(p[1].id) != l {
					trimmed++
				}
			}
		}
		return trimmed >= 20 || t.Failed()
	})
	stop()
	if n := downs.Load(); n != 0 {
		t.Errorf("%d losses were told", n)
	}
}

// A neighbour that was dialled over QUIC is held over TCP before long, and
// nothing is lost on the way; a peer that is not kept stays where it is.
func TestMovesToTCP(t *testing.T) {
	var begun, downs atomic.Int64
	near := inside(func(h *Host) { h.limits.tidyEvery = 10 * time.Millisecond })
	a, b := startNode(t, near, counting(&begun, &downs)), startNode(t, counting(&begun, &downs))
	other := startNode(t)
	for _, n := range []*node{b, other} {
		if _, err := a.Dial(n.Self().Addrs[1], patience); err != nil {
			t.Fatal(err)
		}
	}
	over := func(n *node, id host.PeerID) string {
		for _, c := range n.Connections() {
			if c.Peer == id {
				return c.Transport
			}
		}
		return ""
	}
	if got := over(a, b.id); got != "quic" {
		t.Fatalf("connected over %q", got)
	}
	stop := talk(t, a, b, &begun)
	a.Keep(b.id, true)
	eventually(t, "both have the link over TCP", func() bool {
		return over(a, b.id) == "tcp" && over(b, a.id) == "tcp" || t.Failed()
	})
	stop()
	if n := downs.Load(); n != 0 {
		t.Errorf("%d losses were told", n)
	}
	if got := over(a, other.id); got != "quic" {
		t.Errorf("the peer that is not kept is connected over %q", got)
	}
}

// A neighbour that parts is dialled again at once.
func TestPartedNeighbourIsDialled(t *testing.T) {
	a, b := startNode(t), startNode(t)
	if _, err := a.Call(b.Self(), mEcho, nil, patience); err != nil {
		t.Fatal(err)
	}
	a.Keep(b.id, true)
	old := a.linkOf(b.id)
	eventually(t, "the other side trimmed the link", func() bool {
		l := b.linkOf(a.id)
		if l != nil {
			b.trimLink(l)
		}
		return l != nil && b.linkOf(a.id) != l
	})
	eventually(t, "there is a new link", func() bool {
		l := a.linkOf(b.id)
		return l != nil && l != old && b.linkOf(a.id) != nil
	})
}

// What travels at the end of a link: Part behind all replies, then nothing;
// requests that come after it are not begun, messages are handled.
func TestPartOnTheWire(t *testing.T) {
	notes, begun := make(chan string, 9), make(chan string, 9)
	n := startNode(t, inside(func(h *Host) {
		h.sends[98] = sendEntry{host.Method{Number: 98}, func(_ host.Peer, msg []byte) { notes <- string(msg) }}
		h.calls[99] = callEntry{host.Method{Number: 99}, func(_ host.Peer, req []byte) ([]byte, error) {
			begun <- string(req)
			return req, nil
		}}
	}))
	s := newStranger(t, testKey(t))
	st, br := s.greeted(n, nil)
	request := func(number uint64, text string) []byte {
		return frame(&wire.Request{Number: number, Method: 99, Body: []byte(text)})
	}
	s.write(st, request(1, "first"))
	if r := s.read(br).GetReply(); r.GetNumber() != 1 {
		t.Fatalf("reply %v", r)
	}
	trimmed(t, n, s.id())
	if p := s.read(br).GetPart(); p == nil || p.GetComing() {
		t.Fatalf("instead of Part: %v", p)
	}
	s.write(st, request(2, "too late"))
	s.write(st, frame(&wire.Note{Method: 98, Body: []byte("note")}))
	if got := next(t, "the message", notes); got != "note" {
		t.Errorf("message %q", got)
	}
	if _, err := readFrame(br, maxHello, nil, 0); !errors.Is(err, io.EOF) {
		t.Errorf("after Part: %v", err)
	}
	if err := st.CloseWrite(); err != nil {
		t.Error(err)
	}
	eventually(t, "the link ended", func() bool { return n.log.count("not in use, and too many links are open") == 1 })
	if len(begun) != 1 {
		t.Errorf("%d requests were begun, want the first only", len(begun))
	}
	stillServes(t, n)
}

// trimmed has a node end its link to a peer, as soon as nothing runs on it: the
// handshake may still do.
func trimmed(t *testing.T, n *node, id host.PeerID) {
	t.Helper()
	eventually(t, "the link was retired", func() bool {
		if l := n.linkOf(id); l != nil {
			n.trimLink(l)
		}
		return n.linkOf(id) == nil
	})
}

// A peer of the version before Part is not sent it: its link just ends.
func TestTrimOfOlderPeer(t *testing.T) {
	n := startNode(t)
	s := newStranger(t, testKey(t))
	st, br := s.greeted(n, func(h *wire.Hello) { h.Minor = 0 })
	trimmed(t, n, s.id())
	if f, err := readFrame(br, maxHello, nil, 0); err == nil {
		t.Errorf("it was sent %v", f)
	}
	_ = st.Close()
	stillServes(t, n)
}

// Part from a peer that breaks its rules.
func TestPartLies(t *testing.T) {
	part := frame(&wire.Part{})
	t.Run("twice", func(t *testing.T) {
		n := startNode(t)
		s := newStranger(t, testKey(t))
		st, _ := s.greeted(n, nil)
		s.write(st, append(append([]byte{}, part...), part...))
		s.cutOffWith(n, st, "Part came twice")
	})
	t.Run("on the bulk stream", func(t *testing.T) {
		n := startNode(t)
		s := newStranger(t, testKey(t))
		s.greeted(n, nil)
		st := s.open(n, protoBulk)
		s.write(st, frame(&wire.Attach{Attempt: 1}))
		s.write(st, part)
		s.cutOffWith(n, st, "Part on the bulk stream")
	})
	t.Run("a promise not kept", func(t *testing.T) {
		n := startNode(t, inside(func(h *Host) { h.limits.crossed = 10 * time.Millisecond }))
		s := newStranger(t, testKey(t))
		answered := make(chan *bufio.Reader, 1)
		st, _ := s.greeted(n, nil)
		s.SetStreamHandler(protoRequests, func(st network.Stream) {
			br := bufio.NewReader(st)
			if _, err := readFrame(br, maxHello, nil, 0); err == nil {
				_, _ = st.Write(helloFrame(nil))
				answered <- br
			}
		})
		s.write(st, frame(&wire.Part{Coming: true}))
		_ = st.CloseWrite()
		eventually(t, "the node noticed", func() bool { return n.linkOf(s.id()) == nil || len(answered) > 0 })
		go func() { _, _ = n.Call(host.Peer{ID: s.id()}, mEcho, []byte("again"), patience) }()
		if r := s.read(next(t, "the node to dial", answered)).GetRequest(); string(r.GetBody()) != "again" {
			t.Errorf("the node asked %v", r)
		}
	})
}

// A Hello that was sent before the peer had a link that has ended since is
// late; a newer one opens a link.
func TestLateHelloAfterTheEnd(t *testing.T) {
	n := startNode(t)
	s := newStranger(t, testKey(t))
	attempt := func(number uint64) func(*wire.Hello) {
		return func(h *wire.Hello) { h.Attempt = number }
	}
	st, _ := s.greeted(n, attempt(5))
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the link ended", func() bool { return n.linkOf(s.id()) == nil })
	late := s.open(n, protoRequests)
	s.write(late, helloFrame(attempt(4)))
	if r := s.read(bufio.NewReader(late)).GetRefusal(); r.GetReason() != wire.Refusal_CROSSED {
		t.Errorf("a late Hello got %v", r)
	}
	s.greeted(n, attempt(6))
	n.mu.Lock()
	for id, f := range n.former {
		f.until = time.Now().Add(-time.Second)
		n.former[id] = f
	}
	n.mu.Unlock()
	n.forgetFormer()
	if len(n.former) != 0 {
		t.Errorf("%d links are remembered for ever", len(n.former))
	}
}
