package p2p

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"ircbridge/host"
)

// A connection on which packets were lost for a while can stay silent long after the way is
// free again: its kernel repeats them at intervals that double (RFC 6298, 5.5; for
// QUIC RFC 9002, 6.2.1), so that the next repeat may be as far away as the loss was
// long. Until then a call on it fails as if the peer were dead. A new connection carries at once.
//
// So a link on which a call got no answer is doubted. It is asked for a sign of
// life, and while none comes, the peer is tried on a connection of its own: if it
// answers there, and the link is silent still, the link ends, and whoever calls the peer next opens
// a new one. What was on its way is lost, as with any connection. A peer that is
// itself unreachable or stopped answers on neither, and its link stays.

// errSilent ends a link that carries nothing while its peer is well.
var errSilent = errors.New("it carries nothing any more, and the peer answers on a new connection")

// signOfLife is a method that no host serves: its refusal comes from the reader itself,
// at once, whatever else runs, and from hosts of every version.
const signOfLife = 0

// slowestLink, in bytes a second, is what a link is granted for what was sent on it,
// before its silence counts.
const slowestLink = 16 << 10

// doubt has a link tried on which a call that began at since got no answer, if nothing
// at all came on it meanwhile.
func (l *link) doubt(since time.Duration) {
	if l.heardSince(since) || !l.doubted.CompareAndSwap(false, true) {
		return
	}
	if !l.h.tasks.start("try silent link", func() {
		defer l.doubted.Store(false)
		l.tryOut()
	}) {
		l.doubted.Store(false)
	}
}

// tryOut ends the link if its peer answers elsewhere only. It blocks until the link
// is heard or has ended, at most for limits.stall.
func (l *link) tryOut() {
	since := sinceStart()
	if err := l.requests.q.tryPut(requestFrame(0, signOfLife, nil)); errors.Is(err, errClosed) {
		return
	}
	tick := time.NewTicker(l.h.limits.silence / 4)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-l.done:
			return
		case <-l.h.ctx.Done():
			return
		}
		silent := sinceStart() - since
		switch {
		case l.heardSince(since) || silent > l.h.limits.stall:
			return
		case silent < l.patience() || !l.answersElsewhere():
			continue
		case !l.heardSince(since):
			l.abandon()
			return
		}
	}
}

// patience is how long a link may be silent: longer when much was sent on it, which
// a slow line carries first.
func (l *link) patience() time.Duration {
	var sent int64
	for _, e := range l.ears() {
		sent += e.sent.Load()
	}
	return l.h.limits.silence + time.Duration(sent)*time.Second/slowestLink
}

// heardSince reports whether anything has come on the link since a time.
func (l *link) heardSince(t time.Duration) bool {
	for _, e := range l.ears() {
		if time.Duration(e.heard.Load()) >= t {
			return true
		}
	}
	return false
}

func (l *link) ears() []*ear {
	ears := make([]*ear, 0, 2)
	for _, la := range []*lane{l.requests, l.bulk} {
		la.mu.Lock()
		if la.stream != nil {
			ears = append(ears, la.stream)
		}
		la.mu.Unlock()
	}
	return ears
}

// answersElsewhere shakes hands with the peer on a connection made for that, over
// the same transport and to the same machine as the link. Where the peer cannot be
// dialled, as behind a NAT, only the peer itself can find the link silent.
func (l *link) answersElsewhere() bool {
	at := l.dialableEnd()
	if at == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(l.h.ctx, l.h.limits.elsewhere)
	defer cancel()
	id, err := l.h.whoAnswers(ctx, at)
	return err == nil && id == l.peer.ID && l.h.severed.wait(ctx, id) == nil
}

// whoAnswers learns who answers at an address over exactly its transport.
func (h *Host) whoAnswers(ctx context.Context, at ma.Multiaddr) (host.PeerID, error) {
	if !isTCP(at) {
		id, _, err := h.learnQUIC(ctx, at)
		return id, err
	}
	raw, err := connect(ctx, at)
	if err != nil {
		return "", err
	}
	id, _, err := h.learnTCP(ctx, raw)
	return id, err
}

// dialableEnd is the address of the peer's listener on the machine and over the transport
// that the link goes to, nil if none is known.
func (l *link) dialableEnd() ma.Multiaddr {
	c := l.conn()
	if c == nil {
		return nil
	}
	end := c.RemoteMultiaddr()
	if c.Stat().Direction == network.DirOutbound {
		return end
	}
	ip, err := manet.ToIP(end)
	if err != nil {
		return nil
	}
	for _, a := range parseAddrs(l.peer.Addrs) {
		if other, err := manet.ToIP(a); err == nil && other.Equal(ip) && isTCP(a) == isTCP(end) {
			return a
		}
	}
	return nil
}

// abandon ends the link with its connection.
func (l *link) abandon() {
	c := l.conn()
	l.fail(errSilent)
	if c != nil {
		_ = c.Close()
	}
}
