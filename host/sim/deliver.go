package sim

import (
	"fmt"

	"ircbridge/host"
)

// held keeps a message that a cut stops, and all that follow it until the
// first one goes on.
func (w *World) held(m *message) bool {
	if m.self != nil || m.kind >= msgRelease {
		return false
	}
	from := m.to.other()
	if !from.holding && !(w.faulty() && w.severed(from.node(), m.to.node())) {
		return false
	}
	from.holding = true
	if m.kind != msgFin && from.down {
		w.free(m)
	} else {
		from.held = append(from.held, m)
	}
	return true
}

// arrive hands a message to the node that it is for.
func (w *World) arrive(m *message) {
	h := m.target()
	w.record(h, msgNames[m.kind], uint64(m.method), m.body)
	if w.cfg.Trace != nil {
		w.traceMessage(h, m)
	}
	if h != nil {
		w.touch(h)
	}
	if m.self != nil {
		w.hand(h, m)
		return
	}
	e := m.to
	if m.kind == msgDial {
		w.dialled(e, h)
		w.free(m)
		return
	}
	if m.counted() {
		s := &e.other().streams[m.bulk]
		s.queued--
		s.bytes -= len(m.body)
	}
	if e.down || h == nil || h.state != running {
		w.free(m)
		return
	}
	e.used = w.now
	h.traffic.ReceivedMessages++
	h.traffic.ReceivedBytes += uint64(len(m.body))
	switch m.kind {
	case msgAccept:
		e.peer = copyPeer(e.other().host.self)
		w.free(m)
		w.open(e)
	case msgFin:
		w.free(m)
		w.lose(e, nil, true)
	case msgHello:
		w.answer(m, nil, statusOK, "")
		w.free(m)
	default:
		w.hand(h, m)
	}
}

// dialled is the handshake at the side that is dialled.
func (w *World) dialled(e *end, h *Host) {
	from := e.other()
	switch {
	case from.down || e.down:
		return
	case h == nil || e.host != nil && e.host != h:
		w.lose(from, host.ErrUnreachable, false)
		return
	case e.conn.refuse != nil:
		w.lose(from, e.conn.refuse, false)
		return
	case from.host.node.overlay != h.node.overlay:
		w.lose(from, host.ErrOtherOverlay, false)
		return
	case from.host.node.major != h.node.major:
		w.lose(from, host.ErrOtherVersion, false)
		return
	}
	id := from.host.node.id
	if old := h.ends[id]; old != nil && old != e {
		w.lose(old, nil, false) // of an earlier run that we did not hear the end of
	}
	e.host, e.peer = h, copyPeer(from.host.self)
	h.ends[id] = e
	w.transmit(e, w.message(msgAccept, nil))
	w.open(e)
}

// hand runs the handler of a call or message, or ends the wait for a reply.
func (w *World) hand(h *Host, m *message) {
	if h.state != running {
		w.free(m)
		return
	}
	switch m.kind {
	case msgReply:
		t := m.caller
		if t.gen != m.gen {
			w.free(m) // late
			return
		}
		w.settle(t)
		t.woken, t.reply = wakeReply, m
		w.step(t)
	case msgSend:
		if f := w.cfg.Faults.Loss; f > 0 && m.self == nil && w.rand.Float64() < f {
			w.free(m)
			return
		}
		s, ok := h.sends[m.method]
		if ok {
			w.handSend(h, s, m)
		}
		w.free(m)
	case msgCall:
		switch c, ok := h.calls[m.method]; {
		case !ok:
			w.answer(m, nil, statusRefused, fmt.Sprintf("no method %d", m.method))
			w.free(m)
		case m.to != nil && m.to.running >= w.cfg.MaxRunning:
			w.answer(m, nil, statusBusy, "")
			w.free(m)
		default:
			if m.to != nil {
				m.to.running++
			}
			t := w.newTask(h, c.Name)
			t.serve = m
			w.step(t)
		}
	}
}

// handSend runs a SendHandler, which must not block, on the scheduler itself.
func (w *World) handSend(h *Host, s sendMethod, m *message) {
	from := h.self
	if m.to != nil {
		from = m.to.peer
	}
	defer func() {
		w.inSend = nil
		if v := recover(); v != nil {
			panic(fmt.Sprintf("sim: seed %d, at %v, node %s, handler of %s: %v", w.seed, w.Elapsed(), h.node.name, s.Name, v))
		}
	}()
	w.inSend = h
	s.handle(from, m.body)
}

// serveCall is the task that answers a request.
func (t *task) serveCall() {
	m, h, w := t.serve, t.host, t.world
	from := h.self
	if m.to != nil {
		from = m.to.peer
	}
	method := h.calls[m.method]
	body, err := method.handle(from, m.body)
	if m.to != nil {
		m.to.running--
	}
	switch {
	case err != nil:
		w.answer(m, nil, statusRefused, err.Error())
	case len(body) > limit(method.Bulk):
		w.answer(m, nil, statusRefused, fmt.Sprintf("%v: reply of %d bytes", host.ErrTooLarge, len(body)))
	default:
		w.answer(m, body, statusOK, "")
	}
}

// answer sends the reply to the request m.
func (w *World) answer(m *message, body []byte, s status, text string) {
	h := m.self
	if h == nil {
		h = m.to.host
	}
	if h.state != running || m.to != nil && m.to.down {
		return
	}
	reply := w.message(msgReply, nil)
	reply.status, reply.text, reply.caller, reply.gen, reply.bulk = s, text, m.caller, m.gen, m.bulk
	reply.body = copyBody(body)
	if m.self != nil {
		reply.self = h
		w.queue.push(event{at: w.now, msg: reply})
		return
	}
	if f := w.cfg.Faults.ReplyLoss; f > 0 && m.kind == msgCall && w.rand.Float64() < f {
		w.free(reply)
		return
	}
	w.transmit(m.to, reply)
}

func (w *World) traceMessage(h *Host, m *message) {
	if m.self != nil {
		w.trace(h, "%s %d from itself, %d bytes", msgNames[m.kind], m.method, len(m.body))
		return
	}
	name := ""
	if h != nil {
		if c, ok := h.calls[m.method]; ok && m.kind == msgCall {
			name = c.Name
		} else if s, ok := h.sends[m.method]; ok && m.kind == msgSend {
			name = s.Name
		}
	}
	w.trace(h, "%s %s from %s, %d bytes", msgNames[m.kind], name, m.to.other().name, len(m.body))
}
