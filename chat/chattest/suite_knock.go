package chattest

import (
	"context"
	"fmt"
	"strings"

	"ircbridge/chat"
)

func knockCases() []testCase {
	return []testCase{
		{"Operators", 3, testKnockOperators},
		{"Errors", 2, testKnockErrors},
		{"Pause", 2, testKnockPause},
		{"Many", 3, testKnockMany},
	}
}

// The operators hear of it, on whatever node, and nobody else; who was invited
// comes in.
func testKnockOperators(w *world) {
	ctx := context.Background()
	a, b, c, d := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat"), w.open(2, "dan")
	w.meet(a, d)
	w.joinAll("#A", a, b, c)
	a.mode("#a", plus('i', ""), plus('o', "bob"))
	b.statusIs("#a", "bob", chat.Operator)
	w.must("knock", d.Knock(ctx, "#a", "let me in"))
	for _, u := range []*user{a, b} {
		if e := await(u, "the knock", anyOf[chat.Knocked]); e.Channel != "#A" || e.Who != d.Self() || e.Text != "let me in" || e.At.IsZero() {
			w.T().Errorf("%s got %+v", u.Self().Nick, e)
		}
	}
	_, err := a.Invite(ctx, "dan", "#a")
	w.must("invite", err)
	d.join("#a")
	w.must("part", d.Part(ctx, "#a", ""))
	a.sees("#A", "ann", "bob", "cat")
	w.Sleep(chat.KnockPause)
	w.must("a long text", d.Knock(ctx, "#a", strings.Repeat("x", 2*chat.MaxReason)))
	e := await(a, "the second knock", func(e chat.Knocked) bool { return e.Text != "let me in" })
	if len(e.Text) != chat.MaxReason {
		w.T().Errorf("the text has %d bytes", len(e.Text))
	}
	once(b, "the first knock", func(e chat.Knocked) bool { return e.Text == "let me in" })
	none(c, "a knock, without being operator", anyOf[chat.Knocked])
	none(d, "his own knock", anyOf[chat.Knocked])
}

func testKnockErrors(w *world) {
	ctx := context.Background()
	a, b := w.open(0, "ann"), w.open(1, "bob")
	a.join("#a")
	w.want("at no channel", b.Knock(ctx, "#none", ""), chat.ErrNoSuchChannel)
	w.want("at what is none", b.Knock(ctx, "none", ""), chat.ErrNoSuchChannel)
	w.want("at an open channel", b.Knock(ctx, "#a", ""), chat.ErrChannelOpen)
	a.mode("#a", plus('i', ""), plus('b', "bob"))
	w.want("on it", a.Knock(ctx, "#a", ""), chat.ErrAlreadyJoined)
	w.want("banned", b.Knock(ctx, "#a", ""), chat.ErrBanned)
	a.mode("#a", plus('e', "bob"), plus('s', ""))
	w.must("exempt, at a secret channel", b.Knock(ctx, "#a", ""))
	await(a, "the knock", anyOf[chat.Knocked])
	once(a, "a knock", anyOf[chat.Knocked])
}

// One may knock once in a while; a nick that another has knocks for himself.
func testKnockPause(w *world) {
	ctx := context.Background()
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(1, "cat")
	a.join("#a")
	a.mode("#a", plus('i', ""))
	w.must("first", b.Knock(ctx, "#a", "1"))
	w.want("at once again", b.Knock(ctx, "#a", "2"), chat.ErrTooManyKnocks)
	w.must("somebody else", c.Knock(ctx, "#a", "3"))
	w.Sleep(chat.KnockPause)
	w.must("after a while", b.Knock(ctx, "#a", "4"))
	await(a, "the last knock", func(e chat.Knocked) bool { return e.Text == "4" })
	if got := find(a, anyOf[chat.Knocked]); len(got) != 3 {
		w.T().Errorf("she got %+v", got)
	}
}

func testKnockMany(w *world) {
	ctx := context.Background()
	a := w.open(0, "ann")
	a.join("#a")
	a.mode("#a", plus('i', ""))
	for i := range chat.MaxKnocks {
		w.must("knock", w.open(i%3, fmt.Sprint("n", i)).Knock(ctx, "#a", ""))
	}
	more := w.open(1, "more")
	w.want("one more", more.Knock(ctx, "#a", ""), chat.ErrTooManyKnocks)
	w.Sleep(chat.KnockPause)
	w.must("after a while", more.Knock(ctx, "#a", ""))
}
