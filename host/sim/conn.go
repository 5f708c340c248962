package sim

import (
	"cmp"
	"slices"

	"ircbridge/host"
)

// A conn is the connection of two runs. ends[0] is the one that dialled.
type conn struct {
	seq    uint64 // order of dialling
	node   *node  // that is dialled; nil when nobody has the address
	refuse error  // why the handshake will fail, whoever answers
	ends   [2]end
	cut    bool   // in one direction at least
	breaks uint64 // generation of the timers that end a cut connection
}

// An end is what one side knows of a connection, and what it has sent.
type end struct {
	conn *conn
	side uint8
	host *Host     // nil at the dialled side until it takes part
	name string    // of the node on this side; "" if there is none
	peer host.Peer // the other side
	open bool      // this side's handshake is done
	down bool      // lost or closed, for this side
	why  error     // it never opened, for this reason

	streams [2]stream  // requests, bulk
	calls   callList   // tasks that wait for replies
	waiting []*message // sent before the handshake was done
	held    []*message // sent by this side, stopped by a cut
	holding bool       // whatever arrives joins held, to keep the order
	running int        // handlers that run for the other side
	used    int64      // when it last carried a message
}

// A stream is one direction of one kind of traffic.
type stream struct {
	last   int64 // when the message before arrives
	queued int   // messages under way
	bytes  int
}

func (e *end) other() *end { return &e.conn.ends[1-e.side] }

// message kinds
type msgKind uint8

const (
	msgDial      msgKind = iota // the dialler's handshake
	msgAccept                   // the answer
	msgHello                    // Dial's question: who is there
	msgCall                     //
	msgReply                    //
	msgSend                     //
	msgFin                      // the other side ended
	msgRelease                  // timer: what a cut held goes on
	msgDialLimit                // timer: a dial has lasted too long
	msgBreak                    // timer: a cut has lasted too long
	msgPaused                   // timer: a pause has lasted too long
	msgGoOn                     // a paused node goes on
)

var msgNames = [...]string{"dial", "accept", "hello", "call", "reply", "send", "fin", "release", "limit", "break", "paused", "go on"}

// A message is under way to an end of a connection (or to its own node), or
// is a timer of a connection.
type message struct {
	kind   msgKind
	status status
	bulk   uint8 // index of its stream
	copied bool  // a duplicate, which occupies no place in the queue
	method uint32
	self   *Host // a call to oneself
	to     *end
	host   *Host // that goes on
	body   []byte
	text   string // of a refusal
	caller *task  // who waits for the reply
	gen    uint64 // his wait; or the generation of a timer
}

// counted reports whether m occupies a place in its stream's queue.
func (m *message) counted() bool { return m.kind >= msgHello && m.kind <= msgSend && !m.copied }

// status of a reply
type status uint8

const (
	statusOK status = iota
	statusRefused
	statusBusy
)

func (w *World) message(kind msgKind, to *end) *message {
	var m *message
	if n := len(w.spare); n > 0 {
		m = w.spare[n-1]
		w.spare = w.spare[:n-1]
	} else {
		m = new(message)
	}
	m.kind, m.to = kind, to
	return m
}

func (w *World) free(m *message) {
	*m = message{}
	w.spare = append(w.spare, m)
}

// target is the node at which the message arrives; nil for timers of the
// network and where nobody is.
func (m *message) target() *Host {
	switch {
	case m.self != nil:
		return m.self
	case m.kind == msgDial:
		if n := m.to.conn.node; n != nil {
			return n.live()
		}
		return nil
	case m.kind == msgRelease || m.kind == msgPaused || m.kind == msgGoOn:
		return nil
	}
	return m.to.host
}

// faulty reports whether any link is cut.
func (w *World) faulty() bool { return w.parted || len(w.cut) > 0 }

// severed reports whether nothing gets from a to b.
func (w *World) severed(a, b *node) bool {
	if a == nil || b == nil {
		return false
	}
	return w.parted && a.group != b.group || len(w.cut) > 0 && w.cut[[2]*node{a, b}]
}

// nodeOf is the node of an end, also before it takes part.
func (e *end) node() *node {
	if e.host != nil {
		return e.host.node
	}
	return e.conn.node
}

// delay draws the latency of one message from e.
func (w *World) delay(e *end) int64 {
	return int64(max(w.cfg.Latency(w.rand, e.name, e.other().name), 0))
}

// transmit sends m from e to the other side, now or when the handshake is
// done.
func (w *World) transmit(e *end, m *message) {
	m.to = e.other()
	if m.counted() {
		s := &e.streams[m.bulk]
		s.queued++
		s.bytes += len(m.body)
	}
	if !e.open && m.kind > msgAccept && m.kind != msgFin {
		e.waiting = append(e.waiting, m)
		return
	}
	w.launch(e, m)
}

