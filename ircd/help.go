package ircd

import (
	"maps"
	"slices"
	"strings"
)

// cmdHelp lists the table of commands, or explains one of them.
func cmdHelp(c *conn, m *message) error {
	subject := strings.ToUpper(m.param(0))
	if subject == "" {
		c.replyText(rplHelpStart, "The commands of this server; HELP <command> explains one", "*")
		c.replyWords(rplHelpText, slices.Sorted(maps.Keys(c.srv.commands)), "*")
		c.reply(rplEndOfHelp, "*")
		return nil
	}
	cmd, known := c.srv.commands[subject]
	if !known {
		c.reply(errHelpNotFound, m.param(0))
		return nil
	}
	c.replyText(rplHelpStart, strings.TrimSpace(subject+" "+cmd.usage), subject)
	c.replyText(rplHelpText, cmd.help, subject)
	c.reply(rplEndOfHelp, subject)
	return nil
}
