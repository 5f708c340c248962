package chattest

import (
	"context"
	"fmt"
	"reflect"

	"ircbridge/chat"
)

func orderCases() []testCase {
	return []testCase{
		{"OneSender", 3, testOrderOneSender},
		{"ManySenders", 3, testOrderManySenders},
		{"PrivateOrder", 2, testOrderPrivate},
		{"PartComesLast", 2, testOrderPart},
		{"QuitComesLast", 2, testOrderQuit},
		{"JoinComesFirst", 2, testOrderJoin},
		{"Flush", 2, testFlush},
		{"OwnChanges", 3, testOrderOwnChanges},
	}
}

// numbered lists n texts of one sender.
func numbered(sender string, n int) []string {
	var texts []string
	for i := range n {
		texts = append(texts, fmt.Sprintf("%s %d", sender, i))
	}
	return texts
}

func testOrderOneSender(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#a", a, b, c)
	want := numbered("ann", 100)
	for _, text := range want {
		a.say("#a", text)
	}
	w.must("flush", a.Flush(context.Background()))
	a.outcome(100)
	for i, sent := range find(a, anyOf[chat.Sent]) {
		if sent.Number != uint64(i+1) || sent.Err != nil {
			w.T().Errorf("outcome %d is of send %d: %v", i+1, sent.Number, sent.Err)
		}
	}
	for _, u := range []*user{b, c} {
		u.gets(want[99])
		if got := u.texts("#a"); !reflect.DeepEqual(got, want) {
			w.T().Errorf("%s got %v", u.Self().Nick, got)
		}
	}
}

func testOrderManySenders(w *world) {
	const each = 30
	senders := []*user{w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")}
	readers := []*user{w.open(0, "r0"), w.open(1, "r1"), w.open(2, "r2")}
	w.joinAll("#a", append(append([]*user{}, readers...), senders...)...)
	for _, u := range senders {
		w.Go("send", func() {
			for _, text := range numbered(u.Self().Nick, each) {
				u.say("#a", text)
			}
		})
	}
	for _, r := range readers {
		w.Eventually(r.Self().Nick+" got all", func() bool { return len(r.texts("#a")) >= each*len(senders) })
		for _, u := range senders {
			nick := u.Self().Nick
			var got []string
			for _, m := range find(r, func(e chat.Message) bool { return e.From.Nick == nick }) {
				got = append(got, m.Text)
			}
			if !reflect.DeepEqual(got, numbered(nick, each)) {
				w.T().Errorf("%s got of %s: %v", r.Self().Nick, nick, got)
			}
		}
		if first, got := readers[0].texts("#a"), r.texts("#a"); !reflect.DeepEqual(got, first) {
			w.T().Errorf("%s and r0 got the same messages in another order:\n%v\n%v", r.Self().Nick, got, first)
		}
	}
}

func testOrderPrivate(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.meet(a, b)
	want := numbered("ann", 50)
	for _, text := range want {
		a.say("bob", text)
	}
	b.gets(want[49])
	if got := b.texts("bob"); !reflect.DeepEqual(got, want) {
		w.T().Errorf("he got %v", got)
	}
}

func testOrderPart(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", b, a)
	want := numbered("ann", 20)
	for _, text := range want {
		a.say("#a", text)
	}
	w.must("part", a.Part(context.Background(), "#a", ""))
	await(b, "part", anyOf[chat.Parted])
	if got := b.upTo(func(e chat.Event) bool { _, ok := e.(chat.Parted); return ok }); !reflect.DeepEqual(got, want) {
		w.T().Errorf("before the part he got %v", got)
	}
	w.must("flush", a.Flush(context.Background()))
	a.outcome(20)
}

func testOrderQuit(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", b, a)
	want := numbered("ann", 20)
	for _, text := range want {
		a.say("#a", text)
	}
	a.Close("bye")
	await(b, "quit", anyOf[chat.Quit])
	if got := b.upTo(func(e chat.Event) bool { _, ok := e.(chat.Quit); return ok }); !reflect.DeepEqual(got, want) {
		w.T().Errorf("before the quit he got %v", got)
	}
}

// upTo lists the texts of messages before the first event for which stop
// holds.
func (u *user) upTo(stop func(chat.Event) bool) []string {
	var texts []string
	for _, e := range u.all() {
		if stop(e) {
			break
		}
		if m, ok := e.(chat.Message); ok {
			texts = append(texts, m.Text)
		}
	}
	return texts
}

func testOrderJoin(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	a.join("#a")
	b.join("#a")
	b.say("#a", "first words")
	a.gets("first words")
	if got := a.upTo(func(e chat.Event) bool { _, ok := e.(chat.Joined); return ok }); len(got) != 0 {
		w.T().Errorf("before the join came %v", got)
	}
	once(a, "the join", anyOf[chat.Joined])
}

func testFlush(w *world) {
	a, b := w.openIdle(0, "ann"), w.open(1, "bob")
	w.meet(a, b)
	w.joinAll("#a", b, a)
	w.must("flush of nothing", a.Flush(context.Background()))
	const n = 40
	for i := range n {
		a.say([]string{"#a", "bob", "nobody", "#none"}[i%4], fmt.Sprint(i))
	}
	w.must("flush", a.Flush(context.Background()))
	a.pump()
	w.Eventually("all outcomes are in the queue", func() bool { return len(find(a, anyOf[chat.Sent])) == n })
	seen := map[uint64]bool{}
	for _, sent := range find(a, anyOf[chat.Sent]) {
		if ok := sent.Number%4 == 1 || sent.Number%4 == 2; seen[sent.Number] || ok != (sent.Err == nil) {
			w.T().Errorf("outcome of send %d: %v", sent.Number, sent.Err)
		}
		seen[sent.Number] = true
	}
}

// testOrderOwnChanges: several change the topic at once. By the events, and the places in them
// at which one's own changes were made, everybody knows the topic that holds.
func testOrderOwnChanges(w *world) {
	const each = 15
	users := []*user{w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")}
	w.joinAll("#a", users...)
	users[0].mode("#a", minus('t', ""))
	for _, u := range users[1:] {
		await(u, "the mode", anyOf[chat.ModeChanged])
	}
	ended := 0
	for i, u := range users[:2] {
		w.Go("change", func() {
			for n := range each {
				w.must("topic", u.SetTopic(context.Background(), "#a", fmt.Sprint(i, " ", n)))
			}
			watch.Lock()
			ended++
			watch.Unlock()
		})
	}
	w.Eventually("both have made their changes", func() bool {
		watch.Lock()
		defer watch.Unlock()
		return ended == 2
	})
	w.Sleep(quiet)
	for i, u := range users {
		c, err := u.Channel(context.Background(), "#a")
		w.must("channel", err)
		last, own := "", 0
		if i == 0 {
			own = -1 // the mode
		}
		for _, e := range u.all() {
			switch e := e.(type) {
			case chat.TopicChanged:
				last = e.Topic.Text
			case chat.Effected:
				last = fmt.Sprint(i, " ", own)
				own++
			}
		}
		if last != c.Topic.Text || i < 2 && own != each {
			w.T().Errorf("%s was shown %q last, and %d of his own; the topic is %q", u.Self().Nick, last, own, c.Topic.Text)
		}
	}
}
