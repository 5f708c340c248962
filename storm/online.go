package storm

import (
	"fmt"
	"maps"
	"strings"
)

// learnOnline takes a line that tells how monitored nicks are.
func (c *client) learnOnline(m message) {
	for nick, online := range onlineIn(m) {
		c.online[nick] = online
	}
}

// onlineIn is what a line of MONITOR says, by folded nick.
func onlineIn(m message) map[string]bool {
	told := map[string]bool{}
	for word := range strings.SplitSeq(m.param(1), ",") {
		nick, _, _ := strings.Cut(word, "!")
		told[fold(nick)] = m.command == "730"
	}
	return told
}

// compareOnline says how those whom a client monitors differ from what it was told last, and from what is so.
func (s *storm) compareOnline(c *client) string {
	is := map[string]bool{}
	for _, other := range s.clients {
		other.mu.Lock()
		is[fold(other.nick)] = !other.closed
		other.mu.Unlock()
	}
	now := map[string]bool{}
	for _, m := range s.answer(c, "MONITOR S") {
		if m.command == "730" || m.command == "731" {
			maps.Copy(now, onlineIn(m))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for nick, online := range now {
		if strings.HasPrefix(nick, "*") {
			continue // the server itself
		}
		if online != c.online[nick] || online != is[nick] {
			return fmt.Sprintf("%s is online: %v, MONITOR says %v, and it was told %v last", nick, is[nick], online, c.online[nick])
		}
	}
	return ""
}
