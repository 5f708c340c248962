package p2p

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"ircbridge/host"
	"ircbridge/host/p2p/wire"
)

// peerState is what the host holds of a peer that has a link, is being
// dialled, or is waited for. Host.mu guards it.
type peerState struct {
	id           host.PeerID
	link         *link    // nil: none
	attempt      *attempt // to open a link; nil: none runs
	waiting      []waitingNote
	waitingBytes int
}

type waitingNote struct {
	frame []byte
	bulk  bool
}

// attempt is one try to open a link. All who want the peer wait for it.
type attempt struct {
	cancel  context.CancelFunc
	addr    string                          // the first that it tries, for people
	since   time.Time                       // its beginning
	before  func(context.Context, *attempt) // runs first; nil: nothing
	greeted bool                            // our Hello is on its way
	number  uint64                          // of the Hello; set with greeted

	done chan struct{} // closed at the end, when link or err is set
	link *link
	err  error
}

// linkTo returns the link to a peer, and opens one if there is none. only: an
// attempt that this begins tries the given addresses and no remembered ones.
func (h *Host) linkTo(to host.Peer, only bool, late <-chan time.Time) (*link, error) {
	h.mu.Lock()
	p := h.peers[to.ID]
	if p != nil && p.link != nil {
		l := p.link
		h.mu.Unlock()
		return l, nil
	}
	a, err := h.attemptLocked(to, only, nil)
	h.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case <-a.done:
		return a.link, a.err
	case <-late:
		return nil, errLate
	case <-h.ctx.Done():
		return nil, host.ErrStopped
	}
}

// attemptLocked returns the attempt that runs, or starts one, which begins
// with before unless that is nil.
func (h *Host) attemptLocked(to host.Peer, only bool, before func(context.Context, *attempt)) (*attempt, error) {
	switch {
	case h.ctx.Err() != nil:
		return nil, host.ErrStopped
	case h.lp == nil:
		return nil, fmt.Errorf("%w: the host is not started", host.ErrUnreachable)
	case !to.ID.Valid():
		return nil, fmt.Errorf("%w: %w", host.ErrUnreachable, host.ErrBadPeerID)
	}
	p := h.peerLocked(to.ID)
	if p.attempt != nil {
		return p.attempt, nil
	}
	ctx, cancel := context.WithTimeout(h.ctx, h.limits.dial)
	a := &attempt{cancel: cancel, before: before, since: time.Now(), done: make(chan struct{})}
	if len(to.Addrs) > 0 {
		a.addr = readableText(to.Addrs[0])
	}
	if !h.tasks.start("dial peer", func() { h.open(ctx, p, a, to.Addrs, only) }) {
		cancel()
		return nil, host.ErrStopped
	}
	p.attempt = a
	return a, nil
}

func (h *Host) peerLocked(id host.PeerID) *peerState {
	p := h.peers[id]
	if p == nil {
		p = &peerState{id: id}
		h.peers[id] = p
	}
	return p
}

// endLocked ends p's attempt, if it is a, and lets its waiters go on.
func (p *peerState) endLocked(a *attempt, l *link, err error) {
	if a == nil || p.attempt != a {
		return
	}
	p.attempt = nil
	a.link, a.err = l, err
	close(a.done)
	a.cancel()
	if err != nil {
		p.waiting, p.waitingBytes = nil, 0
	}
}

func (h *Host) forgetLocked(p *peerState) {
	if p.link == nil && p.attempt == nil && len(p.waiting) == 0 && h.peers[p.id] == p {
		delete(h.peers, p.id)
	}
}

