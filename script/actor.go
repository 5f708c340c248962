package script

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"strings"
	"sync"
	"time"
)

// actor is somebody who speaks and hears: over a connection, or at the
// console of a node. Its fields are guarded by play.mu but for the writing,
// which has its own lock.
type actor struct {
	name   string
	nick   string
	echo   bool // gets its own messages back
	in     *stream
	armed  []*armedAbsence
	conn   io.Closer
	out    io.Writer
	socket socket // nil at a console
	frozen bool

	writing sync.Mutex
}

// socket is a connection to a server: plain, with TLS, or over WebSocket.
type socket interface {
	net.Conn
	CloseWrite() error
}

// armedAbsence is a line that must not come before the next expected one.
type armedAbsence struct {
	pattern template
	from    int // index of the line from which on it is looked for
	line    int // of the script
}

// closing is how a connection changes.
type closing int

const (
	closeAll closing = iota
	closeWrite
	stopReading
	readAgain
)

// actorLocked is the present actor of that name, or an error.
func (p *play) actorLocked(name string) (*actor, error) {
	a := p.actors[name]
	if a == nil {
		return nil, fmt.Errorf("%s is not connected", name)
	}
	return a, nil
}

func (p *play) actor(name string) (*actor, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.actorLocked(name)
}

// connect opens a connection for an actor, in place of the one he had.
func (p *play) connect(ctx context.Context, name string, to door, within time.Duration) (*actor, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	conn, err := to.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting %s: %w", name, err)
	}
	a := &actor{name: name, nick: name, in: &stream{}, conn: conn, out: conn, socket: conn}
	p.mu.Lock()
	p.replaceLocked(a)
	p.tasks.Add(1)
	p.mu.Unlock()
	go func() {
		defer p.tasks.Done()
		err := readLines(thawed{p, a}, func(line string) { p.received(a, line) })
		p.mu.Lock()
		defer p.mu.Unlock()
		if errors.Is(err, net.ErrClosed) {
			err = nil
		}
		p.logf("%s: connection ended (%v)", name, err)
		a.in.end(err)
		p.wakeLocked()
	}()
	return a, nil
}

// replaceLocked puts an actor in the place of the one of that name before him,
// whose connection ends.
func (p *play) replaceLocked(a *actor) {
	if old := p.actors[a.name]; old != nil && old.conn != nil {
		old.conn.Close()
	}
	p.actors[a.name] = a
}

// thawed reads from an actor's connection, but not while he is frozen.
type thawed struct {
	p *play
	a *actor
}

func (t thawed) Read(b []byte) (int, error) {
	for {
		t.p.mu.Lock()
		frozen, changed := t.a.frozen, t.p.changed
		t.p.mu.Unlock()
		if !frozen {
			return t.a.socket.Read(b)
		}
		<-changed
	}
}

// received keeps a line, answers PING and follows the actor's own nick.
func (p *play) received(a *actor, line string) {
	p.logf("%s < %s", a.name, printable(line))
	p.mu.Lock()
	a.in.add(line)
	m := parseMessage(line)
	switch {
	case m.command == "001" && len(m.params) > 0:
		a.nick = m.params[0]
	case m.command == "NICK" && len(m.params) > 0 && m.nick() == a.nick:
		a.nick = m.params[0]
	}
	p.wakeLocked()
	p.mu.Unlock()
	if m.command == "PING" {
		// A failure shows as the end of the connection.
		_ = p.write(a, "PONG :"+strings.Join(m.params, " ")+"\r\n", 1, DefaultTimeout)
	}
}

// write sends text to an actor's connection or console, n times.
func (p *play) write(a *actor, text string, n int, within time.Duration) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	if a.socket != nil {
		if err := a.socket.SetWriteDeadline(time.Now().Add(within)); err != nil {
			return fmt.Errorf("sending as %s: %w", a.name, err)
		}
	}
	for range n {
		if _, err := io.WriteString(a.out, text); err != nil {
			return fmt.Errorf("sending as %s: %w", a.name, err)
		}
	}
	return nil
}

// send sends one line.
func (p *play) send(a *actor, line string, within time.Duration) error {
	p.logf("%s > %s", a.name, printable(line))
	end := "\r\n"
	if a.socket == nil {
		end = "\n"
	}
	return p.write(a, line+end, 1, within)
}

// garbage is n bytes that look like noise and are the same each time.
func garbage(n int) string {
	b := make([]byte, n)
	random := rand.New(rand.NewSource(int64(n)))
	for i := range b {
		b[i] = byte(random.Intn(256))
	}
	return string(b)
}

// message is a line, taken apart as far as the runner must understand it.
type message struct {
	source  string
	command string
	params  []string
}

func parseMessage(line string) message {
	var m message
	if strings.HasPrefix(line, "@") {
		_, line, _ = strings.Cut(line, " ")
	}
	if strings.HasPrefix(line, ":") {
		m.source, line, _ = strings.Cut(line[1:], " ")
	}
	m.command, line, _ = strings.Cut(line, " ")
	for line != "" {
		if line[0] == ':' {
			m.params = append(m.params, line[1:])
			break
		}
		var word string
		word, line, _ = strings.Cut(line, " ")
		if word != "" {
			m.params = append(m.params, word)
		}
	}
	return m
}

func (m message) nick() string {
	nick, _, _ := strings.Cut(m.source, "!")
	return nick
}
