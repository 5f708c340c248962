package ircd

import (
	"errors"
	"strings"

	"ircbridge/chat"
)

// whoQuery is what a WHO asks for: RFC 2812, section 3.6.1, and WHOX, the
// second parameter [fields to match][%fields to show[,token]] of ircu.
type whoQuery struct {
	mask  string
	match string // letters of the fields that the mask is held against
	opers bool   // operators of this server only
	show  string // letters of the fields to show; "" for the reply of the RFC
	token string
}

// The letters of WHOX, in the order in which fields are shown and matched.
const (
	whoxShown   = "tcuihsnfdlaor"
	whoxMatched = "nuhsra"
)

func parseWho(m *message) whoQuery {
	q := whoQuery{mask: m.param(0), token: "0"}
	if q.mask == "" || q.mask == "0" { // RFC 2812: "0" is everybody
		q.mask = "*"
	}
	match, show, whox := strings.Cut(m.param(1), "%")
	q.opers = strings.Contains(match, "o")
	q.match = lettersOf(match, whoxMatched)
	if q.match == "" {
		q.match = whoxMatched
	}
	if whox {
		show, token, _ := strings.Cut(show, ",")
		q.show = lettersOf(show, whoxShown)
		if len(token) >= 1 && len(token) <= 3 && strings.Trim(token, "0123456789") == "" {
			q.token = token
		}
	}
	return q
}

// lettersOf are those letters of known that occur in text, in known's order.
func lettersOf(text, known string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(text, r) {
			return r
		}
		return -1
	}, known)
}

func cmdWho(c *conn, m *message) error {
	q := parseWho(m)
	switch {
	case strings.HasPrefix(q.mask, "#"):
		c.whoChannel(q)
	case c.srv.isService(q.mask):
		c.whoReply(q, "*", chat.Member{Profile: c.srv.serviceUser().Profile})
	case !strings.ContainsAny(q.mask, "*?") && chat.ValidNick(q.mask) && strings.Contains(q.match, "n"):
		c.whoNick(q)
	default:
		c.whoMask(q)
	}
	mask := m.param(0)
	if mask == "" {
		mask = "*"
	}
	c.reply(rplEndOfWho, mask)
	return nil
}

func (c *conn) whoChannel(q whoQuery) {
	ch, err := c.channel(q.mask)
	if err != nil {
		if errors.Is(err, chat.ErrUnreachable) {
			c.incomplete("WHO", q.mask)
		}
		return
	}
	for _, m := range ch.Members {
		c.whoReply(q, ch.Name, m)
	}
}

// whoNick shows the user with a nick, wherever he is; else those known to whom
// the word fits otherwise.
func (c *conn) whoNick(q whoQuery) {
	for _, found := range c.lookup([]string{q.mask}) {
		switch {
		case found.err == nil:
			c.whoReply(q, "*", chat.Member{Profile: found.Profile})
		case errors.Is(found.err, chat.ErrUnreachable):
			c.incomplete("WHO", q.mask)
		default:
			c.whoMask(q)
		}
	}
}

// whoMask shows those whom this user meets in channels, and himself, each
// once.
func (c *conn) whoMask(q whoQuery) {
	seen := map[chat.SessionID]bool{}
	show := func(channel string, m chat.Member) {
		if !seen[m.Session] && c.whoMatches(q, m.Profile) {
			seen[m.Session] = true
			c.whoReply(q, channel, m)
		}
	}
	for _, name := range c.session.Joined() {
		ch, err := c.channel(name)
		if err != nil {
			continue
		}
		for _, m := range ch.Members {
			show(ch.Name, m)
		}
	}
	show("*", chat.Member{Profile: c.session.Self()})
}

// whoMatches holds the mask against the fields that the query names.
func (c *conn) whoMatches(q whoQuery, p chat.Profile) bool {
	for _, letter := range q.match {
		text := ""
		switch letter {
		case 'n':
			text = p.Nick
		case 'u':
			text = p.Username
		case 'h':
			text = p.Host
		case 's':
			text = c.serverOf(p)
		case 'r':
			text = p.Realname
		case 'a':
			text = p.Account
		}
		if text != "" && chat.MatchMask(q.mask, text) {
			return true
		}
	}
	return q.match == whoxMatched && chat.MatchMask(q.mask, p.Mask())
}

// whoReply shows one user as the query asks.
func (c *conn) whoReply(q whoQuery, channel string, m chat.Member) {
	oper := c.srv.isOperator(m.Session)
	if q.opers && !oper {
		return
	}
	flags := "H"
	if m.Away != "" {
		flags = "G"
	}
	if oper {
		flags += "*"
	}
	flags += c.statusPrefix(m.Status)
	if m.Bot {
		flags += "B"
	}
	hops := "1"
	if m.Server == c.srv.service.Node().Host {
		hops = "0"
	}
	if q.show == "" {
		c.replyText(rplWhoReply, hops+" "+m.Realname, channel, m.Username, m.Host, c.serverOf(m.Profile), m.Nick, flags)
		return
	}
	account := m.Account
	if account == "" {
		account = "0"
	}
	fields := map[rune]string{
		't': q.token, 'c': channel, 'u': m.Username, 'i': noAddress, 'h': m.Host, 's': c.serverOf(m.Profile),
		'n': m.Nick, 'f': flags, 'd': hops, 'l': "0", 'a': account, 'o': "n/a",
	}
	var params []string
	for _, letter := range q.show {
		if letter != 'r' {
			params = append(params, fields[letter])
		}
	}
	if strings.HasSuffix(q.show, "r") {
		c.replyText(rplWhoSpecial, m.Realname, params...)
		return
	}
	c.reply(rplWhoSpecial, params...)
}

// noAddress stands where a server shows a user's address: none leaves his
// machine. It is what servers that hide it show.
const noAddress = "255.255.255.255"
