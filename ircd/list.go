package ircd

import (
	"strconv"
	"strings"
	"time"

	"ircbridge/chat"
)

func cmdList(c *conn, m *message) error {
	ctx, cancel := c.timeout()
	defer cancel()
	var all []chat.Listed
	var err error
	session := c.session
	c.yield(func() { all, err = session.List(ctx) })
	c.reply(rplListStart, "Channel")
	if err != nil {
		c.incomplete("LIST", "*")
	}
	want, now := parseListFilter(m.param(0)), c.srv.now()
	for _, ch := range all {
		if want.matches(ch, now) {
			c.replyText(rplList, ch.Topic, ch.Name, strconv.Itoa(ch.Count))
		}
	}
	c.reply(rplListEnd)
	return nil
}

// listFilter is the parameter of LIST (ELIST=CMNTU): conditions that all must
// hold, and masks of which one must.
type listFilter struct {
	masks, not []string
	users      bounds // U
	created    bounds // C, in minutes ago
	topic      bounds // T, likewise
}

// bounds of a number; nil where there is none.
type bounds struct{ more, less *int }

func (b bounds) hold(n int) bool {
	return (b.more == nil || n > *b.more) && (b.less == nil || n < *b.less)
}

// holdAge is for bounds in minutes ago, of something that may never have been.
func (b bounds) holdAge(since, now time.Time) bool {
	if b.more == nil && b.less == nil {
		return true
	}
	age := now.Sub(since).Minutes()
	return !since.IsZero() && (b.more == nil || age > float64(*b.more)) && (b.less == nil || age < float64(*b.less))
}

func parseListFilter(text string) listFilter {
	var f listFilter
	for _, cond := range targets(text) {
		of, rest := &f.users, cond
		switch cond[0] { // no channel's name begins so
		case 'C', 'c':
			of, rest = &f.created, cond[1:]
		case 'T', 't':
			of, rest = &f.topic, cond[1:]
		}
		switch {
		case of.parse(rest):
		case cond[0] == '!':
			f.not = append(f.not, cond[1:])
		default:
			f.masks = append(f.masks, cond)
		}
	}
	return f
}

// parse takes <n or >n, and reports whether it was that.
func (b *bounds) parse(text string) bool {
	if text == "" || text[0] != '<' && text[0] != '>' {
		return false
	}
	n, err := strconv.Atoi(text[1:])
	switch {
	case err != nil || n < 0 || strings.HasPrefix(text[1:], "+"):
		return false
	case text[0] == '<':
		b.less = &n
	default:
		b.more = &n
	}
	return true
}

func (f listFilter) matches(ch chat.Listed, now time.Time) bool {
	if !f.users.hold(ch.Count) || !f.created.holdAge(ch.Created, now) || !f.topic.holdAge(ch.TopicAt, now) {
		return false
	}
	for _, mask := range f.not {
		if chat.MatchMask(mask, ch.Name) {
			return false
		}
	}
	for _, mask := range f.masks {
		if chat.MatchMask(mask, ch.Name) {
			return true
		}
	}
	return len(f.masks) == 0
}
