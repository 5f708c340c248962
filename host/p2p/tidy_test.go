package p2p

import (
	"context"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"ircbridge/host"
)

// Above OpenPeers the links longest without use go; busy ones stay, and kept
// ones do not count.
func TestTrim(t *testing.T) {
	n := startNode(t, config(func(c *Config) { c.OpenPeers = 2 }))
	var others []*node
	for range 6 {
		o := startNode(t)
		others = append(others, o)
		if _, err := n.Call(o.Self(), mEcho, nil, patience); err != nil {
			t.Fatal(err)
		}
	}
	n.Keep(others[0].id, true)
	busy := make(chan error, 1)
	go func() {
		_, err := n.Call(others[1].Self(), mStall, nil, patience)
		busy <- err
	}()
	eventually(t, "the call runs", func() bool { return others[1].running.Load() == 1 })
	if _, err := n.Call(others[5].Self(), mEcho, nil, patience); err != nil { // the last in use
		t.Fatal(err)
	}
	for _, o := range others { // replies may still be on their way out
		eventually(t, "the link was quiet", func() bool {
			n.mu.Lock()
			l := n.peers[o.id].link
			n.mu.Unlock()
			return o == others[1] || l.quiet()
		})
	}
	n.trim()
	var open []int
	for i, o := range others {
		if _, ok := n.PeerRun(o.id); ok {
			open = append(open, i)
		}
	}
	if len(open) != 3 || open[0] != 0 || open[1] != 1 || open[2] != 5 {
		t.Errorf("links %v are open, want 0 (kept), 1 (busy) and 5 (used last)", open)
	}
	n.trim()
	n.mu.Lock()
	left := n.links
	n.mu.Unlock()
	if left != 3 {
		t.Errorf("%d links are open", left)
	}
}

// A peer whose link was ended, and whose connection was closed too, is dialled
// again by Call and Send alike, at the addresses of its Hello: those that this node
// has once dialled, and those that it has never dialled because the peer did.
func TestClosedIsDialledAgain(t *testing.T) {
	notes := make(chan string, 9)
	heard := inside(func(h *Host) {
		h.sends[98] = sendEntry{host.Method{Number: 98}, func(_ host.Peer, msg []byte) { notes <- string(msg) }}
	})
	a, b := startNode(t, heard), startNode(t, heard)
	if _, err := a.Call(b.Self(), mEcho, nil, patience); err != nil {
		t.Fatal(err)
	}
	for _, p := range [][2]*node{{a, b}, {b, a}} {
		bare := host.Peer{ID: p[1].id}
		for what, again := range map[string]func() error{
			"Call": func() error { _, err := p[0].Call(bare, mEcho, nil, patience); return err },
			"Send": func() error {
				if err := p[0].Send(bare, host.Method{Number: 98}, []byte("x")); err != nil {
					return err
				}
				next(t, "the message", notes)
				return nil
			},
		} {
			eventually(t, "the link was ended", func() bool {
				if l := p[0].linkOf(p[1].id); l != nil {
					l.h.trimLink(l)
				}
				return p[0].linkOf(p[1].id) == nil && p[1].linkOf(p[0].id) == nil
			})
			eventually(t, "the connections were closed", func() bool {
				_ = p[0].libp2p().Network().ClosePeer(peer.ID(p[1].id))
				return len(p[0].libp2p().Network().Conns())+len(p[1].libp2p().Network().Conns()) == 0
			})
			if err := again(); err != nil {
				t.Errorf("%s after the end: %v", what, err)
			}
		}
	}
}

// Connections that carry nothing are closed, those of links are not.
func TestCloseUnused(t *testing.T) {
	n := startNode(t, inside(func(h *Host) { h.limits.unused, h.limits.tidyEvery = 50*time.Millisecond, 20*time.Millisecond }))
	other := startNode(t)
	if _, err := n.Call(other.Self(), mBulk, nil, patience); err != nil {
		t.Fatal(err)
	}
	s := newStranger(t, testKey(t))
	if err := s.Connect(context.Background(), peer.AddrInfo{ID: peer.ID(n.id), Addrs: n.libp2p().Addrs()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stranger's connection was closed", func() bool { return len(s.Network().Conns()) == 0 })
	eventually(t, "the link's connection was old enough to be closed", func() bool {
		return time.Since(n.libp2p().Network().Conns()[0].Stat().Opened) > n.limits.unused
	})
	n.closeUnused()
	if conns := n.libp2p().Network().Conns(); len(conns) != 1 {
		t.Errorf("connections: %v", conns)
	}
	if n.log.count("link to peer ended") != 0 {
		t.Errorf("a link was closed:\n%v", n.log)
	}
	if _, err := n.Call(host.Peer{ID: other.id}, mEcho, nil, patience); err != nil {
		t.Error(err)
	}
}
