package sim

import (
	"cmp"
	"slices"

	"ircbridge/host"
)

// note records what the test does to a node, for digest and trace.
func (w *World) note(h *Host, what string) {
	w.record(h, what, 0, nil)
	if w.cfg.Trace != nil {
		w.trace(h, "%s", what)
	}
	if h != nil {
		w.touch(h)
	}
}

// Crash ends a run as kill -9 does: its tasks are unwound at once, what its
// store had not committed is lost, its peers are told one latency later.
func (w *World) Crash(h *Host) {
	if h.state >= stopping {
		return
	}
	w.note(h, "crash")
	h.state = crashed
	h.node.disk.crash()
	for _, e := range h.endsOf() {
		w.hangUp(e, false)
	}
	w.end(h)
	for t := h.tasks.first; t != nil; {
		if t == w.cur {
			t = t.next // it crashed its own node, and ends at its next host call
			continue
		}
		w.kill(t)
		t = h.tasks.first
	}
}

// Stop ends a run gracefully, after whatever Leave the protocol has: blocked
// host calls return ErrStopped, the store is committed, peers are told behind
// all that was sent before.
func (w *World) Stop(h *Host) {
	if h.state >= stopping {
		return
	}
	w.note(h, "stop")
	h.state = stopping
	h.node.disk.flush()
	for _, e := range h.endsOf() {
		w.hangUp(e, false)
	}
	w.end(h)
	for t := h.tasks.first; t != nil; t = t.next {
		if t.waiting {
			w.wake(t, wakeStopped)
		}
	}
}

// end is what Crash and Stop share: nothing of h is deferred any more, and
// tasks of the test that wait through it get ErrStopped.
func (w *World) end(h *Host) {
	h.paused, h.resuming = false, false
	late := h.deferred
	h.deferred = nil
	for _, e := range late {
		if e.msg != nil {
			w.free(e.msg)
		} else if !e.stale() && !e.task.waiting {
			w.retire(e.task) // never started
		}
	}
	for t := w.tasks.first; t != nil; t = t.next {
		if t.waiting && t.via == h {
			w.wake(t, wakeStopped)
		}
	}
}

// Restart makes the next run of a node that crashed or was stopped: same
// key and store, new run, and what the options change. It is to be given handlers and to be
// started as one from Add.
func (w *World) Restart(h *Host, opts ...Option) *Host {
	n := h.node
	if last := n.hosts[len(n.hosts)-1]; last.state < stopping {
		panic("sim: Restart of node " + n.name + ", which has not ended")
	}
	delete(w.byAddr, n.addr)
	for _, o := range opts {
		o(n)
	}
	// Ended runs need no memory once their tasks are gone.
	kept := n.hosts[:0]
	for _, old := range n.hosts {
		if old.tasks.first != nil {
			kept = append(kept, old)
		}
	}
	n.hosts = kept
	return n.newRun()
}

// Pause stops all tasks of h, as SIGSTOP does; what comes for it waits.
func (w *World) Pause(h *Host) {
	if h.state != running || h.paused {
		return
	}
	w.note(h, "pause")
	h.paused = true
	h.pauses++
	for _, e := range h.endsOf() {
		if o := e.other(); o.host != nil {
			m := w.message(msgPaused, o)
			m.gen = h.pauses
			w.queue.push(event{at: w.now + int64(w.cfg.PauseBreakAfter), msg: m})
		}
	}
}

// Resume lets h go on: first all that waited, in order.
func (w *World) Resume(h *Host) {
	if !h.paused {
		return
	}
	w.note(h, "resume")
	h.paused = false
	h.resuming = true
	m := w.message(msgGoOn, nil)
	m.host, m.gen = h, h.pauses
	w.queue.push(event{at: w.now, msg: m})
}

// Move gives a running node another address, as when a laptop comes to another
// network: its connections are lost, and whoever has only the old address does
// not reach it.
func (w *World) Move(h *Host, addr string) {
	if h.state != running {
		return
	}
	if w.byAddr[addr] != nil {
		panic("sim: there is a node at " + addr)
	}
	w.note(h, "move")
	delete(w.byAddr, h.node.addr)
	h.node.addr = addr
	w.byAddr[addr] = h.node
	h.self = host.Peer{ID: h.node.id, Addrs: []string{addrScheme + addr}}
	for _, e := range h.endsOf() {
		w.hangUp(e, true)
	}
}

