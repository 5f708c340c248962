package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// client is one connection. After dial its goroutine reads until close.
type client struct {
	nick   string
	server string
	conn   net.Conn
	wait   time.Duration

	// onMessage gets the text of each PRIVMSG and when its bytes were read;
	// onBatch is called after all lines of one read. Set before start; called by
	// the client's goroutine. They must not block.
	onMessage func(text []byte, at time.Duration)
	onBatch   func()

	clock  clock
	write  sync.Mutex // one line at a time
	mu     sync.Mutex
	waiter *waiter // guarded by mu
	err    error   // why reading ended; guarded by mu
	ended  chan struct{}
}

// waiter is who waits for an answer.
type waiter struct {
	match func(l line) (done bool, err error)
	done  chan error // one value
}

// clock is the one clock of a run: monotonic time since its start.
type clock struct{ start time.Time }

func (c clock) now() time.Duration { return time.Since(c.start) }

// line is a line from a server, in its parts; they are valid until the next read.
type line struct {
	source, command []byte
	rest            []byte // parameters, as they stand in the line
}

// parseLine takes a line without its end.
func parseLine(b []byte) (l line) {
	if len(b) > 0 && b[0] == '@' { // tags, which nobody asked for
		_, b, _ = bytes.Cut(b, []byte(" "))
		b = bytes.TrimLeft(b, " ")
	}
	if len(b) > 0 && b[0] == ':' {
		l.source, b, _ = bytes.Cut(b[1:], []byte(" "))
	}
	l.command, l.rest, _ = bytes.Cut(b, []byte(" "))
	return l
}

// trailing is the text after the colon, or the last parameter.
func (l line) trailing() []byte {
	if len(l.rest) > 0 && l.rest[0] == ':' {
		return l.rest[1:]
	}
	if i := bytes.Index(l.rest, []byte(" :")); i >= 0 {
		return l.rest[i+2:]
	}
	return l.rest[bytes.LastIndexByte(l.rest, ' ')+1:]
}

// dial connects and registers. bufSize bounds a line, and what one read takes.
func dial(ctx context.Context, c *client, bufSize int) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", c.server)
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", c.server, err)
	}
	c.conn, c.ended = conn, make(chan struct{})
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	registered := c.expect(func(l line) (bool, error) {
		switch string(l.command) {
		case "376", "422": // the end of the message of the day, or none
			return true, nil
		case "432", "433", "436", "437", "464", "465":
			return true, fmt.Errorf("the server refuses: %s %s", l.command, l.rest)
		}
		return false, nil
	})
	go func() {
		defer close(c.ended)
		defer stop()
		c.read(bufSize)
	}()
	err = c.send("NICK " + c.nick + "\r\nUSER load 0 * :load generator\r\n")
	if err == nil {
		err = c.await(ctx, registered)
	}
	if err != nil {
		c.close()
		return fmt.Errorf("registering %s at %s: %w", c.nick, c.server, err)
	}
	return nil
}

func (c *client) send(lines string) error {
	c.write.Lock()
	defer c.write.Unlock()
	_, err := io.WriteString(c.conn, lines)
	return err
}

// expect begins to wait for an answer; what follows must be await.
func (c *client) expect(match func(l line) (bool, error)) *waiter {
	w := &waiter{match: match, done: make(chan error, 1)}
	c.mu.Lock()
	c.waiter = w
	c.mu.Unlock()
	return w
}

func (c *client) await(ctx context.Context, w *waiter) error {
	late := time.NewTimer(c.wait)
	defer late.Stop()
	select {
	case err := <-w.done:
		return err
	case <-c.ended:
		select {
		case err := <-w.done: // it came, and then the connection ended
			return err
		default:
			return c.why()
		}
	case <-late.C:
		return fmt.Errorf("no answer within %v", c.wait)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *client) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// join joins a channel and waits until the server has said that it is done.
func (c *client) join(ctx context.Context, channel string) error {
	w := c.expect(func(l line) (bool, error) {
		switch string(l.command) {
		case "366":
			return strings.Contains(string(l.rest), " "+channel+" "), nil
		case "403", "405", "437", "471", "473", "474", "475", "476", "477":
			return true, fmt.Errorf("the server refuses: %s %s", l.command, l.rest)
		}
		return false, nil
	})
	err := c.send("JOIN " + channel + "\r\n")
	if err == nil {
		err = c.await(ctx, w)
	}
	if err != nil {
		return fmt.Errorf("%s joins %s at %s: %w", c.nick, channel, c.server, err)
	}
	return nil
}

// close ends the connection and waits for the goroutine; what it counted may
// be read then.
func (c *client) close() {
	if c.conn == nil {
		return
	}
	c.conn.Close()
	<-c.ended
}

var errTooLong = errors.New("the server sent a line that is too long")

// read runs until the connection ends.
func (c *client) read(size int) {
	buf, have := make([]byte, size), 0
	for {
		n, err := c.conn.Read(buf[have:])
		at := c.clock.now()
		rest := buf[:have+n]
		for {
			i := bytes.IndexByte(rest, '\n')
			if i < 0 {
				break
			}
			c.take(bytes.TrimSuffix(rest[:i], []byte("\r")), at)
			rest = rest[i+1:]
		}
		if c.onBatch != nil {
			c.onBatch()
		}
		have = copy(buf, rest)
		if err == nil && have == len(buf) {
			err = errTooLong
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// fail notes why reading ends; what the server said last is the better reason.
func (c *client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = fmt.Errorf("the connection ended: %w", err)
	}
}

func (c *client) take(b []byte, at time.Duration) {
	l := parseLine(b)
	switch string(l.command) {
	case "PRIVMSG":
		if c.onMessage != nil {
			c.onMessage(l.trailing(), at)
		}
		return
	case "PING":
		// A failed write shows in the next read.
		_ = c.send("PONG :" + string(l.trailing()) + "\r\n")
		return
	case "ERROR":
		c.mu.Lock()
		c.err = fmt.Errorf("the server ended the connection: %s", l.trailing())
		c.mu.Unlock()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiter == nil {
		return
	}
	if done, err := c.waiter.match(l); done {
		c.waiter.done <- err
		c.waiter = nil
	}
}
