package chattest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ircbridge/chat"
)

// maxUnsent is how many sends of one session may wait for their outcome.
const maxUnsent = 1000

// pending is a Send that has no outcome yet.
type pending struct {
	from   *session
	number uint64
	msg    chat.Outgoing
}

// Send implements chat.Session.
func (se *session) Send(m chat.Outgoing) (uint64, error) {
	if err := se.begin(context.Background()); err != nil {
		return 0, err
	}
	n := se.net
	defer n.mu.Unlock()
	if !chat.ValidChannel(m.Target) && !chat.ValidNick(m.Target) && !isNodeID(m.Target) {
		return 0, fmt.Errorf("send to %q: %w", chat.Cut(m.Target, 2*chat.MaxChannel), chat.ErrBadTarget)
	}
	if se.unsent >= maxUnsent {
		return 0, fmt.Errorf("send to %s: %w", m.Target, chat.ErrQueueFull)
	}
	m.Tags = maps.Clone(m.Tags) // the caller may go on with his own
	if m.TagsOnly {
		m.Text, m.More, m.Notice = "", nil, false
	}
	m.More = slices.Clone(m.More)
	if m.Target[0] != '#' {
		m.Least = 0
	}
	se.sent++
	se.unsent++
	se.active = n.opt.Now()
	n.waiting = append(n.waiting, pending{from: se, number: se.sent, msg: m})
	if !n.held {
		n.settleLocked(nil)
	}
	return se.sent, nil
}

// isNodeID reports whether target is the ID of a node, which is too long for a
// nick.
func isNodeID(target string) bool {
	return len(target) == 40 && strings.Trim(target, "0123456789abcdefABCDEF") == ""
}

// settleLocked gives outcomes to what waits: of one session, or of all (nil).
func (n *network) settleLocked(of *session) {
	var left []pending
	waiting := n.waiting
	n.waiting = nil
	for _, p := range waiting {
		if of != nil && p.from != of {
			left = append(left, p)
			continue
		}
		if p.from.ended != nil { // closed by an event of this very loop
			continue
		}
		n.deliverLocked(p)
	}
	n.waiting = left
}

// deliverLocked gives one message to whom it is for, and its outcome to its
// sender.
func (n *network) deliverLocked(p pending) {
	se := p.from
	se.unsent--
	se.lastDone = p.number
	out := chat.Sent{Number: p.number, Message: p.msg}
	receivers, err := n.receiversLocked(se, &out)
	if !chat.ValidLines(p.msg.Text, p.msg.More) {
		err = fmt.Errorf("send to %s: text is longer than %d bytes: %w", p.msg.Target, chat.MaxText, chat.ErrCannotSend)
	}
	if err == nil {
		err = n.failLocked("Send", p.msg.Target)
	}
	if err != nil {
		out.Err = err
		se.pushLocked(out)
	} else {
		out.ID, out.At = n.nextIDLocked(), n.opt.Now()
		se.pushLocked(out)
		n.said[out.ID] = &said{from: se, to: chat.Fold(out.Message.Target), got: append(slices.Clone(receivers), se), at: out.At}
		n.handOutLocked(se, out, receivers)
	}
	close(se.settled)
	se.settled = make(chan struct{})
}

// receiversLocked finds who gets a message, and completes its outcome with
// the target as others see it.
func (n *network) receiversLocked(se *session, out *chat.Sent) ([]*session, error) {
	target := out.Message.Target
	switch {
	case target[0] == '#':
		c := n.channelLocked(target)
		if c == nil {
			return nil, fmt.Errorf("send to %s: %w", target, chat.ErrNoSuchChannel)
		}
		out.Message.Target = c.name
		_, out.Joined = c.members[se]
		for _, l := range append(slices.Clone(out.Message.More), chat.Line{Text: out.Message.Text}) {
			if err := c.maySendLocked(se, l.Text); err != nil {
				return nil, fmt.Errorf("send to %s: %w", c.name, err)
			}
		}
		return slices.DeleteFunc(c.sortedLocked(), func(m *session) bool {
			return m == se || !se.meetsLocked(m) || !c.members[m].AtLeast(out.Message.Least)
		}), nil
	case isNodeID(target):
		return n.onNodeLocked(se, target)
	}
	who, err := n.nickLocked(se, target)
	if err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	if who.shutsOutLocked(se) {
		return nil, fmt.Errorf("send to %s: %w", who.self.Nick, &chat.SendError{Mode: "+R"})
	}
	out.Message.Target, out.Away = who.self.Nick, who.self.Away
	return []*session{who}, nil
}

// onNodeLocked lists the users of a node, but for the sender.
func (n *network) onNodeLocked(but *session, id string) ([]*session, error) {
	at := slices.IndexFunc(n.nodes, func(s *Service) bool { return chat.SameName(s.node.ID, id) })
	if at < 0 {
		return nil, fmt.Errorf("send to %s: %w", id, chat.ErrNoSuchNode)
	}
	var list []*session
	for _, m := range n.nicks {
		if m != but && m.home == n.nodes[at] && !m.shutsOutLocked(but) {
			list = append(list, m)
		}
	}
	sortSessions(list)
	return list, nil
}

func (n *network) handOutLocked(se *session, out chat.Sent, receivers []*session) {
	e := chat.Message{
		ID: out.ID, At: out.At, From: se.self, Target: out.Message.Target,
		Notice: out.Message.Notice, Text: out.Message.Text, Tags: out.Message.Tags, TagsOnly: out.Message.TagsOnly, Least: out.Message.Least,
		More: out.Message.More,
	}
	if e.Target[0] == '#' {
		var same chat.Event = e // one for all
		for _, r := range receivers {
			r.pushLocked(same)
		}
		return
	}
	for _, r := range receivers {
		e.Target = r.self.Nick
		r.pushLocked(e)
	}
}

// Flush implements chat.Session.
func (se *session) Flush(ctx context.Context) error {
	if err := se.begin(ctx); err != nil {
		return err
	}
	upTo := se.sent
	for se.lastDone < upTo && se.ended == nil {
		settled := se.settled
		se.net.mu.Unlock()
		select {
		case <-settled:
		case <-ctx.Done():
			return ctx.Err()
		}
		se.net.mu.Lock()
	}
	defer se.net.mu.Unlock()
	return se.ended
}