// Partition cuts the network into groups: nodes of different groups do not
// reach each other. Nodes in no group are one group together. It replaces an
// earlier partition; one-way cuts stay.
func (w *World) Partition(groups ...[]*Host) {
	w.note(nil, "partition")
	for _, n := range w.nodes {
		n.group = 0
	}
	for i, g := range groups {
		for _, h := range g {
			h.node.group = i + 1
			w.record(h, "group", uint64(i), nil)
		}
	}
	w.parted = true
	w.recheck()
}

// Cut stops what one node sends to another, one way.
func (w *World) Cut(from, to *Host) {
	w.note(from, "cut")
	w.note(to, "cut")
	w.cut[[2]*node{from.node, to.node}] = true
	w.recheck()
}

// Mend takes a Cut back.
func (w *World) Mend(from, to *Host) {
	w.note(from, "mend")
	w.note(to, "mend")
	delete(w.cut, [2]*node{from.node, to.node})
	w.recheck()
}

// Heal takes back the partition and all cuts.
func (w *World) Heal() {
	w.note(nil, "heal")
	for _, n := range w.nodes {
		n.group = 0
	}
	w.parted = false
	clear(w.cut)
	w.recheck()
}

// recheck starts and stops the timers of connections after the links changed.
func (w *World) recheck() {
	for _, n := range w.nodes {
		for _, h := range n.hosts {
			for _, e := range h.endsOf() {
				w.recheckConn(e)
			}
		}
	}
}

func (w *World) recheckConn(e *end) {
	c, o := e.conn, e.other()
	cut := w.severed(e.node(), o.node()) || w.severed(o.node(), e.node())
	if cut != c.cut {
		c.cut = cut
		c.breaks++
		for i := range c.ends {
			if cut && c.ends[i].host != nil {
				m := w.message(msgBreak, &c.ends[i])
				m.gen = c.breaks
				w.queue.push(event{at: w.now + int64(w.cfg.BreakAfter), msg: m})
			}
		}
	}
	for i := range c.ends {
		from := &c.ends[i]
		if from.holding && !w.severed(from.node(), from.other().node()) {
			w.queue.push(event{at: w.now + w.delay(from), msg: w.message(msgRelease, from)})
		}
	}
}

// timer is an event of the network itself.
func (w *World) timer(m *message) {
	kind, e, h, gen := m.kind, m.to, m.host, m.gen
	w.free(m)
	w.record(h, msgNames[kind], 0, nil)
	switch kind {
	case msgDialLimit:
		if !e.open {
			w.lose(e, nil, false)
			w.lose(e.other(), nil, true) // it dialled too, or its answer did not come
		}
	case msgBreak:
		// What the other end has given up is lost, also for who stood still
		// meanwhile.
		if e.conn.breaks == gen || e.other().down {
			w.lose(e, nil, true)
		}
	case msgPaused:
		if p := e.other().host; p.paused && p.pauses == gen {
			w.hangUp(e, true)
		}
	case msgRelease:
		if e.holding && !w.severed(e.node(), e.other().node()) {
			held := e.held
			e.holding, e.held = false, nil
			for _, m := range held {
				w.happen(event{at: w.now, msg: m})
			}
		}
	case msgGoOn:
		w.goOn(h)
	}
}

// goOn lets what waited for a paused node happen, in the order in which it
// came.
func (w *World) goOn(h *Host) {
	h.resuming = false
	if h.paused {
		return // again
	}
	late := h.deferred
	h.deferred = nil
	for _, e := range late {
		w.happen(e)
	}
}

// trim closes connections that were not used for longest, when h has too
// many, as a connection manager does.
func (w *World) trim(h *Host) {
	if len(h.ends) <= w.cfg.MaxConns {
		return
	}
	all := h.endsOf()
	slices.SortStableFunc(all, func(a, b *end) int { return cmp.Compare(a.used, b.used) })
	excess := len(all) - w.cfg.MaxConns*5/6
	for _, e := range all {
		if excess > 0 && e.open && e.calls.first == nil && e.running == 0 && !h.keep[e.peer.ID] && e.used < w.now {
			w.hangUp(e, true)
			excess--
		}
	}
}
