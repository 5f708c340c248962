package p2p

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"ircbridge/host"
	"ircbridge/host/p2p/wire"
)

// loopback carries what a node says to itself, with the bounds of a link.
type loopback struct {
	h *Host

	mu       sync.Mutex
	waiting  []ownNote
	bytes    int
	draining bool
}

type ownNote struct {
	handle host.SendHandler
	msg    []byte
}

// call runs the handler in a new task with a copy of the request.
func (o *loopback) call(m host.Method, req []byte, late <-chan time.Time) ([]byte, error) {
	entry, ok := o.h.calls[m.Number]
	if !ok {
		return nil, fmt.Errorf("%w: no such method: %d", host.ErrRefused, m.Number)
	}
	done := make(chan *wire.Reply, 1)
	self, req := o.h.Self(), slices.Clone(req)
	if !o.h.tasks.start(m.Name, func() { done <- answer(entry, self, req) }) {
		return nil, host.ErrStopped
	}
	select {
	case r := <-done:
		if o.h.ctx.Err() != nil {
			return nil, host.ErrStopped
		}
		r.Body = slices.Clone(r.Body)
		return result(r)
	case <-late:
		return nil, errLate
	case <-o.h.ctx.Done():
		return nil, host.ErrStopped
	}
}

// send queues a copy of msg; one task at a time hands out what is queued.
func (o *loopback) send(m host.Method, msg []byte) error {
	entry, ok := o.h.sends[m.Number]
	if !ok {
		return nil // as a peer would: dropped
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) >= o.h.limits.queueFrames || len(o.waiting) > 0 && o.bytes+len(msg) > o.h.limits.queueBytes {
		return fmt.Errorf("%w: %d messages wait", host.ErrBusy, len(o.waiting))
	}
	o.waiting = append(o.waiting, ownNote{entry.h, slices.Clone(msg)})
	o.bytes += len(msg)
	if !o.draining {
		o.draining = o.h.tasks.start("messages to oneself", o.drain)
	}
	return nil
}

func (o *loopback) drain() {
	self := o.h.Self()
	for {
		o.mu.Lock()
		batch := o.waiting
		o.waiting, o.bytes = nil, 0
		o.draining = len(batch) > 0 && o.h.ctx.Err() == nil
		again := o.draining
		o.mu.Unlock()
		if !again {
			return
		}
		for _, n := range batch {
			n.handle(self, n.msg)
		}
	}
}
