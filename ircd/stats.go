package ircd

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// traffic is what went over one connection. Who holds the turn may use it.
type traffic struct {
	since              time.Time
	linesIn, bytesIn   int
	linesOut, bytesOut int
}

// use counts one command on all connections.
type use struct{ lines, bytes atomic.Int64 }

// count counts a line of so many bytes.
func (c *conn) count(command string, size int) {
	c.traffic.linesIn++
	c.traffic.bytesIn += size
	if u := c.srv.uses[command]; u != nil {
		u.lines.Add(1)
		u.bytes.Add(int64(size))
	}
}

// cmdStats answers RFC 2812, section 3.4.4. A user sees the figures of the
// server and of his own connection, not of others'.
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
		c.sendStatsLink()
	case "m", "M":
		c.sendStatsCommands()
	case "u", "U":
		c.sendStatsUptime()
	}
	c.reply(rplEndOfStats, letter)
	return nil
}

func (c *conn) sendStatsLink() {
	t := c.traffic
	c.reply(rplStatsLink, c.self.Nick+"["+c.self.Username+"@"+c.self.Host+"]", strconv.Itoa(c.out.size()),
		strconv.Itoa(t.linesOut), strconv.Itoa(t.bytesOut>>10), strconv.Itoa(t.linesIn), strconv.Itoa(t.bytesIn>>10),
		strconv.Itoa(int(c.srv.now().Sub(t.since).Seconds())))
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
