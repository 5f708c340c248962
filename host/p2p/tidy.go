package p2p

import (
	"cmp"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"ircbridge/host"
)

// tidy runs until the host stops. It closes connections that carry nothing of
// ours, such as the second of two that crossed, or one of a stranger; it ends, when there
// are more links than Config.OpenPeers, those that were longest without use; and it
// moves links of kept peers to TCP.
func (h *Host) tidy() {
	tick := time.NewTicker(h.limits.tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.closeUnused()
			h.trim()
			h.toTCP()
			h.forgetFormer()
		case <-h.ctx.Done():
			return
		}
	}
}

// closeUnused closes old connections that no link uses.
func (h *Host) closeUnused() {
	for _, c := range h.lp.Network().Conns() {
		if time.Since(c.Stat().Opened) > h.limits.unused && !h.uses(c) {
			_ = c.Close()
		}
	}
}

// uses reports whether a link's streams are on c, or whether it is too early to say.
func (h *Host) uses(c network.Conn) bool {
	id := host.PeerID(c.RemotePeer())
	h.mu.Lock()
	p := h.peers[id]
	busy := h.greeting[id] > 0 || p != nil && p.attempt != nil
	var l *link
	if p != nil {
		l = p.link
	}
	h.mu.Unlock()
	if busy || l == nil {
		return busy
	}
	for _, la := range []*lane{l.requests, l.bulk} {
		la.mu.Lock()
		s := la.stream
		la.mu.Unlock()
		if s != nil && s.Conn().ID() == c.ID() {
			return true
		}
	}
	return false
}

// trim ends links above the number that may stay open beside the kept ones:
// the longest unused first, and none that a call waits on in either direction.
func (h *Host) trim() {
	type candidate struct {
		l    *link
		used int64
	}
	var idle []candidate
	h.mu.Lock()
	excess := h.links - h.cfg.OpenPeers
	for id := range h.kept {
		if p := h.peers[id]; p != nil && p.link != nil {
			excess--
		}
	}
	if excess > 0 {
		for id, p := range h.peers {
			if p.link != nil && !h.kept[id] && p.link.quiet() {
				idle = append(idle, candidate{p.link, p.link.used.Load()})
			}
		}
	}
	h.mu.Unlock()
	slices.SortFunc(idle, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.used, b.used), cmp.Compare(a.l.peer.ID, b.l.peer.ID))
	})
	for _, c := range idle[:max(0, min(excess, len(idle)))] {
		h.trimLink(c.l)
	}
}

// quiet reports whether nothing runs or waits on the link.
func (l *link) quiet() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.quietLocked()
}

func (l *link) quietLocked() bool {
	return len(l.pending) == 0 && l.running.Load() == 0 && l.requests.q.idle() && l.bulk.q.idle()
}
