package ircd

import (
	"context"
	"errors"
	"strconv"
	"time"

	"ircbridge/chat"
)

// cmdWhowas answers RFC 2812, section 3.6.3: who had a nick before, the latest
// first, of several nicks as many as TARGMAX says.
func cmdWhowas(c *conn, m *message) error {
	nicks := targets(m.param(0))
	if len(nicks) == 0 {
		c.reply(errNoNicknameGiven)
		return nil
	}
	if c.elsewhere(m.param(2)) {
		return nil
	}
	count, err := strconv.Atoi(m.param(1))
	if err != nil || count < 0 {
		count = 0 // all
	}
	ctx, cancel := c.timeout()
	defer cancel()
	for i, nick := range nicks {
		if i == maxWhowas {
			c.reply(errTooManyTargets, nick)
			break
		}
		c.whowas(ctx, nick, count)
	}
	return nil
}

func (c *conn) whowas(ctx context.Context, nick string, count int) {
	var past []chat.Past
	err := error(chat.ErrBadNick)
	if chat.ValidNick(nick) {
		session := c.session
		c.yield(func() { past, err = session.Whowas(ctx, nick, count) })
	}
	switch {
	case err == nil && len(past) > 0:
		for _, p := range past {
			c.replyText(rplWhowasUser, p.Realname, p.Nick, p.Username, p.Host, "*")
			c.replyText(rplWhoisServer, p.Until.UTC().Format(time.RFC1123), p.Nick, c.serverOf(p.Profile))
			if p.Account != "" {
				c.reply(rplWhoisAccount, p.Nick, p.Account)
			}
		}
	case err == nil, errors.Is(err, chat.ErrBadNick):
		c.reply(errWasNoSuchNick, nick)
	default:
		c.fail(err, subject{command: "WHOWAS", nick: nick})
	}
	c.reply(rplEndOfWhowas, nick)
}
