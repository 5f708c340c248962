package ircd

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"ircbridge/chat"
)

func cmdAway(c *conn, m *message) error {
	text := cutString(m.param(0), chat.MaxAway)
	if c.session == nil { // IRCv3, "pre-away"
		c.wanted.away = text
		c.showAway(text)
		return nil
	}
	ctx, cancel := c.timeout()
	defer cancel()
	if err := c.session.SetAway(ctx, text); err != nil {
		c.fail(err, subject{command: "AWAY", nick: c.self.Nick})
		return nil
	}
	c.self.Away = text
	c.showAway(text)
	return nil
}

func (c *conn) showAway(text string) {
	if text == "" {
		c.reply(rplUnAway)
		return
	}
	c.reply(rplNowAway)
}

// incomplete tells that an answer lacks what the network was asked for.
func (c *conn) incomplete(command, about string) {
	if c.caps&capStandardReplies == 0 {
		c.reply(rplTryAgain, command)
		return
	}
	c.standard(replyWarn, command, "INCOMPLETE", "The network did not answer: there may be more", about)
}

// serverOf is the name of a user's server: this one's own for its own users.
func (c *conn) serverOf(p chat.Profile) string {
	if p.Server == c.srv.service.Node().Host {
		return c.srv.name
	}
	return p.Server
}

// found is the outcome of one look-up.
type found struct {
	chat.Whois
	nick string
	err  error
}

// lookup asks for several users at once, without holding up events.
func (c *conn) lookup(nicks []string) []found {
	limit := commandTimeout
	if len(nicks) > 1 {
		limit = lookupTimeout
	}
	ctx, cancel := c.asking.within(limit)
	defer cancel()
	results := make([]found, len(nicks))
	session := c.session
	c.yield(func() {
		var wg sync.WaitGroup
		for i, nick := range nicks {
			results[i].nick = nick
			if c.srv.isService(nick) {
				results[i].Whois = c.srv.serviceUser()
				continue
			}
			if !chat.ValidNick(nick) {
				results[i].err = chat.ErrNoSuchNick
				continue
			}
			wg.Go(func() { results[i].Whois, results[i].err = session.Lookup(ctx, nick) })
		}
		wg.Wait()
	})
	return results
}

func cmdWhois(c *conn, m *message) error {
	list := m.param(0)
	if len(m.params) > 1 { // WHOIS server nick
		list = m.params[1]
	}
	nicks := targets(list)
	if len(nicks) == 0 {
		c.reply(errNoNicknameGiven)
		return nil
	}
	for _, w := range c.lookup(nicks[:1]) {
		if w.err != nil {
			c.fail(w.err, subject{command: "WHOIS", nick: w.nick})
			c.reply(rplEndOfWhois, w.nick)
			continue
		}
		c.sendWhois(w.Whois)
	}
	return nil
}

func (c *conn) sendWhois(w chat.Whois) {
	c.replyText(rplWhoisUser, w.Realname, w.Nick, w.Username, w.Host, "*")
	c.replyWords(rplWhoisChannels, w.Channels, w.Nick)
	c.replyText(rplWhoisServer, "node "+w.Node, w.Nick, c.serverOf(w.Profile))
	if c.srv.isOperator(w.Session) {
		c.reply(rplWhoisOperator, w.Nick)
	}
	c.sendWhoisOwn(w.Profile)
	if w.Account != "" {
		c.reply(rplWhoisAccount, w.Nick, w.Account)
	}
	if w.Bot {
		c.reply(rplWhoisBot, w.Nick)
	}
	if w.Secure {
		c.reply(rplWhoisSecure, w.Nick)
	}
	if w.Away != "" {
		c.replyText(rplAway, w.Away, w.Nick)
	}
	c.sendWhoisMeta(w.Profile)
	c.reply(rplWhoisIdle, w.Nick, strconv.Itoa(int(w.Idle.Seconds())), strconv.FormatInt(w.SignOn.Unix(), 10))
	c.reply(rplEndOfWhois, w.Nick)
}

// sendWhoisOwn tells an operator, and the user himself, where a user of this server
// connects from, and his modes. Nobody else is told.
func (c *conn) sendWhoisOwn(who chat.Profile) {
	if who.Session != c.self.Session && !c.srv.isOperator(c.self.Session) {
		return
	}
	if user := c.srv.holder(who.Nick); user != nil && user.session.Self().Session == who.Session {
		if from := user.address(); from != "" {
			c.replyText(rplWhoisHost, "is connecting from *@"+from+" "+from, who.Nick)
		}
		c.replyText(rplWhoisModes, "is using modes +"+userModeLetters(user.modes()), who.Nick)
	}
}

// people are the nicks of ISON and USERHOST, which clients give as parameters
// or as words of the last one.
func people(m *message) []string {
	var nicks []string
	for _, p := range m.params {
		nicks = append(nicks, strings.Fields(p)...)
	}
	return nicks[:min(len(nicks), maxPeople)]
}

func cmdIson(c *conn, m *message) error {
	var on []string
	for _, f := range c.lookup(people(m)) {
		if f.err == nil {
			on = append(on, f.Nick)
		}
	}
	c.replyText(rplIsOn, strings.Join(on, " "))
	return nil
}

func cmdUserhost(c *conn, m *message) error {
	nicks := people(m)
	var words []string
	for _, f := range c.lookup(nicks[:min(len(nicks), 5)]) { // RFC 2812, section 4.8
		if f.err != nil {
			continue
		}
		sign := "+"
		if f.Away != "" {
			sign = "-"
		}
		words = append(words, f.Nick+"="+sign+f.Username+"@"+f.Host)
	}
	c.replyText(rplUserHost, strings.Join(slices.Clip(words), " "))
	return nil
}
