package demo

import (
	"strings"
	"testing"
	"time"

	"ircbridge/history"
)

func TestNarratorTellsWhen(t *testing.T) {
	var out strings.Builder
	at := 0 * time.Second
	n := &narrator{out: &out, clock: func() time.Duration { return at }}
	n.chapter("A ring is formed")
	n.say("%s nodes start.", capital(spell(5)))
	at = 12345 * time.Millisecond
	n.say("Node %d is killed.", 3)
	want := "\nA ring is formed\n  0.0 s  Five nodes start.\n 12.3 s  Node 3 is killed.\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		and(nil):                              "nobody",
		and([]string{"ann"}):                  "ann",
		and([]string{"ann", "bob"}):           "ann and bob",
		and([]string{"ann", "bob", "cid"}):    "ann, bob and cid",
		nodesText([]int{4}):                   "node 4",
		nodesText([]int{1, 2, 5}):             "nodes 1, 2 and 5",
		spell(3) + " " + spell(20):            "three 20",
		seconds(20 * time.Millisecond):        "0.02 s",
		seconds(3440 * time.Millisecond):      "3.4 s",
		milliseconds(1240 * time.Microsecond): "1.2 ms",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

const allWell = `
  sent             9   messages by bots
  accepted         7   the sender was shown his message (echo-message)
  refused          1   not accepted within five seconds, and the sender was told
  unanswered       1   the sender's own node was killed first
  delivered       28   shown to another bot
  lost             0   accepted, and not shown to a bot that was there
  duplicated       0   shown twice
  reordered        0   shown before an earlier one, or in another order than elsewhere

Nothing that was accepted was lost, shown twice, or shown in a wrong order.
`

func TestTable(t *testing.T) {
	r := history.Report{Sent: 9, Acked: 7, Refused: 1, Unanswered: 1, Delivered: 28}
	var out strings.Builder
	writeTable(&out, r, nil)
	if out.String() != allWell {
		t.Errorf("got\n%s\nwant\n%s", out.String(), allWell)
	}
	r.Lost, r.Invented, r.Reordered, r.Diverged, r.Violations = 1, 2, 3, 4, []string{"lost: one", "invented: two"}
	out.Reset()
	writeTable(&out, r, []string{"the topic is gone"})
	for _, want := range []string{"lost             1 ", "invented         2 ", "reordered        7 ", "WRONG: lost: one\n", "WRONG: invented: two\n", "WRONG: the topic is gone\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "Nothing that was accepted") {
		t.Errorf("the table says that all is well:\n%s", out.String())
	}
}
