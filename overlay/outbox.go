package overlay

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"ircbridge/host"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

// The sessions under which a node sends the requests of the kinds that the
// overlay brings itself. They are taken from the top, an application's own
// from the bottom, so that neither meets the other.
const (
	sessionRecords uint64 = math.MaxUint64
	sessionGroups  uint64 = math.MaxUint64 - 1
)

// Errors of the kinds that the overlay brings itself, besides ErrNoKeeper and
// ErrRejected.
var (
	// ErrNotRegistered: RegisterRecords, RegisterGroups or HandleRoute was not
	// called on this node before Run.
	ErrNotRegistered = errors.New("not registered on this node")
	// ErrBadName: a key or a group's name is not 1 to 64 bytes of UTF-8.
	ErrBadName = errors.New("name is not 1 to 64 bytes of UTF-8")
	// ErrTooMany: too many requests of this node wait for one object.
	ErrTooMany = errors.New("too many requests wait already")
)

// outbox numbers and sends this node's requests to the objects of one kind:
// one batch in flight for each object, as Request demands, the next gathering
// behind it. A line lives on after its last request, because its numbers go
// on; when there are too many, idle ones are forgotten, and all lines begin
// above what those had reached.
//
// Its mutex owns everything. It may be taken under a kind's own mutex, and is
// held over no call.
type outbox struct {
	o       *Overlay
	kind    string
	session uint64

	mu    sync.Mutex
	lines map[string]*line
	idle  []string // lines that fell idle, each once, oldest first; some are busy again
	floor uint64   // no forgotten line went beyond this number
}

// line is the requests to one object.
type line struct {
	last    uint64 // the highest number used
	settled uint64 // up to here each is acknowledged, refused or abandoned
	waiting []*post
	sending bool
	listed  bool // in outbox.idle
}

// post is one request. done hears its outcome, once, in the sending task and
// before the number counts as settled; err is nil when the keeper gave a
// result. It must not block.
type post struct {
	item  []byte
	until time.Time
	done  func(number uint64, code wire.Outcome_Code, err error)
}

// Bounds of an outbox.
const (
	maxLines   = 4096
	maxWaiting = 256 // in one line
)

func newOutbox(o *Overlay, kind string, session uint64) *outbox {
	return &outbox{o: o, kind: kind, session: session, lines: make(map[string]*line)}
}

// put queues a request; it does not block. When it returns an error nothing
// was queued and done will not be called.
func (b *outbox) put(name string, req proto.Message, d time.Duration, done func(number uint64, code wire.Outcome_Code, err error)) error {
	item, err := proto.Marshal(req)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lines[name]
	if l == nil {
		l = &line{last: b.floor, settled: b.floor}
		b.lines[name] = l
	}
	if len(l.waiting) >= maxWaiting {
		return fmt.Errorf("%s %s: %w", b.kind, name, ErrTooMany)
	}
	l.waiting = append(l.waiting, &post{item, b.o.h.Now().Add(d), done})
	if !l.sending {
		l.sending = true
		b.o.h.Go("overlay outbox", func() { b.send(name, l) })
	}
	return nil
}

// ask has queue put a request and waits for its outcome, at most d. Errors:
// those of queue, ErrNoKeeper, ErrRejected.
func (b *outbox) ask(name string, d time.Duration, queue func(done func(uint64, wire.Outcome_Code, error)) error) (wire.Outcome_Code, error) {
	var mu sync.Mutex // of what done leaves here
	var code wire.Outcome_Code
	err := fmt.Errorf("%s %s: %w in %v", b.kind, name, ErrNoKeeper, d)
	e := b.o.h.NewEvent()
	queued := queue(func(_ uint64, c wire.Outcome_Code, outcome error) {
		mu.Lock()
		code, err = c, outcome
		mu.Unlock()
		e.Signal()
	})
	if queued != nil {
		return 0, queued
	}
	if stopped := b.o.wait(e, d); errors.Is(stopped, host.ErrStopped) {
		return 0, stopped
	}
	mu.Lock()
	defer mu.Unlock()
	return code, err
}

// settled is how far this node's requests to an object are settled.
func (b *outbox) settled(name string) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.lines[name]; l != nil {
		return l.settled
	}
	return b.floor
}

// send sends what waits in a line, batch after batch, until nothing does.
func (b *outbox) send(name string, l *line) {
	stream := Stream{b.o.h.Self().ID, b.o.h.Run(), b.session}
	for {
		batch, late, first := b.next(name, l)
		for _, p := range late {
			p.done(0, 0, fmt.Errorf("%s %s: %w: others before it took all the time", b.kind, name, ErrNoKeeper))
		}
		if len(batch) == 0 {
			if len(late) > 0 {
				continue
			}
			return
		}
		items, until := make([][]byte, len(batch)), batch[0].until
		for i, p := range batch {
			items[i] = p.item
			if p.until.After(until) {
				until = p.until
			}
		}
		results, err := b.o.Request(b.kind, name, stream, first, items, until.Sub(b.o.h.Now()))
		for i, p := range batch {
			out := new(wire.Outcome)
			if err == nil {
				_ = proto.Unmarshal(results[i], out) // what cannot be read is UNKNOWN
			}
			p.done(first+uint64(i), out.Code, err)
		}
		b.mu.Lock()
		l.settled = l.last
		b.mu.Unlock()
	}
}

// next takes the next batch of a line and numbers it; late are those whose
// time was over before. Without either the line is idle.
func (b *outbox) next(name string, l *line) (batch, late []*post, first uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, bytes := b.o.h.Now(), 0
	for len(l.waiting) > 0 && len(batch) < MaxBatch {
		p := l.waiting[0]
		if bytes += len(p.item); bytes > MaxBatchBytes && len(batch) > 0 {
			break
		}
		l.waiting = l.waiting[1:]
		if p.until.After(now) {
			batch = append(batch, p)
		} else {
			late = append(late, p)
		}
	}
	first = l.last + 1
	l.last += uint64(len(batch))
	if len(batch) == 0 && len(late) == 0 {
		l.sending = false
		if !l.listed {
			l.listed = true
			b.idle = append(b.idle, name)
		}
		b.forgetLocked()
	}
	return batch, late, first
}

// forgetLocked drops the lines that fell idle first, down to the bound.
func (b *outbox) forgetLocked() {
	for len(b.idle) > 0 && len(b.lines) > maxLines {
		name := b.idle[0]
		b.idle = b.idle[1:]
		l := b.lines[name]
		if l.listed = false; l.sending {
			continue
		}
		b.floor = max(b.floor, l.last)
		delete(b.lines, name)
	}
}

// outcome is the wire form of a result.
func outcome(code wire.Outcome_Code) []byte {
	b, err := proto.Marshal(&wire.Outcome{Code: code})
	if err != nil {
		return nil // UNKNOWN
	}
	return b
}