// open runs one attempt: dial, open the stream, exchange Hellos.
func (h *Host) open(ctx context.Context, p *peerState, a *attempt, addrs []string, only bool) {
	defer a.cancel()
	err := h.tryOpen(ctx, p, a, addrs, only)
	if errors.Is(err, errCrossed) {
		// The peer's own link was on its way, and stands.
		timer := time.NewTimer(h.limits.crossed)
		defer timer.Stop()
		select {
		case <-a.done:
		case <-timer.C:
		case <-h.ctx.Done():
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		switch {
		case h.ctx.Err() != nil:
			err = host.ErrStopped
		case !errors.Is(err, host.ErrUnreachable):
			err = fmt.Errorf("%w: %w", host.ErrUnreachable, err)
		}
		if p.attempt == a {
			h.failed.add(p.id, a.addr, err)
		}
		p.endLocked(a, nil, err)
		h.forgetLocked(p)
	}
}

func (h *Host) tryOpen(ctx context.Context, p *peerState, a *attempt, addrs []string, only bool) error {
	if a.before != nil {
		a.before(ctx, a)
	}
	if err := h.severed.wait(ctx, p.id); err != nil {
		return err
	}
	// A connection that is there already may be one that the peer, or either
	// side's tidying, is just closing: then a new one is made.
	connected := len(h.lp.Network().ConnsToPeer(peer.ID(p.id))) > 0
	s, err := h.openStream(ctx, p.id, addrs, only)
	if err == nil {
		err = h.greet(ctx, p, a, s)
	}
	if !connected || !errors.Is(err, host.ErrUnreachable) || ctx.Err() != nil {
		return err
	}
	h.discard(p.id, a)
	if s, err = h.openStream(ctx, p.id, addrs, only); err != nil {
		return err
	}
	return h.greet(ctx, p, a, s)
}

// openStream opens a stream for requests, over a new connection if there is none.
func (h *Host) openStream(ctx context.Context, id host.PeerID, addrs []string, only bool) (network.Stream, error) {
	if err := h.reach(ctx, peer.ID(id), addrs, only); err != nil {
		return nil, dialError(err)
	}
	s, err := h.lp.NewStream(network.WithNoDial(ctx, "link"), peer.ID(id), protoRequests)
	if err != nil {
		return nil, streamError(err)
	}
	return s, nil
}

// registerLocked makes l the link of its peer, after what was waiting has
// been queued on it. What it returns is to be called without the lock.
func (h *Host) registerLocked(p *peerState, l *link) (after func()) {
	old := p.link
	p.link = l
	if old == nil {
		h.links++
	}
	for _, n := range p.waiting {
		_ = l.lane(n.bulk).q.tryPut(n.frame) // the queue is larger than what may wait
	}
	p.waiting, p.waitingBytes = nil, 0
	p.endLocked(p.attempt, l, nil)
	return func() {
		h.failed.remove(l.peer.ID, "")
		h.log.Info("link to peer", "peer", l.peer.ID, "program", l.hello.GetProgram(), "opened by us", l.opener)
		if old != nil {
			switch {
			case old.run == l.run:
				old.replaced()
				return
			case old.rivalled.Load(): // it lives, and is not to go on
				old.outrun(l)
			default: // that process is gone
				old.fail(errReplaced)
			}
			h.tellDown(l.peer.ID)
		}
	}
}

// formerLink is what is remembered of a link for a moment after it: a Hello
// that the peer sent before it had that link may still be on its way.
type formerLink struct {
	run, peerAttempt uint64
	until            time.Time
}

// unlinkLocked takes the link of a peer from the table.
func (h *Host) unlinkLocked(p *peerState) {
	if len(h.former) < maxFormer {
		h.former[p.id] = formerLink{p.link.run, p.link.peerAttempt, time.Now().Add(h.limits.greet)}
	}
	p.link = nil
	h.links--
}

const maxFormer = 4096

// forgetFormer drops what is remembered of links that ended long ago.
func (h *Host) forgetFormer() {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, f := range h.former {
		if now.After(f.until) {
			delete(h.former, id)
		}
	}
}

// unlink takes a link that ends from the table, and reports whether it was the one in use.
func (h *Host) unlink(l *link) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.peers[l.peer.ID]
	if p == nil || p.link != l {
		return false
	}
	h.unlinkLocked(p)
	h.forgetLocked(p)
	return true
}

func (h *Host) tellDown(id host.PeerID) {
	if h.ctx.Err() != nil {
		return
	}
	for _, f := range h.onDown {
		h.Go("peer is down", func() { f(id) })
	}
}

// sendPeer queues an encoded note on the link, or until there is one.
func (h *Host) sendPeer(to host.Peer, m host.Method, frame []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.peers[to.ID]; p != nil && p.link != nil {
		switch err := p.link.lane(m.Bulk).q.tryPut(frame); {
		case errors.Is(err, errFull):
			return fmt.Errorf("%w: the queue to the peer is full", host.ErrBusy)
		case err != nil:
			return fmt.Errorf("%w: the connection was just lost", host.ErrUnreachable)
		}
		return nil
	}
	if _, err := h.attemptLocked(to, false, nil); err != nil {
		return err
	}
	p := h.peers[to.ID]
	if len(p.waiting) >= h.limits.waitingNotes || len(p.waiting) > 0 && p.waitingBytes+len(frame) > h.limits.waitingBytes {
		return fmt.Errorf("%w: %d messages wait for a connection", host.ErrBusy, len(p.waiting))
	}
	p.waiting = append(p.waiting, waitingNote{frame, m.Bulk})
	p.waitingBytes += len(frame)
	return nil
}

// hello is this node's Hello, with the number of an attempt.
func (h *Host) hello(attempt uint64, addrs [][]byte) *wire.Hello {
	return &wire.Hello{
		Overlay: h.cfg.Overlay, Major: h.major, Minor: Minor, Run: h.run,
		Abilities: h.cfg.Abilities, Program: h.cfg.Version, Addresses: addrs, Attempt: attempt, Born: h.born,
	}
}
