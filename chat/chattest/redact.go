package chattest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ircbridge/chat"
)

// said is a message that was accepted.
type said struct {
	from *session
	to   string     // folded: a channel, or the nick or node that it was for
	got  []*session // and who sent it
	at   time.Time
}

// byLocked reports whether a message is se's own: of this session, or of an earlier
// one of the same user.
func (m *said) byLocked(se *session) bool {
	return m.from == se || m.from.ended != nil && m.from.home == se.home && chat.SameName(m.from.self.Nick, se.self.Nick)
}

// Redact implements chat.Session.
func (se *session) Redact(ctx context.Context, target, id, reason string) (chat.Redacted, error) {
	if err := se.begin(ctx); err != nil {
		return chat.Redacted{}, err
	}
	n := se.net
	defer n.mu.Unlock()
	n.settleLocked(se)
	e := chat.Redacted{Target: target, ID: id, By: se.self.Mask(), Reason: chat.Cut(reason, chat.MaxReason), At: n.opt.Now()}
	err := n.redactLocked(se, &e)
	if err == nil {
		err = n.failLocked("Redact", target)
	}
	if err != nil {
		return chat.Redacted{}, fmt.Errorf("redact a message to %q: %w", chat.Cut(target, 2*chat.MaxChannel), err)
	}
	got := n.said[id].got
	delete(n.said, id)
	for _, r := range got {
		own := e
		if target[0] != '#' {
			own.Target = r.self.Nick
		}
		if r != se && r.ended == nil && se.meetsLocked(r) {
			r.pushLocked(own)
		}
	}
	return e, nil
}

// redactLocked says why a message may not be redacted, and completes e with the
// target as others see it.
func (n *network) redactLocked(se *session, e *chat.Redacted) error {
	m := n.said[e.ID]
	about := m != nil && m.to == chat.Fold(e.Target)
	switch {
	case chat.ValidChannel(e.Target):
		c := n.channelLocked(e.Target)
		if c == nil {
			return chat.ErrNoSuchChannel
		}
		e.Target = c.name
		status, on := c.members[se]
		switch {
		case !on && (!about || !m.byLocked(se)):
			return chat.ErrNotOnChannel
		case !about:
			return chat.ErrUnknownMessage
		case !m.byLocked(se) && status&chat.Operator == 0:
			return chat.ErrNotYourMessage
		case c.maySendLocked(se, "") != nil: // else it would be a way to speak
			e.Reason = ""
		}
		m.got = slices.DeleteFunc(m.got, func(r *session) bool { _, on := c.members[r]; return !on })
	case isNodeID(e.Target):
		if _, err := n.onNodeLocked(se, e.Target); err != nil {
			return err
		}
		fallthrough
	case chat.ValidNick(e.Target):
		if !isNodeID(e.Target) {
			who, err := n.nickLocked(se, e.Target)
			if err != nil {
				return err
			}
			e.Target = who.self.Nick
			about = m != nil && m.to[0] != '#' && slices.Contains(m.got, who) && slices.Contains(m.got, se) || m != nil && m.to == chat.Fold(e.Target)
		}
		switch {
		case !about:
			return chat.ErrUnknownMessage
		case m.from != se:
			return chat.ErrNotYourMessage
		}
	default:
		return chat.ErrBadTarget
	}
	if m.at.Before(n.opt.Now().Add(-chat.RedactWindow)) {
		return chat.ErrMessageTooOld
	}
	return nil
}
