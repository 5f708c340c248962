package p2p

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"ircbridge/host"
)

// tasks counts what runs, by name, so that Close can wait for it and say what hangs.
type tasks struct {
	mu      sync.Mutex
	running map[string]int
	n       int
	closed  bool
	idle    chan struct{} // closed when closed and n is 0
}

func (t *tasks) start(name string, f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	if t.running == nil {
		t.running = make(map[string]int)
	}
	t.running[name]++
	t.n++
	go func() {
		defer t.end(name)
		f()
	}()
	return true
}

func (t *tasks) end(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running[name]--; t.running[name] == 0 {
		delete(t.running, name)
	}
	if t.n--; t.n == 0 && t.closed {
		close(t.idle)
	}
}

// wait lets no more tasks start and waits, at most d, for those that run.
func (t *tasks) wait(d time.Duration) error {
	t.mu.Lock()
	t.closed = true
	t.idle = make(chan struct{})
	if t.n == 0 {
		close(t.idle)
	}
	t.mu.Unlock()
	select {
	case <-t.idle:
		return nil
	case <-time.After(d):
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var names []string
	for name, n := range t.running {
		names = append(names, fmt.Sprintf("%s (%d)", name, n))
	}
	slices.Sort(names)
	return fmt.Errorf("tasks still run %v after the stop: %s", d, strings.Join(names, ", "))
}

// Go implements host.Host. A host that has stopped starts no more tasks.
func (h *Host) Go(name string, f func()) { h.tasks.start(name, f) }

// Sleep implements host.Host.
func (h *Host) Sleep(d time.Duration) error {
	if h.ctx.Err() != nil {
		return host.ErrStopped
	}
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-h.ctx.Done():
		return host.ErrStopped
	}
}

// NewEvent implements host.Host.
func (h *Host) NewEvent() host.Event {
	return &event{signal: make(chan struct{}, 1), stopped: h.ctx.Done()}
}

type event struct {
	signal  chan struct{} // holds the one signal that nobody took yet
	stopped <-chan struct{}
}

// Signal implements host.Event.
func (e *event) Signal() {
	select {
	case e.signal <- struct{}{}:
	default:
	}
}

// Wait implements host.Event.
func (e *event) Wait(ctx context.Context, d time.Duration) error {
	select {
	case <-e.stopped:
		return host.ErrStopped
	default:
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-e.signal:
		return nil
	default:
	}
	if d <= 0 {
		return fmt.Errorf("wait: %w", host.ErrTimeout)
	}
	var expired <-chan time.Time
	if d != host.Forever {
		timer := time.NewTimer(d)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-e.signal:
		return nil
	case <-expired:
		return fmt.Errorf("wait: %w", host.ErrTimeout)
	case <-ctx.Done():
		return ctx.Err()
	case <-e.stopped:
		return host.ErrStopped
	}
}
