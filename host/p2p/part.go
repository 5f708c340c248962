package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"ircbridge/host"
	"ircbridge/host/p2p/wire"
)

// How a link ends in order, so that no call is lost with it. The side that
// wants the end begins no request of the other any more, sends Part behind all its
// replies, and ends its side of the streams. The other reads to the end and ends
// its own side; calls of its that are still unanswered were never begun, and it
// makes them again over a new link. Nobody is told of a loss, because none is.

var (
	// errTrimmed ends a link that was not in use, to make room.
	errTrimmed = errors.New("not in use, and too many links are open")
	// errMoved ends a link over QUIC that goes on over TCP.
	errMoved = errors.New("it goes on over TCP")
	// errParted ends a link that the peer ended in order.
	errParted = errors.New("the peer ended it in order")
)

// inOrder reports whether a link that ends for that reason lets arrive what was written.
func inOrder(reason error) bool {
	return errors.Is(reason, host.ErrStopped) || errors.Is(reason, errTrimmed) || errors.Is(reason, errMoved) || errors.Is(reason, errParted) || errors.Is(reason, errOutrun)
}

// knowsPart reports whether the peer's program is new enough to be sent Part.
func (l *link) knowsPart() bool { return l.hello.GetMinor() >= 1 }

// retireLocked takes a link out of use if nothing runs or waits on it: from
// then on no call is made on it and none is begun. Host.mu is held.
func (h *Host) retireLocked(l *link, why error) bool {
	p := h.peers[l.peer.ID]
	if p == nil || p.link != l {
		return false
	}
	l.mu.Lock()
	quiet := l.quietLocked()
	if quiet {
		l.retired, l.why = true, why
	}
	l.mu.Unlock()
	if quiet {
		h.unlinkLocked(p)
	}
	return quiet
}

// trimLink ends a link that nothing runs or waits on, in order.
func (h *Host) trimLink(l *link) {
	h.mu.Lock()
	ok := h.retireLocked(l, errTrimmed)
	if ok {
		h.forgetLocked(h.peers[l.peer.ID])
	}
	h.mu.Unlock()
	if ok && !h.tasks.start("part from peer", func() { l.part(false) }) {
		l.fail(host.ErrStopped)
	}
}

// part tells the peer that a retired link ends, and waits until it has read
// that, but not for long. coming: a new link is opened at once.
func (l *link) part(coming bool) {
	defer func() { l.fail(l.why) }()
	if !l.knowsPart() {
		return
	}
	if l.requests.q.tryPut(encode(&wire.Frame{Kind: &wire.Frame_Part{Part: &wire.Part{Coming: coming}}})) == nil {
		drain([]*link{l}, l.h.limits.part)
	}
}

// parted takes the peer's Part: the link is not used any more, but read to
// its end. A kept peer is dialled again, unless its new link is on its way.
func (h *Host) parted(l *link, coming bool) error {
	l.mu.Lock()
	twice := l.parted
	l.retired, l.parted = true, true
	l.mu.Unlock()
	if twice {
		return fmt.Errorf("%w: Part came twice", errBroken)
	}
	time.AfterFunc(h.limits.stall, func() { l.fail(io.EOF) })
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.peers[l.peer.ID]
	if p == nil || p.link != l {
		return nil
	}
	h.unlinkLocked(p)
	if coming || h.kept[l.peer.ID] {
		var before func(context.Context, *attempt)
		if coming {
			before = h.expect
		}
		_, _ = h.attemptLocked(l.peer, false, before) // fails only when the host stops
	}
	h.forgetLocked(p)
	return nil
}

// expect waits for the link that a peer has promised; an attempt goes on
// with a dial of its own when it does not come.
func (h *Host) expect(ctx context.Context, a *attempt) {
	timer := time.NewTimer(h.limits.crossed)
	defer timer.Stop()
	select {
	case <-a.done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// ended finishes a link whose peer has parted and sends nothing more: what is
// queued for it goes out first.
func (l *link) ended() {
	if l.bulk.waits() {
		l.bulk.q.close() // its stream does not come any more
	}
	if !l.h.tasks.start("end parted link", func() {
		flush([]*link{l}, time.After(l.h.limits.part))
		l.fail(errParted)
	}) {
		l.fail(host.ErrStopped)
	}
}

// waits reports whether the lane has no stream.
func (la *lane) waits() bool {
	la.mu.Lock()
	defer la.mu.Unlock()
	return la.stream == nil
}

// replaced ends a link whose peer has opened another. It may have ended this
// one in order and its Part be on the way still: calls that wait give it time.
func (l *link) replaced() {
	l.mu.Lock()
	wait := len(l.pending) > 0 && l.knowsPart()
	l.retired = true
	l.mu.Unlock()
	if !wait {
		l.fail(errReplaced)
		return
	}
	time.AfterFunc(l.h.limits.part, func() { l.fail(errReplaced) })
}
