package history

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Rules say what is asked of a history, and what is allowed all the same.
type Rules struct {
	// After is how long after its acknowledgement a message may take to a
	// client, at most. Who left his channel earlier is not asked for it. The
	// history must have been quiet for that long at its end.
	After time.Duration
	// UnderWay is how long before a split a message may have been acknowledged
	// and yet not be delivered to the other side.
	UnderWay time.Duration
	// AcrossSplits asks that also what was said during a split came to the other
	// side in the end.
	AcrossSplits bool
	// AnswerWithin is how long after a message its sender must have been told
	// what became of it, if he is still there. 0 asks for no answers.
	AnswerWithin time.Duration
	// End is when the history ended: no answers are asked for that were due
	// later. 0 is later than everything.
	End time.Duration
	// EchoInOrder says that the acknowledgement comes in the channel's order: it
	// is then what the sender saw of his message.
	EchoInOrder bool
	// RefusedIsFinal says that what was refused must be shown to nobody. Where a
	// refusal only says that no answer came, it may well have been taken.
	RefusedIsFinal bool
	// Excuses are losses that are allowed.
	Excuses []Excuse
	// Breaks are times in which the one that ordered a channel was lost, or may
	// have been taken for lost. What was under way then has no place in the one
	// order.
	Breaks []Break
	// Settling is how long after he joined a sender's messages have no place in the
	// one order: a front-end may show somebody who comes again under his old nick,
	// and what he says, after others saw the old one leave.
	Settling time.Duration
}

// A Break is a time, often an instant, in which there was not one that ordered
// a channel (or any, "").
type Break struct {
	Channel  string
	From, To time.Duration
}

// An Excuse allows the loss of messages that were acknowledged from From until
// To in one channel (or in any, ""): say, because all nodes that had them died
// at one instant. It is made from the schedule of the faults.
type Excuse struct {
	Channel  string
	From, To time.Duration
	Why      string
}

// A Report is what came out of a history.
type Report struct {
	Sent, Acked, Refused, Unanswered int // messages
	Delivered                        int // showings of a message to another than its sender, each client counted once
	Lost                             int // acknowledged, and a member never saw it; counted for each member
	Excused                          int // losses that the rules allow
	Duplicated                       int // shown, or acknowledged, once more
	Reordered                        int // shown after a later one of the same sender
	Invented                         int // shown, but never sent there
	Diverged                         int // pairs of messages that two clients saw in two orders, and views of members that differ
	RefusedSeen                      int // messages that were refused, and shown to somebody

	// Violations say what is wrong, one line each, with clients, texts and times. Of
	// many of one kind the first ones are told.
	Violations []string
}

// OK reports whether nothing was wrong.
func (r Report) OK() bool { return len(r.Violations) == 0 }

// String is the report in one line, without its violations.
func (r Report) String() string {
	return fmt.Sprintf("sent %d, acknowledged %d, refused %d, unanswered %d, delivered %d, lost %d (excused %d), duplicated %d, reordered %d, invented %d, diverged %d, violations %d",
		r.Sent, r.Acked, r.Refused, r.Unanswered, r.Delivered, r.Lost, r.Excused, r.Duplicated, r.Reordered, r.Invented, r.Diverged, len(r.Violations))
}

// told is how many violations of one kind are told one by one.
const told = 10

// A checker goes once through one history.
type checker struct {
	h     *History
	rules Rules
	r     Report
	kinds map[string]int
}

// Check judges the history. It may be asked again, after more was told.
func (h *History) Check(rules Rules) Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	if rules.End == 0 {
		rules.End = never
	}
	c := &checker{h: h, rules: rules, kinds: make(map[string]int)}
	for _, b := range h.broken {
		c.wrong("recorder", "%s", b)
	}
	c.number()
	c.answers()
	c.showings()
	c.losses()
	c.senders()
	c.orders()
	c.memberships()
	for _, kind := range []string{"recorder", "answer", "unanswered", "lost", "duplicated", "reordered", "invented", "refused", "order", "members"} {
		if n := c.kinds[kind]; n > told {
			c.r.Violations = append(c.r.Violations, fmt.Sprintf("%s: and %d more", kind, n-told))
		}
	}
	return c.r
}

func (c *checker) wrong(kind, format string, args ...any) {
	c.kinds[kind]++
	if c.kinds[kind] <= told {
		c.r.Violations = append(c.r.Violations, kind+": "+fmt.Sprintf(format, args...))
	}
}

// number gives each message its place among those of its sender to its channel.
func (c *checker) number() {
	type line struct {
		from    *client
		channel string
	}
	next := make(map[line]int)
	for _, m := range c.h.sent {
		l := line{m.from, m.channel}
		next[l]++
		m.number = next[l]
	}
}

