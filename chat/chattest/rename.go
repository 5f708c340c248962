package chattest

import (
	"context"
	"fmt"
	"time"

	"ircbridge/chat"
)

// restingLocked is a channel that rests, by its name or the one under which it
// was founded, or nil.
func (n *network) restingLocked(name string) *channel {
	if c := n.resting[chat.Fold(name)]; c != nil {
		return c
	}
	if c := n.called[chat.Fold(name)]; c != nil && n.resting[c.home] == c {
		return c
	}
	return nil
}

// RenameChannel implements chat.Session.
func (se *session) RenameChannel(ctx context.Context, name, to, reason string) error {
	fail := func(err error) error {
		return fmt.Errorf("rename %q to %q: %w", chat.Cut(name, 2*chat.MaxChannel), chat.Cut(to, 2*chat.MaxChannel), err)
	}
	if !chat.ValidChannel(to) {
		return fail(chat.ErrBadChannel)
	}
	c, err := se.beginOn(ctx, name)
	if err != nil {
		return fail(err)
	}
	n := se.net
	defer n.mu.Unlock()
	now := n.opt.Now()
	there := n.channelLocked(to)
	resting := n.restingLocked(to)
	switch {
	case c.members[se]&chat.Operator == 0:
		return fail(chat.ErrNoPrivileges)
	case to == c.name || there != nil && there != c || resting != nil:
		return fail(chat.ErrChannelInUse)
	case now.Sub(c.renamed) < chat.RenamePause:
		return fail(chat.ErrRenamedLately)
	}
	if err := n.failLocked("RenameChannel", name); err != nil {
		return err
	}
	n.settleLocked(se)
	n.renameChannelLocked(c, to, se.self.Mask(), chat.Cut(reason, chat.MaxReason), now)
	return nil
}

func (n *network) renameChannelLocked(c *channel, to, by, reason string, now time.Time) {
	e := chat.ChannelRenamed{Old: c.name, New: to, By: by, Reason: reason, At: now}
	delete(n.called, chat.Fold(c.name))
	c.name, c.renamed = to, now
	if chat.Fold(to) != c.home {
		n.called[chat.Fold(to)] = c
	}
	c.tellLocked(e, nil)
}
