package p2p

import (
	"errors"
	"fmt"
	"time"

	"ircbridge/host"
	"ircbridge/host/p2p/wire"
)

// Call implements host.Host.
func (h *Host) Call(to host.Peer, m host.Method, req []byte, d time.Duration) ([]byte, error) {
	fail := func(err error) ([]byte, error) {
		return nil, fmt.Errorf("call %s of %s: %w", m.Name, short(to.ID), err)
	}
	switch {
	case h.ctx.Err() != nil:
		return fail(host.ErrStopped)
	case len(req) > bodyLimit(m):
		return fail(fmt.Errorf("%w: %d bytes, the limit is %d", host.ErrTooLarge, len(req), bodyLimit(m)))
	case d <= 0:
		return fail(fmt.Errorf("%w: no time was left", host.ErrTimeout))
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	var reply []byte
	var err error
	if to.ID == h.id {
		reply, err = h.own.call(m, req, timer.C)
	} else {
		reply, err = h.callPeer(to, m, req, timer.C)
	}
	if err != nil {
		if errors.Is(err, errLate) {
			err = fmt.Errorf("no answer within %v: %w", d, host.ErrTimeout)
		}
		return fail(err)
	}
	return reply, nil
}

// callPeer tries again on another link what was not begun: because a link was
// found dead before the request was queued, or because the peer ended it in order.
func (h *Host) callPeer(to host.Peer, m host.Method, req []byte, late <-chan time.Time) ([]byte, error) {
	var err error
	for range 8 {
		var l *link
		if l, err = h.linkTo(to, false, late); err != nil {
			return nil, err
		}
		var reply []byte
		if reply, err = l.call(m, req, late); !errors.Is(err, errClosed) {
			return reply, err
		}
	}
	return nil, fmt.Errorf("%w: %w", host.ErrUnreachable, err)
}

func bodyLimit(m host.Method) int {
	if m.Bulk {
		return host.MaxBulk
	}
	return host.MaxFrame
}

// call sends one request and waits for its reply. errClosed: nothing was sent.
func (l *link) call(m host.Method, req []byte, late <-chan time.Time) ([]byte, error) {
	answer := make(chan *wire.Reply, 1)
	began := sinceStart()
	l.mu.Lock()
	if l.retired {
		l.mu.Unlock()
		return nil, errClosed
	}
	l.number++
	number := l.number
	l.pending[number] = answer
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.pending, number)
		l.mu.Unlock()
	}()
	if err := l.lane(m.Bulk).q.put(requestFrame(number, m.Number, req), late); err != nil {
		if l.h.ctx.Err() != nil {
			return nil, host.ErrStopped
		}
		if errors.Is(err, errLate) {
			l.doubt(began)
		}
		return nil, err
	}
	defer time.AfterFunc(l.h.limits.silence, func() { l.doubt(began) }).Stop()
	select {
	case r := <-answer:
		return result(r)
	case <-late:
		l.doubt(began)
		return nil, errLate
	case <-l.h.ctx.Done():
		return nil, host.ErrStopped
	case <-l.done:
	}
	select {
	case r := <-answer: // it came just before the end
		return result(r)
	default:
	}
	if l.h.ctx.Err() != nil {
		return nil, host.ErrStopped
	}
	if errors.Is(l.err, errParted) {
		return nil, errClosed
	}
	return nil, fmt.Errorf("%w: the connection was lost: %s", host.ErrUnreachable, lossText(l.err))
}

func result(r *wire.Reply) ([]byte, error) {
	switch r.GetOutcome() {
	case wire.Reply_DONE:
		return r.GetBody(), nil
	case wire.Reply_BUSY:
		return nil, fmt.Errorf("%w: the peer runs as many requests as it may", host.ErrBusy)
	default:
		return nil, fmt.Errorf("%w: %s", host.ErrRefused, cleanText(r.GetError(), maxErrorText))
	}
}

// serve runs the handler of a request in a task of its own. It runs in the reader.
func (l *link) serve(la *lane, r *wire.Request) {
	refuse := func(outcome wire.Reply_Outcome, text string) {
		// A full queue drops the refusal: the reader waits for nobody.
		_ = la.q.tryPut(replyFrame(&wire.Reply{Number: r.GetNumber(), Outcome: outcome, Error: text}))
	}
	entry, ok := l.h.calls[r.GetMethod()]
	if !ok {
		refuse(wire.Reply_REFUSED, fmt.Sprintf("no such method: %d", r.GetMethod()))
		return
	}
	l.mu.Lock()
	retired := l.retired
	may := !retired && l.h.mayRun(l)
	l.mu.Unlock()
	if retired {
		return // the peer has our Part, or will, and asks again elsewhere
	}
	if !may {
		refuse(wire.Reply_BUSY, "")
		return
	}
	started := l.h.tasks.start(entry.m.Name, func() {
		defer l.h.running.Add(-1)
		defer l.running.Add(-1)
		reply := answer(entry, l.peer, r.GetBody())
		reply.Number = r.GetNumber()
		frame := replyFrame(reply)
		if la.q.tryPut(frame) == nil {
			return
		}
		timer := time.NewTimer(l.h.limits.reply)
		defer timer.Stop()
		if err := la.q.put(frame, timer.C); errors.Is(err, errLate) {
			l.h.log.Warn("reply dropped: the peer does not read", "peer", l.peer.ID, "method", entry.m.Name)
		}
	})
	if !started {
		l.running.Add(-1)
		l.h.running.Add(-1)
	}
}

// mayRun takes a place among the running handlers, of the peer and of all.
func (h *Host) mayRun(l *link) bool {
	if l.running.Add(1) > h.limits.runningPeer {
		l.running.Add(-1)
		return false
	}
	if h.running.Add(1) > h.limits.running {
		h.running.Add(-1)
		l.running.Add(-1)
		return false
	}
	return true
}

// answer runs a handler and makes its reply, without the number.
func answer(entry callEntry, from host.Peer, req []byte) *wire.Reply {
	body, err := entry.h(from, req)
	if err == nil && len(body) > bodyLimit(entry.m) {
		err = fmt.Errorf("the reply of %d bytes is too large", len(body))
	}
	if err != nil {
		return &wire.Reply{Outcome: wire.Reply_REFUSED, Error: err.Error()}
	}
	return &wire.Reply{Body: body}
}

// Send implements host.Host.
func (h *Host) Send(to host.Peer, m host.Method, msg []byte) error {
	fail := func(err error) error { return fmt.Errorf("send %s to %s: %w", m.Name, short(to.ID), err) }
	switch {
	case h.ctx.Err() != nil:
		return fail(host.ErrStopped)
	case len(msg) > bodyLimit(m):
		return fail(fmt.Errorf("%w: %d bytes, the limit is %d", host.ErrTooLarge, len(msg), bodyLimit(m)))
	case to.ID == h.id:
		if err := h.own.send(m, msg); err != nil {
			return fail(err)
		}
		return nil
	}
	if err := h.sendPeer(to, m, noteFrame(m.Number, msg)); err != nil {
		return fail(err)
	}
	return nil
}

// short is enough of a peer ID to tell peers apart in an error message.
func short(id host.PeerID) string {
	text := id.String()
	if len(text) > 16 {
		text = text[:8] + "…" + text[len(text)-6:]
	}
	return text
}
