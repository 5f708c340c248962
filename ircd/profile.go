package ircd

import (
	"fmt"
	"slices"
	"time"

	"ircbridge/chat"
)

// tagsOf are the tags of a line that comes from a user.
func (c *conn) tagsOf(who chat.Profile, at time.Time) string {
	return encodeTagsOf(c.caps, at, &who, "", nil)
}

// ownTags are those of a line that comes from the client himself.
func (c *conn) ownTags() string { return c.tagsOf(c.self, c.srv.now()) }

// tagsBy are those of a line about a channel, of whose cause only the mask is
// known: a member, or a node. Who is on the channel is looked up in its view; when
// the client is there no more, as after a KICK of his own, nobody is asked.
func (c *conn) tagsBy(channel, by string, at time.Time) string {
	var who chat.Profile
	on := func(name string) bool { return chat.SameName(name, channel) }
	if c.caps&capAccountTag != 0 && slices.ContainsFunc(c.session.Joined(), on) {
		ctx, cancel := c.timeout()
		defer cancel()
		ch, _ := c.session.Channel(ctx, channel)
		for _, m := range ch.Members {
			if m.Mask() == by {
				who = m.Profile
			}
		}
	}
	return encodeTagsOf(c.caps, at, &who, "", nil)
}

// cmdSetname changes the real name (IRCv3, "setname"). A client without the
// capability gets no answer when it went well, as the specification asks.
func cmdSetname(c *conn, m *message) error {
	if len(m.params[0]) > chat.MaxRealname {
		c.standard(replyFail, "SETNAME", "INVALID_REALNAME", fmt.Sprintf("A real name has at most %d bytes", chat.MaxRealname))
		return nil
	}
	ctx, cancel := c.timeout()
	defer cancel()
	if err := c.session.SetRealname(ctx, m.params[0]); err != nil {
		c.fail(err, subject{command: "SETNAME", nick: c.self.Nick})
		return nil
	}
	c.self.Realname = c.session.Self().Realname
	if c.caps&capSetname != 0 {
		c.write(c.ownTags(), c.self.Mask(), "SETNAME", nil, c.self.Realname)
	}
	return nil
}

// profileChanged writes what is new of a user, each thing to the clients that
// have its capability. Others learn of it by the next line of his: a QUIT and a
// JOIN for a new host, as the specification of chghost suggests, would tell
// people of comings and goings that never were.
func (c *conn) profileChanged(e chat.ProfileChanged) {
	was, is := e.Old, e.New
	if is.Session == c.self.Session {
		c.self.Username, c.self.Host, c.self.Account, c.self.Realname = is.Username, is.Host, is.Account, is.Realname
		c.self.Bot, c.self.Secure = is.Bot, is.Secure
	}
	if c.caps&capChghost != 0 && (was.Username != is.Username || was.Host != is.Host) {
		c.writeBare(c.tagsOf(was, e.At), was.Mask(), "CHGHOST", is.Username, is.Host)
	}
	if c.caps&capAccountNotify != 0 && was.Account != is.Account {
		c.writeBare(c.tagsOf(was, e.At), is.Mask(), "ACCOUNT", is.Account) // * for none
	}
	if c.caps&capSetname != 0 && was.Realname != is.Realname {
		c.write(c.tagsOf(is, e.At), is.Mask(), "SETNAME", nil, is.Realname)
	}
}

// invited writes an invitation of the client, or to a client with invite-notify
// one of somebody else to a channel in which he is an operator.
func (c *conn) invited(e chat.Invited) {
	target := c.self.Nick
	if e.Target.Session != c.self.Session {
		if c.caps&capInviteNotify == 0 || !c.on(e.Channel) {
			return
		}
		target = e.Nick
	}
	c.writeBare(c.tagsOf(e.By, e.At), e.By.Mask(), "INVITE", target, e.Channel)
}
