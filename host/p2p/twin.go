package p2p

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"ircbridge/host"
	"ircbridge/host/p2p/wire"
)

// Two nodes with one key: somebody copied a data directory, and both copies run. Others
// would take them for one node that restarts without end, and each link of
// the one would end a link of the other. A restart looks the same at first, a
// Hello of another run while a link to an earlier one still stands; what tells them apart
// is that after a restart nobody is left who could answer on the old link.
//
//   - Who has a link to one run of a peer and is greeted by another asks the first
//     (methodRival) before it lets the second in. Where the old process is gone
//     its connection is mostly gone too, or the question ends it; one that says nothing for
//     limits.rival counts as gone.
//   - The answer, a Claim, is signed and names the other run, which drew its number
//     when it began: it proves to that run that a second holder of the key lived later
//     than this. So nobody can make a node end that has no twin.
//   - Of two that live the one that was started earlier stays, because its users are in
//     the midst of their talk; by the time of its start, which it names itself, and then
//     by its number. Everybody who compares the two comes to the same end, so never do both
//     end. A wrong clock may choose the wrong one.
//   - The other is refused, or, when it had the link, told on it (methodTwin). A node
//     that has verified that it must not go on says so once, on Twin; to end is
//     for the program.
//
// A machine that was copied while it ran has the same run in both copies: those
// are not told apart.

// The methods of this package itself.
var (
	methodRival = host.Method{Number: 60, Name: "rival"}
	methodTwin  = host.Method{Number: 61, Name: "twin"}
)

// ErrTwin: another node runs with the key of this one, and was started earlier.
var ErrTwin = errors.New("another node runs with this node's key")

// errOutrun ends the link of a run of a peer when an earlier run of it lives.
var errOutrun = errors.New("it is a twin of that peer")

// A TwinError is ErrTwin with what is known of the other node.
type TwinError struct {
	ID   host.PeerID // of both
	Born time.Time   // when the other was started, by its clock
	By   host.PeerID // who has met both
}

func (e *TwinError) Error() string {
	return fmt.Sprintf("%v (peer %s): node %s has met both, and that one was started earlier, at %s by its clock",
		ErrTwin, e.ID, e.By, e.Born.UTC().Format(time.DateTime))
}

// Unwrap makes it an ErrTwin.
func (e *TwinError) Unwrap() error { return ErrTwin }

// Twin delivers a *TwinError, once, when it is proven that another node runs
// with this node's key and that this one is not to go on.
func (h *Host) Twin() <-chan error { return h.twin }

// registerTwin registers this package's own methods.
func (h *Host) registerTwin() {
	h.HandleCall(methodRival, h.handleRival)
	h.HandleSend(methodTwin, func(from host.Peer, msg []byte) {
		claim := new(wire.Claim)
		if proto.Unmarshal(msg, claim) == nil {
			h.convicted(claim, from.ID)
		}
	})
}

// handleRival says that this run lives, to who has met another.
func (h *Host) handleRival(from host.Peer, req []byte) ([]byte, error) {
	rival := new(wire.Rival)
	if err := proto.Unmarshal(req, rival); err != nil || rival.GetRun() == h.run {
		return nil, errors.New("no rival is named")
	}
	if h.ctx.Err() != nil {
		return nil, host.ErrStopped
	}
	h.rivals.Do(func() {
		h.log.Warn("a peer has met another run with this node's key: a copy of the data directory may be in use elsewhere", "peer", from.ID)
	})
	return proto.Marshal(h.claim(rival.GetRun()))
}

// claim is this run's over another one.
func (h *Host) claim(over uint64) *wire.Claim {
	c := &wire.Claim{Run: h.run, Born: h.born, Over: over}
	c.Signature = h.Sign(h.claimText(c))
	return c
}

// claimText is what the signature of a claim is of.
func (h *Host) claimText(c *wire.Claim) []byte {
	b := []byte("ircbridge/twin\x00" + h.cfg.Overlay + "\x00")
	b = binary.BigEndian.AppendUint64(b, c.GetRun())
	b = binary.BigEndian.AppendUint64(b, uint64(c.GetBorn()))
	return binary.BigEndian.AppendUint64(b, c.GetOver())
}

