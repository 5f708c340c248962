package ircd

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// reading is how the reader of a connection stands. It is the reader's own.
type reading struct {
	register time.Time // until when a client must be let in
	until    time.Time // until when the next line must come
	pinged   bool      // the client was asked whether it is there
	outside  bool      // it is to be let in
}

// read handles lines until the connection ends, and says why it did, or until
// the client is let in. There is such a stack for each client while it is silent, so what is
// large is in functions that have returned by then.
func (c *conn) read() error {
	r := reading{register: time.Now().Add(c.cfg.Limits.Registration), outside: c.session == nil}
	for {
		line, err := c.nextLine(&r)
		if err = c.answer(&r, line, err); err != nil {
			return err
		}
	}
}

// answer handles what nextLine returned. An error ends read.
func (c *conn) answer(r *reading, line []byte, err error) error {
	switch {
	case err == nil, errors.Is(err, errLineTooLong):
		r.pinged = false
	case !errors.Is(err, os.ErrDeadlineExceeded) || c.ctx.Err() != nil:
		c.locked(c.settle) // what was sent before a half-close is still answered
		return err
	default:
		if err := c.silent(r.pinged); err != nil {
			return err
		}
		c.in.rest()
		r.pinged = true
		return nil
	}
	if err := c.handle(line, err); err != nil {
		return err
	}
	if c.bucket != nil && !c.bucket.take(c.ctx) {
		return c.ctx.Err()
	}
	if r.outside && c.session != nil {
		c.in.rest()
		return errLetIn
	}
	return nil
}

// silent asks a client that has sent nothing for a while whether it is there,
// or gives it up.
func (c *conn) silent(pinged bool) error {
	limits := &c.cfg.Limits
	switch {
	case c.session == nil:
		return cutOff("Registration timed out")
	case pinged:
		return cutOff(fmt.Sprintf("Ping timeout: %d seconds", int((limits.PingInterval + limits.PingTimeout).Seconds())))
	}
	c.locked(func() { c.write("", "", "PING", nil, c.srv.name) })
	return nil
}

// nextLine waits for the next line.
func (c *conn) nextLine(r *reading) ([]byte, error) {
	c.expect(r)
	for {
		if err := c.listen(r); err != nil {
			return nil, err
		}
		line, err := c.in.next()
		if c.heard(r, err) {
			return line, err
		}
	}
}

// expect sets until when the next line must come.
func (c *conn) expect(r *reading) {
	limits := &c.cfg.Limits
	switch {
	case c.session == nil:
		r.until = r.register
	case r.pinged:
		r.until = time.Now().Add(limits.PingTimeout)
	default:
		r.until = time.Now().Add(limits.PingInterval)
	}
}

// listen makes ready to wait for the client.
func (c *conn) listen(r *reading) error {
	const slack = time.Second // the socket's deadline may be so much earlier: it is not set for each line
	if early := r.until.Sub(c.readBy); early < 0 || early > slack {
		if err := c.nc.SetReadDeadline(r.until); err != nil {
			return err
		}
		c.readBy = r.until
	}
	if err := c.ctx.Err(); err != nil { // its end may have come before the deadline was set
		return err
	}
	c.pulse.listening()
	return nil
}

// heard is told how the wait ended. It reports whether it has: the socket's deadline may have been that of an
// earlier line.
func (c *conn) heard(r *reading, err error) bool {
	if err == nil || errors.Is(err, errLineTooLong) {
		c.pulse.heard()
	}
	if c.readBy.Equal(r.until) || !errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	c.readBy = time.Time{}
	return false
}
