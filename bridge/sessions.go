package bridge

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"ircbridge/chat"
)

// counted is the service as one front-end gets it: it counts the sessions that
// the front-end has open.
type counted struct {
	chat.Service
	open atomic.Int64
}

// Open implements chat.Service.
func (c *counted) Open(ctx context.Context, u chat.User) (chat.Session, error) {
	s, err := c.Service.Open(ctx, u)
	if err != nil {
		return nil, err
	}
	c.open.Add(1)
	counted := &countedSession{Session: s, over: sync.OnceFunc(func() { c.open.Add(-1) })}
	if t, ok := s.(chat.Taker); ok {
		return &countedTaker{counted, t}, nil
	}
	return counted, nil
}

// countedSession is over when it was closed, or when Next says that it is.
type countedSession struct {
	chat.Session
	over func()
}

// Next implements chat.Session.
func (s *countedSession) Next(ctx context.Context) (chat.Event, error) {
	e, err := s.Session.Next(ctx)
	if errors.Is(err, chat.ErrClosed) {
		s.over()
	}
	return e, err
}

// Close implements chat.Session.
func (s *countedSession) Close(reason string) {
	s.Session.Close(reason)
	s.over()
}

// Vanish implements chat.Session.
func (s *countedSession) Vanish(reason string) {
	s.Session.Vanish(reason)
	s.over()
}

// countedTaker is a countedSession that is a chat.Taker too.
type countedTaker struct {
	*countedSession
	taker chat.Taker
}

// Notify implements chat.Taker.
func (t *countedTaker) Notify(f func()) { t.taker.Notify(f) }

// Take implements chat.Taker.
func (t *countedTaker) Take(events []chat.Event) (int, error) {
	n, err := t.taker.Take(events)
	if errors.Is(err, chat.ErrClosed) {
		t.over()
	}
	return n, err
}
