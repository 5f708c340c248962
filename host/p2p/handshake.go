package p2p

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"ircbridge/host"
	"ircbridge/host/p2p/wire"
)

// The protocols of the two streams. Versions are in the Hello, so that nodes
// of different majors understand why they part.
const (
	protoRequests = protocol.ID("/ircbridge/requests")
	protoBulk     = protocol.ID("/ircbridge/bulk")
)

// errCrossed: the peer refused our link because its own, opened in the same
// moment, stands.
var errCrossed = errors.New("both sides opened a link at once")

// greet says Hello on a stream that this side opened, and makes the link.
func (h *Host) greet(ctx context.Context, p *peerState, a *attempt, s network.Stream) error {
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	h.mu.Lock()
	if p.attempt != a { // the peer's link came first
		h.mu.Unlock()
		_ = s.Reset()
		return nil
	}
	h.attempts++
	a.number, a.greeted = h.attempts, true
	h.mu.Unlock()
	e := newEar(s)
	br := bufio.NewReaderSize(e, readBuffer)
	hello, err := h.askHello(s, br, a.number)
	if !stop() && err == nil {
		err = host.ErrTimeout
	}
	if err != nil {
		_ = s.Reset()
		h.part(p.id, err)
		return err
	}
	l := newLink(h, host.Peer{ID: p.id, Addrs: addrTexts(hello.GetAddresses())}, hello, true)
	l.attempt, l.peerAttempt = a.number, hello.GetAttempt()
	h.mu.Lock()
	if p.attempt != a {
		h.mu.Unlock()
		_ = s.Reset()
		return nil
	}
	after := h.registerLocked(p, l)
	h.mu.Unlock()
	after()
	h.remember(p.id, l.peer.Addrs)
	if !l.attach(l.requests, e, br) {
		l.fail(host.ErrStopped)
	}
	return nil
}

// askHello sends our Hello and returns the peer's, or why it will not have us.
func (h *Host) askHello(s network.Stream, br *bufio.Reader, number uint64) (*wire.Hello, error) {
	if err := s.SetDeadline(time.Now().Add(h.limits.greet)); err != nil {
		return nil, fmt.Errorf("%w: %w", host.ErrUnreachable, err)
	}
	if _, err := s.Write(encodeHello(h.hello(number, h.helloAddrs()))); err != nil {
		return nil, fmt.Errorf("%w: greeting the peer: %w", host.ErrUnreachable, err)
	}
	f, err := readFrame(br, maxHello, nil, 0)
	if err != nil {
		switch {
		case errors.Is(err, errBroken):
			return nil, fmt.Errorf("%w: %w", host.ErrNotOurs, err)
		case isTimeout(err):
			return nil, fmt.Errorf("%w: the peer did not answer our Hello", host.ErrTimeout)
		}
		return nil, streamError(err)
	}
	if err := s.SetDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("%w: %w", host.ErrUnreachable, err)
	}
	switch k := f.GetKind().(type) {
	case *wire.Frame_Hello:
		if err := checkHello(k.Hello); err != nil {
			return nil, fmt.Errorf("%w: %w", host.ErrNotOurs, err)
		}
		if reason, text := objection(k.Hello, h.hello(0, nil)); reason != wire.Refusal_UNKNOWN {
			return nil, refusalError(&wire.Refusal{Reason: reason, Text: text})
		}
		return k.Hello, nil
	case *wire.Frame_Refusal:
		if c := k.Refusal.GetClaim(); c != nil && h.convicted(c, host.PeerID(s.Conn().RemotePeer())) {
			return nil, ErrTwin
		}
		return nil, refusalError(k.Refusal)
	default:
		return nil, fmt.Errorf("%w: %w: %T instead of Hello", host.ErrNotOurs, errBroken, k)
	}
}

// part closes the connection to a peer that will not be ours: there is no use for it.
func (h *Host) part(id host.PeerID, err error) {
	switch {
	case errors.Is(err, errBroken):
		h.cutOff(id, err)
	case errors.Is(err, host.ErrOtherOverlay), errors.Is(err, host.ErrOtherVersion), errors.Is(err, host.ErrBusy):
		_ = h.lp.Network().ClosePeer(peer.ID(id))
	}
}

// refusalError is what a Refusal means to the one who is refused.
func refusalError(r *wire.Refusal) error {
	text := cleanText(r.GetText(), 300)
	switch r.GetReason() {
	case wire.Refusal_OTHER_OVERLAY:
		return fmt.Errorf("%w: %s", host.ErrOtherOverlay, text)
	case wire.Refusal_OTHER_VERSION:
		return fmt.Errorf("%w: %s", host.ErrOtherVersion, text)
	case wire.Refusal_TOO_MANY:
		return fmt.Errorf("%w: %s", host.ErrBusy, text)
	case wire.Refusal_CROSSED:
		return errCrossed
	default:
		return fmt.Errorf("%w: the peer refused: %s", host.ErrUnreachable, text)
	}
}

