package ircd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"ircbridge/chat"
)

const (
	// commandTimeout bounds what a command waits for the network.
	commandTimeout = 10 * time.Second
	// settleTimeout bounds how long a command waits for the outcomes of the
	// messages that were sent before it.
	settleTimeout = 5 * time.Second
	// lookupTimeout bounds commands that ask for several users (ISON,
	// USERHOST) and are sent by clients on their own.
	lookupTimeout = 2 * time.Second
	// goodbyeTimeout bounds the writing of the last lines.
	goodbyeTimeout = 2 * time.Second
	lingerTime     = 50 * time.Millisecond
)

// conn is one client. It has a goroutine of its own, the reader, and while
// there is something to write a second one, the writer. Whose is what:
//
//   - srv, cfg, nc, bucket, ctx, cancel and ended never change; session and events change
//     once, in the reader, when the client is let in;
//   - in, bucket's tokens, complained and readBy are the reader's own;
//   - out, pulse, inbox and asking have locks of their own; stirred, umodes and the figures of traffic
//     are atomic;
//   - everything else belongs to who holds the turn.
//
// The turn orders "handle one line" and "write some events". The reader takes
// it and waits for it. The writer only tries: whoever holds it writes the
// events that wait before he gives it back (passTurn), so the writer never
// waits for anything but the socket.
type conn struct {
	srv    *Server
	cfg    *settings // as they were when the client came
	nc     *arrival
	in     lineReader
	out    outbox
	bucket *bucket // nil: no limit on the line rate

	complained bool      // a bad line has been logged
	readBy     time.Time // the deadline that the socket has

	pulse pulse // for who wants the nick (ghost.go)

	turn sync.Mutex

	ctx         context.Context // ends with the connection; has no children (asking)
	cancel      context.CancelCauseFunc
	interrupted sync.Once
	asking      asking
	ended       func() // called when all goroutines are done

	// Registration.
	wanted  *registration // nil once the client is let in
	caps    capSet
	capOpen bool // negotiation goes on until CAP END
	cap302  bool // negotiated by version 302, which cannot be taken back

	// After registration.
	session  chat.Session                  // nil before
	events   chat.Taker                    // the session's events
	stirred  atomic.Bool                   // there are events to take
	pulling  sync.WaitGroup                // of who takes the events of a session that has only Next
	self     chat.Profile                  // as this client has been told
	joined   map[string]string             // channels, by folded name, as the client knows them
	lately   string                        // one of joined, or ""
	unsure   bool                          // a request was given up, and may still have been done
	wantNick string                        // the last nick asked for
	nicks    *bucket                       // limits nick changes; nil before the first
	umodes   atomic.Uint32                 // userModes; changed by who holds the turn
	waiting  map[uint64]struct{}           // messages sent, outcome not written yet
	settled  atomic.Pointer[chan struct{}] // of who waits for waiting to become empty: has room for one; there are events to take, or it is
	batch    *buffer                       // lines of the writer while it has the turn: it must not wait for room

	monitored map[string]*monitored // by folded nick; nil until the first
	subs      map[string]bool       // keys of metadata of which he is told; nil until the first

	// Labelled commands (response.go).
	resp     *response            // being written; nil while events are
	labelled map[uint64]*response // messages sent with a label, outcome to come; nil until the first
	batches  int                  // so far: the last reference
	opened   *clientBatch         // that the client has opened, or nil
	group    string               // reference of the batch that events are written in
	inner    string               // reference of the batch within a response (nested)

	traffic traffic // for STATS
	inbox   inbox   // what others of this server have for the client (inbox.go)
}

func newConn(s *Server, nc *arrival) *conn {
	c := &conn{
		srv: s, cfg: s.live.Load(), nc: nc, in: lineReader{src: nc.Conn},
		wanted:  new(registration),
		traffic: traffic{since: s.now()},
	}
	c.out.disarms = nc.writesToRead()
	c.out.writer = c.writer // serve waits for its end
	if limits := &c.cfg.Limits; limits.LineRate > 0 && (limits.LimitLoopback || !nc.local) {
		c.bucket = newBucket(limits.LineRate, limits.LineBurst)
	}
	return c
}

// A closing is why a connection ends, as the user and, behind it, the others
// are told.
type closing struct {
	client string // in ERROR :Closing link (…)
	others string // reason of QUIT
	cutOff bool   // by this side, for what the client does: worth a line in the log
	stop   bool   // the server ends, and everybody's connection with it
	final  bool   // by QUIT, its user means to leave; or by KILL: nothing of him is kept
}

func (e *closing) Error() string { return e.client }

func closed(reason string) error { return &closing{client: reason, others: reason} }

func cutOff(reason string) error {
	return &closing{client: reason, others: reason, cutOff: true}
}

// start begins to serve the client, in the caller's goroutine until he is let
// in. ended is called when all goroutines of the connection are done.
func (c *conn) start(ctx context.Context, ended func()) {
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	// Not c.interrupt: the reader must find its own context over when it wakes.
	stop := context.AfterFunc(ctx, func() { c.end(context.Cause(ctx)) })
	c.ended = func() {
		stop()
		ended()
	}
	c.serve()
}

// serve is the reader: it owns the life of the connection. Letting somebody in
// takes a deep stack, which would stay with the goroutine, so that the reader
// goes on in a new one then.
func (c *conn) serve() {
	err := c.read()
	if err == errLetIn {
		go c.serve() // ends with the connection; ended tells
		return
	}
	c.finish(err)
	c.ended()
}

// errLetIn: the client has been let in, and read has to be called again.
var errLetIn = errors.New("let in")

// finish ends the connection, whose reader has ended with err.
func (c *conn) finish(err error) {
	tellPlaintext(err)
	c.goodbye(c.reason(err))
	c.out.wait()
	linger(c.nc)
}

