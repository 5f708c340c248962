package console

import (
	"context"
	"sync"
	"time"
)

// tally counts the sends of one session and their outcomes as they are shown,
// so that the console does not end before its user has seen what came of his
// words.
type tally struct {
	mu      sync.Mutex
	open    int           // sends without outcome
	zero    chan struct{} // closed when open gets 0; nil when nobody waits
	closing bool          // the console itself ends the session
}

func newTally() *tally { return &tally{} }

// add counts sends; -1 takes one back that was not queued.
func (t *tally) add(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open += n
	if t.open <= 0 && t.zero != nil {
		close(t.zero)
		t.zero = nil
	}
}

func (t *tally) settled() { t.add(-1) }

// wait waits until each send has its outcome, for at most d.
func (t *tally) wait(ctx context.Context, d time.Duration) {
	t.mu.Lock()
	if t.open <= 0 {
		t.mu.Unlock()
		return
	}
	zero := make(chan struct{})
	t.zero = zero
	t.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-zero:
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (t *tally) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closing = true
}

func (t *tally) closed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closing
}
