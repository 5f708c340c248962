package ircd

import (
	"crypto/tls"
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

// outbox is the bounded queue between who writes lines and the writer. Who
// writes waits while it is full: there is no loss, and memory is bounded.
type outbox struct {
	mu     sync.Mutex
	buf    []byte
	by     time.Time     // if set, everything must be written by then
	closed bool          // nothing more is taken; drain ends when empty
	dead   bool          // drain has ended
	ready  chan struct{} // room for one: there is something to write
	room   chan struct{} // room for one: a waiting put may look again
}

func newOutbox() *outbox {
	return &outbox{ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// put appends a line. It waits while the queue is full; it has one
// caller at a time (the holder of the turn).
func (o *outbox) put(line []byte) error {
	o.mu.Lock()
	for len(o.buf) >= maxOutbox && !o.closed && !o.dead {
		o.mu.Unlock()
		<-o.room
		o.mu.Lock()
	}
	defer o.mu.Unlock()
	if o.closed || o.dead {
		return errOutboxClosed
	}
	o.buf = append(o.buf, line...)
	signal(o.ready)
	return nil
}

// offer appends a line if there is room for it now. Any number of goroutines may
// call it.
func (o *outbox) offer(line []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.buf) < maxOutbox && !o.closed && !o.dead {
		o.buf = append(o.buf, line...)
		signal(o.ready)
	}
}

// size is how many bytes wait.
func (o *outbox) size() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.buf)
}

// close takes a last line, whatever the bound, and lets drain end after it.
func (o *outbox) close(last []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.buf = append(o.buf, last...)
		o.closed = true
	}
	signal(o.ready)
	signal(o.room)
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

// arm sets the deadline of the next write.
func (o *outbox) arm(nc net.Conn, stall time.Duration) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := time.Now().Add(stall)
	if !o.by.IsZero() && o.by.Before(t) {
		t = o.by
	}
	return nc.SetWriteDeadline(t)
}

// drain writes to the socket until the queue is closed and empty, or a piece
// could not be written within stall. It is the writer goroutine.
func (o *outbox) drain(nc net.Conn, stall time.Duration) error {
	var spare []byte
	for {
		o.mu.Lock()
		if len(o.buf) == 0 && o.closed {
			o.dead = true
			o.mu.Unlock()
			return nil
		}
		work := o.buf
		o.buf = spare[:0]
		o.mu.Unlock()
		signal(o.room)
		if err := o.writeAll(nc, work, stall); err != nil {
			o.mu.Lock()
			o.dead = true
			o.buf = nil
			o.mu.Unlock()
			signal(o.room)
			return err
		}
		spare = work
		if cap(spare) > writePiece { // give a burst's memory back
			spare = nil
		}
		if len(work) == 0 {
			<-o.ready
		}
	}
}

func (o *outbox) writeAll(nc net.Conn, b []byte, stall time.Duration) error {
	for len(b) > 0 {
		piece := b[:min(len(b), writePiece)]
		if err := o.arm(nc, stall); err != nil {
			return err
		}
		n, err := nc.Write(piece)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	o.disarm(nc)
	return nil
}

// disarm takes a deadline back that is met. Over TLS reading writes too, now
// and then, and a write that comes after its deadline breaks the connection.
func (o *outbox) disarm(nc net.Conn) {
	if _, ok := nc.(*tls.Conn); !ok {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
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
