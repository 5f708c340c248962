package ircd

import "ircbridge/chat"

func cmdKnock(c *conn, m *message) error {
	name := m.params[0]
	ctx, cancel := c.timeout()
	defer cancel()
	var err error
	session := c.session
	c.yield(func() { err = session.Knock(ctx, name, m.param(1)) })
	if err != nil {
		c.fail(err, subject{command: "KNOCK", channel: name})
		return nil
	}
	c.reply(rplKnockDelivered, name)
	return nil
}

// knocked tells an operator who asks to be invited.
func (c *conn) knocked(e chat.Knocked) {
	if !c.on(e.Channel) {
		return
	}
	text := "has asked for an invitation"
	if e.Text != "" {
		text += ": " + e.Text
	}
	c.emit(c.tags(e.At), c.srv.name, rplKnock.code, c.display(), []string{e.Channel, e.Who.Mask()}, text, true)
}
