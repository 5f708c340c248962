package ircd

import (
	"context"
	"errors"
	"sync"
	"time"

	"ircbridge/chat"
)

// ghostTime is how long the holder of a nick that another client of this server
// wants has to answer a PING. Who has answered one is not asked again for as long.
const ghostTime = 5 * time.Second

// pulse tells others whether a client is alive. Its methods are safe for use
// by many goroutines.
type pulse struct {
	mu       sync.Mutex
	busy     bool          // the reader is at a line
	asked    time.Time     // when the client was last sent a PING for its nick
	answered bool          // something has come since
	beat     chan struct{} // closed when that has been handled; nil while nobody waits
}

// heard says that a line has come.
func (p *pulse) heard() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy, p.answered = true, true
}

// listening says that the reader waits for a line. Who waits for a sign of life
// learns of one now, and not when it came: it may have been a QUIT.
func (p *pulse) listening() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy && p.beat != nil {
		close(p.beat)
		p.beat = nil
	}
	p.busy = false
}

// watch says whether the client is known to be alive; if not, what is closed at
// the next sign of life, until when to wait for it, and whether a PING is due.
func (p *pulse) watch(now time.Time) (alive bool, beat <-chan struct{}, until time.Time, ping bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ping = now.Sub(p.asked) >= ghostTime
	if p.busy || !ping && p.answered {
		return true, nil, now, false
	}
	if ping {
		p.asked, p.answered = now, false
	}
	if p.beat == nil {
		p.beat = make(chan struct{})
	}
	return false, p.beat, p.asked.Add(ghostTime), ping
}

// silent reports whether nothing has come since the last PING.
func (p *pulse) silent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.busy && !p.answered
}

// isGhost asks the client of c for a sign of life. It waits for at most
// ghostTime, and reports whether the client is gone. What of c it uses never
// changes, or has a lock of its own.
func (c *conn) isGhost(ctx context.Context) bool {
	alive, beat, until, ping := c.pulse.watch(time.Now())
	if alive {
		return false
	}
	if ping { // without the turn, which may be held by who writes to this very client
		c.out.offer(appendLine(nil, "", "", "PING", nil, c.srv.name, true))
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-beat:
		return false
	case <-c.ctx.Done():
		return true
	case <-ctx.Done():
		return false // nobody asks any more
	case <-timer.C:
		return c.pulse.silent()
	}
}

// giveUp ends the connection of a ghost, so that nick is free at once.
func (c *conn) giveUp(nick string) {
	if !chat.SameName(c.session.Self().Nick, nick) {
		return // it has another one by now
	}
	c.end(&closing{
		client: "Your nick was wanted, and you did not answer a PING",
		others: "No answer to PING, and the nick was wanted",
		cutOff: true,
	})
	c.session.Close("No answer to PING, and the nick was wanted")
}

// claim runs ask, which asks for a nick, and once more if the nick was held by
// a client of this server that turns out to be a ghost: what is left of a
// connection that broke without a word.
func (c *conn) claim(nick string, ask func() error) error {
	err := ask()
	if !errors.Is(err, chat.ErrNickInUse) {
		return err
	}
	holder := c.srv.holder(nick)
	if holder == nil || holder == c {
		return err
	}
	gone := false
	c.yield(func() {
		if gone = holder.isGhost(c.ctx); gone {
			holder.giveUp(nick)
		}
	})
	if !gone {
		return err
	}
	return ask()
}

// holder is the client of this server that has a nick, or nil.
func (s *Server) holder(nick string) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clients[chat.Fold(nick)]
}

// enter makes c known under its nick, and no longer under the old one; "" for
// none.
func (s *Server) enter(c *conn, old, nick string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name := chat.Fold(old); s.clients[name] == c {
		delete(s.clients, name)
	}
	if nick != "" {
		s.clients[chat.Fold(nick)] = c
	}
}
