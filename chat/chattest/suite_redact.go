package chattest

import (
	"context"
	"strings"

	"ircbridge/chat"
)

func redactCases() []testCase {
	return []testCase{
		{"Own", 3, testRedactOwn},
		{"ByAnOperator", 3, testRedactByAnOperator},
		{"LaterSession", 3, testRedactLaterSession},
		{"FromOutside", 3, testRedactFromOutside},
		{"Tags", 3, testRedactTags},
		{"ForOperators", 3, testRedactForOperators},
		{"Private", 3, testRedactPrivate},
		{"ToNode", 2, testRedactToNode},
		{"Order", 3, testRedactOrder},
		{"Silenced", 2, testRedactSilenced},
		{"Errors", 3, testRedactErrors},
		{"AcrossACut", 3, testRedactAcrossACut},
	}
}

// redacts asks for a redaction that must succeed.
func (u *user) redacts(target, id, reason string) chat.Redacted {
	u.w.T().Helper()
	r, err := u.Redact(context.Background(), target, id, reason)
	if err != nil {
		u.w.Fatalf("%s redacts a message to %s: %v", u.Self().Nick, target, err)
	}
	return r
}

// mayNotRedact wants an error.
func (u *user) mayNotRedact(want error, target, id string) {
	u.w.T().Helper()
	_, err := u.Redact(context.Background(), target, id, "")
	u.w.want(u.Self().Nick+" redacts a message to "+target, err, want)
}

// toldOf waits until a user is told of the redaction of a message.
func (u *user) toldOf(id string) chat.Redacted {
	u.w.T().Helper()
	return await(u, "redaction of "+id, func(e chat.Redacted) bool { return e.ID == id })
}

func testRedactOwn(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#A", c, a, b)
	kept, sent := a.said("#a", "kept"), a.said("#a", "a mistake")
	b.gets("a mistake")
	c.gets("a mistake")
	r := a.redacts("#a", sent.ID, "wrong channel")
	if r.Target != "#A" || r.ID != sent.ID || r.By != a.Self().Mask() || r.Reason != "wrong channel" || r.At.IsZero() {
		w.T().Errorf("the result is %+v", r)
	}
	for _, u := range []*user{b, c} {
		if got := u.toldOf(sent.ID); got.Target != r.Target || got.By != r.By || got.Reason != r.Reason || !got.At.Equal(r.At) {
			w.T().Errorf("%s is told %+v, want %+v", u.Self().Nick, got, r)
		}
	}
	a.mayNotRedact(chat.ErrUnknownMessage, "#a", sent.ID)
	if r := a.redacts("#a", kept.ID, ""); r.Reason != "" {
		w.T().Errorf("without a reason: %+v", r)
	}
	c.toldOf(kept.ID)
	w.Sleep(quiet)
	none(a, "his own redaction", anyOf[chat.Redacted])
	once(b, "the redaction", func(e chat.Redacted) bool { return e.ID == sent.ID })
}

func testRedactByAnOperator(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#a", c, a, b)
	sent := a.said("#a", "spam")
	b.gets("spam")
	c.gets("spam")
	b.mayNotRedact(chat.ErrNotYourMessage, "#a", sent.ID)
	c.redacts("#a", sent.ID, "no adverts")
	for _, u := range []*user{a, b} {
		if got := u.toldOf(sent.ID); got.By != c.Self().Mask() || got.Reason != "no adverts" {
			w.T().Errorf("%s is told %+v", u.Self().Nick, got)
		}
	}
	again := a.said("#a", "more spam")
	b.gets("more spam")
	c.mode("#a", plus('o', "bob"))
	b.redacts("#a", again.ID, "")
	a.toldOf(again.ID)
}

