package history

import (
	"strings"
	"testing"
	"time"
)

const s = time.Second

// rules are those of most cases below.
var rules = Rules{After: 5 * s, UnderWay: s}

// say lets ann, bob and cid join #tea at 0.
func say() *History {
	h := New()
	for _, c := range []Client{"ann", "bob", "cid"} {
		h.Joined(0, c, "#tea")
	}
	return h
}

// fine sends a text at some second; it is acknowledged and shown to the others
// within that second.
func fine(h *History, at time.Duration, from Client, text string, to ...Client) {
	h.Sent(at, from, "#tea", text)
	for _, c := range to {
		h.Saw(at+s/4, c, "#tea", text)
	}
	h.Acked(at+s/2, from, text)
}

func TestHistories(t *testing.T) {
	tests := []struct {
		name  string
		tell  func(h *History)
		rules Rules
		want  Report // its counts
		says  string // in a violation; "" for none at all
	}{
		{name: "all is well", tell: func(h *History) {
			fine(h, 1*s, "ann", "one", "bob", "cid")
			fine(h, 2*s, "bob", "two", "ann", "cid")
		}, want: Report{Sent: 2, Acked: 2, Delivered: 4}},

		{name: "an acknowledged message that one member never saw is lost", tell: func(h *History) {
			fine(h, 1*s, "ann", "one", "bob")
		}, want: Report{Sent: 1, Acked: 1, Delivered: 1, Lost: 1}, says: `lost: "one" of ann to #tea (sent at 1s) was acknowledged at 1.5s, and cid, who was there, never saw it`},

		{name: "what was refused may be lost", tell: func(h *History) {
			h.Sent(1*s, "ann", "#tea", "one")
			h.Refused(6*s, "ann", "one")
		}, want: Report{Sent: 1, Refused: 1}},

		{name: "what was refused may have been shown", tell: func(h *History) {
			h.Sent(1*s, "ann", "#tea", "one")
			h.Saw(2*s, "bob", "#tea", "one")
			h.Saw(2*s, "cid", "#tea", "one")
			h.Refused(6*s, "ann", "one")
		}, want: Report{Sent: 1, Refused: 1, Delivered: 2, RefusedSeen: 1}},

		{name: "what was refused must not have been shown, if a refusal is final", tell: func(h *History) {
			h.Sent(1*s, "ann", "#tea", "one")
			h.Saw(2*s, "bob", "#tea", "one")
			h.Refused(6*s, "ann", "one")
		}, rules: Rules{RefusedIsFinal: true}, want: Report{Sent: 1, Refused: 1, Delivered: 1, RefusedSeen: 1}, says: "refused: "},

		{name: "who joined after it was sent is not asked for it", tell: func(h *History) {
			h.Joined(2*s, "dan", "#tea")
			fine(h, 1*s, "ann", "one", "bob", "cid")
		}, want: Report{Sent: 1, Acked: 1, Delivered: 2}},

		{name: "who left soon after it was acknowledged is not asked for it", tell: func(h *History) {
			fine(h, 1*s, "ann", "one", "bob")
			h.Left(6*s, "cid", "#tea")
		}, want: Report{Sent: 1, Acked: 1, Delivered: 1}},

		{name: "who left well after it was acknowledged is asked for it", tell: func(h *History) {
			fine(h, 1*s, "ann", "one", "bob")
			h.Left(7*s, "cid", "#tea")
		}, want: Report{Sent: 1, Acked: 1, Delivered: 1, Lost: 1}, says: "cid"},

		{name: "whose connection ended has left all channels", tell: func(h *History) {
			h.Left(0, "cid", "")
			fine(h, 1*s, "ann", "one", "bob")
		}, want: Report{Sent: 1, Acked: 1, Delivered: 1}},

		{name: "who left and came back is asked for what is said after that", tell: func(h *History) {
			h.Left(1*s, "cid", "#tea")
			fine(h, 2*s, "ann", "one", "bob")
			h.Joined(3*s, "cid", "#tea")
			fine(h, 4*s, "ann", "two", "bob")
		}, want: Report{Sent: 2, Acked: 2, Delivered: 2, Lost: 1}, says: `"two"`},

		{name: "who leaves another channel stays in this one", tell: func(h *History) {
			h.Left(1*s, "cid", "#milk")
			fine(h, 2*s, "ann", "one", "bob")
		}, want: Report{Sent: 1, Acked: 1, Delivered: 1, Lost: 1}, says: "cid"},

		{name: "one who is told twice that he joined is in since the first time", tell: func(h *History) {
			fine(h, 1*s, "ann", "one", "bob")
			h.Joined(2*s, "cid", "#tea")
		}, want: Report{Sent: 1, Acked: 1, Delivered: 1, Lost: 1}, says: "cid"},

		{name: "an excuse covers what was acknowledged in its time", tell: func(h *History) {
			fine(h, 1*s, "ann", "one", "bob")
			fine(h, 3*s, "ann", "two", "bob")
		}, rules: Rules{After: 5 * s, Excuses: []Excuse{{Channel: "#tea", From: 1 * s, To: 2 * s}}},
			want: Report{Sent: 2, Acked: 2, Delivered: 2, Excused: 1, Lost: 1}, says: `"two"`},

		{name: "an excuse for another channel covers nothing", tell: func(h *History) {
			fine(h, 1*s, "ann", "one", "bob")
		}, rules: Rules{After: 5 * s, Excuses: []Excuse{{Channel: "#milk", From: 0, To: 9 * s}}},
			want: Report{Sent: 1, Acked: 1, Delivered: 1, Lost: 1}, says: `"one"`},

		{name: "a message shown twice", tell: func(h *History) {
			fine(h, 1*s, "ann", "one", "bob", "cid", "bob")
		}, want: Report{Sent: 1, Acked: 1, Delivered: 2, Duplicated: 1}, says: "duplicated: bob saw"},

		{name: "a message shown to its own sender besides its echo", tell: func(h *History) {
			fine(h, 1*s, "ann", "one", "bob", "cid", "ann")
		}, want: Report{Sent: 1, Acked: 1, Delivered: 2, Duplicated: 1}, says: "duplicated: ann saw"},

		{name: "a message acknowledged twice", tell: func(h *History) {
			fine(h, 1*s, "ann", "one", "bob", "cid")
			h.Acked(2*s, "ann", "one")
		}, want: Report{Sent: 1, Acked: 1, Delivered: 2, Duplicated: 1}, says: "acknowledged at 1.5s and again at 2s"},

		{name: "a message both acknowledged and refused", tell: func(h *History) {
			fine(h, 1*s, "ann", "one", "bob", "cid")
			h.Refused(2*s, "ann", "one")
		}, want: Report{Sent: 1, Acked: 1, Delivered: 2, RefusedSeen: 1}, says: "answer: "},

		{name: "a text that nobody sent", tell: func(h *History) {
			h.Saw(1*s, "bob", "#tea", "boo")
		}, want: Report{Invented: 1}, says: `invented: bob saw "boo" at 1s, which nobody sent`},

		{name: "a text that was sent to another channel", tell: func(h *History) {
			fine(h, 1*s, "ann", "one", "bob", "cid")
			h.Joined(0, "dan", "#milk")
			h.Saw(2*s, "dan", "#milk", "one")
		}, want: Report{Sent: 1, Acked: 1, Delivered: 2, Invented: 1}, says: "in #milk"},

		{name: "a delivery may be told before the sending", tell: func(h *History) {
			h.Saw(2*s, "bob", "#tea", "one")
			fine(h, 1*s, "ann", "one", "cid")
		}, want: Report{Sent: 1, Acked: 1, Delivered: 2}},

		{name: "one sender's messages in the wrong order", tell: func(h *History) {
			fine(h, 1*s, "ann", "one", "cid")
			fine(h, 2*s, "ann", "two", "cid", "bob")
			h.Saw(3*s, "bob", "#tea", "one")
		}, want: Report{Sent: 2, Acked: 2, Delivered: 4, Reordered: 1, Diverged: 1}, says: "reordered: bob saw"},

		{name: "one sender's messages to two channels have no order", tell: func(h *History) {
			h.Sent(1*s, "ann", "#tea", "one")
			h.Sent(2*s, "ann", "#milk", "two")
			h.Saw(2*s, "bob", "#milk", "two")
			h.Saw(3*s, "bob", "#tea", "one")
		}, want: Report{Sent: 2, Unanswered: 2, Delivered: 2}},

		{name: "one sender's order holds in a split too", tell: func(h *History) {
			h.Split(0, 9*s)
			fine(h, 1*s, "ann", "one")
			fine(h, 2*s, "ann", "two", "bob")
			h.Saw(3*s, "bob", "#tea", "one")
		}, want: Report{Sent: 2, Acked: 2, Delivered: 2, Reordered: 1}, says: "reordered: "},

		{name: "two clients saw two messages in two orders", tell: func(h *History) {
			h.Joined(0, "dan", "#tea")
			fine(h, 1*s, "ann", "one", "bob", "cid")
			fine(h, 1*s, "bob", "two", "ann", "cid", "dan")
			h.Saw(2*s, "dan", "#tea", "one")
		}, want: Report{Sent: 2, Acked: 2, Delivered: 6, Diverged: 1}, says: `order: cid saw "one" of ann to #tea (sent at 1s) before "two"`},

		{name: "each pair in two orders counts", tell: func(h *History) {
			for _, text := range []string{"one", "two", "three", "four"} {
				h.Sent(1*s, Client("by "+text), "#tea", text)
				h.Saw(2*s, "bob", "#tea", text)
			}
			for _, text := range []string{"four", "three", "two", "one"} {
				h.Saw(2*s, "cid", "#tea", text)
			}
		}, want: Report{Sent: 4, Unanswered: 4, Delivered: 8, Diverged: 6}, says: "order: "},

		{name: "before and after a split there is one order", tell: func(h *History) {
			h.Split(4*s, 5*s)
			for _, at := range []time.Duration{1 * s, 6 * s} {
				one, two := "one "+at.String(), "two "+at.String()
				h.Sent(at, "ann", "#tea", one)
				h.Sent(at, "bob", "#tea", two)
				h.Saw(at, "cid", "#tea", one)
				h.Saw(at, "cid", "#tea", two)
				h.Saw(at, "dan", "#tea", two)
				h.Saw(at, "dan", "#tea", one)
			}
		}, want: Report{Sent: 4, Unanswered: 4, Delivered: 8, Diverged: 2}, says: "order: "},

		{name: "three clients contradict each other, though any two agree", tell: func(h *History) {
			for i, text := range []string{"one", "two", "three"} {
				h.Sent(1*s, Client(rune('x'+i)), "#tea", text)
			}
			for _, saw := range []struct {
				by   Client
				text string
			}{{"ann", "one"}, {"ann", "two"}, {"bob", "two"}, {"bob", "three"}, {"cid", "three"}, {"cid", "one"}} {
				h.Saw(2*s, saw.by, "#tea", saw.text)
			}
		}, want: Report{Sent: 3, Unanswered: 3, Delivered: 6, Diverged: 1}, says: "there is no order of #tea"},

		{name: "in a split there may be two orders", tell: func(h *History) {
			h.Joined(0, "dan", "#tea")
			h.Split(1*s, 5*s)
			fine(h, 1*s, "ann", "one", "bob", "cid")
			fine(h, 1*s, "bob", "two", "ann", "cid", "dan")
			h.Saw(6*s, "dan", "#tea", "one")
		}, want: Report{Sent: 2, Acked: 2, Delivered: 6}},

		{name: "what was under way when the one who orders was lost has no place in the order", tell: func(h *History) {
			for _, at := range []time.Duration{1 * s, 3 * s} {
				one, two := "one "+at.String(), "two "+at.String()
				h.Sent(at, "ann", "#tea", one)
				h.Sent(at, "bob", "#tea", two)
				h.Saw(at+s/4, "cid", "#tea", one)
				h.Saw(at+s/4, "cid", "#tea", two)
				h.Saw(at+s/2, "dan", "#tea", two)
				h.Saw(at+s/2, "dan", "#tea", one)
			}
		}, rules: Rules{After: 5 * s, Breaks: []Break{{"#tea", 1*s + s/3, 1*s + s/3}, {"#milk", 3 * s, 4 * s}, {"", 2 * s, 5 * s / 2}}},
			want: Report{Sent: 4, Unanswered: 4, Delivered: 8, Diverged: 1}, says: "order: "},

		{name: "what somebody says who has just come has no place in the order", tell: func(h *History) {
			h.Joined(1*s, "dan", "#tea")
			for _, at := range []time.Duration{1 * s, 4 * s} {
				one, two := "one "+at.String(), "two "+at.String()
				h.Sent(at, "ann", "#tea", one)
				h.Sent(at, "dan", "#tea", two)
				h.Saw(at, "bob", "#tea", one)
				h.Saw(at, "bob", "#tea", two)
				h.Saw(at, "cid", "#tea", two)
				h.Saw(at, "cid", "#tea", one)
			}
		}, rules: Rules{After: 5 * s, Settling: 2 * s}, want: Report{Sent: 4, Unanswered: 4, Delivered: 8, Diverged: 1}, says: "order: "},

		{name: "an echo has no place in the order, unless the rules say so", tell: func(h *History) {
			h.Sent(1*s, "ann", "#tea", "one")
			fine(h, 1*s, "bob", "two", "cid", "ann")
			h.Acked(2*s, "ann", "one")
			h.Saw(2*s, "bob", "#tea", "one")
			fine(h, 3*s, "ann", "three", "bob", "cid")
			h.Left(3*s, "cid", "")
		}, want: Report{Sent: 3, Acked: 3, Delivered: 5}},

		{name: "an echo that came in another order than the message to others", tell: func(h *History) {
			h.Sent(1*s, "ann", "#tea", "one")
			h.Saw(1*s, "cid", "#tea", "one")
			fine(h, 1*s, "bob", "two", "cid", "ann")
			h.Acked(2*s, "ann", "one")
			h.Saw(2*s, "bob", "#tea", "one")
		}, rules: Rules{After: 5 * s, EchoInOrder: true}, want: Report{Sent: 2, Acked: 2, Delivered: 4, Diverged: 2}, says: "order: "},

		{name: "no delivery is asked during a split without sides", tell: func(h *History) {
			h.Split(1*s, 5*s)
			fine(h, 1*s, "ann", "one", "bob")
		}, want: Report{Sent: 1, Acked: 1, Delivered: 1}},

		{name: "no delivery to the other side is asked during a split", tell: func(h *History) {
			h.Split(1*s, 5*s, []Client{"ann", "bob"})
			fine(h, 1*s, "ann", "one", "bob")
		}, want: Report{Sent: 1, Acked: 1, Delivered: 1}},

		{name: "delivery on one's own side is asked during a split", tell: func(h *History) {
			h.Split(1*s, 5*s, []Client{"ann", "bob"})
			fine(h, 1*s, "ann", "one", "cid")
		}, want: Report{Sent: 1, Acked: 1, Delivered: 1, Lost: 1}, says: "bob"},

		{name: "what was acknowledged a moment before a split may be under way", tell: func(h *History) {
			h.Split(2*s, 5*s)
			fine(h, 1*s, "ann", "one", "bob")
		}, want: Report{Sent: 1, Acked: 1, Delivered: 1}},

		{name: "what was acknowledged well before a split is asked for", tell: func(h *History) {
			h.Split(3*s, 5*s)
			fine(h, 1*s, "ann", "one", "bob")
		}, want: Report{Sent: 1, Acked: 1, Delivered: 1, Lost: 1}, says: "cid"},

		{name: "what is sent after a split is asked for", tell: func(h *History) {
			h.Split(1*s, 5*s)
			fine(h, 6*s, "ann", "one", "bob")
		}, want: Report{Sent: 1, Acked: 1, Delivered: 1, Lost: 1}, says: "cid"},

		{name: "the other side is asked too, if the rules say so", tell: func(h *History) {
			h.Split(1*s, 5*s)
			fine(h, 1*s, "ann", "one", "bob")
		}, rules: Rules{After: 5 * s, AcrossSplits: true}, want: Report{Sent: 1, Acked: 1, Delivered: 1, Lost: 1}, says: "cid"},

		{name: "no answer", tell: func(h *History) {
			h.Sent(1*s, "ann", "#tea", "one")
		}, want: Report{Sent: 1, Unanswered: 1}},

		{name: "no answer in time", tell: func(h *History) {
			h.Sent(1*s, "ann", "#tea", "one")
		}, rules: Rules{AnswerWithin: 6 * s}, want: Report{Sent: 1, Unanswered: 1}, says: "unanswered: "},

		{name: "who is gone gets no answer", tell: func(h *History) {
			h.Sent(1*s, "ann", "#tea", "one")
			h.Left(5*s, "ann", "")
		}, rules: Rules{AnswerWithin: 6 * s}, want: Report{Sent: 1, Unanswered: 1}},

		{name: "an answer that is due after the end is not asked for", tell: func(h *History) {
			h.Sent(1*s, "ann", "#tea", "one")
		}, rules: Rules{AnswerWithin: 6 * s, End: 5 * s}, want: Report{Sent: 1, Unanswered: 1}},

		{name: "equal members, in whatever order", tell: func(h *History) {
			h.Members("ann", "#tea", []string{"ann", "bob"})
			h.Members("bob", "#tea", []string{"bob", "ann"})
			h.Members("bob", "#milk", []string{"bob"})
		}},

		{name: "members differ", tell: func(h *History) {
			h.Members("ann", "#tea", []string{"ann", "bob"})
			h.Members("bob", "#tea", []string{"bob"})
		}, want: Report{Diverged: 1}, says: "members: in #tea ann sees [ann bob], and bob sees [bob]"},

		{name: "what was said of members last counts", tell: func(h *History) {
			h.Members("ann", "#tea", []string{"ann", "bob"})
			h.Members("bob", "#tea", []string{"bob"})
			h.Members("bob", "#tea", []string{"ann", "bob"})
		}},

		{name: "a text sent twice is the recorder's mistake", tell: func(h *History) {
			fine(h, 1*s, "ann", "one", "bob", "cid")
			h.Sent(2*s, "bob", "#tea", "one")
		}, want: Report{Sent: 1, Acked: 1, Delivered: 2}, says: "recorder: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := say()
			tt.tell(h)
			r := tt.rules
			if r.After == 0 && r.AnswerWithin == 0 {
				r.After, r.UnderWay = rules.After, rules.UnderWay
			}
			got := h.Check(r)
			v := got.Violations
			got.Violations = nil
			if got.String() != tt.want.String() || got.RefusedSeen != tt.want.RefusedSeen {
				t.Errorf("got  %v\nwant %v", got, tt.want)
			}
			if tt.says == "" && len(v) > 0 || tt.says != "" && !strings.Contains(strings.Join(v, "\n"), tt.says) {
				t.Errorf("violations %q, want %q", v, tt.says)
			}
			if ok := (Report{Violations: v}).OK(); ok != (tt.says == "") {
				t.Errorf("OK is %v", ok)
			}
		})
	}
}

// Of a thousand violations of one kind a person reads ten.
func TestManyViolationsAreToldInFew(t *testing.T) {
	h := say()
	for i := range 1000 {
		h.Saw(1*s, "ann", "#tea", strings.Repeat("x", i))
	}
	r := h.Check(rules)
	if r.Invented != 1000 || len(r.Violations) != told+1 || r.Violations[told] != "invented: and 990 more" {
		t.Errorf("%v: %q", r, r.Violations)
	}
}
