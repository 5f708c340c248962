package p2p

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"ircbridge/host"
	"ircbridge/host/p2p/wire"
)

// twins are two nodes with one key, of which the first was started earlier, and
// a third one.
type twins struct {
	earlier, later, third *node
	downs                 atomic.Int64 // losses that the third is told of
}

func startTwins(t *testing.T) *twins {
	t.Helper()
	w := new(twins)
	key := testKey(t)
	same := config(func(c *Config) { c.Key = key })
	w.earlier = startNode(t, same, inside(func(h *Host) { h.born -= 60_000 }))
	w.later = startNode(t, same)
	w.third = startNode(t, lost(&w.downs))
	return w
}

// call has one node ask another.
func call(t *testing.T, from, to *node) {
	t.Helper()
	if _, err := from.Call(to.Self(), mEcho, nil, patience); err != nil {
		t.Fatal(err)
	}
}

// isTold waits until n is told that it has a twin, and checks what it is told.
func isTold(t *testing.T, n, twin, by *node) {
	t.Helper()
	err := next(t, "a node to be told of its twin", n.Twin())
	var told *TwinError
	if !errors.Is(err, ErrTwin) || !errors.As(err, &told) {
		t.Fatalf("told: %v", err)
	}
	if told.ID != n.id || told.By != by.id || told.Born.UnixMilli() != twin.born {
		t.Errorf("told: %v", err)
	}
}

// goesOn checks that the link of a peer is that of one of its runs, that it works
// both ways, and that this node was told nothing of a twin.
func goesOn(t *testing.T, n, peer *node) {
	t.Helper()
	if run, ok := n.PeerRun(peer.id); !ok || run != peer.run {
		t.Errorf("the link is to run %x (%v), want %x", run, ok, peer.run)
	}
	call(t, n, peer)
	call(t, peer, n)
	if run, ok := n.PeerRun(peer.id); !ok || run != peer.run {
		t.Errorf("after calls the link is to run %x (%v), want %x", run, ok, peer.run)
	}
	if len(n.Twin())+len(peer.Twin()) != 0 {
		t.Error("who goes on was told that it has a twin")
	}
}

// A copy that comes while the first one is connected is refused, and told why;
// nothing is noticed by the others.
func TestALaterTwinIsRefused(t *testing.T) {
	w := startTwins(t)
	call(t, w.earlier, w.third)
	if _, err := w.later.Dial("127.0.0.1:"+portOf(w.third), patience); !errors.Is(err, ErrTwin) {
		t.Errorf("the later twin's dial: %v", err)
	}
	isTold(t, w.later, w.earlier, w.third)
	goesOn(t, w.third, w.earlier)
	if n := w.downs.Load(); n != 0 {
		t.Errorf("%d losses were told", n)
	}
	if _, err := w.later.Call(w.third.Self(), mEcho, nil, patience); err == nil {
		t.Error("the later twin's call was answered")
	}
	goesOn(t, w.third, w.earlier)
}

// Where the later one was let in first, because nobody knew the earlier one
// there, it is told as soon as that one comes.
func TestAnEarlierTwinTakesOver(t *testing.T) {
	w := startTwins(t)
	call(t, w.later, w.third)
	call(t, w.earlier, w.third)
	isTold(t, w.later, w.earlier, w.third)
	goesOn(t, w.third, w.earlier)
	if n := w.downs.Load(); n != 1 {
		t.Errorf("%d losses were told, want that of the later run", n)
	}
}

// Each of two twins has peers of its own, as after a copy that ran in another
// part of the network; all meet all at one moment. The later one ends, and no other.
func TestTwinsThatMeetEverywhereAtOnce(t *testing.T) {
	w := startTwins(t)
	others := []*node{w.third, startNode(t), startNode(t), startNode(t)}
	for i, n := range others {
		call(t, []*node{w.earlier, w.later}[i%2], n)
	}
	met := make(chan struct{}, 8)
	for _, n := range others {
		for _, twin := range []*node{w.earlier, w.later} {
			go func() {
				_, _ = twin.Call(n.Self(), mEcho, nil, patience) // of those of the later one some fail
				met <- struct{}{}
			}()
		}
	}
	for range 2 * len(others) {
		next(t, "a call", met)
	}
	if err := next(t, "the later twin to be told", w.later.Twin()); !errors.Is(err, ErrTwin) {
		t.Error(err)
	}
	if err := w.later.Close(); err != nil {
		t.Error(err)
	}
	for _, n := range others {
		call(t, w.earlier, n)
		goesOn(t, n, w.earlier)
	}
}