// end has the reader end the connection. The first cause counts.
func (c *conn) end(cause error) {
	c.cancel(cause)
	c.asking.end()
	c.interrupt()
}

// interrupt wakes whoever waits for the client, once: when it returns, it does
// nothing any more.
func (c *conn) interrupt() {
	c.interrupted.Do(func() {
		c.nc.SetReadDeadline(time.Unix(1, 0))
		c.out.finishBy(c.nc, time.Now().Add(goodbyeTimeout)) // who waits for room may hold the turn
	})
}

// goodbye ends the session and queues the last line.
func (c *conn) goodbye(why *closing) {
	c.end(why)
	if c.session != nil {
		end := c.session.Vanish
		if why.final {
			end = c.session.Close
		}
		end(cutString(why.others, chat.MaxReason))
		c.pulling.Wait()
		c.turn.Lock() // the writer may be at the last events
		c.srv.enter(c, c.self.Nick, "")
		c.srv.retire(c)
		c.writeInbox()
		if !why.stop {
			c.srv.notice("Client exiting: %s (%s@%s) [%s]", c.self.Nick, c.self.Username, c.origin(), why.client)
		}
		c.turn.Unlock()
		c.srv.registered(-1)
	}
	level := slog.LevelDebug
	if why.cutOff {
		level = slog.LevelInfo
	}
	c.srv.log.Log(context.Background(), level, "irc: connection closed", "from", c.origin(), "why", why.client)
	c.out.close(appendLine(nil, "", "", "ERROR", nil, "Closing link ("+why.client+")", true))
}

// reason turns what ended the reader into what is told.
func (c *conn) reason(err error) *closing {
	var why *closing
	switch {
	case errors.As(err, &why):
	case errors.As(context.Cause(c.ctx), &why):
	case c.ctx.Err() != nil: // with the server's
		text := "node stopped"
		if cause := context.Cause(c.ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			text = cause.Error()
		}
		why = &closing{client: text, others: text, stop: true}
	case errors.Is(err, io.EOF):
		why = &closing{client: "Connection closed", others: "Connection closed"}
	default:
		why = &closing{client: "Connection lost", others: "Connection lost"}
	}
	return why
}

func writeFailed(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return cutOff("Client does not read")
	}
	return closed("Connection lost")
}

// handle answers one line. An error ends the connection.
func (c *conn) handle(line []byte, err error) error {
	c.turn.Lock()
	defer c.passTurn()
	var m *message
	if err == nil {
		m, err = parseLine(line)
	}
	if err != nil && !c.complained && !errors.Is(err, errBlank) {
		c.complained = true // once for each connection: no client fills the log
		c.srv.log.Info("irc: a line was refused", "from", c.origin(), "why", err)
	}
	if errors.Is(err, errBlank) {
		return nil
	}
	label := ""
	if err == nil {
		label = m.label
	} else {
		label = labelOf(line)
	}
	r := c.begin(label)
	if err != nil {
		c.refuse(err)
		err = nil
	} else {
		c.count(m.command, len(line)+2)
		err = c.dispatch(m)
	}
	c.handlerEnded(r, err != nil)
	return err
}

// refuse answers a line that did not pass the border.
func (c *conn) refuse(err error) {
	switch {
	case errors.Is(err, errLineTooLong):
		c.reply(errInputTooLong)
	case errors.Is(err, errInvalidUTF8):
		c.standard(replyFail, "*", "INVALID_UTF8", "The line was not valid UTF-8 and has been ignored")
	case errors.Is(err, errNoCommand):
		c.reply(errUnknownCommand, "*")
	default:
		c.standard(replyFail, "*", "INVALID_LINE", "A line may hold no NUL and no carriage return; it has been ignored")
	}
}

func (c *conn) locked(f func()) {
	c.turn.Lock()
	defer c.passTurn()
	f()
}

// passTurn gives the turn back. Events that came meanwhile are written first;
// those beyond one batch are the writer's.
func (c *conn) passTurn() {
	if c.stirred.Load() {
		c.writeEvents()
	}
	c.turn.Unlock()
	if c.stirred.Load() {
		c.out.kick()
	}
}

// yield gives the turn up while f waits for the network, so that events are
// written meanwhile. f must not touch the connection's fields.
func (c *conn) yield(f func()) {
	c.aside(func() {
		c.passTurn()
		defer c.turn.Lock()
		f()
	})
}

// settle waits until the outcomes of all messages sent have been written. What
// has none in time is waited for no more.
func (c *conn) settle() {
	if len(c.waiting) == 0 {
		return
	}
	settled := make(chan struct{}, 1)
	c.settled.Store(&settled) // before the events that wait are written
	defer c.settled.Store(nil)
	timer := time.NewTimer(settleTimeout)
	defer timer.Stop()
	for len(c.waiting) > 0 {
		over := false
		c.yield(func() {
			select {
			case <-settled:
			case <-c.ctx.Done():
				over = true
			case <-timer.C:
				over = true
			}
		})
		if c.stirred.Load() { // the writer may be at a socket that takes nothing
			c.aside(c.writeEvents)
		}
		if over {
			clear(c.waiting)
		}
	}
}

// signalSettled wakes who waits for the outcomes of messages, if anybody does.
func (c *conn) signalSettled() {
	if settled := c.settled.Load(); settled != nil {
		signal(*settled)
	}
}

// linger reads what the client still sends for a moment, since closing with
// unread data would take the last line away from it.
func linger(nc net.Conn) {
	nc.SetReadDeadline(time.Now().Add(lingerTime))
	io.Copy(io.Discard, io.LimitReader(nc, 1<<20))
}
