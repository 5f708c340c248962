package script

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxBurstTime is how long a check waits for bursts that are still being sent.
const maxBurstTime = 10 * time.Minute

// burst is a number of messages that an actor sends at a steady pace, beside
// the steps that follow. Guarded by play.mu.
type burst struct {
	actor  *actor
	target string
	text   string // with %d
	count  int
	sent   int
	done   bool
	err    error
}

type burstStep struct {
	actor  string
	count  int
	target template
	text   template
	every  time.Duration
}

func (a *burstStep) play(ctx context.Context, p *play, s *step) error {
	c, err := p.actor(a.actor)
	if err != nil {
		return err
	}
	b := &burst{actor: c, count: a.count}
	if b.target, err = p.text(a.target); err != nil {
		return err
	}
	if b.text, err = p.text(a.text); err != nil {
		return err
	}
	within := p.limit(s)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, other := range p.bursts {
		if other.actor == c && other.text == b.text {
			return fmt.Errorf("%s has sent a burst of %q already; its messages could not be told apart", a.actor, b.text)
		}
	}
	p.bursts = append(p.bursts, b)
	p.tasks.Add(1)
	go func() {
		defer p.tasks.Done()
		err := p.burst(ctx, b, a.every, within)
		p.mu.Lock()
		defer p.mu.Unlock()
		b.done, b.err = true, err
		p.wakeLocked()
	}()
	return nil
}

