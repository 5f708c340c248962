package bridge

import (
	"context"
	"testing"

	"ircbridge/chat"
	"ircbridge/chat/chattest"
)

// Counting takes nothing from a session: a front-end that takes events in
// batches still can, and its sessions are over when it learns so from Take.
func TestCountedSessionsAreTakersStill(t *testing.T) {
	svc := chattest.NewService(chattest.Options{})
	c := &counted{Service: svc}
	s, err := c.Open(context.Background(), chat.User{Nick: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	taker, ok := s.(chat.Taker)
	if !ok {
		t.Fatal("the session is no chat.Taker")
	}
	told := 0
	taker.Notify(func() { told++ })
	svc.Inject("ann", chat.Notice{Text: "x"})
	events := make([]chat.Event, 2)
	if n, err := taker.Take(events); n != 1 || err != nil || told != 1 {
		t.Errorf("%d events, %v, told %d times", n, err, told)
	}
	svc.Stop("over")
	if _, err := taker.Take(events); err == nil || c.open.Load() != 0 {
		t.Errorf("after the end: %v, %d are open", err, c.open.Load())
	}
}