// objection is why two nodes cannot be peers, told to the one of Hello there
// about the one of Hello here; UNKNOWN: nothing.
func objection(here, there *wire.Hello) (wire.Refusal_Reason, string) {
	speaks := func(h *wire.Hello) string {
		return fmt.Sprintf("%d.%d (%s)", h.GetMajor(), h.GetMinor(), cleanText(h.GetProgram(), maxName))
	}
	switch {
	case here.GetOverlay() != there.GetOverlay():
		return wire.Refusal_OTHER_OVERLAY, fmt.Sprintf("that node is of overlay %q, this one of %q: both need the same [overlay] name", here.GetOverlay(), there.GetOverlay())
	case here.GetMajor() != there.GetMajor():
		return wire.Refusal_OTHER_VERSION, fmt.Sprintf("that node speaks version %s, this one %s: upgrade the older program", speaks(here), speaks(there))
	}
	return wire.Refusal_UNKNOWN, ""
}

// checkHello holds a Hello against its bounds.
func checkHello(hello *wire.Hello) error {
	long := func(s string) bool { return len(s) > maxName }
	switch {
	case hello.GetOverlay() == "" || long(hello.GetOverlay()) || !printable(hello.GetOverlay()),
		long(hello.GetProgram()) || !printable(hello.GetProgram()),
		len(hello.GetAbilities()) > maxAbilities || slices.ContainsFunc(hello.GetAbilities(), long),
		len(hello.GetAddresses()) > maxAddrs:
		return fmt.Errorf("%w: Hello breaks its bounds", errBroken)
	}
	for _, a := range hello.GetAddresses() {
		if len(a) > maxAddrLen {
			return fmt.Errorf("%w: address of %d bytes in Hello", errBroken, len(a))
		}
	}
	return nil
}

// addrTexts are the addresses of a Hello that this program understands.
func addrTexts(raw [][]byte) []string {
	var texts []string
	for _, b := range raw {
		if a, err := ma.NewMultiaddrBytes(b); err == nil && dialable(a) {
			texts = append(texts, a.String())
		}
	}
	return slices.Clip(texts)
}

// acceptRequests takes a request stream that a peer opened.
func (h *Host) acceptRequests(s network.Stream) {
	id := host.PeerID(s.Conn().RemotePeer())
	h.mu.Lock()
	n := 0
	for _, k := range h.greeting {
		n += k
	}
	full := n >= h.limits.greets || h.greeting[id] >= h.limits.greetsPeer
	if !full {
		h.greeting[id]++
	}
	h.mu.Unlock()
	if full || !id.Valid() {
		_ = s.Reset()
		h.log.Warn("stream refused: too many handshakes at once", "peer", id)
		return
	}
	done := func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.greeting[id]--; h.greeting[id] == 0 {
			delete(h.greeting, id)
		}
	}
	if !h.tasks.start("greet peer", func() { h.welcome(id, s, done) }) {
		done()
		_ = s.Reset()
	}
}

// welcome answers the Hello of a peer that opened a request stream.
func (h *Host) welcome(id host.PeerID, s network.Stream, done func()) {
	defer done()
	stop := context.AfterFunc(h.ctx, func() { _ = s.Reset() })
	defer stop()
	ctx, cancel := context.WithTimeout(h.ctx, h.limits.greet)
	defer cancel()
	if h.severed.wait(ctx, id) != nil {
		_ = s.Reset()
		return
	}
	e := newEar(s)
	br := bufio.NewReaderSize(e, readBuffer)
	hello, err := h.hearHello(s, br)
	if err != nil {
		_ = s.Reset()
		if h.ctx.Err() != nil {
			return
		}
		if isTimeout(err) {
			err = fmt.Errorf("%w: no Hello within %v", errBroken, h.limits.greet)
		}
		if errors.Is(err, errBroken) {
			h.cutOff(id, err)
		}
		return
	}
	addrs := h.helloAddrs()
	reason, text := objection(h.hello(0, nil), hello)
	var claim *wire.Claim
	if reason == wire.Refusal_UNKNOWN {
		if claim = h.standing(ctx, id, hello); claim != nil {
			reason, text = wire.Refusal_TWIN, "another node runs with the key of that one: each needs a data directory of its own"
		}
	}
	if reason == wire.Refusal_UNKNOWN {
		h.remember(id, addrTexts(hello.GetAddresses()))
		var l *link
		if l, reason, text = h.admit(id, hello, addrs); l != nil {
			if !l.attach(l.requests, e, br) {
				l.fail(host.ErrStopped)
			}
			return
		}
	}
	if reason != wire.Refusal_CROSSED {
		h.log.Info("peer refused", "peer", id, "told it", text)
	}
	_ = s.SetWriteDeadline(time.Now().Add(h.limits.greet))
	_, err = s.Write(encode(&wire.Frame{Kind: &wire.Frame_Refusal{Refusal: &wire.Refusal{Reason: reason, Text: text, Claim: claim}}}))
	if claim != nil { // or streams to the peer could be opened over the connection to its twin
		_ = s.CloseWrite()
		_ = s.SetReadDeadline(time.Now().Add(h.limits.rival))
		_, _ = io.Copy(io.Discard, br)
		_ = s.Conn().Close()
		return
	}
	if err != nil || s.Close() != nil {
		_ = s.Reset()
	}
}

