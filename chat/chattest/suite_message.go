package chattest

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"ircbridge/chat"
)

func messageCases() []testCase {
	return []testCase{
		{"Channel", 3, testMessageChannel},
		{"Bytes", 2, testMessageBytes},
		{"NoticeAndTags", 2, testMessageNotice},
		{"TagsOnly", 3, testMessageTagsOnly},
		{"TagsOnlyErrors", 2, testMessageTagsOnlyErrors},
		{"FromOutside", 3, testMessageFromOutside},
		{"Private", 2, testMessagePrivate},
		{"ToOneself", 1, testMessageToOneself},
		{"ToNode", 2, testMessageToNode},
		{"Errors", 2, testMessageErrors},
		{"TooLong", 2, testMessageTooLong},
		{"LeastStatus", 3, testMessageLeastStatus},
		{"LeastStatusErrors", 2, testMessageLeastErrors},
	}
}

func testMessageChannel(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#a", a, b, c)
	sent := a.said("#A", "hello")
	if sent.Number != 1 || sent.ID == "" || sent.At.IsZero() || !sent.Joined || sent.Message.Target != "#a" || sent.Message.Text != "hello" || sent.Away != "" {
		w.T().Errorf("the outcome is %+v", sent)
	}
	for _, u := range []*user{b, c} {
		m := u.gets("hello")
		if m.ID != sent.ID || !m.At.Equal(sent.At) || m.Target != "#a" || m.From != a.Self() || m.Notice {
			w.T().Errorf("%s got %+v, want ID %s and time %v", u.Self().Nick, m, sent.ID, sent.At)
		}
	}
	if next := a.said("#a", "again"); next.Number != 2 || next.ID == sent.ID {
		w.T().Errorf("the second outcome is %+v", next)
	}
	b.gets("again")
	w.Sleep(quiet)
	none(a, "his own message", anyOf[chat.Message])
	once(b, "the message", func(e chat.Message) bool { return e.Text == "hello" })
	once(a, "the outcome", func(e chat.Sent) bool { return e.Number == 1 })
}

func testMessageBytes(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.meet(a, b)
	w.joinAll("#a", a, b)
	for _, text := range []string{
		" ", " leading and trailing ", ":colon", "\x01ACTION waves\x01", "\x0304red\x0f \x02bold\x02",
		"Grüße \U0001F600", "no text in UTF-8: \xff\xfe\x80", strings.Repeat("ä", chat.MaxText/2),
	} {
		for _, target := range []string{"#a", "bob"} {
			n := len(b.texts(target))
			a.said(target, text)
			w.Eventually("the message came", func() bool { return len(b.texts(target)) > n })
			if got := b.texts(target)[n]; got != text {
				w.T().Errorf("to %s: %.60q arrived as %.60q", target, text, got)
			}
		}
	}
}

func testMessageNotice(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.meet(a, b)
	w.joinAll("#a", a, b)
	tags := map[string]string{"+typing": "active", "+empty": "", "+draft/reply": "a;b c\\d"}
	for _, target := range []string{"#a", "bob"} {
		text := "notice to " + target
		n, err := a.Send(chat.Outgoing{Target: target, Notice: true, Text: text, Tags: tags})
		w.must("send", err)
		m := b.gets(text)
		if !m.Notice || !reflect.DeepEqual(m.Tags, tags) {
			w.T().Errorf("message is %+v, want a notice with %v", m, tags)
		}
		if sent := a.outcome(n); !sent.Message.Notice || !reflect.DeepEqual(sent.Message.Tags, tags) {
			w.T().Errorf("outcome is %+v, want a notice with %v", sent, tags)
		}
	}
	if text := "plain"; a.said("#a", text).Err == nil && len(b.gets(text).Tags) != 0 {
		w.T().Error("a message without tags got some")
	}
}

// tags sends client-only tags without a text, and returns the outcome.
func (u *user) tags(target string, tags map[string]string) chat.Sent {
	u.w.T().Helper()
	n, err := u.Send(chat.Outgoing{Target: target, Tags: tags, TagsOnly: true})
	u.w.must("send tags", err)
	return u.outcome(n)
}

