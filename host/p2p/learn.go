package p2p

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	mss "github.com/multiformats/go-multistream"

	"ircbridge/host"
)

// learn finds out who answers at an address, by a security handshake that
// expects nobody in particular, and returns the address that answered. TCP
// is tried first, QUIC on the same port if TCP gets no answer; where TCP is known
// to be silent, it is not waited for.
func (h *Host) learn(ctx context.Context, addr ma.Multiaddr) (host.PeerID, ma.Multiaddr, error) {
	ctx, cancel := context.WithTimeout(ctx, h.limits.learn)
	defer cancel()
	if !isTCP(addr) {
		return h.learnQUIC(ctx, addr)
	}
	quic, noQUIC := toQUIC(ctx, addr)
	tcp, cancelTCP := context.WithTimeout(ctx, h.limits.tcpAlone)
	defer cancelTCP()
	overQUIC := func() learnt {
		id, at, err := h.learnQUIC(ctx, quic)
		return learnt{id, at, err}
	}
	silent := noQUIC == nil && h.silent.at(quic)
	if silent {
		early := make(chan learnt, 1)
		ask := overQUIC
		if h.tasks.start("ask over QUIC", func() {
			got := ask()
			if got.err == nil {
				cancelTCP()
			}
			early <- got
		}) {
			overQUIC = func() learnt { return <-early }
		}
	}
	raw, err := connect(tcp, addr)
	if err == nil {
		h.silent.clear(addr)
		return h.learnTCP(ctx, raw)
	}
	if !noAnswer(err) {
		return "", nil, fmt.Errorf("%w: %w", host.ErrUnreachable, err)
	}
	if noQUIC == nil {
		if got := overQUIC(); got.err == nil {
			if !silent { // else TCP had no time to answer
				h.silent.note(got.at)
			}
			return got.id, got.at, nil
		}
	}
	if isTimeout(err) {
		return "", nil, fmt.Errorf("%w: no connection over TCP or QUIC", host.ErrTimeout)
	}
	return "", nil, fmt.Errorf("%w: %w", host.ErrUnreachable, err)
}

// learnt is who answers at an address, or why that is not known.
type learnt struct {
	id  host.PeerID
	at  ma.Multiaddr
	err error
}

// toQUIC is the QUIC address beside a TCP one; a name is resolved.
func toQUIC(ctx context.Context, addr ma.Multiaddr) (ma.Multiaddr, error) {
	name, text := addr[0].Value(), addr[1].Value()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, err
	}
	ip, kind := ips[0].Unmap(), "ip4"
	if ip.Is6() {
		kind = "ip6"
	}
	return ma.NewMultiaddr(fmt.Sprintf("/%s/%s/udp/%s/quic-v1", kind, ip.WithZone(""), text))
}

func connect(ctx context.Context, addr ma.Multiaddr) (net.Conn, error) {
	network, address, err := manet.DialArgs(addr)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, address)
}

// learnTCP shakes hands on a TCP connection and closes it.
func (h *Host) learnTCP(ctx context.Context, raw net.Conn) (host.PeerID, ma.Multiaddr, error) {
	defer func() { _ = raw.Close() }()
	defer context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })()
	id, err := h.handshake(ctx, raw)
	if err != nil {
		return "", nil, err
	}
	at, err := manet.FromNetAddr(raw.RemoteAddr())
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", host.ErrUnreachable, err)
	}
	return id, at, nil
}

// handshake speaks multistream-select and Noise, which every ircbridge node
// understands, with a key of this moment only. It proves the answerer's identity.
func (h *Host) handshake(ctx context.Context, raw net.Conn) (host.PeerID, error) {
	answer := &firstWords{Conn: raw}
	fail := func(err error) (host.PeerID, error) {
		switch {
		case ctx.Err() != nil || isTimeout(err):
			return "", fmt.Errorf("%w: connected, but nothing there answers as an ircbridge node", host.ErrTimeout)
		case answer.n == 0:
			return "", fmt.Errorf("%w: it closed the connection at once: %w", host.ErrUnreachable, err)
		}
		return "", fmt.Errorf("%w: what answers there speaks something else (%s)", host.ErrNotOurs, cleanText(oneLine(err), 200))
	}
	key, public, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		return "", err
	}
	mine, err := peer.IDFromPublicKey(public)
	if err != nil {
		return "", err
	}
	came, end := h.gate.incoming(mine)
	defer end()
	if err := mss.SelectProtoOrFail(noise.ID, answer); err != nil {
		return fail(err)
	}
	tpt, err := noise.New(noise.ID, key, nil)
	if err != nil {
		return "", err
	}
	anyone, err := tpt.WithSessionOptions(noise.DisablePeerIDCheck())
	if err != nil {
		return "", err
	}
	secure, err := anyone.SecureOutbound(ctx, answer, "")
	if err != nil {
		return fail(err)
	}
	id := host.PeerID(secure.RemotePeer())
	_ = secure.Close()
	if !id.Valid() {
		return "", fmt.Errorf("%w: its identity is no Ed25519 key", host.ErrNotOurs)
	}
	if id == h.id && !isSelf(ctx, came, h.limits.rival) {
		return "", fmt.Errorf("%w: it answers there", ErrTwin)
	}
	return id, nil
}

// firstWords holds what is read first against what every libp2p node says
// first, so that another language is told at once and not by its silence
// afterwards.
type firstWords struct {
	net.Conn
	n int // bytes read
}

const multistream = "\x13/multistream/1.0.0\n"

var errForeign = errors.New("its first bytes are of another protocol")

func (f *firstWords) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	for i := f.n; i < min(f.n+n, len(multistream)); i++ {
		if b[i-f.n] != multistream[i] {
			f.n += n
			return 0, errForeign
		}
	}
	f.n += n
	return n, err
}

// learnQUIC makes a QUIC connection to anybody and reads the key of who answered.
func (h *Host) learnQUIC(ctx context.Context, addr ma.Multiaddr) (host.PeerID, ma.Multiaddr, error) {
	sw, ok := h.libp2p().Network().(*swarm.Swarm)
	if !ok {
		return "", nil, fmt.Errorf("%w: no QUIC", host.ErrUnreachable)
	}
	tpt := sw.TransportForDialing(addr)
	if tpt == nil {
		return "", nil, fmt.Errorf("%w: no QUIC transport for %s", host.ErrUnreachable, addr)
	}
	conn, err := tpt.Dial(ctx, addr, "")
	if err != nil {
		if ctx.Err() != nil || isTimeout(err) {
			return "", nil, fmt.Errorf("%w: no answer over QUIC", host.ErrTimeout)
		}
		return "", nil, fmt.Errorf("%w: %s", host.ErrUnreachable, oneLine(err))
	}
	defer func() { _ = conn.Close() }()
	id, err := peer.IDFromPublicKey(conn.RemotePublicKey())
	if err != nil || !host.PeerID(id).Valid() {
		return "", nil, fmt.Errorf("%w: its identity is no Ed25519 key", host.ErrNotOurs)
	}
	return host.PeerID(id), addr, nil
}
