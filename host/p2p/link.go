package p2p

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"ircbridge/host"
	"ircbridge/host/p2p/wire"
)

// errReplaced ends a link whose peer has opened a new one.
var errReplaced = errors.New("replaced by a newer link")

// link is what two nodes that talk share; see the package comment. It lives
// until its first stream fails.
type link struct {
	h    *Host
	peer host.Peer // as the peer names itself; nobody writes into Addrs
	run  uint64
	// opener: this side opened the streams. attempt names the link: the
	// number in the opener's Hello. peerAttempt is the number of the peer's last
	// attempt when the link was made.
	opener               bool
	attempt, peerAttempt uint64
	hello                *wire.Hello

	requests, bulk *lane
	askBulk        sync.Once
	running        atomic.Int32 // handlers
	rivalled       atomic.Bool  // its run lives though an earlier one does; see twin.go
	doubted        atomic.Bool  // it is being tried; see silence.go
	used           atomic.Int64 // when a request or message last passed, in Unix nanoseconds
	notes          *sync.Mutex  // held while a SendHandler runs: one at a time for each sender, over all its links

	mu      sync.Mutex
	pending map[uint64]chan *wire.Reply
	number  uint64
	retired bool      // no call is made or begun any more; see part.go
	why     error     // this side ends the link, for that reason
	parted  bool      // the peer has sent Part
	tryTCP  time.Time // not before; Host.mu guards it

	failed sync.Once
	done   chan struct{} // closed when the link is dead
	err    error         // why; set before done is closed
}

// lane is one of a link's two streams, with the queue of its writer. The bulk
// lane has no stream until somebody needs it.
type lane struct {
	q     *queue
	limit int // bytes of a body
	bulk  bool

	mu     sync.Mutex
	stream *ear
	ended  bool // the link is dead
	ending bool // this side sends nothing more
	over   bool // the peer sends nothing more
}

func newLink(h *Host, peer host.Peer, hello *wire.Hello, opener bool) *link {
	l := &link{
		h: h, peer: peer, hello: hello, run: hello.GetRun(), opener: opener,
		requests: &lane{q: newQueue(h.limits.queueBytes, h.limits.queueFrames), limit: host.MaxFrame},
		bulk:     &lane{q: newQueue(h.limits.bulkBytes, h.limits.bulkFrames), limit: host.MaxBulk, bulk: true},
		notes:    &h.notes[peer.ID[len(peer.ID)-1]%64],
		pending:  make(map[uint64]chan *wire.Reply),
		done:     make(chan struct{}),
	}
	l.used.Store(time.Now().UnixNano())
	return l
}

// lane is where a frame of ours goes; asking for it counts as use of the link.
func (l *link) lane(bulk bool) *lane {
	l.used.Store(time.Now().UnixNano())
	if !bulk {
		return l.requests
	}
	l.askBulk.Do(l.needBulk)
	return l.bulk
}

// needBulk gets the bulk stream made: by this side if it opened the link, by
// the other otherwise. What is queued waits for it. It is called with or
// without Host.mu, so it does its work in a task.
func (l *link) needBulk() {
	if !l.opener {
		l.h.Go("ask for bulk stream", func() {
			timer := time.NewTimer(l.h.limits.stall)
			defer timer.Stop()
			if err := l.requests.q.put(encode(&wire.Frame{Kind: &wire.Frame_OpenBulk{OpenBulk: &wire.OpenBulk{}}}), timer.C); err != nil {
				l.fail(fmt.Errorf("asking for the bulk stream: %w", err))
			}
		})
		return
	}
	l.h.Go("open bulk stream", func() {
		ctx, cancel := context.WithTimeout(l.h.ctx, l.h.limits.greet)
		defer cancel()
		var s network.Stream
		err := l.h.severed.wait(ctx, l.peer.ID)
		if err == nil {
			s, err = l.h.libp2p().NewStream(network.WithNoDial(ctx, "link"), peer.ID(l.peer.ID), protoBulk)
		}
		if err == nil {
			_ = s.SetWriteDeadline(time.Now().Add(l.h.limits.greet))
			_, err = s.Write(encode(&wire.Frame{Kind: &wire.Frame_Attach{Attach: &wire.Attach{Attempt: l.attempt}}}))
		}
		if err != nil {
			l.fail(fmt.Errorf("opening the bulk stream: %w", err))
			return
		}
		e := newEar(s)
		l.attach(l.bulk, e, bufio.NewReaderSize(e, readBuffer))
	})
}