// testRedactLaterSession: who has lost his connection takes back what he said over it.
func testRedactLaterSession(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(1, "cat")
	w.joinAll("#a", a, b, c)
	sent := b.said("#a", "a mistake")
	a.gets("a mistake")
	c.mayNotRedact(chat.ErrNotYourMessage, "#a", sent.ID)
	b.Vanish("connection lost")
	await(a, "quit", anyOf[chat.Quit])
	again := w.open(1, "bob")
	again.join("#a")
	again.redacts("#a", sent.ID, "")
	a.toldOf(sent.ID)
	c.toldOf(sent.ID)
}

// testRedactFromOutside: who is not on the channel may take his own words back.
func testRedactFromOutside(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#a", c, a)
	sent, other := b.said("#a", "from outside"), a.said("#a", "from inside")
	c.gets("from inside")
	b.mayNotRedact(chat.ErrNotOnChannel, "#a", other.ID)
	b.redacts("#a", sent.ID, "")
	for _, u := range []*user{a, c} {
		if got := u.toldOf(sent.ID); got.By != b.Self().Mask() {
			w.T().Errorf("%s is told %+v", u.Self().Nick, got)
		}
	}
}

func testRedactTags(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#a", c, a, b)
	first := a.tags("#a", map[string]string{"+draft/react": "x"})
	second := a.tags("#a", map[string]string{"+draft/react": "y"})
	for _, u := range []*user{b, c} {
		await(u, "the tags", func(e chat.Message) bool { return e.ID == second.ID })
	}
	b.mayNotRedact(chat.ErrNotYourMessage, "#a", first.ID)
	a.redacts("#a", first.ID, "")
	c.redacts("#a", second.ID, "")
	b.toldOf(first.ID)
	b.toldOf(second.ID)
}

// testRedactForOperators: of what was said to the operators alone only they are told.
func testRedactForOperators(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#a", c, a, b)
	n, err := a.Send(chat.Outgoing{Target: "#a", Least: chat.Operator, Text: "look at bob"})
	w.must("send", err)
	sent := a.outcome(n)
	c.gets("look at bob")
	c.redacts("#a", sent.ID, "he is fine")
	a.toldOf(sent.ID)
	a.said("#a", "to all")
	b.gets("to all")
	w.Sleep(quiet)
	none(b, "a redaction of what he was not shown", anyOf[chat.Redacted])
}

func testRedactPrivate(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "Bob"), w.open(2, "cat")
	w.meet(a, b, c)
	sent, kept := a.said("bob", "psst"), a.said("bob", "kept")
	b.gets("kept")
	b.mayNotRedact(chat.ErrNotYourMessage, "ann", sent.ID)
	c.mayNotRedact(chat.ErrNotYourMessage, "bob", sent.ID)
	c.mayNotRedact(chat.ErrUnknownMessage, "ann", sent.ID)
	r := a.redacts("bob", sent.ID, "not for you")
	if got := b.toldOf(sent.ID); got != r || got.Target != "Bob" || got.By != a.Self().Mask() || got.Reason != "not for you" || got.At.IsZero() {
		w.T().Errorf("he is told %+v, the result is %+v", got, r)
	}
	a.mayNotRedact(chat.ErrUnknownMessage, "bob", sent.ID)
	w.must("nick", b.SetNick(context.Background(), "rob"))
	w.meet(a, b)
	a.redacts("rob", kept.ID, "")
	if got := b.toldOf(kept.ID); got.Target != "rob" {
		w.T().Errorf("under another nick he is told %+v", got)
	}
	note := a.said("ann", "note to self")
	a.redacts("ann", note.ID, "")
	w.Sleep(quiet)
	once(b, "the redaction", func(e chat.Redacted) bool { return e.ID == sent.ID })
	none(a, "his own redaction", anyOf[chat.Redacted])
	none(c, "a redaction for others", anyOf[chat.Redacted])
}

