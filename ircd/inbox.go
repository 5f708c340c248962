package ircd

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// maxInbox bounds what waits in an inbox; more is dropped, since it is for those
// who watch a server and not for what they must not miss.
const maxInbox = 256

// inbox holds what other clients of this server have for a client: lines that are
// no events of the network. Whoever has the client's turn writes them.
type inbox struct {
	mu    sync.Mutex
	notes []note
}

// note is such a line. by is its source, "" for the client himself; change, if it is not nil, is
// done before the line is written, with the client's turn held.
type note struct {
	at      time.Time
	by      string
	command string
	middle  []string
	text    string
	change  func(*conn)
}

// post gives the client a note. It may be called by any goroutine, whatever
// turn it holds.
func (c *conn) post(n note) {
	c.inbox.mu.Lock()
	if len(c.inbox.notes) < maxInbox || n.change != nil {
		c.inbox.notes = append(c.inbox.notes, n)
	}
	c.inbox.mu.Unlock()
	c.stir()
}

// writeInbox writes what waits there. The caller holds the turn.
func (c *conn) writeInbox() {
	c.inbox.mu.Lock()
	notes := c.inbox.notes
	c.inbox.notes = nil
	c.inbox.mu.Unlock()
	for _, n := range notes {
		if n.change != nil {
			n.change(c)
		}
		if n.command != "" {
			c.write(c.tags(n.at), n.by, n.command, n.middle, n.text)
		}
	}
}

// everyone are the registered clients of this server, sorted by nick.
func (s *Server) everyone() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*conn, 0, len(s.clients))
	for _, name := range slices.Sorted(maps.Keys(s.clients)) {
		list = append(list, s.clients[name])
	}
	return list
}

// notice tells the operators with mode s what happens on this server.
func (s *Server) notice(format string, args ...any) {
	s.mu.Lock()
	var to []*conn
	for _, o := range s.operators {
		if o.conn.modes()&modeServerNotices != 0 {
			to = append(to, o.conn)
		}
	}
	s.mu.Unlock()
	if len(to) == 0 {
		return
	}
	text := "*** " + fmt.Sprintf(format, args...)
	for _, c := range to {
		nick := c.session.Self().Nick
		c.post(note{at: s.now(), by: s.name, command: "NOTICE", middle: []string{nick}, text: text})
	}
}