// verify reports whether c is a claim of id over a run.
func (h *Host) verify(c *wire.Claim, id host.PeerID, over uint64) bool {
	return c.GetOver() == over && c.GetRun() != over && id.Verify(h.claimText(c), c.GetSignature())
}

// before reports whether who claims was started before the run that it is
// over, and so stays. A run that does not say when goes.
func before(c *wire.Claim, born int64) bool {
	if born == 0 || c.GetBorn() != born {
		return born == 0 || c.GetBorn() < born
	}
	return c.GetRun() < c.GetOver()
}

// convicted takes a claim over this run, and reports whether it ends it.
func (h *Host) convicted(c *wire.Claim, by host.PeerID) bool {
	if !h.verify(c, h.id, h.run) || !before(c, h.born) {
		h.log.Warn("a peer speaks of another node with this node's key, and proves nothing", "peer", by)
		return false
	}
	select {
	case h.twin <- &TwinError{ID: h.id, Born: time.UnixMilli(c.GetBorn()), By: by}:
	default: // told already
	}
	return true
}

// standing asks the run that holds a peer's link whether it lives, when another
// one says Hello. Its claim, if it is to stay, refuses the other; else it is nil. A link
// whose run lives and is to go is marked, so that it is told (outrun).
func (h *Host) standing(ctx context.Context, id host.PeerID, hello *wire.Hello) *wire.Claim {
	h.mu.Lock()
	var l *link
	if p := h.peers[id]; p != nil {
		l = p.link
	}
	h.mu.Unlock()
	if l == nil || l.run == hello.GetRun() {
		return nil
	}
	c, err := l.askRival(ctx, hello.GetRun())
	switch {
	case err != nil:
		h.log.Info("another run of a peer has come, and the earlier one is silent", "peer", id, "why", oneLine(err))
		return nil
	case !before(c, hello.GetBorn()):
		l.rivalled.Store(true)
		return nil
	}
	return c
}

// askRival asks the run at the other end for its claim over another.
func (l *link) askRival(ctx context.Context, over uint64) (*wire.Claim, error) {
	req, err := proto.Marshal(&wire.Rival{Run: over})
	if err != nil {
		return nil, err
	}
	late := make(chan time.Time, 1)
	ctx, cancel := context.WithTimeout(ctx, l.h.limits.rival)
	defer cancel()
	defer context.AfterFunc(ctx, func() { late <- time.Time{} })()
	reply, err := l.call(methodRival, req, late)
	if err != nil {
		return nil, err
	}
	c := new(wire.Claim)
	if err := proto.Unmarshal(reply, c); err != nil {
		return nil, err
	}
	if c.GetRun() != l.run || !l.h.verify(c, l.peer.ID, over) {
		return nil, fmt.Errorf("%w: a claim that proves nothing", errBroken)
	}
	return c, nil
}

// outrun ends a link whose run lives when that of another link, which has
// taken its place, was started earlier: it is told so, with the other's claim.
func (l *link) outrun(by *link) {
	l.mu.Lock()
	l.retired = true
	l.mu.Unlock()
	started := l.h.tasks.start("tell a twin", func() {
		defer l.fail(errOutrun)
		c, err := by.askRival(l.h.ctx, l.run)
		if err != nil {
			return // it will come again, and be asked
		}
		msg, err := proto.Marshal(c)
		if err == nil && l.requests.q.tryPut(noteFrame(methodTwin.Number, msg)) == nil {
			flush([]*link{l}, time.After(l.h.limits.rival))
			l.h.log.Warn("two nodes run with the same key: the later one was told to end", "peer", l.peer.ID)
		}
	})
	if !started {
		l.fail(host.ErrStopped)
	}
}

// isSelf reports whether a connection to this node's identity has come in
// here; it may do so a moment after the other end believes it to be made.
func isSelf(ctx context.Context, came <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-came:
		return true
	case <-timer.C:
		return false
	case <-ctx.Done():
		return true // too little time to tell
	}
}
