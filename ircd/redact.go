package ircd

import (
	"strconv"

	"ircbridge/chat"
)

// cmdRedact takes back what was said (IRCv3, "Message redaction"). Clients
// without the capability are shown nothing of it.
func cmdRedact(c *conn, m *message) error {
	ctx, cancel := c.timeout()
	defer cancel()
	_, target := chat.CutSigns(m.params[0]) // a message to some of a channel is one in the channel
	id := m.params[1]
	e, err := c.session.Redact(ctx, target, id, cutString(m.param(2), chat.MaxReason))
	if err != nil {
		c.fail(err, subject{command: "REDACT", channel: target, param: id})
		return nil
	}
	c.redacted(e, c.tagsOf(c.self, e.At))
	return nil
}

func (c *conn) redacted(e chat.Redacted, tags string) {
	if c.caps&capMessageRedaction != 0 {
		c.writeReason(tags, e.By, "REDACT", e.Reason, e.Target, e.ID)
	}
}

func aboutMessage(s subject) []string { return []string{s.place(), s.param} }

func aboutOldMessage(s subject) []string {
	return append(aboutMessage(s), strconv.Itoa(int(chat.RedactWindow.Seconds())))
}