func testRedactToNode(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(1, "cat")
	w.meet(a, b, c)
	node := w.Service(1).Node().ID
	sent := a.said(node, "to all")
	b.gets("to all")
	b.mayNotRedact(chat.ErrNotYourMessage, node, sent.ID)
	a.redacts(node, sent.ID, "")
	for _, u := range []*user{b, c} {
		if got := u.toldOf(sent.ID); got.Target != u.Self().Nick {
			w.T().Errorf("%s is told %+v", u.Self().Nick, got)
		}
	}
}

// testRedactOrder: a redaction has its place among what is said.
func testRedactOrder(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#a", c, a, b)
	sent := a.said("#a", "one")
	a.redacts("#a", sent.ID, "")
	a.said("#a", "two")
	for _, u := range []*user{b, c} {
		u.gets("two")
		var list []string
		for _, e := range u.all() {
			switch e := e.(type) {
			case chat.Message:
				list = append(list, e.Text)
			case chat.Redacted:
				list = append(list, "redacted")
			}
		}
		if got := strings.Join(list, " "); got != "one redacted two" {
			w.T().Errorf("%s was shown: %s", u.Self().Nick, got)
		}
	}
	w.must("part", b.Part(context.Background(), "#a", ""))
	last := a.said("#a", "three")
	a.redacts("#a", last.ID, "")
	w.Sleep(quiet)
	none(b, "a redaction on a channel that he has left", func(e chat.Redacted) bool { return e.ID == last.ID })
}

// testRedactSilenced: who may not speak may take his words back, but says nothing by it.
func testRedactSilenced(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", a, b)
	sent := b.said("#a", "rude")
	a.gets("rude")
	a.mode("#a", plus('m', ""))
	b.redacts("#a", sent.ID, "and ruder")
	if got := a.toldOf(sent.ID); got.Reason != "" {
		w.T().Errorf("under +m he said %q", got.Reason)
	}
}

func testRedactErrors(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", a, b)
	w.joinAll("#b", a, b)
	sent := b.said("#a", "hello")
	for _, target := range []string{"", "a b", "1", "&local"} {
		b.mayNotRedact(chat.ErrBadTarget, target, sent.ID)
	}
	for _, id := range []string{"", "a b", "nosuchmessage000", strings.Repeat("x", 500)} {
		b.mayNotRedact(chat.ErrUnknownMessage, "#a", id)
		b.mayNotRedact(chat.ErrUnknownMessage, "ann", id)
	}
	a.mayNotRedact(chat.ErrUnknownMessage, "#b", sent.ID)
	b.mayNotRedact(chat.ErrNoSuchChannel, "#none", sent.ID)
	b.mayNotRedact(chat.ErrNoSuchNick, "nobody", sent.ID)
	b.mayNotRedact(chat.ErrNoSuchNode, "00000000000000000000000000000000000000ff", sent.ID)
	long := strings.Repeat("r", 2*chat.MaxReason)
	if r := b.redacts("#a", sent.ID, long); len(r.Reason) != chat.MaxReason {
		w.T().Errorf("a reason of %d bytes", len(r.Reason))
	}
	b.Close("bye")
	_, err := b.Redact(context.Background(), "#a", sent.ID, "")
	w.want("redact after the end", err, chat.ErrClosed)
}

// testRedactAcrossACut: what one side redacts holds on the other one after the mend, for
// those who were shown it before the cut.
func testRedactAcrossACut(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#a", a, b, c)
	early := a.said("#a", "before the cut")
	c.gets("before the cut")
	mend := w.cut()
	await(c, "the split", anyOf[chat.Split])
	await(a, "the split", anyOf[chat.Split])
	a.redacts("#a", early.ID, "")
	b.toldOf(early.ID)
	mend()
	await(c, "the return", anyOf[chat.Rejoined])
	a.said("#a", "whole again")
	c.gets("whole again")
	if _, inMemory := w.Service(0).(*Service); !inMemory { // there one side's events do not reach the other
		c.toldOf(early.ID)
	}
	c.mayNotRedact(chat.ErrUnknownMessage, "#a", early.ID)
}
