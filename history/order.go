package history

import (
	"cmp"
	"slices"
)

// senders looks whether each client was shown each sender's messages in their
// order. That holds always, in splits too.
func (c *checker) senders() {
	type line struct {
		from    *client
		channel string
	}
	for _, x := range c.h.order {
		high := make(map[line]*message)
		shown := make(map[*message]bool)
		for _, s := range x.seen {
			if !s.sent() || shown[s.m] || s.echo && s.m.from != x {
				continue
			}
			shown[s.m] = true
			l := line{s.m.from, s.m.channel}
			if h := high[l]; h != nil && h.number > s.m.number {
				c.r.Reordered++
				c.wrong("reordered", "%s saw %s at %v, after the later %s", x.name, s.m, s.at, h)
				continue
			}
			high[l] = s.m
		}
	}
}

// orders looks whether each channel has one order: one in which everybody saw
// what he saw. Messages of which something was heard during a split are left
// out, and what was under way when the one that ordered a channel was lost.
func (c *checker) orders() {
	channels, lines := c.lines()
	for _, channel := range channels {
		if l := lines[channel]; !ordered(l) {
			c.diverged(channel, l)
		}
	}
}

// A sequence is what one client saw of one channel, each message once.
type sequence struct {
	x    *client
	seen []*message
}

// lines are the sequences of all clients, by channel.
func (c *checker) lines() (channels []string, lines map[string][]sequence) {
	lines = make(map[string][]sequence)
	for _, x := range c.h.order {
		shown := make(map[*message]bool)
		of := make(map[string][]*message)
		var mine []string
		for _, s := range x.seen {
			if !s.sent() || shown[s.m] || s.echo && (!c.rules.EchoInOrder || s.m.from != x) || c.split(s.m) {
				continue
			}
			shown[s.m] = true
			if of[s.m.channel] == nil {
				mine = append(mine, s.m.channel)
			}
			of[s.m.channel] = append(of[s.m.channel], s.m)
		}
		for _, channel := range mine {
			if lines[channel] == nil {
				channels = append(channels, channel)
			}
			lines[channel] = append(lines[channel], sequence{x, of[channel]})
		}
	}
	return channels, lines
}

// split reports whether a message has no place in the one order: any part of its
// life was in a split or a break, or its sender had just come.
func (c *checker) split(m *message) bool {
	if slices.ContainsFunc(c.rules.Breaks, func(b Break) bool {
		return (b.Channel == "" || b.Channel == m.channel) && m.sent <= b.To && b.From <= m.last
	}) {
		return true
	}
	if c.rules.Settling > 0 && slices.ContainsFunc(m.from.stays, func(s stay) bool {
		return s.channel == m.channel && s.from <= m.sent && m.sent < s.from+c.rules.Settling
	}) {
		return true
	}
	return slices.ContainsFunc(c.h.splits, func(s split) bool { return m.sent < s.to && m.last+c.rules.UnderWay > s.from })
}

// ordered reports whether there is an order that all sequences agree with: the
// graph of who was seen right before whom has no circle.
func ordered(lines []sequence) bool {
	after := make(map[*message][]*message)
	before := make(map[*message]int) // how many edges lead to it
	for _, l := range lines {
		for i, m := range l.seen {
			if i == 0 {
				before[m] += 0
				continue
			}
			after[l.seen[i-1]] = append(after[l.seen[i-1]], m)
			before[m]++
		}
	}
	var free []*message
	for m, n := range before {
		if n == 0 {
			free = append(free, m)
		}
	}
	done := 0
	for len(free) > 0 {
		m := free[len(free)-1]
		free = free[:len(free)-1]
		done++
		for _, next := range after[m] {
			if before[next]--; before[next] == 0 {
				free = append(free, next)
			}
		}
	}
	return done == len(before)
}

// diverged names the pairs of messages that two clients saw in two orders.
// There may be none: then three or more clients contradict each other in a
// circle.
func (c *checker) diverged(channel string, lines []sequence) {
	found := false
	for i, a := range lines {
		place := make(map[*message]int, len(a.seen))
		for p, m := range a.seen {
			place[m] = p
		}
		for _, b := range lines[i+1:] {
			var common []*message
			for _, m := range b.seen {
				if _, ok := place[m]; ok {
					common = append(common, m)
				}
			}
			n, one, two := inversions(common, place)
			if n == 0 {
				continue
			}
			found = true
			c.r.Diverged += n
			c.wrong("order", "%s saw %s before %s, and %s the other way round; %d such pairs of these two clients", a.x.name, one, two, b.x.name, n)
		}
	}
	if !found {
		c.r.Diverged++
		c.wrong("order", "there is no order of %s in which all its clients saw what they saw, though any two of them agree", channel)
	}
}

// inversions counts the pairs of list that stand the other way round in place,
// by sorting; one and two are such a pair, one the first in place.
func inversions(list []*message, place map[*message]int) (n int, one, two *message) {
	if len(list) < 2 {
		return 0, nil, nil
	}
	half := len(list) / 2
	left, right := slices.Clone(list[:half]), slices.Clone(list[half:])
	n, one, two = inversions(left, place)
	m, o, t := inversions(right, place)
	n += m
	if one == nil {
		one, two = o, t
	}
	by := func(a, b *message) int { return cmp.Compare(place[a], place[b]) }
	slices.SortFunc(left, by)
	slices.SortFunc(right, by)
	i := 0
	for _, r := range right {
		for i < len(left) && place[left[i]] < place[r] {
			i++
		}
		if i < len(left) {
			n += len(left) - i
			if one == nil {
				one, two = r, left[i]
			}
		}
	}
	return n, one, two
}
