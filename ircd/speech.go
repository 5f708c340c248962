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

// cmdTagmsg sends tags without a text (message-tags, "The TAGMSG tag-only
// message").
func cmdTagmsg(c *conn, m *message) error {
	c.sayTo(m.params[0], chat.Outgoing{Tags: m.tags, TagsOnly: true})
	return nil
}

func (c *conn) say(m *message, notice bool) {
	out := chat.Outgoing{Notice: notice, Text: m.params[1]}
	if c.caps&capMessageTags != 0 {
		out.Tags = m.tags
	}
	c.sayTo(m.params[0], out)
}

// sayTo queues a message for each target. Its outcome comes as a Sent event.
func (c *conn) sayTo(list string, out chat.Outgoing) {
	for i, target := range targets(list) {
		if i == maxMsgTarget {
			if !out.Notice {
				c.reply(errTooManyTargets, target)
			}
			return
		}
		out.Least, out.Target = chat.CutSigns(target)
		if c.srv.isService(target) {
			c.askService(out)
			continue
		}
		number, err := c.session.Send(out)
		if errors.Is(err, chat.ErrQueueFull) { // wait as a full pipe does
			c.settle()
			number, err = c.session.Send(out)
		}
		switch {
		case err == nil:
			if c.waiting == nil {
				c.waiting = map[uint64]struct{}{}
			}
			c.waiting[number] = struct{}{}
			if c.resp != nil {
				if c.labelled == nil {
					c.labelled = map[uint64]*response{}
				}
				c.labelled[number] = c.resp
				c.resp.pending++
			}
		default:
			c.sendFailed(err, out)
		}
	}
}

// sendFailed answers a message that did not arrive. A notice never causes an
// error numeric; one with a label, which must have an answer, does not get the
// ACK that means success where the client knows a better one.
func (c *conn) sendFailed(err error, out chat.Outgoing) {
	standard := c.caps&capStandardReplies != 0
	switch {
	case errors.Is(err, chat.ErrUnreachable):
		c.lost(out, "NOT_CONFIRMED", "Nobody has confirmed this within 5 seconds; it may not have arrived")
	case errors.Is(err, chat.ErrQueueFull):
		c.lost(out, "TOO_MANY", "Not sent, as too much waits to be sent")
	case !out.Notice:
		c.fail(err, subject{command: commandFor(out.Notice, out.TagsOnly), channel: out.Target})
	case c.resp != nil && standard:
		c.standard(replyFail, "NOTICE", "CANNOT_SEND", "The notice was not delivered", out.Target)
	}
}

// lost tells the client of a message that no error numeric is about: it is
// named by its target and its beginning, as there may be many. Of a notice only
// those are told who know standard replies, since nothing else may answer one
// (RFC 2812, section 3.3.2).
func (c *conn) lost(out chat.Outgoing, code, why string) {
	text := why
	if !out.TagsOnly {
		text += ": " + chat.Beginning(out.Text)
	}
	switch {
	case c.caps&capStandardReplies != 0:
		c.standard(replyFail, commandFor(out.Notice, out.TagsOnly), code, text, out.Address())
	case !out.Notice && !out.TagsOnly: // what clients send by themselves is not worth a line to a person
		c.write("", c.srv.name, "NOTICE", []string{c.self.Nick}, "To "+chat.Cut(out.Address(), 2*chat.MaxChannel)+": "+text)
	}
}

// outcome writes what came of a message: a numeric, or the echo.
func (c *conn) outcome(e chat.Sent) {
	delete(c.waiting, e.Number)
	if len(c.waiting) == 0 {
		c.signalSettled()
	}
	if r := c.labelled[e.Number]; r != nil {
		delete(c.labelled, e.Number)
		r.pending--
		c.resp = r
		defer func() {
			c.resp = nil
			c.completeOrPark(r)
		}()
	}
	if e.Err != nil {
		c.sendFailed(e.Err, e.Message)
		return
	}
	if e.Away != "" && !e.Message.Notice && !e.Message.TagsOnly {
		c.replyText(rplAway, e.Away, e.Message.Target)
	}
	echo := chat.Message{
		ID: e.ID, At: e.At, From: c.self, Target: e.Message.Target,
		Notice: e.Message.Notice, Text: e.Message.Text, Tags: e.Message.Tags, TagsOnly: e.Message.TagsOnly, Least: e.Message.Least,
		More: e.Message.More,
	}
	if chat.SameName(e.Message.Target, c.self.Nick) {
		// To himself: that is its delivery, which has no label.
		c.aside(func() { c.writeMessage(&echo) })
	}
	if c.caps&capEchoMessage != 0 {
		c.writeMessage(&echo)
	}
}

// writeMessage writes a message. One that came from a line is cut at the end
// of the line, as everywhere on IRC; a longer one, which only another
// front-end can send, comes in several lines.
func (c *conn) writeMessage(e *chat.Message) {
	if len(e.More) > 0 {
		c.writeLines(*e)
		return
	}
	command := commandOf(e)
	tags := encodeTagsOf(c.caps, e.At, &e.From, e.ID, e.Tags)
	source, text := e.From.Mask(), e.Text
	address := e.Address()
	if e.TagsOnly {
		if c.caps&capMessageTags != 0 {
			c.writeBare(tags, source, command, address)
		}
		return
	}
	room := maxBody - len(source) - len(command) - len(address) - len(":   :")
	target := []string{address}
	for len(text) > maxBody && room > 0 {
		n := runeBorder(text, min(room, len(text)-1))
		c.write(tags, source, command, target, text[:n])
		text = text[n:]
	}
	c.write(tags, source, command, target, text)
}

func commandOf(e *chat.Message) string { return commandFor(e.Notice, e.TagsOnly) }

func commandFor(notice, tagsOnly bool) string {
	switch {
	case tagsOnly:
		return "TAGMSG"
	case notice:
		return "NOTICE"
	}
	return "PRIVMSG"
}
