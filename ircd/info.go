package ircd

import (
	"fmt"
	"strconv"
	"time"

	"ircbridge/chat"
)

// elsewhere answers a question for another server: there is none behind this
// one that could be asked.
func (c *conn) elsewhere(name string) bool {
	if name == "" || chat.MatchMask(name, c.srv.name) {
		return false
	}
	c.reply(errNoSuchServer, name)
	return true
}

func cmdMotd(c *conn, m *message) error {
	if !c.elsewhere(m.param(0)) {
		c.sendMOTD()
	}
	return nil
}

func (c *conn) sendMOTD() {
	lines := motdLines(c.srv.live.Load().MOTD)
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
	unknown, operators := s.conns-s.users, len(s.operators)
	s.maxUsers = max(s.maxUsers, n.LocalUsers)
	s.maxGlobal = max(s.maxGlobal, n.KnownUsers)
	maxLocal, maxGlobal := s.maxUsers, s.maxGlobal
	s.mu.Unlock()
	c.replyText(rplLUserClient, fmt.Sprintf("There are %d users and 0 invisible on %d servers", n.KnownUsers, n.KnownNodes))
	c.reply(rplLUserOp, strconv.Itoa(operators))
	c.reply(rplLUserUnknown, strconv.Itoa(unknown))
	c.reply(rplLUserChannels, strconv.Itoa(n.KnownChannels))
	c.replyText(rplLUserMe, fmt.Sprintf("I have %d clients and %d servers", n.LocalUsers, n.KnownNodes-1))
	c.replyText(rplLocalUsers, fmt.Sprintf("Current local users %d, max %d", n.LocalUsers, maxLocal),
		strconv.Itoa(n.LocalUsers), strconv.Itoa(maxLocal))
	c.replyText(rplGlobalUsers, fmt.Sprintf("Current global users %d, max %d", n.KnownUsers, maxGlobal),
		strconv.Itoa(n.KnownUsers), strconv.Itoa(maxGlobal))
}

func cmdVersion(c *conn, m *message) error {
	if c.elsewhere(m.param(0)) {
		return nil
	}
	c.replyText(rplVersion, "chat over a ring of nodes", c.srv.version, c.srv.name)
	c.sendISupport()
	return nil
}

func cmdTime(c *conn, m *message) error {
	if c.elsewhere(m.param(0)) {
		return nil
	}
	c.replyText(rplTime, c.srv.now().UTC().Format(time.RFC1123), c.srv.name)
	return nil
}

func cmdInfo(c *conn, m *message) error {
	if c.elsewhere(m.param(0)) {
		return nil
	}
	node := c.srv.service.Node()
	for _, line := range []string{
		c.srv.version + ": chat without a central server, from any IRC client",
		"This is one node of a ring in which every node is equal. It serves its own users;",
		"names and channels are kept by whichever node the ring gives them to.",
		"Node " + node.ID + ", up since " + node.Started.UTC().Format("2006-01-02 15:04:05 UTC"),
	} {
		c.replyText(rplInfo, line)
	}
	c.reply(rplEndOfInfo)
	return nil
}

// cmdAdmin shows the lines of the configuration, if there are any: RFC 2812,
// section 3.4.9, has a numeric for each.
func cmdAdmin(c *conn, m *message) error {
	lines := c.srv.live.Load().Admin
	switch {
	case c.elsewhere(m.param(0)):
	case len(lines) == 0:
		c.reply(errNoAdminInfo, c.srv.name)
	default:
		c.reply(rplAdminMe, c.srv.name)
		for i, n := range []numeric{rplAdminLoc1, rplAdminLoc2, rplAdminEmail}[:len(lines)] {
			c.replyText(n, lines[i])
		}
	}
	return nil
}

// cmdLinks, cmdMap and cmdTrace show one server: the other nodes are not linked
// to it as IRC servers are, and no way between them is what TRACE means. An
// operator is shown all users of the server by TRACE, and where they connect from.
func cmdLinks(c *conn, m *message) error {
	mask := m.param(0)
	if len(m.params) > 1 { // LINKS server mask
		if c.elsewhere(mask) {
			return nil
		}
		mask = m.params[1]
	}
	if mask == "" {
		mask = "*"
	}
	if chat.MatchMask(mask, c.srv.name) {
		c.replyText(rplLinks, "0 node "+c.srv.service.Node().ID, c.srv.name, c.srv.name)
	}
	c.reply(rplEndOfLinks, mask)
	return nil
}

func cmdMap(c *conn, _ *message) error {
	c.replyText(rplMap, fmt.Sprintf("%s (%d users)", c.srv.name, c.srv.service.Counts().LocalUsers))
	c.reply(rplMapEnd)
	return nil
}

func cmdTrace(c *conn, m *message) error {
	target := m.param(0)
	var shown []*conn
	switch user := c.srv.holder(target); {
	case user == c, user != nil && c.srv.isOperator(c.self.Session):
		shown = []*conn{user}
	case c.elsewhere(target):
		return nil
	default:
		shown = c.overseen()
	}
	for _, user := range shown {
		who := user.session.Self()
		text := who.Nick + "[" + who.Username + "@" + c.hostOf(user, who) + "]"
		if c.srv.isOperator(who.Session) {
			c.reply(rplTraceOperator, "Oper", "operators", text)
			continue
		}
		c.reply(rplTraceUser, "User", "users", text)
	}
	c.reply(rplTraceEnd, c.srv.name, c.srv.version)
	return nil
}

// overseen are the clients of whom the client may know how they are connected: all
// of this server for an operator, sorted by nick, himself for anybody else.
func (c *conn) overseen() []*conn {
	if !c.srv.isOperator(c.self.Session) {
		return []*conn{c}
	}
	return c.srv.everyone()
}

// hostOf is what the client may know of the address of a user of this server.
func (c *conn) hostOf(user *conn, who chat.Profile) string {
	if from := user.address(); from != "" && c.srv.isOperator(c.self.Session) {
		return from
	}
	return who.Host
}

// cmdUsers and cmdSummon: RFC 2812, sections 4.5 and 4.6, ask for these
// replies of servers that do not do it.
func cmdUsers(c *conn, _ *message) error {
	c.reply(errUsersDisabled)
	return nil
}

func cmdSummon(c *conn, _ *message) error {
	c.reply(errSummonDisabled)
	return nil
}
