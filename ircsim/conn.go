package ircsim

import (
	"bytes"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"net"
	"sync/atomic"
	"time"

	"ircbridge/ircd"
)

// Errors of connections.
var (
	// ErrDown: the node does not run.
	ErrDown = errors.New("the node is down")
	// ErrKilled: the node was killed.
	ErrKilled = errors.New("the node was killed")
)

// maxWay is how long what a client sends is under way, at most.
const maxWay = 5 * time.Millisecond

// maxPieces is how much may wait for a server that does not read.
const maxPieces = 1 << 12

// conn is the client's end of a connection. What is written to it arrives a little later,
// in order.
type conn struct {
	net.Conn // what the server writes is read from, and what has arrived is written to
	net      *Network
	key      string
	node     *node
	server   *ircd.Server
	last     time.Duration // when what was sent last arrives
	arrived  chan []byte
	closed   bool // nothing more arrives
	killed   atomic.Bool
	read     hash.Hash64 // of all that was read
}

// Dial connects to a node: ErrDown if it does not run.
func (n *Network) Dial(number int) (nc net.Conn, err error) {
	n.do("", func() {
		nd := n.nodes[number]
		if !nd.h.Running() {
			err = ErrDown
			return
		}
		near, far := net.Pipe()
		c := &conn{
			Conn: near, net: n, key: fmt.Sprintf("client %06d", len(n.conns)), node: nd, server: nd.server,
			arrived: make(chan []byte, maxPieces), read: fnv.New64a(),
		}
		n.conns = append(n.conns, c)
		ctx := nd.ctx
		n.served.Go(func() { c.server.ServeConn(ctx, far) })
		n.served.Go(c.pump)
		nc = c
	})
	return nc, err
}

// pump hands the server what has arrived.
func (c *conn) pump() {
	for piece := range c.arrived {
		_, _ = c.Conn.Write(piece) // a server that is gone shows in what is read
	}
	c.Conn.Close()
}

// send has something done at the server's end, after what was sent before.
func (c *conn) send(f func()) {
	c.net.ask(c.key, func() {
		now := c.net.World.Elapsed()
		c.last = max(c.last+1, now+time.Duration(c.net.rand.Int64N(int64(maxWay))))
		c.net.later(c.last-now, func() {
			c.net.wake(func() {
				if !c.closed {
					f()
				}
			})
		})
	})
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	piece := bytes.Clone(b)
	c.send(func() { c.arrived <- piece })
	return len(b), nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.send(func() {
		c.closed = true
		close(c.arrived)
	})
	return nil
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	size, err := c.Conn.Read(b)
	c.read.Write(b[:size])
	if err != nil && c.killed.Load() {
		err = ErrKilled
	}
	return size, err
}

// SetWriteDeadline implements net.Conn: nothing that is written waits.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// breakOff ends the connection of a node that was killed.
func (c *conn) breakOff() {
	c.killed.Store(true)
	c.Conn.Close()
}