// burst sends the messages, one with each tick.
func (p *play) burst(ctx context.Context, b *burst, every, within time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 1; n <= b.count; n++ {
		line := "PRIVMSG " + b.target + " :" + strings.Replace(b.text, "%d", strconv.Itoa(n), 1)
		if err := p.send(b.actor, line, within); err != nil {
			return err
		}
		p.mu.Lock()
		b.sent = n
		p.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// number is the number of this burst's message in a text.
func (b *burst) number(text string) (int, bool) {
	before, after, _ := strings.Cut(b.text, "%d")
	text, ok := strings.CutPrefix(text, before)
	if !ok {
		return 0, false
	}
	if text, ok = strings.CutSuffix(text, after); !ok {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}

// burstsDoneLocked reports whether all bursts have been sent.
func (p *play) burstsDoneLocked() (bool, error) {
	for _, b := range p.bursts {
		if b.err != nil {
			return false, fmt.Errorf("the burst of %s stopped after %d of %d messages: %w", b.actor.name, b.sent, b.count, b.err)
		}
		if !b.done {
			return false, nil
		}
	}
	return true, nil
}

// duringStep does its steps one after the other, again and again, one with each
// tick, until the bursts have been sent; a round that was begun is finished.
type duringStep struct {
	every time.Duration
	steps []*step
}

func (a *duringStep) play(ctx context.Context, p *play, _ *step) error {
	tick := time.NewTicker(a.every)
	defer tick.Stop()
	for {
		p.mu.Lock()
		done, err := p.burstsDoneLocked()
		p.mu.Unlock()
		if done || err != nil {
			return err
		}
		for _, s := range a.steps {
			if err := p.step(ctx, s); err != nil {
				return fmt.Errorf("line %d: %s: %w", s.line, s.text, err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

// everyoneStep checks what the members of a channel received of the bursts.
type everyoneStep struct {
	channel  template
	oneOrder bool
}

func (a *everyoneStep) play(ctx context.Context, p *play, s *step) error {
	channel, err := p.text(a.channel)
	if err != nil {
		return err
	}
	if err := p.until(ctx, maxBurstTime+p.limit(s), p.burstsDoneLocked); err != nil {
		return err
	}
	p.mu.Lock()
	listeners, bursts := p.membersLocked(channel), p.burstsToLocked(channel)
	p.mu.Unlock()
	if len(listeners) == 0 || len(bursts) == 0 {
		return fmt.Errorf("%d actors are on %s and %d bursts went to it; nothing to compare", len(listeners), channel, len(bursts))
	}
	tallies := make([]*tally, len(listeners))
	for i, l := range listeners {
		tallies[i] = &tally{actor: l, channel: channel, bursts: bursts, got: map[*burst][]int{}}
	}
	err = p.until(ctx, p.limit(s), func() (bool, error) {
		full := true
		for _, t := range tallies {
			t.readLocked()
			full = full && t.full()
		}
		return full, nil
	})
	if err != nil && !isTimeout(err) {
		return err
	}
	// What comes twice may come late: each answers a PING first.
	for _, l := range listeners {
		if err := (&fenceStep{l.name}).play(ctx, p, s); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var complaints []string
	for _, t := range tallies {
		t.readLocked()
		complaints = append(complaints, t.complaints()...)
	}
	if a.oneOrder && len(complaints) == 0 {
		complaints = orderComplaints(tallies)
	}
	if len(complaints) > 0 {
		return fmt.Errorf("of the bursts to %s:\n  %s", channel, strings.Join(complaints, "\n  "))
	}
	return nil
}

// membersLocked are the actors who are on a channel, by the lines that they
// received.
func (p *play) membersLocked(channel string) []*actor {
	var on []*actor
	for _, a := range p.actors {
		member := false
		nick := a.nick
		for _, line := range a.in.lines {
			m := parseMessage(line)
			if len(m.params) == 0 || !strings.EqualFold(m.params[0], channel) {
				continue
			}
			switch {
			case m.command == "JOIN" && m.nick() == nick:
				member = true
			case m.command == "PART" && m.nick() == nick,
				m.command == "KICK" && len(m.params) > 1 && m.params[1] == nick:
				member = false
			}
		}
		if member && !a.in.ended {
			on = append(on, a)
		}
	}
	slices.SortFunc(on, func(a, b *actor) int { return strings.Compare(a.name, b.name) })
	return on
}

func (p *play) burstsToLocked(channel string) []*burst {
	var out []*burst
	for _, b := range p.bursts {
		if strings.EqualFold(b.target, channel) {
			out = append(out, b)
		}
	}
	return out
}

// tally is what one listener received of the bursts to one channel.
type tally struct {
	actor   *actor
	channel string
	bursts  []*burst
	read    int // lines of the stream
	got     map[*burst][]int
	order   []string // all of them, as they came
}

// expects reports whether the listener is to receive a burst: not his own,
// unless he asked for echoes.
func (t *tally) expects(b *burst) bool { return b.actor != t.actor || t.actor.echo }

func (t *tally) readLocked() {
	for ; t.read < len(t.actor.in.lines); t.read++ {
		m := parseMessage(t.actor.in.lines[t.read])
		if m.command != "PRIVMSG" || len(m.params) != 2 || !strings.EqualFold(m.params[0], t.channel) {
			continue
		}
		for _, b := range t.bursts {
			if n, ok := b.number(m.params[1]); ok && m.nick() == b.actor.nick {
				t.got[b] = append(t.got[b], n)
				t.order = append(t.order, b.actor.name+" "+strconv.Itoa(n))
			}
		}
	}
}

// full reports whether as many messages came as must.
func (t *tally) full() bool {
	for _, b := range t.bursts {
		if t.expects(b) && len(t.got[b]) < b.count {
			return false
		}
	}
	return true
}

// complaints says what is lost, twice or out of order, burst by burst.
func (t *tally) complaints() []string {
	var out []string
	for _, b := range t.bursts {
		if !t.expects(b) {
			continue
		}
		seen := make([]int, b.count+1)
		last, disorder := 0, 0
		for _, n := range t.got[b] {
			if n < 1 || n > b.count {
				continue
			}
			if n < last && seen[n] == 0 {
				disorder++
			}
			last = max(last, n)
			seen[n]++
		}
		var lost, twice []int
		for n := 1; n <= b.count; n++ {
			switch {
			case seen[n] == 0:
				lost = append(lost, n)
			case seen[n] > 1:
				twice = append(twice, n)
			}
		}
		if len(lost)+len(twice)+disorder > 0 {
			out = append(out, fmt.Sprintf("%s received of %s's %d: lost %s, more than once %s, out of order %d",
				t.actor.name, b.actor.name, b.count, few(lost), few(twice), disorder))
		}
	}
	return out
}

// few writes how many numbers there are, and the first of them.
func few(n []int) string {
	if len(n) == 0 {
		return "0"
	}
	more := ""
	if len(n) > 10 {
		more = " …"
	}
	return fmt.Sprintf("%d %v%s", len(n), n[:min(10, len(n))], more)
}

// orderComplaints compares the orders in which listeners received messages, each
// pair over the messages that both received.
func orderComplaints(tallies []*tally) []string {
	var out []string
	for i, t := range tallies[1:] {
		first := tallies[i]
		place := map[string]int{}
		for n, id := range first.order {
			place[id] = n
		}
		last, lastID := -1, ""
		for _, id := range t.order {
			n, both := place[id]
			if !both {
				continue
			}
			if n < last {
				out = append(out, fmt.Sprintf("%s received %q before %q, %s the other way round", t.actor.name, lastID, id, first.actor.name))
				break
			}
			last, lastID = n, id
		}
	}
	return out
}
