package demo

import (
	"slices"
	"testing"
	"time"

	"ircbridge/history"
)

// What the narrator tells is taken from what the bots saw.
func TestLedger(t *testing.T) {
	var at time.Duration
	l := newLedger(func() time.Duration { return at })
	send := func(c history.Client, from, acked time.Duration, text string, seen ...history.Client) {
		at = from * time.Second
		l.sent(c, "#tea", text)
		if at = acked * time.Second; acked > 0 {
			l.acked(c, text)
		}
		for _, by := range seen {
			at += time.Second
			l.saw(by, "#tea", text)
		}
	}
	send("ann/1", 1, 2, "before", "bob/1", "cid/1")
	send("ann/1", 5, 9, "slow", "cid/1")
	send("bob/2", 6, 7, "quick")
	send("bob/2", 8, 0, "unanswered")
	at = 13 * time.Second
	l.refused("bob/2", "unanswered", "")

	if got, ok := l.firstAcked("#tea", 4*time.Second, []string{"ann", "bob"}); !ok || got != 7*time.Second {
		t.Errorf("accepted again at %v, %v", got, ok)
	}
	if got, ok := l.firstAcked("#tea", 4*time.Second, []string{"ann"}); !ok || got != 9*time.Second {
		t.Errorf("ann's is accepted again at %v, %v", got, ok)
	}
	if _, ok := l.firstAcked("#news", 0, []string{"ann", "bob"}); ok {
		t.Error("somebody said something in #news")
	}
	if said, came := l.across(4*time.Second, 10*time.Second, []history.Client{"ann/1", "bob/1", "bob/2"}); said != 2 || came != 1 {
		t.Errorf("%d of %d came across", came, said)
	}
	if got := l.median(0); got != 3*time.Second { // of 2, 3 and 5 seconds
		t.Errorf("the median is %v", got)
	}
	if got := l.count(func(e *entry) bool { return e.refused > 0 }); got != 1 {
		t.Errorf("%d were refused", got)
	}
	at = 20 * time.Second
	if got := l.silence(); got != 7*time.Second {
		t.Errorf("silent for %v", got)
	}
	for _, who := range []string{"dora", "cid", "dora"} {
		l.quit("ann", who, "netsplit")
		at += time.Second
	}
	if who, why := l.departures("ann", 20*time.Second); !slices.Equal(who, []string{"cid", "dora"}) || why != "netsplit" {
		t.Errorf("ann saw %v go (%s)", who, why)
	}
	if who, _ := l.departures("ann", 22*time.Second); !slices.Equal(who, []string{"dora"}) {
		t.Errorf("lately ann saw %v go", who)
	}
	if r := l.h.Check(history.Rules{}); r.Sent != 4 || r.Acked != 3 || r.Refused != 1 || r.Delivered != 3 {
		t.Errorf("the history has %v", r)
	}
}
