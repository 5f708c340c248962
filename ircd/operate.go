package ircd

import (
	"fmt"
	"strings"

	"ircbridge/chat"
)

// cmdKill ends the session of a user of this server (RFC 2812, section 3.7.1). Users
// of other nodes are out of the power of this one's operators: nothing in the
// network makes one node the master of another.
func cmdKill(c *conn, m *message) error {
	nick, reason := m.params[0], m.param(1)
	if reason == "" {
		reason = "No reason given"
	}
	if !c.mayOperate() {
		return nil
	}
	if c.srv.isService(nick) || chat.SameName(nick, c.srv.name) {
		c.reply(errCantKillServer)
		return nil
	}
	victim := c.srv.holder(nick)
	if victim == nil {
		for _, f := range c.lookup([]string{nick}) {
			if f.err != nil {
				c.fail(f.err, subject{command: "KILL", nick: nick})
				return nil
			}
			c.replyText(errNoPrivileges, "Permission Denied: "+f.Nick+" is on another node, where you are no operator")
		}
		return nil
	}
	return c.kill(victim, nick, reason)
}

// kill ends the session of victim, who has nick. The error ends the client's own
// connection, if he is the victim.
func (c *conn) kill(victim *conn, nick, reason string) error {
	const room = chat.MaxReason - chat.MaxNick - len("Killed ( ())")
	text := fmt.Sprintf("Killed (%s (%s))", c.self.Nick, cutString(reason, room))
	why := &closing{client: text, others: text, cutOff: true, final: true}
	name := victim.session.Self().Nick
	if !chat.SameName(name, nick) {
		c.reply(errNoSuchNick, nick) // it has another one by now
		return nil
	}
	c.srv.log.Info("irc: KILL", "nick", name, "by", c.self.Nick, "why", reason)
	c.srv.notice("%s was killed by %s: %s", name, c.self.Nick, reason)
	line := note{at: c.srv.now(), by: c.self.Mask(), command: "KILL", middle: []string{name}, text: reason}
	if victim == c {
		c.write(c.ownTags(), line.by, line.command, line.middle, line.text)
		return why
	}
	victim.post(line)
	victim.end(why)
	victim.session.Close(text) // so that the nick is free at once
	return nil
}

// cmdRehash has the program read its configuration again, as a signal does.
func cmdRehash(c *conn, m *message) error {
	if !c.mayOperate() || c.elsewhere(m.param(0)) {
		return nil
	}
	c.reply(rplRehashing, "[irc]")
	if c.srv.reload == nil {
		c.tell("The configuration of this server cannot be read again while it runs.")
		return nil
	}
	var later []string
	var err error
	c.yield(func() { later, err = c.srv.reload() })
	switch {
	case err != nil:
		c.tell("The configuration cannot be read again, and nothing has changed: " + oneLine(err))
	case len(later) > 0:
		c.tell("The configuration was read again. What needs a restart: " + strings.Join(later, ", ") + ".")
	default:
		c.tell("The configuration was read again.")
	}
	c.srv.notice("%s had the configuration read again", c.self.Nick)
	return nil
}

// tell writes a NOTICE of the server.
func (c *conn) tell(text string) {
	c.write("", c.srv.name, "NOTICE", []string{c.self.Nick}, text)
}

func oneLine(err error) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), "\n", "; ")), " ")
}

// cmdDie stops the node in order.
func cmdDie(c *conn, m *message) error {
	if !c.mayOperate() || c.elsewhere(m.param(0)) {
		return nil
	}
	c.srv.log.Warn("irc: DIE", "by", c.self.Nick, "from", c.origin())
	c.srv.die(errByOperator)
	return nil
}

// died is the error with which Serve ends after DIE, else nil.
func (s *Server) died() error {
	if s.life.Err() != nil {
		return chat.ErrExit
	}
	return nil
}

// cmdWallops says something to all users of this server who have mode w (RFC 2812,
// section 4.7; it is for operators here).
func cmdWallops(c *conn, m *message) error {
	if !c.mayOperate() {
		return nil
	}
	line := note{at: c.srv.now(), by: c.self.Mask(), command: "WALLOPS", text: m.params[0]}
	for _, to := range c.srv.everyone() {
		if to.modes()&modeWallops != 0 {
			to.post(line)
		}
	}
	return nil
}
