package ircd

import (
	"context"
	"sync"

	"ircbridge/chat"
)

// takerOf is the session as a chat.Taker. For one that is none a goroutine
// waits in Next; it ends with the connection.
func (c *conn) takerOf(session chat.Session) chat.Taker {
	if t, ok := session.(chat.Taker); ok {
		return t
	}
	p := &pulled{Session: session, taken: make(chan struct{}, 1)}
	p.pull = func() { c.pulling.Go(func() { p.run(c.ctx) }) }
	return p
}

// pulled hands out one event of a session at a time.
type pulled struct {
	chat.Session
	pull   func()
	notify func()
	taken  chan struct{} // has room for one: the event was taken

	mu    sync.Mutex
	event chat.Event // nil: none
	err   error      // why there are no more
}

// Notify implements chat.Taker.
func (p *pulled) Notify(f func()) {
	p.notify = f
	p.pull()
}

// Take implements chat.Taker.
func (p *pulled) Take(events []chat.Event) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.event == nil || len(events) == 0 {
		return 0, p.err
	}
	events[0], p.event = p.event, nil
	signal(p.taken)
	return 1, nil
}

func (p *pulled) run(ctx context.Context) {
	for {
		e, err := p.Next(ctx)
		p.mu.Lock()
		p.event, p.err = e, err
		p.mu.Unlock()
		p.notify()
		if err != nil {
			return
		}
		select {
		case <-p.taken:
		case <-ctx.Done():
			return
		}
	}
}