// testMessageTagsOnly: tags without a text reach whom a message reaches, in the order
// in which they were sent among messages.
func testMessageTagsOnly(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.meet(a, b, c)
	w.joinAll("#a", a, b, c)
	react := map[string]string{"+draft/react": "\U0001F44D", "+draft/reply": "abc"}
	for _, target := range []string{"#A", "bob"} {
		before := a.said(target, "before it, to "+target)
		sent := a.tags(target, react)
		if sent.Err != nil || sent.ID == "" || sent.ID == before.ID || sent.At.IsZero() || !sent.Message.TagsOnly ||
			sent.Message.Text != "" || !reflect.DeepEqual(sent.Message.Tags, react) || sent.Joined != (target == "#A") {
			w.T().Errorf("the outcome of tags to %s is %+v", target, sent)
		}
		a.said(target, "after it, to "+target)
		b.gets("after it, to " + target)
		var last []chat.Message
		for _, m := range find(b, anyOf[chat.Message]) {
			if chat.SameName(m.Target, target) {
				last = append(last, m)
			}
		}
		if len(last) != 3 || !last[1].TagsOnly || last[0].TagsOnly || last[1].ID != sent.ID || !last[1].At.Equal(sent.At) ||
			last[1].From != a.Self() || last[1].Text != "" || last[1].Notice || !reflect.DeepEqual(last[1].Tags, react) {
			w.T().Errorf("to %s he got %+v", target, last)
		}
	}
	c.gets("after it, to #A")
	once(c, "tags without a text", func(e chat.Message) bool { return e.TagsOnly })
	d := w.open(1, "dan")
	d.join("#a")
	a.said("#a", "the last one")
	d.gets("the last one")
	none(d, "what was there before him", func(e chat.Message) bool { return e.TagsOnly })
}

// testMessageTagsOnlyErrors: they are refused as messages are.
func testMessageTagsOnlyErrors(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	a.join("#a")
	a.mode("#a", plus('n', ""), plus('m', ""))
	typing := map[string]string{"+typing": "active"}
	for target, want := range map[string]error{"#a": chat.ErrCannotSend, "#none": chat.ErrNoSuchChannel, "nobody": chat.ErrNoSuchNick} {
		w.want("tags to "+target, b.tags(target, typing).Err, want)
	}
	_, err := b.Send(chat.Outgoing{Target: "a b", TagsOnly: true})
	w.want("tags to no name", err, chat.ErrBadTarget)
	b.join("#a")
	w.want("tags under +m", b.tags("#a", typing).Err, chat.ErrCannotSend)
	a.mode("#a", plus('v', "bob"))
	if sent := b.tags("#a", nil); sent.Err != nil {
		w.T().Errorf("tags of the voiced: %v", sent.Err)
	}
	await(a, "the tags", func(e chat.Message) bool { return e.TagsOnly })
	w.Sleep(quiet)
	once(a, "tags", anyOf[chat.Message])
}

func testMessageFromOutside(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#a", a, b)
	sent := c.said("#A", "from outside")
	if sent.Joined || sent.Message.Target != "#a" {
		w.T().Errorf("the outcome is %+v", sent)
	}
	for _, u := range []*user{a, b} {
		if m := u.gets("from outside"); m.From != c.Self() || m.ID != sent.ID {
			w.T().Errorf("%s got %+v", u.Self().Nick, m)
		}
	}
	w.Sleep(quiet)
	none(c, "a message of a channel he is not on", anyOf[chat.Message])
}

func testMessagePrivate(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "Bob"), w.open(1, "cat")
	w.meet(a, b, c)
	sent := a.said("bOB", "psst")
	if sent.ID == "" || sent.At.IsZero() || sent.Joined || sent.Message.Target != "Bob" {
		w.T().Errorf("the outcome is %+v", sent)
	}
	m := b.gets("psst")
	if m.ID != sent.ID || !m.At.Equal(sent.At) || m.From != a.Self() || m.Target != "Bob" {
		w.T().Errorf("message is %+v", m)
	}
	b.said("ann", "what?")
	a.gets("what?")
	b.said("cat", "same node")
	c.gets("same node")
	w.Sleep(quiet)
	none(c, "a message for another", func(e chat.Message) bool { return e.Text != "same node" })
	once(b, "the message", anyOf[chat.Message])
}

func testMessageToOneself(w *world) {
	a := w.open(0, "ann")
	w.meet(a)
	sent := a.said("Ann", "note to self")
	if m := a.gets("note to self"); m.ID != sent.ID || m.Target != "ann" || m.From != a.Self() {
		w.T().Errorf("message is %+v", m)
	}
	w.Sleep(quiet)
	once(a, "the message", anyOf[chat.Message])
	once(a, "the outcome", anyOf[chat.Sent])
}

func testMessageToNode(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(1, "cat")
	w.meet(a, b, c)
	sent := a.said(w.Service(1).Node().ID, "to all on the node")
	for _, u := range []*user{b, c} {
		m := u.gets("to all on the node")
		if m.From != a.Self() || m.Target != u.Self().Nick || m.ID != sent.ID {
			w.T().Errorf("%s got %+v", u.Self().Nick, m)
		}
	}
	b.said(w.Service(1).Node().ID, "from one of them")
	c.gets("from one of them")
	w.Sleep(quiet)
	none(b, "his own message", func(e chat.Message) bool { return e.Text == "from one of them" })
	a.refused(chat.ErrNoSuchNode, "00000000000000000000000000000000000000ff", "to no node")
}

