package p2p

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"ircbridge/host"
)

// toTCP moves the links of kept peers from QUIC to TCP where TCP works,
// because only there a killed process is noticed at once. A dial begins with TCP
// already; what gets here was dialled under an address of QUIC alone, or when
// TCP did not answer. It runs in the tidy task, and one move at a time in its own.
func (h *Host) toTCP() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.moving {
		return
	}
	now := time.Now()
	for id := range h.kept {
		p := h.peers[id]
		if p == nil || p.link == nil || !p.link.knowsPart() || now.Before(p.link.tryTCP) {
			continue
		}
		l := p.link
		c := l.conn()
		if c == nil || isTCP(c.RemoteMultiaddr()) {
			continue
		}
		l.tryTCP = now.Add(h.limits.moveAgain)
		h.moving = h.tasks.start("move link to TCP", func() {
			h.move(l)
			h.mu.Lock()
			defer h.mu.Unlock()
			h.moving = false
		})
		return
	}
}

// move finds an address of TCP at which the peer answers, and then, as soon as
// nothing runs on the link, parts and opens a new one there.
func (h *Host) move(l *link) {
	at := h.answersOverTCP(l)
	if at == "" {
		return
	}
	before := func(_ context.Context, a *attempt) {
		l.part(true)
		h.discard(l.peer.ID, a) // libp2p would not dial beside it
	}
	for wait := time.Millisecond; wait < h.limits.part; wait *= 2 {
		h.mu.Lock()
		if p := h.peers[l.peer.ID]; p == nil || p.link != l {
			h.mu.Unlock()
			return
		}
		if h.retireLocked(l, errMoved) {
			to := host.Peer{ID: l.peer.ID, Addrs: append([]string{at}, l.peer.Addrs...)}
			_, err := h.attemptLocked(to, false, before)
			h.mu.Unlock()
			if err != nil {
				l.fail(host.ErrStopped)
			}
			return
		}
		h.mu.Unlock()
		if h.Sleep(wait) != nil {
			return
		}
	}
}

// discard closes the connections to a peer with which a attempts to open a
// link, unless one is being opened from the other side.
func (h *Host) discard(id host.PeerID, a *attempt) {
	h.mu.Lock()
	p := h.peers[id]
	unused := p != nil && p.attempt == a && h.greeting[id] == 0
	h.mu.Unlock()
	if unused {
		_ = h.lp.Network().ClosePeer(peer.ID(id))
	}
}

// answersOverTCP is an address of TCP at which the peer of l answers, or "".
func (h *Host) answersOverTCP(l *link) string {
	const most = 4 // addresses
	tried := 0
	for _, a := range parseAddrs(l.peer.Addrs) {
		if !isTCP(a) || h.silent.at(a) || tried == most {
			continue
		}
		tried++
		ctx, cancel := context.WithTimeout(h.ctx, h.limits.tcpAlone)
		id, err := h.whoAnswers(ctx, a)
		cancel()
		if err == nil && id == l.peer.ID {
			return a.String()
		}
	}
	return ""
}
