package ircd

import (
	"fmt"
	"strconv"
	"time"

	"ircbridge/chat"
)

// elsewhere answers a question for another server: there is none behind this
// one that could be asked.
func (c *conn) elsewhere(m *message) bool {
	name := m.param(0)
	if name == "" || chat.MatchMask(name, c.srv.name) {
		return false
	}
	c.reply(errNoSuchServer, name)
	return true
}

func cmdMotd(c *conn, m *message) error {
	if !c.elsewhere(m) {
		c.sendMOTD()
	}
	return nil
}

func (c *conn) sendMOTD() {
	lines := motdLines(c.srv.cfg.MOTD)
	if len(lines) == 0 {
		c.reply(errNoMOTD)
		return
	}
	c.replyText(rplMOTDStart, "- "+c.srv.name+" Message of the day -")
	for _, line := range lines {
		c.replyText(rplMOTD, "- "+line)
	}
	c.reply(rplEndOfMOTD)
}

func cmdLusers(c *conn, _ *message) error {
	c.sendLusers()
	return nil
}

// sendLusers gives the figures as this node knows them.
func (c *conn) sendLusers() {
	s := c.srv
	n := s.service.Counts()
	s.mu.Lock()
	unknown := s.conns - s.users
	s.maxUsers = max(s.maxUsers, n.LocalUsers)
	s.maxGlobal = max(s.maxGlobal, n.KnownUsers)
	maxLocal, maxGlobal := s.maxUsers, s.maxGlobal
	s.mu.Unlock()
	c.replyText(rplLUserClient, fmt.Sprintf("There are %d users and 0 invisible on %d servers", n.KnownUsers, n.KnownNodes))
	c.reply(rplLUserOp, "0")
	c.reply(rplLUserUnknown, strconv.Itoa(unknown))
	c.reply(rplLUserChannels, strconv.Itoa(n.KnownChannels))
	c.replyText(rplLUserMe, fmt.Sprintf("I have %d clients and %d servers", n.LocalUsers, n.KnownNodes-1))
	c.replyText(rplLocalUsers, fmt.Sprintf("Current local users %d, max %d", n.LocalUsers, maxLocal),
		strconv.Itoa(n.LocalUsers), strconv.Itoa(maxLocal))
	c.replyText(rplGlobalUsers, fmt.Sprintf("Current global users %d, max %d", n.KnownUsers, maxGlobal),
		strconv.Itoa(n.KnownUsers), strconv.Itoa(maxGlobal))
}

func cmdVersion(c *conn, m *message) error {
	if c.elsewhere(m) {
		return nil
	}
	c.replyText(rplVersion, "chat over a ring of nodes", c.srv.version, c.srv.name)
	c.sendISupport()
	return nil
}

func cmdTime(c *conn, m *message) error {
	if c.elsewhere(m) {
		return nil
	}
	c.replyText(rplTime, c.srv.now().UTC().Format(time.RFC1123), c.srv.name)
	return nil
}