func testMessageErrors(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	for _, target := range []string{"", "a b", "1", "#", "&local", "ann!u@h", strings.Repeat("n", chat.MaxNick+1)} {
		_, err := a.Send(chat.Outgoing{Target: target, Text: "x"})
		w.want("send to "+target, err, chat.ErrBadTarget)
	}
	a.refused(chat.ErrNoSuchNick, "nobody", "x")
	a.refused(chat.ErrNoSuchChannel, "#nowhere", "x")
	b.join("#a")
	a.said("#a", "number 3")
	if sent := find(a, anyOf[chat.Sent]); len(sent) != 3 || sent[2].Number != 3 {
		w.T().Errorf("outcomes are %+v, want numbers 1 to 3: a refused target counts not", sent)
	}
	w.must("flush", a.Flush(context.Background()))
}

func testMessageTooLong(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", a, b)
	if n, err := a.Send(chat.Outgoing{Target: "#a", Text: strings.Repeat("x", chat.MaxText+1)}); err == nil {
		if sent := a.outcome(n); sent.Err == nil {
			w.T().Errorf("a text of %d bytes was accepted", chat.MaxText+1)
		}
	}
	a.said("#a", "next")
	b.gets("next")
	once(b, "a message", anyOf[chat.Message])
}

// sendAbove sends to the members with a status.
func (u *user) sendAbove(least chat.Status, target, text string) chat.Sent {
	u.w.T().Helper()
	n, err := u.Send(chat.Outgoing{Target: target, Text: text, Least: least})
	u.w.must("send", err)
	return u.outcome(n)
}

// What is said to operators, or to the voiced too, is shown to nobody else, on
// whatever node; its sender needs no status.
func testMessageLeastStatus(w *world) {
	a, b, c, d := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat"), w.open(1, "dan")
	w.joinAll("#a", a, b, c, d)
	a.mode("#a", plus('v', "bob"))
	for _, u := range []*user{b, c, d} {
		u.statusIs("#a", "bob", chat.Voice)
	}
	for i, from := range []*user{a, b, c} {
		for least, word := range map[chat.Status]string{chat.Voice: "voiced", chat.Operator: "operators"} {
			text := fmt.Sprint(word, i)
			sent := from.sendAbove(least, "#A", text)
			if sent.Err != nil || sent.ID == "" || !sent.Joined || sent.Message.Target != "#a" || sent.Message.Least != least {
				w.T().Errorf("the outcome is %+v", sent)
			}
			for _, u := range []*user{a, b} {
				if u == from || u == b && least == chat.Operator {
					continue
				}
				if m := u.gets(text); m.ID != sent.ID || m.Target != "#a" || m.Least != least || m.From != from.Self() {
					w.T().Errorf("%s got %+v", u.Self().Nick, m)
				}
			}
		}
	}
	a.said("#a", "for all")
	for _, u := range []*user{b, c, d} {
		if m := u.gets("for all"); m.Least != 0 {
			w.T().Errorf("%s got %+v", u.Self().Nick, m)
		}
	}
	once(c, "a message", anyOf[chat.Message])
	once(d, "a message", anyOf[chat.Message])
	none(b, "what is for operators", func(e chat.Message) bool { return e.Least == chat.Operator })
	a.mode("#a", plus('o', "dan"), minus('v', "bob"))
	d.statusIs("#a", "dan", chat.Operator)
	b.sendAbove(chat.Operator, "#a", "later")
	d.gets("later")
}

// What forbids to speak forbids that too; to a nick there is no status.
func testMessageLeastErrors(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.meet(a, b)
	a.join("#a")
	if sent := b.sendAbove(chat.Operator, "#a", "from outside"); sent.Err != nil || sent.Joined {
		w.T().Errorf("from outside the outcome is %+v", sent)
	}
	a.gets("from outside")
	a.mode("#a", plus('n', ""))
	w.want("from outside under +n", b.sendAbove(chat.Operator, "#a", "no").Err, chat.ErrCannotSend)
	b.join("#a")
	a.mode("#a", plus('m', ""))
	w.want("under +m", b.sendAbove(chat.Voice, "#a", "no").Err, chat.ErrCannotSend)
	if sent := b.sendAbove(chat.Operator, "ann", "private"); sent.Err != nil || sent.Message.Least != 0 {
		w.T().Errorf("to a nick the outcome is %+v", sent)
	}
	if m := a.gets("private"); m.Least != 0 {
		w.T().Errorf("the private message is %+v", m)
	}
	once(a, "a message to the channel", func(e chat.Message) bool { return e.Target == "#a" })
}
