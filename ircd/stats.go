package ircd

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// traffic is what went over one connection. Who holds the turn counts; any
// goroutine may read.
type traffic struct {
	since              time.Time
	linesIn, bytesIn   atomic.Int64
	linesOut, bytesOut atomic.Int64
}

// use counts one command on all connections.
type use struct{ lines, bytes atomic.Int64 }

// count counts a line of so many bytes.
func (c *conn) count(command string, size int) {
	c.traffic.linesIn.Add(1)
	c.traffic.bytesIn.Add(int64(size))
	if u := c.srv.uses[command]; u != nil {
		u.lines.Add(1)
		u.bytes.Add(int64(size))
	}
}

// cmdStats answers RFC 2812, section 3.4.4. A user sees the figures of the
// server and of his own connection; those of others, and how the server is set up, are
// for operators.
func cmdStats(c *conn, m *message) error {
	if c.elsewhere(m.param(1)) {
		return nil
	}
	letter := "*"
	for _, r := range m.param(0) {
		letter = string(r)
		break
	}
	switch letter {
	case "l", "L":
		for _, user := range c.overseen() {
			c.sendStatsLink(user)
		}
	case "o", "O", "p", "P", "c", "C":
		if c.mayOperate() {
			c.sendStatsForOperators(letter)
		}
	case "m", "M":
		c.sendStatsCommands()
	case "u", "U":
		c.sendStatsUptime()
	}
	c.reply(rplEndOfStats, letter)
	return nil
}

func (c *conn) sendStatsLink(user *conn) {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	t, who := &user.traffic, user.session.Self()
	c.reply(rplStatsLink, who.Nick+"["+who.Username+"@"+c.hostOf(user, who)+"]", strconv.Itoa(user.out.size()),
		number(t.linesOut.Load()), number(t.bytesOut.Load()>>10), number(t.linesIn.Load()), number(t.bytesIn.Load()>>10),
		strconv.Itoa(int(c.srv.now().Sub(t.since).Seconds())))
}

// sendStatsForOperators shows what stands in the configuration and what came of it,
// but no password.
func (c *conn) sendStatsForOperators(letter string) {
	s := c.srv
	switch letter {
	case "o", "O":
		for _, o := range s.live.Load().Opers {
			c.reply(rplStatsOper, "O", "*", "*", o.Name)
		}
		for _, user := range s.everyone() {
			s.mu.Lock()
			o, is := s.operators[user.session.Self().Session]
			s.mu.Unlock()
			if is {
				c.replyText(rplStatsDebug, user.session.Self().Nick+" is operator as "+o.oper.Name, letter)
			}
		}
	case "p", "P":
		for _, e := range s.entrances {
			c.replyText(rplStatsPort, e.kind(), "P", e.Addr().String())
		}
	case "c", "C":
		s.mu.Lock()
		conns, users := s.conns, s.users
		s.mu.Unlock()
		c.replyText(rplStatsDebug, fmt.Sprintf("%d connections of at most %d, %d of them registered", conns, s.live.Load().Limits.MaxConnections, users), letter)
	}
}

// sendStatsCommands shows how often each command was used here; nothing comes
// from other servers.
func (c *conn) sendStatsCommands() {
	for _, name := range slices.Sorted(maps.Keys(c.srv.uses)) {
		u := c.srv.uses[name]
		if n := u.lines.Load(); n > 0 {
			c.reply(rplStatsCommands, name, strconv.FormatInt(n, 10), strconv.FormatInt(u.bytes.Load(), 10), "0")
		}
	}
}

func (c *conn) sendStatsUptime() {
	up := c.srv.now().Sub(c.srv.service.Node().Started)
	const day = 24 * time.Hour
	rest := up % day
	c.replyText(rplStatsUptime, fmt.Sprintf("Server Up %d days %d:%02d:%02d",
		up/day, rest/time.Hour, rest%time.Hour/time.Minute, rest%time.Minute/time.Second))
}
