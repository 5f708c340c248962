package ircd

import (
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// maxOutbox bounds what waits to be written to one client, in bytes.
	maxOutbox = 256 << 10
	// writePiece is how much is written under one deadline.
	writePiece = 16 << 10
)

var errOutboxClosed = errors.New("outbox closed")

// outbox is the bounded queue between who makes lines and the writer, and
// holds the writer's place: writer is started when there is something to do and
// nobody does it. A silent client has neither a writer nor a buffer.
type outbox struct {
	writer  func() // set before use; run in a goroutine of its own, and made once: it starts for each burst
	disarms bool   // no deadline stays when there is nothing to write

	mu      sync.Mutex
	buf     *buffer       // what waits; nil when nothing does
	by      time.Time     // if set, everything must be written by then
	armed   time.Time     // the deadline that the socket has
	running bool          // there is a writer
	again   bool          // it must look for events before it ends
	closed  bool          // nothing more is taken; the writer ends for good when all is written
	dead    bool          // it has
	room    chan struct{} // closed when there is room; nil while nobody waits
	done    chan struct{} // closed when dead; nil while nobody waits
}

// buffer is bytes that wait, from a pool: most clients are silent most of the
// time.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, 1<<10)} }}

// free gives a buffer back, unless a burst has made it large.
func (b *buffer) free() {
	if cap(b.b) <= 2*writePiece {
		b.b = b.b[:0]
		buffers.Put(b)
	}
}

// put appends a line, waiting while the queue is full. Who puts waits for a
// slow client: there is no loss, and memory is bounded.
func (o *outbox) put(line []byte) error {
	o.mu.Lock()
	for o.sizeLocked() >= maxOutbox && !o.closed && !o.dead {
		if o.room == nil {
			o.room = make(chan struct{})
		}
		room := o.room
		o.mu.Unlock()
		<-room
		o.mu.Lock()
	}
	defer o.mu.Unlock()
	return o.addLocked(line)
}

// add appends lines and never waits: it is for the writer, which alone makes
// room. It bounds what it adds itself. It owns b.
func (o *outbox) add(b *buffer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case len(b.b) == 0 || o.closed || o.dead:
		b.free()
	case o.buf == nil:
		o.buf = b
	default:
		o.appendLocked(b.b)
		b.free()
	}
}

func (o *outbox) addLocked(line []byte) error {
	if o.closed || o.dead {
		return errOutboxClosed
	}
	o.appendLocked(line)
	o.runLocked()
	return nil
}

// offer appends a line if there is room for it now. Any number of goroutines may
// call it.
func (o *outbox) offer(line []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sizeLocked() < maxOutbox {
		o.addLocked(line)
	}
}

func (o *outbox) appendLocked(line []byte) {
	if o.buf == nil {
		o.buf = buffers.Get().(*buffer)
	}
	o.buf.b = append(o.buf.b, line...)
}

// kick has the writer look for events.
func (o *outbox) kick() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.again = o.running
	o.runLocked()
}

func (o *outbox) runLocked() {
	if !o.running && !o.dead {
		o.running = true
		go o.writer() // ends with nothing left, or with the outbox
	}
}

// size is how many bytes wait.
func (o *outbox) size() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sizeLocked()
}

func (o *outbox) sizeLocked() int {
	if o.buf == nil {
		return 0
	}
	return len(o.buf.b)
}

// close takes a last line, whatever the bound, and lets the writer end for
// good after it.
func (o *outbox) close(last []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed && !o.dead {
		o.appendLocked(last)
	}
	o.closed = true
	o.runLocked()
	o.makeRoomLocked()
}

// wait waits, after close, until all is written or the writer has given up.
func (o *outbox) wait() {
	o.mu.Lock()
	if o.done == nil {
		o.done = make(chan struct{})
		if o.dead {
			close(o.done)
		}
	}
	done := o.done
	o.mu.Unlock()
	<-done
}

// next is what the writer does next: b is to be written, or it is nil and
// there may be events; ok is false when there is nothing to do, and the
// writer must end.
func (o *outbox) next() (b *buffer, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.buf != nil:
		b, o.buf = o.buf, nil
		o.makeRoomLocked()
		return b, true
	case o.again:
		o.again = false
		return nil, true
	}
	o.running = false
	if o.closed {
		o.dieLocked()
	}
	return nil, false
}

// fail is the end of a writer that could not write.
func (o *outbox) fail() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.running, o.buf = false, nil
	o.dieLocked()
	o.makeRoomLocked()
}

func (o *outbox) dieLocked() {
	o.dead = true
	if o.done != nil {
		close(o.done)
	}
}

func (o *outbox) makeRoomLocked() {
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}

// finishBy sets an absolute deadline for all that is still to be written. The
// first one stays.
func (o *outbox) finishBy(nc net.Conn, t time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.by.IsZero() {
		return
	}
	o.by = t
	nc.SetWriteDeadline(t) // of the write that is under way
}

// write writes what next gave, each piece within stall, and frees it.
func (o *outbox) write(nc net.Conn, b *buffer, stall time.Duration) error {
	for rest := b.b; len(rest) > 0; {
		if err := o.arm(nc, stall); err != nil {
			return err
		}
		n, err := nc.Write(rest[:min(len(rest), writePiece)])
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	b.free()
	o.disarm(nc)
	return nil
}

// arm sets the deadline of the next write, a little late, so that it need not
// be set anew for each.
func (o *outbox) arm(nc net.Conn, stall time.Duration) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if !o.by.IsZero() && o.by.Before(now.Add(stall)) {
		return nc.SetWriteDeadline(o.by)
	}
	if o.armed.Sub(now) >= stall {
		return nil
	}
	o.armed = now.Add(stall + stall/32)
	return nc.SetWriteDeadline(o.armed)
}

// disarm takes a deadline back that is met. Over TLS and WebSocket reading writes too, now
// and then, and a write that comes after its deadline breaks the connection.
func (o *outbox) disarm(nc net.Conn) {
	if !o.disarms {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.armed = time.Time{}
	if o.by.IsZero() {
		nc.SetWriteDeadline(time.Time{})
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
