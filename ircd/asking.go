package ircd

import (
	"context"
	"slices"
	"sync"
	"time"
)

// asking is what a client waits for: the contexts of its commands, which end with the connection. They
// are not children of the connection's context, as that would keep the room for its children from the
// first one on.
type asking struct {
	mu    sync.Mutex
	over  bool // the connection ends
	stops []*context.CancelFunc
}

// within is a context for one command.
func (a *asking) within(d time.Duration) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithTimeout(context.Background(), d)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		stop()
		return ctx, stop
	}
	a.stops = append(a.stops, &stop)
	return ctx, func() {
		stop()
		a.mu.Lock()
		defer a.mu.Unlock()
		a.stops = slices.DeleteFunc(a.stops, func(s *context.CancelFunc) bool { return s == &stop })
	}
}

// end ends them all, and those to come.
func (a *asking) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	for _, stop := range a.stops {
		(*stop)()
	}
}
