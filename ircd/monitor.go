package ircd

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ircbridge/chat"
)

// monitored is a nick on the client's MONITOR list, as he was told that it is.
type monitored struct {
	nick   string // as the client wrote it
	online bool
	who    chat.Profile // when online
}

// shown is what stands for the nick in 730 and 731.
func (m *monitored) shown() string {
	if m.online {
		return m.who.Mask()
	}
	return m.nick
}

// cmdMonitor keeps the list of nicks of whose presence the client is told (IRCv3,
// "Monitor").
func cmdMonitor(c *conn, m *message) error {
	switch what := strings.ToUpper(m.params[0]); what {
	case "+", "-":
		list := targets(m.param(1))
		switch {
		case len(list) == 0:
			c.standard(replyFail, "MONITOR", "NEED_MORE_PARAMS", "MONITOR + and - take nicknames", m.params[0])
		case what == "+":
			c.monitor(list)
		default:
			c.unmonitor(list)
		}
	case "C":
		c.unmonitor(slices.Sorted(maps.Keys(c.monitored)))
	case "L":
		var nicks []string
		for _, m := range c.monitoredNicks() {
			nicks = append(nicks, m.nick)
		}
		c.replyList(rplMonList, nicks)
		c.reply(rplEndOfMonList)
	case "S":
		c.showMonitored(c.monitoredNicks())
	default:
		c.standard(replyFail, "MONITOR", "INVALID_SUBCOMMAND", "MONITOR takes + or - and nicknames, C, L or S", orStar(m.params[0]))
	}
	return nil
}

// monitor adds nicks, and tells how they are. What is no nick is left out. It keeps the
// turn, so that no event comes before the answer.
func (c *conn) monitor(list []string) {
	var fresh []string
	for _, nick := range list {
		known := func(n string) bool { return chat.SameName(n, nick) }
		if chat.ValidNick(nick) && c.monitored[chat.Fold(nick)] == nil && !slices.ContainsFunc(fresh, known) {
			fresh = append(fresh, nick)
		}
	}
	if len(fresh) == 0 {
		return
	}
	ctx, cancel := c.timeout()
	defer cancel()
	found, err := c.session.Watch(ctx, fresh)
	if err != nil && !errors.Is(err, chat.ErrWatchFull) {
		c.fail(err, subject{command: "MONITOR", nick: fresh[0]})
		return
	}
	var added []*monitored
	for i, p := range found {
		m := &monitored{nick: fresh[i], online: p.Online, who: p.Who}
		if c.monitored == nil {
			c.monitored = map[string]*monitored{}
		}
		c.monitored[chat.Fold(m.nick)] = m
		added = append(added, m)
	}
	c.showMonitored(added)
	if err != nil {
		c.fail(err, subject{command: "MONITOR", nick: strings.Join(fresh[len(found):], ",")})
	}
}

func (c *conn) unmonitor(list []string) {
	c.session.Unwatch(list)
	for _, nick := range list {
		delete(c.monitored, chat.Fold(nick))
	}
}

// monitoredNicks is the list, sorted.
func (c *conn) monitoredNicks() []*monitored {
	var list []*monitored
	for _, m := range c.monitored {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b *monitored) int { return strings.Compare(chat.Fold(a.nick), chat.Fold(b.nick)) })
	return list
}

// showMonitored tells how nicks are.
func (c *conn) showMonitored(list []*monitored) {
	var on, off []string
	for _, m := range list {
		if m.online {
			on = append(on, m.shown())
		} else {
			off = append(off, m.shown())
		}
	}
	c.replyList(rplMonOnline, on)
	c.replyList(rplMonOffline, off)
	for _, m := range list {
		c.awayOf(m)
		if m.online && c.metaAware() {
			c.metaBatch(m.who.Nick, func() { c.syncOne(m.who.Nick, m.who.Meta, c.subscribed) })
		}
	}
}

// awayOf tells a client who would be told when a user is away that he is so now.
func (c *conn) awayOf(m *monitored) {
	if m.online && m.who.Away != "" && c.caps&capExtendedMonitor != 0 {
		c.away(m.who, c.srv.now())
	}
}

// presence writes what has changed of a nick on the list.
func (c *conn) presence(e chat.Presence) {
	m := c.monitored[chat.Fold(e.Nick)]
	if m == nil || !e.Online && !m.online {
		return
	}
	m.online, m.who = e.Online, e.Who
	c.showMonitored([]*monitored{m})
}

// watchedOnly reports whether an event about a user, with whom the client shares
// no channel, is for clients with extended-monitor only, and this one is none. Who is on
// the list is remembered as he is.
func (c *conn) watchedOnly(watched bool, now chat.Profile) bool {
	if m := c.monitored[chat.Fold(now.Nick)]; m != nil && m.online {
		m.who = now
	}
	return watched && c.caps&capExtendedMonitor == 0
}

// aboutWatch is the limit of the list, and the nicks that did not fit.
func aboutWatch(s subject) []string { return []string{strconv.Itoa(chat.MaxWatched), s.nick} }

// replyList writes a numeric whose text is a list of words with commas between, in as many
// lines as it takes.
func (c *conn) replyList(n numeric, words []string) {
	room := maxBody - len(":"+c.srv.name+" "+n.code+" "+c.display()+" :")
	for len(words) > 0 {
		text := words[0]
		words = words[1:]
		for len(words) > 0 && len(text)+1+len(words[0]) <= room {
			text += "," + words[0]
			words = words[1:]
		}
		c.replyText(n, text)
	}
}