const (
	readBuffer  = 8 << 10
	writeBuffer = 16 << 10
	batchBytes  = 64 << 10
)

// attach starts reader and writer of a stream; false when the lane has one already or the link is dead.
func (l *link) attach(la *lane, s *ear, br *bufio.Reader) bool {
	la.mu.Lock()
	ok := la.stream == nil && !la.ended
	if ok {
		la.stream = s
		if la.ending {
			_ = s.CloseWrite()
		}
	}
	la.mu.Unlock()
	if !ok || !l.h.tasks.start("write to peer", func() { l.write(la, s) }) || !l.h.tasks.start("read from peer", func() { l.read(la, s, br) }) {
		_ = s.Reset()
		return false
	}
	return true
}

// write carries the queue to the stream until the link ends.
func (l *link) write(la *lane, s *ear) {
	bw := bufio.NewWriterSize(s, writeBuffer)
	var batch [][]byte
	for {
		var ok bool
		if batch, ok = la.q.take(batch[:0], batchBytes); !ok {
			return
		}
		if !l.mayWrite() {
			l.fail(fmt.Errorf("peer took nothing for %v: %w", l.h.limits.stall, host.ErrTimeout))
			return
		}
		err := s.SetWriteDeadline(time.Now().Add(l.h.limits.stall))
		for _, frame := range batch {
			if err == nil {
				_, err = bw.Write(frame)
			}
		}
		clear(batch)
		if err == nil && la.q.empty() {
			err = bw.Flush()
		}
		if err != nil {
			if isTimeout(err) {
				err = fmt.Errorf("peer took nothing for %v: %w", l.h.limits.stall, err)
			}
			l.fail(err)
			return
		}
	}
}

// read takes frames from the stream until the link ends.
func (l *link) read(la *lane, s *ear, br *bufio.Reader) {
	for {
		f, err := readFrame(br, la.limit+frameMargin, s, l.h.limits.stall)
		if !l.passes(nil) {
			return
		}
		if err == nil {
			err = l.take(la, f)
		}
		if err == io.EOF { // not wrapped: between two frames
			l.over(la)
			return
		}
		if err != nil {
			if isTimeout(err) {
				err = fmt.Errorf("%w: a frame took more than %v: %w", errBroken, l.h.limits.stall, err)
			}
			l.fail(err)
			return
		}
	}
}

// over is the end of what the peer sends on a lane. A peer that stops closes
// both lanes; what is still on the other is read before the link ends.
func (l *link) over(la *lane) {
	other := l.requests
	if la == l.requests {
		other = l.bulk
	}
	la.mu.Lock()
	la.over = true
	la.mu.Unlock()
	other.mu.Lock()
	last := other.stream == nil || other.over
	other.mu.Unlock()
	l.mu.Lock()
	parted, reason := l.parted, l.why
	l.mu.Unlock()
	switch {
	case last && parted:
		l.ended()
		return
	case last && reason != nil:
		l.fail(reason)
		return
	case last:
		l.fail(io.EOF)
		return
	}
	time.AfterFunc(l.h.limits.stall, func() { l.fail(io.EOF) })
}

