package sim

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"ircbridge/host"
)

// An opError says what was tried with whom. It is formatted only when
// somebody reads it: simulated timeouts are many.
type opError struct {
	op    string
	peer  string
	err   error // what it is
	cause error // more about it, or nil
}

func (e *opError) Error() string {
	s := e.op + " " + e.peer + ": " + e.err.Error()
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

func (e *opError) Unwrap() []error {
	if e.cause != nil {
		return []error{e.err, e.cause}
	}
	return []error{e.err}
}

// refuse is the error for what h tried with a peer (nil: with nobody).
func (h *Host) refuse(op string, to *host.Peer, err error) *opError {
	e := &opError{op: op, err: err, peer: "on " + h.node.name}
	if to != nil {
		if n := h.world.byID[to.ID]; n != nil {
			e.peer = n.name
		} else {
			e.peer = to.ID.String()
		}
	}
	return e
}

// limit is the greatest body of a method's stream.
func limit(bulk bool) int {
	if bulk {
		return host.MaxBulk
	}
	return host.MaxFrame
}

func streamOf(bulk bool) uint8 {
	if bulk {
		return 1
	}
	return 0
}

// copyBody copies what crosses the border between two nodes. Never nil, as
// what comes off a wire never is.
func copyBody(b []byte) []byte { return append(make([]byte, 0, len(b)), b...) }

// Call sends a request and waits at most d for the reply.
func (h *Host) Call(to host.Peer, m host.Method, req []byte, d time.Duration) ([]byte, error) {
	t, err := h.enter("Call")
	if err != nil {
		return nil, err
	}
	if len(req) > limit(m.Bulk) {
		return nil, h.refuse("call "+m.Name+" of", &to, host.ErrTooLarge)
	}
	if d <= 0 {
		return nil, h.refuse("call "+m.Name+" of", &to, host.ErrTimeout)
	}
	ask := h.world.message(msgCall, nil)
	ask.method, ask.bulk, ask.body = m.Number, streamOf(m.Bulk), copyBody(req)
	var cause error
	switch h.ask(t, to, ask, d) {
	case wakeReply:
		reply := t.reply
		t.reply = nil
		body, text, status := reply.body, reply.text, reply.status
		h.world.free(reply)
		switch status {
		case statusOK:
			return body, nil
		case statusBusy:
			err = host.ErrBusy
		default:
			err, cause = host.ErrRefused, errors.New(text)
		}
	case wakeTimer:
		err = host.ErrTimeout
	case wakeStopped:
		err = host.ErrStopped
	default:
		err, cause = host.ErrUnreachable, t.lost
		if cause == host.ErrUnreachable {
			cause = nil
		}
		t.lost = nil
	}
	e := h.refuse("call "+m.Name+" of", &to, err)
	e.cause = cause
	return nil, e
}

// ask sends a request for t and waits. What never left is wakeDown, with the
// reason in t.lost.
func (h *Host) ask(t *task, to host.Peer, m *message, d time.Duration) wakeKind {
	w := h.world
	m.caller, m.gen = t, t.gen
	if to.ID == h.node.id {
		m.self = h
		w.queue.push(event{at: w.now, msg: m})
		return t.block(h, int64(d))
	}
	e, err := h.connect(to)
	if err != nil {
		w.free(m)
		t.lost = err
		return wakeDown
	}
	t.callEnd = e
	e.calls.add(t)
	w.transmit(e, m)
	return t.block(h, int64(d))
}

// Send queues a one-way message; it never blocks.
func (h *Host) Send(to host.Peer, m host.Method, msg []byte) error {
	w := h.world
	w.touch(h)
	switch {
	case h.state == created:
		return h.refuse("send "+m.Name+" before Start to", &to, host.ErrUnreachable)
	case h.state != running:
		if w.cur != nil && w.cur.killed {
			return w.cur.refuse()
		}
		return h.refuse("send "+m.Name+" to", &to, host.ErrStopped)
	case len(msg) > limit(m.Bulk):
		return h.refuse("send "+m.Name+" to", &to, host.ErrTooLarge)
	}
	if to.ID == h.node.id {
		out := w.message(msgSend, nil)
		out.self, out.method, out.body = h, m.Number, copyBody(msg)
		w.queue.push(event{at: w.now, msg: out})
		return nil
	}
	bulk := streamOf(m.Bulk)
	e, err := h.connect(to)
	if err == nil && w.full(e, bulk, len(msg)) {
		err = host.ErrBusy
	}
	if err != nil {
		return h.refuse("send "+m.Name+" to", &to, err)
	}
	out := w.message(msgSend, nil)
	out.method, out.bulk, out.body = m.Number, bulk, copyBody(msg)
	w.transmit(e, out)
	return nil
}

// parseAddr reads "sim:NAME" or "sim:NAME/p2p/ID".
func parseAddr(addr string) (name string, id host.PeerID, ok bool) {
	rest, ok := strings.CutPrefix(addr, addrScheme)
	if !ok {
		return "", "", false
	}
	name, text, named := strings.Cut(rest, "/p2p/")
	if named {
		var err error
		if id, err = host.ParsePeerID(text); err != nil {
			return "", "", false
		}
	}
	return name, id, name != "" && !strings.ContainsAny(name, "/: \n")
}

// Dial reaches the node at "sim:NAME" or "sim:NAME/p2p/ID".
func (h *Host) Dial(addr string, d time.Duration) (host.Peer, error) {
	t, err := h.enter("Dial")
	if err != nil {
		return host.Peer{}, err
	}
	failed := func(err error) (host.Peer, error) {
		return host.Peer{}, &opError{op: "dial", peer: addr, err: err}
	}
	name, id, ok := parseAddr(addr)
	if !ok {
		return failed(fmt.Errorf("%w: want sim:NAME", host.ErrBadAddress))
	}
	if d <= 0 {
		return failed(host.ErrTimeout)
	}
	to := host.Peer{ID: id, Addrs: []string{addrScheme + name}}
	if id == "" {
		to.ID = host.PeerID(addr) // of nobody, should there be no such node
		if n := h.world.byAddr[name]; n != nil {
			to.ID = n.id
		}
	}
	if to.ID == h.node.id {
		return failed(fmt.Errorf("%w: the address is this node's own", host.ErrUnreachable))
	}
	switch h.ask(t, to, h.world.message(msgHello, nil), d) {
	case wakeReply:
		h.world.free(t.reply)
		t.reply = nil
		e := h.ends[to.ID]
		if e == nil {
			return failed(host.ErrUnreachable)
		}
		return copyPeer(e.peer), nil
	case wakeTimer:
		return failed(host.ErrTimeout)
	case wakeStopped:
		return failed(host.ErrStopped)
	}
	err = t.lost
	t.lost = nil
	if err == nil {
		err = host.ErrUnreachable
	}
	return failed(err)
}
