package chattest

import (
	"context"
	"fmt"
	"maps"
	"time"

	"ircbridge/chat"
)

// Knock implements chat.Session.
func (se *session) Knock(ctx context.Context, name, text string) error {
	if err := se.begin(ctx); err != nil {
		return err
	}
	n := se.net
	defer n.mu.Unlock()
	c := n.channelLocked(name)
	fail := func(err error) error {
		return fmt.Errorf("knock at %q: %w", chat.Cut(name, 2*chat.MaxChannel), err)
	}
	if c == nil {
		return fail(chat.ErrNoSuchChannel)
	}
	if err := n.failLocked("Knock", name); err != nil {
		return err
	}
	n.settleLocked(se)
	now, who := n.opt.Now(), former{se.home, chat.Fold(se.self.Nick)}
	maps.DeleteFunc(c.knocks, func(_ former, at time.Time) bool { return now.Sub(at) >= chat.KnockPause })
	_, on := c.members[se]
	_, again := c.knocks[who]
	switch {
	case on:
		return fail(chat.ErrAlreadyJoined)
	case !c.modes.InviteOnly:
		return fail(chat.ErrChannelOpen)
	case c.bannedLocked(se):
		return fail(chat.ErrBanned)
	case again || len(c.knocks) >= chat.MaxKnocks:
		return fail(chat.ErrTooManyKnocks)
	}
	c.knocks[who] = now
	e := chat.Knocked{Channel: c.name, Who: se.self, Text: chat.Cut(text, chat.MaxReason), At: now}
	for _, m := range c.sortedLocked() {
		if c.members[m].AtLeast(chat.HalfOperator) && m.meetsLocked(se) {
			m.pushLocked(e)
		}
	}
	return nil
}