// answers counts what senders were told.
func (c *checker) answers() {
	c.r.Sent = len(c.h.sent)
	for _, m := range c.h.sent {
		switch {
		case len(m.acked) > 0 && len(m.refused) > 0:
			c.wrong("answer", "%s was acknowledged at %v and refused at %v", m, m.acked[0], m.refused[0])
			c.r.Acked++
		case len(m.acked) > 0:
			c.r.Acked++
		case len(m.refused) > 0:
			c.r.Refused++
		default:
			c.r.Unanswered++
			due := m.sent + c.rules.AnswerWithin
			if c.rules.AnswerWithin > 0 && m.from.ended > due && c.rules.End > due {
				c.wrong("unanswered", "%s got no answer within %v", m, c.rules.AnswerWithin)
			}
		}
		for _, again := range m.acked[min(1, len(m.acked)):] {
			c.r.Duplicated++
			c.wrong("duplicated", "%s was acknowledged at %v and again at %v", m, m.acked[0], again)
		}
	}
}

// showings looks at each message that each client saw: was it sent, and was it
// shown before?
func (c *checker) showings() {
	refusedSeen := make(map[*message]bool)
	for _, x := range c.h.order {
		before := make(map[*message]time.Duration)
		for _, s := range x.seen {
			switch first, again := before[s.m]; {
			case !s.m.known:
				c.r.Invented++
				c.wrong("invented", "%s saw %s at %v, which nobody sent", x.name, s.m, s.at)
			case !s.sent():
				c.r.Invented++
				c.wrong("invented", "%s saw %s at %v in %s", x.name, s.m, s.at, s.channel)
			case s.echo && s.m.from != x:
				c.r.Invented++
				c.wrong("invented", "%s was told at %v that %s is accepted", x.name, s.at, s.m)
			case s.echo:
				// its own; counted with the answers
			case again || s.m.from == x:
				c.r.Duplicated++
				c.wrong("duplicated", "%s saw %s at %v, after %v", x.name, s.m, s.at, first)
			default:
				before[s.m] = s.at
				c.r.Delivered++
				if len(s.m.refused) > 0 && !refusedSeen[s.m] {
					refusedSeen[s.m] = true
					c.r.RefusedSeen++
					if c.rules.RefusedIsFinal {
						c.wrong("refused", "%s was refused at %v, and %s saw it at %v", s.m, s.m.refused[0], x.name, s.at)
					}
				}
			}
		}
	}
}

// losses looks for what was acknowledged and not shown to who was there.
func (c *checker) losses() {
	saw := make(map[*client]map[*message]bool)
	for _, x := range c.h.order {
		saw[x] = make(map[*message]bool)
		for _, s := range x.seen {
			saw[x][s.m] = saw[x][s.m] || s.sent()
		}
	}
	for _, m := range c.h.sent {
		if len(m.acked) == 0 {
			continue
		}
		for _, x := range c.h.order {
			if x == m.from || saw[x][m] || !c.asked(m, x) {
				continue
			}
			if c.excused(m) {
				c.r.Excused++
				continue
			}
			c.r.Lost++
			c.wrong("lost", "%s was acknowledged at %v, and %s, who was there, never saw it", m, m.acked[0], x.name)
		}
	}
}

// asked reports whether x had to see m: he was there from before it was sent
// until well after it was acknowledged, and could be reached.
func (c *checker) asked(m *message, x *client) bool {
	there := slices.ContainsFunc(x.stays, func(s stay) bool {
		return s.channel == m.channel && s.from <= m.sent && s.to > m.acked[0]+c.rules.After
	})
	if !there || c.rules.AcrossSplits {
		return there
	}
	return !slices.ContainsFunc(c.h.splits, func(s split) bool {
		return m.sent < s.to && m.acked[0]+c.rules.UnderWay > s.from && s.cuts(m.from.name, x.name)
	})
}

func (c *checker) excused(m *message) bool {
	return slices.ContainsFunc(c.rules.Excuses, func(e Excuse) bool {
		return (e.Channel == "" || e.Channel == m.channel) && e.From <= m.acked[0] && m.acked[0] <= e.To
	})
}

// memberships compares what clients say of one channel.
func (c *checker) memberships() {
	first := make(map[string]membership)
	for _, m := range c.h.members {
		f, ok := first[m.channel]
		if !ok {
			first[m.channel] = m
			continue
		}
		if !slices.Equal(f.nicks, m.nicks) {
			c.r.Diverged++
			c.wrong("members", "in %s %s sees %v, and %s sees %v", m.channel, f.by, f.nicks, m.by, m.nicks)
		}
	}
}

func quote(text string) string {
	const most = 60
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strconv.Quote(text)
}

// String names a message in a violation.
func (m *message) String() string {
	if !m.known {
		return quote(m.text)
	}
	return fmt.Sprintf("%s of %s to %s (sent at %v)", quote(m.text), m.from.name, m.channel, m.sent)
}
