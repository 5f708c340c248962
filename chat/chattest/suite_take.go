package chattest

import (
	"context"
	"errors"
	"reflect"
	"sync"

	"ircbridge/chat"
)

func takeCases() []testCase {
	return []testCase{
		{"TakeInOrder", 2, testTakeInOrder},
		{"NotifyLate", 2, testNotifyLate},
		{"TakeAfterPart", 2, testTakeAfterPart},
		{"TakeAfterTheEnd", 1, testTakeAfterTheEnd},
	}
}

// bell counts the calls of a function given to Notify.
type bell struct {
	mu    sync.Mutex
	rings int
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rings++
}

func (b *bell) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rings
}

// taker is the user's session as a chat.Taker.
func (u *user) taker() chat.Taker {
	t, ok := u.Session.(chat.Taker)
	if !ok {
		u.w.Fatalf("%T is no chat.Taker", u.Session)
	}
	return t
}

// takeTexts takes what waits, at most three events at a time, and returns the
// texts of messages. The last Take leaves nothing.
func takeTexts(u *user) (texts []string) {
	var room [3]chat.Event
	for {
		n, err := u.taker().Take(room[:])
		if err != nil {
			u.w.Fatalf("take: %v", err)
		}
		for _, e := range room[:n] {
			if m, ok := e.(chat.Message); ok {
				texts = append(texts, m.Text)
			}
		}
		if n < len(room) {
			return texts
		}
	}
}

func testTakeInOrder(w *world) {
	a, b := w.open(0, "ann"), w.openIdle(1, "bob")
	w.joinAll("#a", a, b)
	takeTexts(b)
	bell := new(bell)
	b.taker().Notify(bell.ring)
	if bell.count() != 0 {
		w.T().Error("told of events when there were none")
	}
	want, got := numbered("ann", 100), []string(nil)
	for _, text := range want {
		a.say("#a", text)
	}
	w.Eventually("bob took all", func() bool {
		before := bell.count()
		texts := takeTexts(b)
		if len(texts) > 0 && before == 0 {
			w.Fatalf("there were events, and nobody was told")
		}
		got = append(got, texts...)
		return len(got) >= len(want)
	})
	if !reflect.DeepEqual(got, want) {
		w.T().Errorf("he took %v", got)
	}
	rings := bell.count()
	a.say("#a", "one more")
	w.Eventually("bob is told again", func() bool { return bell.count() > rings })
}

func testNotifyLate(w *world) {
	a, b := w.open(0, "ann"), w.openIdle(1, "bob")
	w.joinAll("#a", a, b)
	a.say("#a", "early")
	w.must("flush", a.Flush(context.Background()))
	bell := new(bell)
	b.taker().Notify(bell.ring)
	w.Eventually("bob is told of what waited", func() bool { return bell.count() > 0 })
	w.Eventually("bob took it", func() bool { return len(takeTexts(b)) == 1 })
}

func testTakeAfterPart(w *world) {
	a, b := w.open(0, "ann"), w.openIdle(1, "bob")
	w.joinAll("#a", a, b)
	b.taker().Notify(func() {})
	for _, text := range numbered("ann", 10) {
		a.say("#a", text)
	}
	w.must("flush", a.Flush(context.Background()))
	w.must("part", b.Part(context.Background(), "#a", ""))
	if texts := takeTexts(b); len(texts) > 0 {
		w.T().Errorf("after the part he took %v", texts)
	}
}

func testTakeAfterTheEnd(w *world) {
	a, b := w.openIdle(0, "ann"), w.openIdle(0, "bob")
	bell := new(bell)
	a.taker().Notify(bell.ring)
	before := bell.count()
	a.Close("bye")
	if bell.count() == before {
		w.T().Error("nobody was told of the end")
	}
	if n, err := a.taker().Take(make([]chat.Event, 1)); n != 0 || !errors.Is(err, chat.ErrClosed) {
		w.T().Errorf("after the end: %d events, %v", n, err)
	}
	b.Close("bye")
	b.taker().Notify(bell.ring)
	if bell.count() <= before+1 {
		w.T().Error("nobody was told of an end that was there already")
	}
}