// launch puts m on its way.
func (w *World) launch(e *end, m *message) {
	at := w.now + w.delay(e)
	s := &e.streams[m.bulk]
	f := &w.cfg.Faults
	if m.kind == msgSend && f.Reorder > 0 && w.rand.Float64() < f.Reorder {
		for range w.rand.IntN(10) {
			at += w.delay(e)
		}
	} else {
		at = max(at, s.last)
		s.last = at
	}
	e.used = w.now
	if h := e.host; h != nil {
		h.traffic.SentMessages++
		h.traffic.SentBytes += uint64(len(m.body))
	}
	w.queue.push(event{at: at, msg: m})
	if m.kind == msgSend && !m.copied && f.Duplicate > 0 && w.rand.Float64() < f.Duplicate {
		again := w.message(msgSend, m.to)
		again.bulk, again.method, again.body, again.copied = m.bulk, m.method, slices.Clone(m.body), true
		w.launch(e, again)
	}
}

// Bounds of the bulk stream, and of what waits for a connection. They are
// those of host/p2p, as are the defaults of Config.
const (
	maxBulkQueued   = 256
	maxBulkBytes    = 2 * host.MaxBulk
	maxWaiting      = 1024
	maxWaitingBytes = 512 << 10
)

// full reports whether a further one-way message of n bytes has no place. An
// empty queue takes any message, and calls wait for a place in their own time.
func (w *World) full(e *end, bulk uint8, n int) bool {
	s := &e.streams[bulk]
	most, bytes := w.cfg.MaxQueued, w.cfg.MaxQueuedBytes
	if bulk == 1 {
		most, bytes = maxBulkQueued, maxBulkBytes
	}
	if !e.open {
		most, bytes = min(most, maxWaiting), min(bytes, maxWaitingBytes)
	}
	return s.queued >= most || s.queued > 0 && s.bytes+n > bytes
}

// connect is h's end of the connection to a peer, dialled if there is none.
func (h *Host) connect(to host.Peer) (*end, error) {
	if e := h.ends[to.ID]; e != nil {
		return e, nil
	}
	w := h.world
	if len(to.Addrs) == 0 {
		to.Addrs = h.known[to.ID]
		if len(to.Addrs) == 0 {
			return nil, host.ErrUnreachable
		}
	}
	target, refusal := w.find(to)
	if target == h.node {
		return nil, host.ErrUnreachable
	}
	if target != nil && refusal == nil {
		if o := target.live(); o != nil {
			// The other one dials us at this moment: use that connection.
			if e := o.ends[h.node.id]; e != nil && !e.open && e.side == 0 && e.other().host == nil {
				mine := e.other()
				mine.host, mine.peer = h, copyPeer(o.self)
				h.ends[to.ID] = mine
				return mine, nil
			}
		}
	}
	c := &conn{node: target, refuse: refusal}
	c.seq = w.queue.next
	c.ends[0] = end{conn: c, side: 0, host: h, name: h.node.name, peer: copyPeer(to)}
	c.ends[1] = end{conn: c, side: 1}
	if target != nil {
		c.ends[1].name = target.name
	}
	e := &c.ends[0]
	h.ends[to.ID] = e
	w.transmit(e, w.message(msgDial, nil))
	limit := w.message(msgDialLimit, e)
	w.queue.push(event{at: w.now + int64(w.cfg.BreakAfter), msg: limit})
	return e, nil
}

// find gives the node that the peer's addresses lead to, and why it will not
// do.
func (w *World) find(to host.Peer) (*node, error) {
	var wrong *node
	for _, a := range to.Addrs {
		name, _, ok := parseAddr(a)
		if !ok {
			continue
		}
		switch n := w.byAddr[name]; {
		case n == nil:
		case n.id == to.ID:
			return n, nil
		default:
			wrong = n
		}
	}
	if wrong != nil {
		return wrong, host.ErrWrongPeer
	}
	return nil, nil
}

// open ends the handshake for e: what waited goes out.
func (w *World) open(e *end) {
	e.open = true
	e.host.remember(e.peer)
	waiting := e.waiting
	e.waiting = nil
	for _, m := range waiting {
		w.launch(e, m)
	}
	w.trim(e.host)
}

// lose ends the connection for e: its calls fail, what waits is dropped, and
// with tell the node hears of it.
func (w *World) lose(e *end, why error, tell bool) {
	if e.down || e.host == nil {
		e.down = true
		return
	}
	was := e.open
	e.down, e.open, e.why = true, false, why
	h := e.host
	if h.ends[e.peer.ID] == e {
		delete(h.ends, e.peer.ID)
	}
	for t := e.calls.first; t != nil; t = e.calls.first {
		w.wake(t, wakeDown)
		t.lost = why
	}
	for _, m := range e.waiting {
		w.free(m)
	}
	for _, m := range e.held {
		w.free(m)
	}
	e.waiting, e.held = nil, nil
	if was && tell && h.state == running {
		id := e.peer.ID
		for _, f := range h.onDown {
			h.Go("down", func() { f(id) })
		}
	}
}

// hangUp ends the connection for e and lets the other side know, behind all
// that was sent before.
func (w *World) hangUp(e *end, tell bool) {
	if o := e.other(); !e.down && o.host != nil {
		e.streams[0].last = max(e.streams[0].last, e.streams[1].last)
		w.launch(e, w.message(msgFin, o))
	}
	w.lose(e, nil, tell)
}

// endsOf gives the connections of h in the order of dialling.
func (h *Host) endsOf() []*end {
	all := make([]*end, 0, len(h.ends))
	for _, e := range h.ends {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *end) int { return cmp.Compare(a.conn.seq, b.conn.seq) })
	return all
}
