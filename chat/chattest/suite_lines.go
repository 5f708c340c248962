package chattest

import (
	"reflect"
	"strings"

	"ircbridge/chat"
)

func linesCases() []testCase {
	return []testCase{
		{"Several", 3, testLinesSeveral},
		{"Bounds", 2, testLinesBounds},
		{"CTCP", 2, testLinesCTCP},
	}
}

// testLinesSeveral: a message of several lines is one message, wherever it goes.
func testLinesSeveral(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.meet(a, b, c)
	w.joinAll("#a", a, b, c)
	more := []chat.Line{{}, {Text: "how is "}, {Text: "everyone?", Concat: true}}
	want := append([]chat.Line(nil), more...)
	for _, target := range []string{"#a", "bob", w.Service(1).Node().ID} {
		out := chat.Outgoing{Target: target, Text: "hello, " + target, More: more, Notice: target == "bob"}
		n, err := a.Send(out)
		w.must("send", err)
		more[1].Text = "changed" // by its owner
		sent := a.outcome(n)
		more[1].Text = "how is "
		m := b.gets(out.Text)
		if sent.Err != nil || m.ID != sent.ID || !reflect.DeepEqual(m.More, want) || !reflect.DeepEqual(sent.Message.More, want) || m.Notice != out.Notice {
			w.T().Errorf("to %s he got %+v, the outcome is %+v", target, m, sent)
		}
		if got := strings.Join(m.Lines(), "|"); got != out.Text+"||how is everyone?" {
			w.T().Errorf("a reader sees %q", got)
		}
	}
	c.gets("hello, #a")
	a.said("#a", "one line")
	if m := c.gets("one line"); len(m.More) != 0 {
		w.T().Errorf("one line came as %+v", m)
	}
	if got := len(c.texts("#a")); got != 2 {
		w.T().Errorf("he got %d messages, want 2", got)
	}
}

func testLinesBounds(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.meet(a, b)
	w.joinAll("#a", a, b)
	for _, target := range []string{"#a", "bob"} {
		for what, more := range map[string][]chat.Line{
			"too many lines": make([]chat.Line, chat.MaxLines),
			"too many bytes": {{Text: strings.Repeat("x", chat.MaxText)}},
			"concat blank":   {{Concat: true}},
		} {
			n, err := a.Send(chat.Outgoing{Target: target, Text: "refused", More: more})
			w.must("send", err)
			w.want(what, a.outcome(n).Err, chat.ErrCannotSend)
		}
		blank, err := a.Send(chat.Outgoing{Target: target, More: make([]chat.Line, 2)})
		w.must("send", err)
		w.want("blank lines only", a.outcome(blank).Err, chat.ErrCannotSend)
		long := []chat.Line{{Text: strings.Repeat("x", chat.MaxText-len("accepted")-1)}}
		n, err := a.Send(chat.Outgoing{Target: target, Text: "accepted", More: long})
		w.must("send", err)
		if sent := a.outcome(n); sent.Err != nil {
			w.T().Errorf("as long as may be: %v", sent.Err)
		}
	}
	w.Eventually("both came", func() bool { return len(b.texts("#a"))+len(b.texts("bob")) == 2 })
}

// testLinesCTCP: +C holds for each line.
func testLinesCTCP(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", a, b)
	a.mode("#a", plus('C', ""))
	for i, text := range []string{"harmless", "\x01VERSION\x01"} {
		n, err := b.Send(chat.Outgoing{Target: "#a", Text: "hello", More: []chat.Line{{Text: text}}})
		w.must("send", err)
		if sent := b.outcome(n); (sent.Err == nil) != (i == 0) {
			w.T().Errorf("%q: outcome %v", text, sent.Err)
		}
	}
}