// Twins that were started in the same millisecond differ by their numbers.
func TestTwinsOfOneMoment(t *testing.T) {
	w := startTwins(t)
	low, high := w.earlier, w.later
	low.born, high.born = 1, 1
	if low.run > high.run {
		low, high = high, low
	}
	call(t, high, w.third)
	call(t, low, w.third)
	isTold(t, high, low, w.third)
	goesOn(t, w.third, low)
}

// A node that restarts while its peers hold the link of its earlier run, and
// get no answer on it, is no twin: it is let in within a second or so.
func TestARestartIsNoTwin(t *testing.T) {
	w := startTwins(t)
	call(t, w.earlier, w.third)
	w.earlier.Sever([]host.PeerID{w.third.id}) // says nothing more, and its connection stands
	start := time.Now()
	call(t, w.later, w.third)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("a node that restarted was let in after %v", took)
	}
	goesOn(t, w.third, w.later)
	// It was no death, but a machine that stood still: who was there first is so again.
	mend(w.earlier)
	eventually(t, "the earlier one has lost its link", func() bool { _, ok := w.earlier.PeerRun(w.third.id); return !ok })
	call(t, w.earlier, w.third)
	isTold(t, w.later, w.earlier, w.third)
	goesOn(t, w.third, w.earlier)
}

// Nodes that end and begin again at once, in order and not, over TCP and over
// QUIC, are never told of a twin and never wait for a link of their past.
func TestRestartsAreNoTwins(t *testing.T) {
	for _, transport := range []string{"tcp", "quic-v1"} {
		for _, orderly := range []bool{true, false} {
			third := startNode(t)
			key := testKey(t)
			var addrs []string
			for _, a := range third.Self().Addrs {
				if readableTransport(a) == transport {
					addrs = append(addrs, a)
				}
			}
			for range 5 {
				n := startNode(t, config(func(c *Config) { c.Key = key }))
				start := time.Now()
				if _, err := n.Call(host.Peer{ID: third.id, Addrs: addrs}, mEcho, nil, patience); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("%s, in order: %v: a restarted node waited %v", transport, orderly, took)
				}
				if err := n.close(orderly); err != nil {
					t.Error(err)
				}
				if len(n.Twin()) != 0 {
					t.Error("a node that restarts is told of a twin")
				}
			}
		}
	}
}

func readableTransport(addr string) string {
	for _, a := range parseAddrs([]string{addr}) {
		if isTCP(a) {
			return "tcp"
		}
	}
	return "quic-v1"
}

// Who dials the address of its twin is told that it is not its own; what it
// is told proves nothing, and nobody ends.
func TestDiallingATwin(t *testing.T) {
	w := startTwins(t)
	if _, err := w.later.Dial("127.0.0.1:"+portOf(w.earlier), patience); !errors.Is(err, ErrTwin) || errors.Is(err, ErrSelf) {
		t.Errorf("the twin's address: %v", err)
	}
	if _, err := w.later.Dial("127.0.0.1:"+portOf(w.later), patience); !errors.Is(err, ErrSelf) {
		t.Errorf("the own address: %v", err)
	}
	if len(w.later.Twin())+len(w.earlier.Twin()) != 0 {
		t.Error("a node is to end")
	}
}

// Nobody but a holder of the key can make a node end.
func TestClaimsThatProveNothing(t *testing.T) {
	n, other := startNode(t), startNode(t)
	twin := startNode(t, config(func(c *Config) { c.Key = n.key }), inside(func(h *Host) { h.born -= 60_000 }))
	good := twin.claim(n.run)
	change := func(f func(c *wire.Claim)) *wire.Claim {
		c := proto.CloneOf(good)
		f(c)
		return c
	}
	own := change(func(c *wire.Claim) { c.Run = n.run })
	own.Signature = n.Sign(n.claimText(own))
	byOther := change(func(*wire.Claim) {})
	byOther.Signature = other.Sign(n.claimText(byOther))
	younger := change(func(c *wire.Claim) { c.Born = n.born + 1 })
	younger.Signature = n.Sign(n.claimText(younger))
	for name, c := range map[string]*wire.Claim{
		"no signature":      change(func(c *wire.Claim) { c.Signature = nil }),
		"over another run":  twin.claim(n.run + 1),
		"another time":      change(func(c *wire.Claim) { c.Born-- }),
		"another number":    change(func(c *wire.Claim) { c.Run++ }),
		"of the run itself": own,
		"another's key":     byOther,
		"of a later one":    younger,
	} {
		msg, err := proto.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Send(n.Self(), methodTwin, msg); err != nil {
			t.Fatal(err)
		}
		call(t, other, n) // comes after it
		if len(n.Twin()) != 0 {
			t.Fatalf("%s: %v", name, <-n.Twin())
		}
	}
	msg, err := proto.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Send(n.Self(), methodTwin, msg); err != nil {
		t.Fatal(err)
	}
	isTold(t, n, twin, other)
}
