package chattest

import (
	"errors"
	"slices"
	"strings"
	"time"

	"ircbridge/chat"
)

// channel is the whole state of one channel. The network's mutex guards it.
// It is dropped when the last member has left, and rests when he vanished.
type channel struct {
	name    string // as it is shown
	home    string // folded, under which it was founded
	renamed time.Time
	created time.Time
	topic   chat.Topic
	meta    chat.Metadata
	modes   chat.Modes
	lists   map[byte][]chat.ListEntry // by letter
	members map[*session]chat.Status
	invited map[*session]bool      // each may pass +i once
	former  map[former]chat.Status // who vanished, and may return
	knocks  map[former]time.Time   // the last of each
}

// former is somebody who vanished from a channel: sessions do not last, node and
// nick do.
type former struct {
	home *Service
	nick string // folded
}

// operatorMayReturnLocked reports whether one vanished.
func (c *channel) operatorMayReturnLocked() bool {
	for _, status := range c.former {
		if status&chat.Operator != 0 {
			return true
		}
	}
	return false
}

// channelLocked is a channel, by its name or the one under which it was founded, or nil.
func (n *network) channelLocked(name string) *channel {
	if c := n.called[chat.Fold(name)]; c != nil && n.channels[c.home] == c {
		return c
	}
	return n.channels[chat.Fold(name)]
}

// foundLocked makes a channel: its first member is its operator, its topic is
// his to set, and it may be written to from outside.
func (n *network) foundLocked(name string) *channel {
	c := &channel{
		name:    name,
		home:    chat.Fold(name),
		created: n.opt.Now(),
		modes:   chat.Modes{TopicLock: true},
		lists:   map[byte][]chat.ListEntry{},
		members: map[*session]chat.Status{},
		invited: map[*session]bool{},
		former:  map[former]chat.Status{},
		knocks:  map[former]time.Time{},
	}
	n.channels[c.home] = c
	return c
}

// admitLocked says whether se may come in.
func (c *channel) admitLocked(se *session, key string) error {
	switch {
	case c.bannedLocked(se):
		return chat.ErrBanned
	case c.modes.Registered && se.self.Account == "":
		return chat.ErrNeedAccount
	case c.modes.InviteOnly && !c.invited[se] && !c.listedLocked('I', false, se):
		return chat.ErrInviteOnly
	case c.modes.Key != "" && c.modes.Key != key:
		return chat.ErrBadKey
	case c.modes.Limit > 0 && len(c.members) >= c.modes.Limit:
		return chat.ErrChannelFull
	}
	return nil
}

func (c *channel) bannedLocked(se *session) bool {
	return c.listedLocked('b', false, se) && !c.listedLocked('e', false, se)
}

func (c *channel) mutedLocked(se *session) bool {
	return c.listedLocked('b', true, se) && !c.listedLocked('e', true, se)
}

// listedLocked reports whether an entry of a list fits se: one about speaking, or
// another.
func (c *channel) listedLocked(letter byte, mute bool, se *session) bool {
	mask := se.self.Mask()
	return slices.ContainsFunc(c.lists[letter], func(e chat.ListEntry) bool {
		return chat.MatchEntry(e.Mask, mute, mask, se.self.Account)
	})
}

// maySendLocked says whether se may write a text to the channel (RFC 2812,
// section 3.3.1: +n, +m and bans, which operators and the voiced are above; +C,
// which nobody is).
func (c *channel) maySendLocked(se *session, text string) error {
	status, on := c.members[se]
	switch {
	case c.modes.NoCTCP && chat.IsCTCP(text):
		return &chat.SendError{Mode: "+C"}
	case status != 0:
		return nil
	case !on && c.modes.NoExternal:
		return &chat.SendError{Mode: "+n"}
	case c.modes.Moderated:
		return &chat.SendError{Mode: "+m"}
	case c.bannedLocked(se):
		return &chat.SendError{Mode: "+b"}
	case c.mutedLocked(se):
		return &chat.SendError{Mode: "+b m:"}
	}
	return nil
}

// removeLocked takes a member out, and the channel away with its last one.
func (n *network) removeLocked(c *channel, se *session) {
	delete(c.members, se)
	se.joined = slices.DeleteFunc(se.joined, func(x *channel) bool { return x == c })
	if len(c.members) == 0 {
		delete(n.channels, c.home)
		if len(c.former) > 0 {
			clear(c.invited)
			n.resting[c.home] = c
		} else {
			delete(n.called, chat.Fold(c.name))
		}
	}
}

// enterLocked lets se in, into a channel that rests or a new one if there is
// none.
func (n *network) enterLocked(c *channel, se *session, name, key string) (*channel, chat.Status, error) {
	resting := n.restingLocked(name)
	if c == nil && resting == nil {
		return n.foundLocked(name), chat.Operator, nil
	}
	if c == nil {
		c = resting
	}
	if !chat.SameName(c.name, name) {
		return nil, 0, &chat.ChannelRenamedError{Name: c.name}
	}
	who := former{se.home, chat.Fold(se.self.Nick)}
	status := c.former[who]
	switch err := c.admitLocked(se, key); {
	case err != nil && (!status.AtLeast(chat.HalfOperator) || errors.Is(err, chat.ErrBanned)):
		return nil, 0, err
	case c == resting && !c.operatorMayReturnLocked():
		status = chat.Operator
	}
	if c == resting {
		delete(n.resting, c.home)
		n.channels[c.home] = c
	}
	delete(c.former, who)
	return c, status, nil
}

// tellLocked gives an event to all members but one.
func (c *channel) tellLocked(e chat.Event, but *session) {
	for _, m := range c.sortedLocked() {
		if m != but && m.meetsLocked(but) {
			m.pushLocked(e)
		}
	}
}

func (c *channel) sortedLocked() []*session {
	list := make([]*session, 0, len(c.members))
	for m := range c.members {
		list = append(list, m)
	}
	sortSessions(list)
	return list
}

// viewLocked is the channel as one session may see it.
func (c *channel) viewLocked(as *session) chat.Channel {
	_, on := c.members[as]
	v := chat.Channel{Name: c.name, Created: c.created, Modes: c.modes}
	for m := range c.members {
		if as.meetsLocked(m) {
			v.Count++
		}
	}
	if !on && c.modes.Key != "" {
		v.Modes.Key = "*"
	}
	if !on && c.modes.Secret {
		v.Secret = true
		return v
	}
	v.Topic, v.Meta = c.topic, c.meta
	v.Bans, v.Excepts, v.Invexes = slices.Clone(c.lists['b']), slices.Clone(c.lists['e']), slices.Clone(c.lists['I'])
	for _, m := range c.sortedLocked() {
		if as.meetsLocked(m) {
			v.Members = append(v.Members, chat.Member{Profile: m.self, Status: c.members[m]})
		}
	}
	return v
}

// visibleLocked lists the channels that as may see, by folded name.
func (n *network) visibleLocked(as *session) []*channel {
	var list []*channel
	for _, c := range n.channels {
		if _, on := c.members[as]; on || !c.modes.Secret {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *channel) int { return strings.Compare(chat.Fold(a.name), chat.Fold(b.name)) })
	return list
}
