package p2p

import (
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"ircbridge/host"
)

const brief = 200 * time.Millisecond

// sever cuts two nodes off from each other.
func sever(a, b *node) {
	a.Sever([]host.PeerID{b.id})
	b.Sever([]host.PeerID{a.id})
}

// mend makes the network whole again.
func mend(nodes ...*node) {
	for _, n := range nodes {
		n.Sever(nil)
	}
}

// lost counts the losses that a node is told of.
func lost(downs *atomic.Int64) func(*Config, *Host) {
	return inside(func(h *Host) { h.OnDown(func(host.PeerID) { downs.Add(1) }) })
}

// Two nodes that are cut off from each other hear nothing, and are told of
// nothing; after the mending their link goes on where it stood, with all that waited.
func TestSeveredLinkStandsStill(t *testing.T) {
	var downs atomic.Int64
	notes := make(chan string, 9)
	a := startNode(t, lost(&downs))
	b := startNode(t, lost(&downs), inside(func(h *Host) {
		h.sends[98] = sendEntry{host.Method{Number: 98}, func(_ host.Peer, msg []byte) { notes <- string(msg) }}
	}))
	third := startNode(t)
	for _, n := range []*node{b, third} {
		if _, err := a.Call(n.Self(), mEcho, nil, patience); err != nil {
			t.Fatal(err)
		}
	}
	link := a.linkOf(b.id)
	sever(a, b)
	for i := range 5 {
		if err := a.Send(b.Self(), host.Method{Number: 98}, []byte(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range [][2]*node{{a, b}, {b, a}} {
		for _, m := range []host.Method{mEcho, mBulk} {
			if _, err := p[0].Call(p[1].Self(), m, nil, brief); !errors.Is(err, host.ErrTimeout) {
				t.Errorf("%s to a node beyond the cut: %v, want %v", m.Name, err, host.ErrTimeout)
			}
		}
	}
	if _, err := a.Call(third.Self(), mEcho, nil, patience); err != nil {
		t.Errorf("a node on this side of the cut: %v", err)
	}
	if len(notes) != 0 {
		t.Errorf("%d messages came across the cut", len(notes))
	}
	mend(a, b)
	for i := range 5 {
		if got := next(t, "a message that waited", notes); got != strconv.Itoa(i) {
			t.Errorf("message %q, want %d", got, i)
		}
	}
	for _, m := range []host.Method{mEcho, mBulk} {
		if _, err := b.Call(a.Self(), m, nil, patience); err != nil {
			t.Errorf("%s after the mending: %v", m.Name, err)
		}
	}
	if a.linkOf(b.id) != link || downs.Load() != 0 {
		t.Errorf("%d losses were told of a link that only stood still", downs.Load())
	}
}

// Nobody is reached across a cut, in either direction, even when only one side
// plays it; who dials gets no answer rather than a refusal.
func TestDialsAcrossACut(t *testing.T) {
	for name, cut := range map[string]func(a, b *node){
		"both sides":   sever,
		"the dialling": func(a, b *node) { a.Sever([]host.PeerID{b.id}) },
		"the dialled":  func(a, b *node) { b.Sever([]host.PeerID{a.id}) },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := startNode(t), startNode(t)
			cut(a, b)
			if _, err := a.Call(b.Self(), mEcho, nil, brief); !errors.Is(err, host.ErrTimeout) {
				t.Errorf("Call: %v, want %v", err, host.ErrTimeout)
			}
			if _, err := a.Dial("127.0.0.1:"+portOf(b), brief); !errors.Is(err, host.ErrTimeout) {
				t.Errorf("Dial: %v, want %v", err, host.ErrTimeout)
			}
			if a.linkOf(b.id) != nil || b.linkOf(a.id) != nil {
				t.Error("there is a link across the cut")
			}
			mend(a, b)
			if _, err := a.Call(b.Self(), mEcho, nil, patience); err != nil {
				t.Errorf("after the mending: %v", err)
			}
		})
	}
}

// The death of a node beyond the cut is noticed only after the mending.
func TestDeathBeyondACutIsNotNoticed(t *testing.T) {
	var downs atomic.Int64
	a, b := startNode(t, lost(&downs)), startNode(t)
	if _, err := a.Call(b.Self(), mEcho, nil, patience); err != nil {
		t.Fatal(err)
	}
	sever(a, b)
	if err := b.close(false); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Call(b.Self(), mEcho, nil, brief); !errors.Is(err, host.ErrTimeout) {
		t.Errorf("a call to the dead: %v, want %v", err, host.ErrTimeout)
	}
	if downs.Load() != 0 {
		t.Error("the death was noticed across the cut")
	}
	mend(a)
	eventually(t, "the death is noticed", func() bool { return downs.Load() == 1 })
}

// A cut that lasts ends those links on which something should have gone out.
func TestALongCutEndsLinks(t *testing.T) {
	var downs atomic.Int64
	a, b := startNode(t, lost(&downs), inside(func(h *Host) { h.limits.stall = brief })), startNode(t)
	if _, err := a.Call(b.Self(), mEcho, nil, patience); err != nil {
		t.Fatal(err)
	}
	sever(a, b)
	if err := a.Send(b.Self(), mNote, []byte("x")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the link ended", func() bool { return downs.Load() == 1 })
	if got := a.log.count("peer took nothing for " + brief.String()); got != 1 {
		t.Errorf("the log says so %d times", got)
	}
	if b.linkOf(a.id) == nil {
		t.Error("the other side has noticed")
	}
	mend(a, b)
	eventually(t, "the other side noticed after the mending", func() bool { return b.linkOf(a.id) == nil })
	if _, err := b.Call(a.Self(), mEcho, nil, patience); err != nil {
		t.Errorf("after the mending: %v", err)
	}
}
