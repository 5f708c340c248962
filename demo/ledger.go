package demo

import (
	"slices"
	"strings"
	"sync"
	"time"

	"ircbridge/history"
)

// ledger writes down what the bots send and see, for the judgement at the end
// (package history) and for what the narrator tells meanwhile.
type ledger struct {
	h     *history.History
	clock func() time.Duration

	mu       sync.Mutex
	messages map[string]*entry // by text
	last     time.Duration     // when something was last heard of any message
	quits    []departure
}

// entry is what the narrator asks of a message.
type entry struct {
	from    history.Client
	channel string
	sent    time.Duration
	acked   time.Duration // 0: not, or not yet
	refused time.Duration // 0: not, or not yet
	seen    []sight
}

// sight is one delivery.
type sight struct {
	by history.Client
	at time.Duration
}

// departure is a QUIT that a bot was shown.
type departure struct {
	at          time.Duration
	by          string // nick of the bot that was shown it
	who, reason string
}

// nickOf is the bot whose session a client is.
func nickOf(c history.Client) string {
	nick, _, _ := strings.Cut(string(c), "/")
	return nick
}

func newLedger(clock func() time.Duration) *ledger {
	return &ledger{h: history.New(), clock: clock, messages: map[string]*entry{}}
}

func (l *ledger) joined(c history.Client, channel string) { l.h.Joined(l.clock(), c, channel) }

func (l *ledger) left(c history.Client) { l.h.Left(l.clock(), c, "") }

func (l *ledger) sent(c history.Client, channel, text string) {
	at := l.clock()
	l.h.Sent(at, c, channel, text)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages[text] = &entry{from: c, channel: channel, sent: at}
}

func (l *ledger) acked(c history.Client, text string) {
	at := l.clock()
	l.h.Acked(at, c, text)
	l.heard(text, at, func(e *entry) { e.acked = at })
}

func (l *ledger) refused(c history.Client, text, _ string) {
	at := l.clock()
	l.h.Refused(at, c, text)
	l.heard(text, at, func(e *entry) { e.refused = at })
}

func (l *ledger) saw(c history.Client, channel, text string) {
	at := l.clock()
	l.h.Saw(at, c, channel, text)
	l.heard(text, at, func(e *entry) { e.seen = append(e.seen, sight{c, at}) })
}

func (l *ledger) heard(text string, at time.Duration, f func(*entry)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = max(l.last, at)
	if e := l.messages[text]; e != nil {
		f(e)
	}
}

func (l *ledger) quit(by, who, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quits = append(l.quits, departure{l.clock(), by, who, reason})
}

// departures are the nicks that a bot was shown to quit since then, sorted,
// with the reason of the first.
func (l *ledger) departures(by string, since time.Duration) (who []string, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.quits {
		if d.by != by || d.at < since || slices.Contains(who, d.who) {
			continue
		}
		if len(who) == 0 {
			reason = d.reason
		}
		who = append(who, d.who)
	}
	slices.Sort(who)
	return who, reason
}

// firstAcked is when the first message to a channel that one of nicks sent
// after then was accepted.
func (l *ledger) firstAcked(channel string, then time.Duration, nicks []string) (at time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.messages {
		if e.channel == channel && e.sent > then && e.acked > 0 && (!ok || e.acked < at) && slices.Contains(nicks, nickOf(e.from)) {
			at, ok = e.acked, true
		}
	}
	return at, ok
}

// across counts the messages that were sent in a time and accepted, and those
// of them that somebody on the other side was shown in the end. One side is given.
func (l *ledger) across(from, to time.Duration, one []history.Client) (said, came int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.messages {
		if e.sent < from || e.sent > to || e.acked == 0 {
			continue
		}
		said++
		here := slices.Contains(one, e.from)
		if slices.ContainsFunc(e.seen, func(s sight) bool { return slices.Contains(one, s.by) != here }) {
			came++
		}
	}
	return said, came
}

// count counts messages by what is asked of each.
func (l *ledger) count(that func(*entry) bool) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.messages {
		if that(e) {
			n++
		}
	}
	return n
}

// median is the middle time from bot to bot, of all that was delivered since then.
func (l *ledger) median(then time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []time.Duration
	for _, e := range l.messages {
		if e.sent < then {
			continue
		}
		for _, s := range e.seen {
			all = append(all, s.at-e.sent)
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// silence is how long nothing was heard of any message.
func (l *ledger) silence() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clock() - l.last
}
