package p2p

import (
	"errors"
	"sync"
	"time"
)

// errFull and errClosed are the outcomes of a queue that takes nothing.
var (
	errFull   = errors.New("queue full")
	errClosed = errors.New("queue closed")
	errLate   = errors.New("queue full until the deadline")
)

// queue holds encoded frames that wait for a stream's writer, bounded in
// number and bytes. Any goroutine may put; one, the writer, takes.
type queue struct {
	maxBytes, maxFrames int

	mu     sync.Mutex
	frames [][]byte
	bytes  int
	busy   bool // the writer holds frames that are not yet flushed
	closed bool
	room   chan struct{} // closed when room was made; nil when nobody waits
	wake   chan struct{} // one token for the writer
}

func newQueue(maxBytes, maxFrames int) *queue {
	return &queue{maxBytes: maxBytes, maxFrames: maxFrames, wake: make(chan struct{}, 1)}
}

// tryPut adds a frame, or returns errFull or errClosed at once. An empty
// queue takes any frame.
func (q *queue) tryPut(frame []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.putLocked(frame)
}

func (q *queue) putLocked(frame []byte) error {
	if q.closed {
		return errClosed
	}
	if len(q.frames) >= q.maxFrames || len(q.frames) > 0 && q.bytes+len(frame) > q.maxBytes {
		return errFull
	}
	q.frames = append(q.frames, frame)
	q.bytes += len(frame)
	q.wakeWriter()
	return nil
}

func (q *queue) wakeWriter() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// put waits for room until late fires.
func (q *queue) put(frame []byte, late <-chan time.Time) error {
	for {
		q.mu.Lock()
		err := q.putLocked(frame)
		if !errors.Is(err, errFull) {
			q.mu.Unlock()
			return err
		}
		if q.room == nil {
			q.room = make(chan struct{})
		}
		room := q.room
		q.mu.Unlock()
		select {
		case <-room:
		case <-late:
			return errLate
		}
	}
}

// take appends to batch what waits, at most about max bytes but at least one
// frame, and blocks while there is nothing; ok is false once the queue is closed.
func (q *queue) take(batch [][]byte, max int) (_ [][]byte, ok bool) {
	for {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			return nil, false
		}
		n, size := 0, 0
		for n < len(q.frames) && (n == 0 || size+len(q.frames[n]) <= max) {
			size += len(q.frames[n])
			n++
		}
		if n > 0 {
			batch = append(batch, q.frames[:n]...)
			rest := copy(q.frames, q.frames[n:])
			clear(q.frames[rest:])
			q.frames = q.frames[:rest]
			if rest == 0 && cap(q.frames) > 256 {
				q.frames = nil // a burst leaves no large array behind
			}
			q.bytes -= size
			q.busy = true
			q.releaseLocked()
			q.mu.Unlock()
			return batch, true
		}
		q.busy = false
		q.mu.Unlock()
		<-q.wake
	}
}

func (q *queue) releaseLocked() {
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
}

// empty reports whether the writer would block now: the time to flush.
func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.frames) == 0
}

// idle reports whether all that was put has been flushed.
func (q *queue) idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed || len(q.frames) == 0 && !q.busy
}

// close drops what waits and lets every blocked put and take return.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.frames, q.bytes = nil, 0
	q.releaseLocked()
	q.wakeWriter()
}