func (h *Host) hearHello(s network.Stream, br *bufio.Reader) (*wire.Hello, error) {
	if err := s.SetDeadline(time.Now().Add(h.limits.greet)); err != nil {
		return nil, err
	}
	f, err := readFrame(br, maxHello, nil, 0)
	if err != nil {
		return nil, err
	}
	hello, ok := f.GetKind().(*wire.Frame_Hello)
	if !ok {
		return nil, fmt.Errorf("%w: %T instead of Hello", errBroken, f.GetKind())
	}
	if err := checkHello(hello.Hello); err != nil {
		return nil, err
	}
	return hello.Hello, s.SetDeadline(time.Time{})
}

// admit decides on a link that a peer opened, and makes it with our Hello as
// the first frame of its queue. Numbers of attempts tell what crossed:
//
//   - A Hello of an attempt that the peer made before it had the present link
//     (same run, number not above peerAttempt) came late: crossed.
//   - So did one that the peer made before it had a link that has just ended.
//   - A newer one says that the peer lost the present link: it is replaced.
//   - Without a link, while our own Hello is on its way, the lower peer ID's
//     link stands. The higher one admits it, the lower one refuses.
func (h *Host) admit(id host.PeerID, hello *wire.Hello, addrs [][]byte) (*link, wire.Refusal_Reason, string) {
	h.mu.Lock()
	p := h.peerLocked(id)
	switch {
	case p.link != nil && p.link.run == hello.GetRun() && hello.GetAttempt() <= p.link.peerAttempt,
		p.link == nil && p.attempt != nil && p.attempt.greeted && h.id < id:
		h.mu.Unlock()
		return nil, wire.Refusal_CROSSED, errCrossed.Error()
	case p.link == nil && h.former[id].run == hello.GetRun() && hello.GetAttempt() <= h.former[id].peerAttempt:
		h.forgetLocked(p)
		h.mu.Unlock()
		return nil, wire.Refusal_CROSSED, errCrossed.Error()
	case p.link == nil && h.links >= h.cfg.MaxPeers:
		h.forgetLocked(p)
		h.mu.Unlock()
		return nil, wire.Refusal_TOO_MANY, fmt.Sprintf("this node has room for %d peers and all places are taken: try another node", h.cfg.MaxPeers)
	}
	l := newLink(h, host.Peer{ID: id, Addrs: addrTexts(hello.GetAddresses())}, hello, false)
	l.attempt, l.peerAttempt = hello.GetAttempt(), hello.GetAttempt()
	_ = l.requests.q.tryPut(encodeHello(h.hello(h.attempts, addrs)))
	after := h.registerLocked(p, l)
	h.mu.Unlock()
	after()
	return l, wire.Refusal_UNKNOWN, ""
}

// acceptBulk takes a bulk stream that a peer opened: its first frame names the link.
func (h *Host) acceptBulk(s network.Stream) {
	id := host.PeerID(s.Conn().RemotePeer())
	if !h.tasks.start("accept bulk stream", func() { h.joinBulk(id, s) }) {
		_ = s.Reset()
	}
}

func (h *Host) joinBulk(id host.PeerID, s network.Stream) {
	stop := context.AfterFunc(h.ctx, func() { _ = s.Reset() })
	defer stop()
	ctx, cancel := context.WithTimeout(h.ctx, h.limits.greet)
	defer cancel()
	if h.severed.wait(ctx, id) != nil {
		_ = s.Reset()
		return
	}
	_ = s.SetReadDeadline(time.Now().Add(h.limits.greet))
	e := newEar(s)
	br := bufio.NewReaderSize(e, readBuffer)
	f, err := readFrame(br, maxHello, nil, 0)
	_ = s.SetReadDeadline(time.Time{})
	h.mu.Lock()
	var l *link
	if p := h.peers[id]; p != nil {
		l = p.link
	}
	h.mu.Unlock()
	switch {
	case err != nil || f.GetAttach() == nil:
		_ = s.Reset()
		if errors.Is(err, errBroken) && l != nil {
			l.fail(err)
		}
		return
	case l == nil || l.opener || f.GetAttach().GetAttempt() != l.attempt:
		// Its link has just ended here. A reset could reach the peer before Part does.
		_ = s.CloseWrite()
		_ = s.SetReadDeadline(time.Now().Add(h.limits.part))
		_, _ = io.Copy(io.Discard, br)
		_ = s.Reset()
		return
	case !l.attach(l.bulk, e, br):
		return
	}
	l.askBulk.Do(func() {}) // it is there: nobody needs to ask
}
