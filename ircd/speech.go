package ircd

import (
	"errors"

	"ircbridge/chat"
)

func cmdPrivmsg(c *conn, m *message) error {
	switch {
	case m.param(0) == "":
		c.reply(errNoRecipient)
	case m.param(1) == "":
		c.reply(errNoTextToSend)
	default:
		c.say(m, false)
	}
	return nil
}

// cmdNotice never answers with an error (RFC 2812, section 3.3.2).
func cmdNotice(c *conn, m *message) error {
	if m.param(0) != "" && m.param(1) != "" {
		c.say(m, true)
	}
	return nil
}

// say queues a message for each target. Its outcome comes as a Sent event.
func (c *conn) say(m *message, notice bool) {
	var tags map[string]string
	if c.caps&capMessageTags != 0 {
		tags = m.tags
	}
	for i, target := range targets(m.params[0]) {
		if i == maxMsgTarget {
			if !notice {
				c.reply(errTooManyTargets, target)
			}
			return
		}
		out := chat.Outgoing{Target: target, Notice: notice, Text: m.params[1], Tags: tags}
		number, err := c.session.Send(out)
		if errors.Is(err, chat.ErrQueueFull) { // wait as a full pipe does
			c.settle()
			number, err = c.session.Send(out)
		}
		switch {
		case err == nil:
			c.waiting[number] = struct{}{}
		case !notice:
			c.sendFailed(err, out)
		}
	}
}

func (c *conn) sendFailed(err error, out chat.Outgoing) {
	command := "PRIVMSG"
	if out.Notice {
		command = "NOTICE"
	}
	c.fail(err, subject{command: command, channel: out.Target})
}

// outcome writes what came of a message: a numeric, or the echo.
func (c *conn) outcome(e chat.Sent) {
	delete(c.waiting, e.Number)
	if len(c.waiting) == 0 {
		signal(c.settled)
	}
	switch {
	case e.Err != nil && !e.Message.Notice:
		c.sendFailed(e.Err, e.Message)
		return
	case e.Err != nil:
		return
	}
	if e.Away != "" && !e.Message.Notice {
		c.replyText(rplAway, e.Away, e.Message.Target)
	}
	echo := chat.Message{
		ID: e.ID, At: e.At, From: c.self, Target: e.Message.Target,
		Notice: e.Message.Notice, Text: e.Message.Text, Tags: e.Message.Tags,
	}
	if chat.SameName(e.Message.Target, c.self.Nick) {
		c.writeMessage(echo) // to himself: that is its delivery
	}
	if c.caps&capEchoMessage != 0 {
		c.writeMessage(echo)
	}
}

// writeMessage writes a message. One that came from a line is cut at the end
// of the line, as everywhere on IRC; a longer one, which only another
// front-end can send, comes in several lines.
func (c *conn) writeMessage(e chat.Message) {
	command := "PRIVMSG"
	if e.Notice {
		command = "NOTICE"
	}
	tags := encodeTags(c.caps, e.At, e.ID, e.Tags)
	source, text := e.From.Mask(), e.Text
	room := maxBody - len(source) - len(command) - len(e.Target) - len(":   :")
	target := []string{e.Target}
	for len(text) > maxBody && room > 0 {
		n := runeBorder(text, min(room, len(text)-1))
		c.write(tags, source, command, target, text[:n])
		text = text[n:]
	}
	c.write(tags, source, command, target, text)
}