// take handles one frame; an error ends the link. It runs in the reader, so
// it must not wait for the writer.
func (l *link) take(la *lane, f *wire.Frame) error {
	l.used.Store(time.Now().UnixNano())
	switch k := f.GetKind().(type) {
	case *wire.Frame_Request:
		if len(k.Request.GetBody()) > la.limit {
			return fmt.Errorf("%w: request of %d bytes, the limit is %d", errBroken, len(k.Request.GetBody()), la.limit)
		}
		l.serve(la, k.Request)
	case *wire.Frame_Reply:
		if len(k.Reply.GetBody()) > la.limit {
			return fmt.Errorf("%w: reply of %d bytes, the limit is %d", errBroken, len(k.Reply.GetBody()), la.limit)
		}
		l.mu.Lock()
		waiting := l.pending[k.Reply.GetNumber()]
		delete(l.pending, k.Reply.GetNumber())
		l.mu.Unlock()
		if waiting != nil { // else nobody waits any longer
			waiting <- k.Reply
		}
	case *wire.Frame_Note:
		if len(k.Note.GetBody()) > la.limit {
			return fmt.Errorf("%w: message of %d bytes, the limit is %d", errBroken, len(k.Note.GetBody()), la.limit)
		}
		entry, ok := l.h.sends[k.Note.GetMethod()]
		if !ok {
			l.h.log.Debug("message of unknown method dropped", "peer", l.peer.ID, "method", k.Note.GetMethod())
			return nil
		}
		l.notes.Lock()
		defer l.notes.Unlock()
		entry.h(l.peer, k.Note.GetBody())
	case *wire.Frame_OpenBulk:
		if !l.opener || la.bulk {
			return fmt.Errorf("%w: asked for a bulk stream out of place", errBroken)
		}
		l.askBulk.Do(l.needBulk)
	case *wire.Frame_Part:
		if la.bulk {
			return fmt.Errorf("%w: Part on the bulk stream", errBroken)
		}
		return l.h.parted(l, k.Part.GetComing())
	default:
		return fmt.Errorf("%w: frame %T out of place", errBroken, k)
	}
	return nil
}

// fail ends the link for the reason given; only the first reason counts. A
// peer that broke the protocol loses its connection and is logged. Whoever is woken by
// the end does not find the link in the table any more, and can call the peer again.
func (l *link) fail(reason error) {
	l.failed.Do(func() {
		l.err = reason
		l.h.remember(l.peer.ID, l.peer.Addrs) // from now on, for whoever dials it again
		lost := l.h.unlink(l)
		close(l.done)
		for _, la := range []*lane{l.requests, l.bulk} {
			la.q.close()
			la.mu.Lock()
			la.ended = true
			switch {
			case la.stream == nil:
			case inOrder(reason):
				_ = la.stream.Close() // lets what was written arrive
			default:
				_ = la.stream.Reset()
			}
			la.mu.Unlock()
		}
		if lost {
			l.h.tellDown(l.peer.ID)
		}
		if errors.Is(reason, errBroken) {
			l.h.cutOff(l.peer.ID, reason)
		} else if l.h.ctx.Err() == nil {
			l.h.log.LogAttrs(l.h.ctx, slog.LevelInfo, "link to peer ended", slog.Any("peer", l.peer.ID), slog.String("reason", lossText(reason)))
		}
	})
}

func lossText(reason error) string {
	if errors.Is(reason, io.EOF) || errors.Is(reason, network.ErrReset) {
		return "peer closed it or its connection was lost"
	}
	return oneLine(reason)
}

// cutOff closes all connections of a peer that broke the protocol, and logs why.
func (h *Host) cutOff(id host.PeerID, reason error) {
	h.log.Warn("peer is cut off", "peer", id, "reason", oneLine(reason))
	if lp := h.libp2p(); lp != nil {
		_ = lp.Network().ClosePeer(peer.ID(id))
	}
}

// drain waits, at most d, until what is queued on the links has gone out and
// their peers have read it. Closing a connection discards what the other side
// has not read yet, so the streams are closed first, and a peer that has come
// to the end of them ends the link.
func drain(links []*link, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	if !flush(links, timer.C) {
		return
	}
	for _, l := range links {
		l.requests.closeWrite()
		l.bulk.closeWrite()
	}
	for _, l := range links {
		select {
		case <-l.done:
		case <-timer.C:
			return
		}
	}
}

// flush waits until what is queued on the links has gone out; false when end came first.
func flush(links []*link, end <-chan time.Time) bool {
	for {
		idle := true
		for _, l := range links {
			idle = idle && l.requests.q.idle() && l.bulk.q.idle()
		}
		if idle {
			return true
		}
		select {
		case <-end:
			return false
		case <-time.After(time.Millisecond):
		}
	}
}

// closeWrite tells the peer that nothing more comes on the lane.
func (la *lane) closeWrite() {
	la.mu.Lock()
	defer la.mu.Unlock()
	la.ending = true
	if la.stream != nil && !la.ended {
		_ = la.stream.CloseWrite()
	}
}
