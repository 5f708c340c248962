package p2p

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ircbridge/host"
)

// wayTo is a way to a node through which connections pass, until they are stilled: then
// they stay open and carry nothing, as when packets get lost. It stands for the node at addr.
type wayTo struct {
	addr string // multiaddress

	mu      sync.Mutex
	still   []chan struct{} // closed: the connection of that number carries nothing
	stilled bool            // so will those that come
	came    int
}

func newWayTo(t *testing.T, n *node) *wayTo {
	t.Helper()
	w := &wayTo{}
	at := listener(t, func(in net.Conn) {
		out, err := net.Dial("tcp", "127.0.0.1:"+portOf(n))
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = out.Close() }()
		still := w.comes()
		ended := make(chan struct{}, 2)
		for _, p := range [][2]net.Conn{{in, out}, {out, in}} {
			go func() {
				carry(p[0], p[1], still)
				ended <- struct{}{}
			}()
		}
		<-ended
		select {
		case <-still: // nobody is told of the end either
			<-t.Context().Done()
		default:
		}
	})
	_, port, err := net.SplitHostPort(at)
	if err != nil {
		t.Fatal(err)
	}
	w.addr = "/ip4/127.0.0.1/tcp/" + port
	return w
}

// carry brings bytes from one connection to another, and drops them once they are stilled.
func carry(from, to net.Conn, still <-chan struct{}) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		select {
		case <-still:
			_, _ = io.Copy(io.Discard, from)
			return
		default:
		}
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (w *wayTo) comes() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := make(chan struct{})
	w.came++
	w.still = append(w.still, c)
	if w.stilled {
		close(c)
	}
	return c
}

// stillAll stills every connection there is and, if future is set, those that come.
func (w *wayTo) stillAll(future bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stilled {
		for _, c := range w.still {
			close(c)
		}
		w.still = nil
	}
	w.stilled = future
}

func (w *wayTo) connections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.came
}

func soonSilent(h *Host) {
	h.limits.silence, h.limits.elsewhere = 40*time.Millisecond, 200*time.Millisecond
}

// A link over a connection that carries nothing any more ends as soon as its peer answers on
// another one, and the next call goes over a new connection. The peer takes that for what it is: no loss.
func TestSilentConnectionIsReplaced(t *testing.T) {
	var downs, peersDowns atomic.Int64
	a := startNode(t, inside(soonSilent), lost(&downs))
	b := startNode(t, inside(soonSilent), lost(&peersDowns))
	way := newWayTo(t, b)
	if _, err := a.Dial(way.addr, patience); err != nil {
		t.Fatal(err)
	}
	to := host.Peer{ID: b.id, Addrs: []string{way.addr}}
	first := a.linkOf(b.id)
	way.stillAll(false)
	began := time.Now()
	if _, err := a.Call(to, mEcho, nil, patience); !errors.Is(err, host.ErrUnreachable) {
		t.Errorf("the call on the silent link: %v, want %v", err, host.ErrUnreachable)
	}
	if took := time.Since(began); took > soon {
		t.Errorf("the silent link ended after %v", took)
	}
	if _, err := a.Call(to, mEcho, nil, patience); err != nil {
		t.Errorf("the call after it: %v", err)
	}
	if a.linkOf(b.id) == first {
		t.Error("the silent link is used still")
	}
	eventually(t, "the loss is told", func() bool { return downs.Load() == 1 })
	if n := peersDowns.Load(); n != 0 {
		t.Errorf("the peer was told of %d losses", n)
	}
}

// While the peer is out of reach on any connection its link stays, and is tried on; the link
// goes on when its connection does.
func TestUnreachablePeerKeepsItsLink(t *testing.T) {
	var downs atomic.Int64
	a := startNode(t, inside(soonSilent), lost(&downs))
	b := startNode(t, inside(soonSilent), lost(&downs))
	way := newWayTo(t, b)
	if _, err := a.Dial(way.addr, patience); err != nil {
		t.Fatal(err)
	}
	to := host.Peer{ID: b.id, Addrs: []string{way.addr}}
	first, before := a.linkOf(b.id), way.connections()
	way.stillAll(true)
	if _, err := a.Call(to, mEcho, nil, brief); !errors.Is(err, host.ErrTimeout) {
		t.Errorf("a call of a peer that is out of reach: %v, want %v", err, host.ErrTimeout)
	}
	eventually(t, "the peer is tried twice", func() bool { return way.connections() >= before+2 })
	if a.linkOf(b.id) != first || downs.Load() != 0 {
		t.Errorf("the link has ended, and %d losses were told", downs.Load())
	}
}

// A peer that is slow to answer is well: it gives a sign of life.
func TestSlowAnswerIsNoSilence(t *testing.T) {
	var downs atomic.Int64
	a := startNode(t, inside(soonSilent), lost(&downs))
	b := startNode(t, inside(soonSilent))
	if _, err := a.Call(b.Self(), mEcho, nil, patience); err != nil {
		t.Fatal(err)
	}
	first := a.linkOf(b.id)
	if _, err := a.Call(b.Self(), mStall, nil, 20*a.limits.silence); !errors.Is(err, host.ErrTimeout) {
		t.Fatalf("the call that is not answered: %v", err)
	}
	if a.linkOf(b.id) != first || downs.Load() != 0 {
		t.Errorf("its link has ended, and %d losses were told", downs.Load())
	}
}

// What was sent on a link is granted the time that a slow line takes for it.
func TestPatienceGrowsWithWhatWasSent(t *testing.T) {
	a, b := startNode(t), startNode(t)
	if _, err := a.Call(b.Self(), mEcho, nil, patience); err != nil {
		t.Fatal(err)
	}
	l := a.linkOf(b.id)
	l.requests.stream.sent.Store(0)
	none := l.patience()
	l.requests.stream.sent.Store(10 * slowestLink)
	if much := l.patience(); none != a.limits.silence || much != none+10*time.Second {
		t.Errorf("patience %v after nothing, %v after ten seconds' worth", none, much)
	}
	if !slices.Equal(l.ears(), []*ear{l.requests.stream}) {
		t.Error("another stream than that of requests is listened to")
	}
}
