package p2p

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ircbridge/host"
)

// A network that is cut, on one machine and without leave to take an
// interface down: for a demonstration. It plays packets that vanish, not a
// connection that closes, because only the latter is easy to notice:
//
//   - What is written to a peer beyond the cut waits, and what comes from there
//     stays unread, the end of a connection too. Nobody is told of anything.
//   - A dial gets no answer until its time is over, and who is dialled says
//     nothing.
//   - A link on which something could not go out for limits.stall ends, as it
//     does wherever a peer takes nothing.
//
// When the cut is mended before that, links go on where they stood, as
// connections over TCP do, which repeats what was not acknowledged. (TCP doubles the pause
// between repeats, so a real network comes back up to some seconds later than this one.)
//
// Each side plays its own end. To cut two nodes off from each other both are told.

// Sever cuts the network between this node and the peers named, and mends
// that to all others; with nobody named it is whole again.
func (h *Host) Sever(peers []host.PeerID) {
	h.severed.set(peers)
	h.log.Info("the network is cut on purpose", "peers beyond", len(peers))
}

// severed are the peers beyond a cut.
type severed struct {
	some atomic.Bool // there are any: what everybody asks, for each frame

	mu     sync.Mutex
	mended map[host.PeerID]chan struct{} // closed when that peer can be reached again
}

func (s *severed) set(peers []host.PeerID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.mended, func(id host.PeerID, mended chan struct{}) bool {
		if slices.Contains(peers, id) {
			return false
		}
		close(mended)
		return true
	})
	if s.mended == nil {
		s.mended = make(map[host.PeerID]chan struct{})
	}
	for _, id := range peers {
		if s.mended[id] == nil {
			s.mended[id] = make(chan struct{})
		}
	}
	s.some.Store(len(s.mended) > 0)
}

// from returns nil when the peer can be reached, else what is closed when it
// can be again.
func (s *severed) from(id host.PeerID) <-chan struct{} {
	if !s.some.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mended[id]
}

// wait waits until a peer can be reached; host.ErrTimeout when ctx ends first.
func (s *severed) wait(ctx context.Context, id host.PeerID) error {
	for {
		mended := s.from(id)
		if mended == nil {
			return nil
		}
		select {
		case <-mended:
		case <-ctx.Done():
			return host.ErrTimeout
		}
	}
}

// passes waits until frames pass between this node and the peer of a link;
// false when the link ended first, or late fired. A nil late never does.
func (l *link) passes(late <-chan time.Time) bool {
	for {
		mended := l.h.severed.from(l.peer.ID)
		if mended == nil {
			return true
		}
		select {
		case <-mended:
		case <-l.done:
			return false
		case <-late:
			return false
		}
	}
}

// mayWrite waits, as long as a peer may take nothing, until frames pass.
func (l *link) mayWrite() bool {
	if l.h.severed.from(l.peer.ID) == nil {
		return true
	}
	timer := time.NewTimer(l.h.limits.stall)
	defer timer.Stop()
	return l.passes(timer.C)
}
