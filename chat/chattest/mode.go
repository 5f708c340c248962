package chattest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"ircbridge/chat"
)

const maxLimit = 1 << 20 // of +l

// changeLocked makes one change, for somebody with a status. It returns the change as
// others see it, and whether anything changed.
func (n *network) changeLocked(c *channel, by *session, status chat.Status, m chat.ModeChange) (chat.ModeChange, bool, error) {
	if flag := c.flag(m.Mode); flag != nil {
		changed := *flag != m.Add
		*flag = m.Add
		return chat.ModeChange{Add: m.Add, Mode: m.Mode}, changed, nil
	}
	switch m.Mode {
	case 'o', 'h', 'v':
		return n.changeStatusLocked(c, by, status, m)
	case 'b', 'e', 'I':
		return n.changeListLocked(c, by, m)
	case 'k':
		return c.changeKeyLocked(m)
	case 'l':
		return c.changeLimitLocked(m)
	}
	return m, false, fmt.Errorf("mode %q: %w", m.Mode, chat.ErrUnknownMode)
}

// flag is the mode without parameter that a letter stands for, or nil.
func (c *channel) flag(mode byte) *bool {
	switch mode {
	case 'i':
		return &c.modes.InviteOnly
	case 'm':
		return &c.modes.Moderated
	case 'n':
		return &c.modes.NoExternal
	case 's':
		return &c.modes.Secret
	case 't':
		return &c.modes.TopicLock
	case 'C':
		return &c.modes.NoCTCP
	case 'R':
		return &c.modes.Registered
	}
	return nil
}

func (n *network) changeStatusLocked(c *channel, by *session, his chat.Status, m chat.ModeChange) (chat.ModeChange, bool, error) {
	if m.Arg == "" {
		return m, false, badParam(m)
	}
	who, err := n.nickLocked(by, m.Arg)
	if err != nil {
		return m, false, err
	}
	bit := chat.StatusOf(m.Mode)
	status, on := c.members[who]
	switch {
	case !on:
		return m, false, fmt.Errorf("mode %c: %s: %w", m.Mode, who.self.Nick, chat.ErrNotInChannel)
	case !his.Rules(bit) && (m.Add || who != by): // his own he may give up
		return m, false, fmt.Errorf("mode %c: %s: %w", m.Mode, who.self.Nick, chat.ErrNoPrivileges)
	}
	was := status
	if status |= bit; !m.Add {
		status &^= bit
	}
	c.members[who] = status
	m.Arg = who.self.Nick
	return m, status != was, nil
}

func (n *network) changeListLocked(c *channel, by *session, m chat.ModeChange) (chat.ModeChange, bool, error) {
	mask, ok := chat.FullMask(m.Mode, m.Arg)
	if !ok {
		return m, false, badParam(m)
	}
	m.Arg = mask
	list := c.lists[m.Mode]
	at := slices.IndexFunc(list, func(e chat.ListEntry) bool { return chat.SameName(e.Mask, m.Arg) })
	switch {
	case !m.Add && at < 0, m.Add && at >= 0:
		return m, false, nil
	case !m.Add:
		m.Arg = list[at].Mask
		c.lists[m.Mode] = slices.Delete(list, at, at+1)
	case len(list) >= chat.MaxList:
		return m, false, fmt.Errorf("mode %c %s: %w", m.Mode, m.Arg, chat.ErrListFull)
	default:
		c.lists[m.Mode] = append(list, chat.ListEntry{Mask: m.Arg, By: by.self.Mask(), At: n.opt.Now()})
	}
	return m, true, nil
}

func (c *channel) changeKeyLocked(m chat.ModeChange) (chat.ModeChange, bool, error) {
	if !m.Add {
		changed := c.modes.Key != ""
		c.modes.Key = ""
		m.Arg = "*" // clients want a parameter, and nobody needs the old key
		return m, changed, nil
	}
	if m.Arg == "" || len(m.Arg) > chat.MaxKey || hasSpace(m.Arg) || strings.HasPrefix(m.Arg, ":") {
		return m, false, badParam(m)
	}
	changed := c.modes.Key != m.Arg
	c.modes.Key = m.Arg
	return m, changed, nil
}

func (c *channel) changeLimitLocked(m chat.ModeChange) (chat.ModeChange, bool, error) {
	limit := 0
	if m.Add {
		var err error
		if limit, err = strconv.Atoi(m.Arg); err != nil || limit < 1 || limit > maxLimit {
			return m, false, badParam(m)
		}
		m.Arg = strconv.Itoa(limit)
	} else {
		m.Arg = ""
	}
	changed := c.modes.Limit != limit
	c.modes.Limit = limit
	return m, changed, nil
}

func badParam(m chat.ModeChange) error {
	return fmt.Errorf("mode %c: %q: %w", m.Mode, chat.Cut(m.Arg, 40), chat.ErrBadModeParam)
}

// hasSpace reports whether a parameter could not travel as one word of a line.
func hasSpace(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == ',' || 0x7f <= r && r <= 0x9f })
}
