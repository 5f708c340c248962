package sim

import (
	"context"
	"slices"
	"time"

	"ircbridge/host"
)

// pollContext is how often a Wait looks at a context that can be cancelled.
const pollContext = 50 * time.Millisecond

// An Event wakes one waiting task. It implements host.Event.
type Event struct {
	world   *World
	host    *Host // nil for one of the test
	set     bool
	waiting []*task
}

// Signal lets one Wait, present or next, return.
func (e *Event) Signal() {
	if e.host != nil && e.host.state >= stopping {
		return
	}
	if len(e.waiting) == 0 {
		e.set = true
		return
	}
	e.world.wake(e.waiting[0], wakeSignal)
}

// leave takes t out of the queue of waiting tasks.
func (e *Event) leave(t *task) {
	if i := slices.Index(e.waiting, t); i >= 0 {
		e.waiting = slices.Delete(e.waiting, i, i+1)
	}
}

// Wait blocks until Signal, for at most d, or until ctx is done. A context
// that is cancelled later is noticed within 50 virtual milliseconds.
func (e *Event) Wait(ctx context.Context, d time.Duration) error {
	t := e.world.cur
	if e.host != nil {
		var err error
		if t, err = e.host.enter("Wait"); err != nil {
			return err
		}
	} else if t == nil {
		panic("sim: Wait outside a task; use World.Go")
	} else if t.killed {
		return t.refuse()
	}
	forever := d == host.Forever
	until := e.world.now + int64(d)
	if until < e.world.now {
		forever = true
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if e.set {
			e.set = false
			return nil
		}
		left := int64(-1)
		if !forever {
			if left = until - e.world.now; left <= 0 {
				return host.ErrTimeout
			}
		}
		if ctx.Done() != nil && (forever || left > int64(pollContext)) {
			left = int64(pollContext)
		}
		t.on = e
		e.waiting = append(e.waiting, t)
		switch t.block(e.host, left) {
		case wakeSignal:
			return nil
		case wakeStopped:
			return host.ErrStopped
		}
	}
}
