package ircd

import (
	"slices"

	"ircbridge/chat"
)

// cmdRename gives a channel another name (IRCv3, "Channel renaming"). The client is told
// as all members are, in the channel's order, and as the answer.
func cmdRename(c *conn, m *message) error {
	name, to := m.params[0], m.params[1]
	ctx, cancel := c.timeout()
	defer cancel()
	if err := c.session.RenameChannel(ctx, name, to, cutString(m.param(2), chat.MaxReason)); err != nil {
		c.fail(c.unknownIfNotOn(err, name), subject{command: "RENAME", channel: name, param: to})
		return nil
	}
	own := func(e chat.Event) bool {
		r, is := e.(chat.ChannelRenamed)
		return is && r.New == to && r.By == c.self.Mask()
	}
	if e, is := c.catchUp(own).(chat.ChannelRenamed); is {
		c.channelRenamed(e)
	}
	return nil
}

// channelRenamed tells the client that a channel has another name: with a RENAME if he knows
// the word, else as if he had gone from one to the other.
func (c *conn) channelRenamed(e chat.ChannelRenamed) {
	if !c.on(e.Old) {
		return
	}
	c.forget(e.Old)
	c.joined[chat.Fold(e.New)] = e.New
	switch {
	case c.caps&capChannelRename != 0:
		c.write(c.tagsBy(e.New, e.By, e.At), e.By, "RENAME", []string{e.Old, e.New}, e.Reason)
	case !chat.SameName(e.Old, e.New):
		c.moveOver(e)
	}
	// Where the network was cut, he may be on two channels that had the name.
	twin := func(name string) bool { return chat.SameName(name, e.Old) && !chat.SameName(name, e.New) }
	c.unsure = c.unsure || slices.ContainsFunc(c.session.Joined(), twin)
}

// moveOver writes a PART and a JOIN in place of a RENAME.
func (c *conn) moveOver(e chat.ChannelRenamed) {
	ctx, cancel := c.timeout()
	defer cancel()
	c.writeReason(c.tagsOf(c.self, e.At), c.self.Mask(), "PART", e.Reason, e.Old)
	ch, err := c.session.Channel(ctx, e.New) // at once: he is on it
	if err != nil {
		ch.Secret = true // he has left it since, or it is called something else: more is to come
	}
	ch.Name = e.New
	c.showJoin(ch)
}

// joinRenamed tells who would join by a name that the channel has not any more: who knows
// of new names is to join again, others are let in by the new one.
func (c *conn) joinRenamed(err error, name, to, key string, first bool) {
	if c.caps&capChannelRename != 0 || !first {
		c.fail(err, subject{command: "JOIN", channel: name, param: to})
		return
	}
	c.reply(errLinkChannel, name, to)
	c.joinBy(to, key, false)
}
