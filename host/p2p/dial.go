package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	mss "github.com/multiformats/go-multistream"

	"ircbridge/host"
)

// Dial implements host.Host. The identity behind the address is learnt by a
// handshake of its own, and held against the one that was named, before the real
// connection is made with it: so what answers can be told exactly. The address of
// this node itself is ErrSelf, a node that has too many peers host.ErrBusy.
func (h *Host) Dial(addr string, d time.Duration) (host.Peer, error) {
	p, err := h.dial(addr, d)
	if err != nil {
		return host.Peer{}, fmt.Errorf("dial %s: %w", cleanText(addr, 200), err)
	}
	return p, nil
}

func (h *Host) dial(text string, d time.Duration) (host.Peer, error) {
	if h.ctx.Err() != nil {
		return host.Peer{}, host.ErrStopped
	}
	addr, id, err := parseAddr(text)
	if err != nil {
		return host.Peer{}, err
	}
	if h.libp2p() == nil {
		return host.Peer{}, fmt.Errorf("%w: the host is not started", host.ErrUnreachable)
	}
	ctx, cancel := context.WithTimeout(h.ctx, d)
	defer cancel()
	if id, addr, err = h.whoIs(ctx, addr, id); err != nil {
		h.failed.add("", readableText(text), err)
		return host.Peer{}, err
	}
	h.failed.remove("", readableText(text))
	timer := time.NewTimer(d)
	defer timer.Stop()
	late := make(chan time.Time, 1)
	defer context.AfterFunc(ctx, func() { late <- time.Time{} })()
	l, err := h.linkTo(host.Peer{ID: id, Addrs: []string{addr.String()}}, true, late)
	if errors.Is(err, errLate) {
		err = fmt.Errorf("%w: no handshake within %v", host.ErrTimeout, d)
	}
	if err != nil {
		return host.Peer{}, sharpen(err)
	}
	return withAddrs(host.Peer{ID: id, Addrs: []string{addr.String()}}, l.peer.Addrs), nil
}

// whoIs learns who answers at an address, and holds it against the one that
// was named, if any.
func (h *Host) whoIs(ctx context.Context, addr ma.Multiaddr, named host.PeerID) (host.PeerID, ma.Multiaddr, error) {
	defer h.ask(addr.String())()
	id, at, err := h.learn(ctx, addr)
	switch {
	case h.ctx.Err() != nil:
		return "", nil, host.ErrStopped
	case err != nil:
		return "", nil, err
	case named != "" && named != id:
		return "", nil, fmt.Errorf("%w: %s answers there", host.ErrWrongPeer, id)
	case id == h.id:
		return "", nil, ErrSelf
	}
	if err := h.severed.wait(ctx, id); err != nil {
		return "", nil, fmt.Errorf("%w: no connection over TCP or QUIC", err)
	}
	return id, at, nil
}

// sharpen takes ErrUnreachable from an error that says more precisely what
// answered: linkTo adds it for callers who only ask whether a peer can be reached.
func sharpen(err error) error {
	for _, precise := range []error{host.ErrWrongPeer, host.ErrOtherOverlay, host.ErrOtherVersion, host.ErrNotOurs, host.ErrBusy, host.ErrTimeout} {
		if errors.Is(err, precise) {
			text := strings.TrimPrefix(oneLine(err), host.ErrUnreachable.Error()+": ")
			return fmt.Errorf("%w%s", precise, strings.TrimPrefix(text, precise.Error()))
		}
	}
	return err
}

// maxAddrText bounds the text of an address: parsing one takes time that
// grows with the square of its length.
const maxAddrText = 512

// parseAddr reads HOST:PORT (as TCP, identity unknown) or a multiaddress.
func parseAddr(text string) (ma.Multiaddr, host.PeerID, error) {
	bad := func(why string) (ma.Multiaddr, host.PeerID, error) {
		return nil, "", fmt.Errorf("%w: %s; want HOST:PORT, or a multiaddress such as /ip4/192.0.2.1/tcp/4747/p2p/ID", host.ErrBadAddress, why)
	}
	if len(text) > maxAddrText {
		return bad("it is too long")
	}
	if !strings.HasPrefix(text, "/") {
		name, port, err := net.SplitHostPort(text)
		if err != nil {
			return bad("no HOST:PORT")
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return bad(fmt.Sprintf("%q is no port", port))
		}
		kind := "dns"
		if at, err := netip.ParseAddr(name); err == nil && at.Zone() != "" {
			return bad("a link-local address cannot be used")
		}
		if ip := net.ParseIP(name); ip != nil && ip.To4() != nil {
			kind, name = "ip4", ip.String()
		} else if ip != nil {
			kind, name = "ip6", ip.String()
		} else if name == "" || len(name) > 253 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '/' || r == 0x7f }) {
			return bad(fmt.Sprintf("%q is no host name", name))
		}
		addr, err := ma.NewMultiaddr(fmt.Sprintf("/%s/%s/tcp/%d", kind, name, n))
		if err != nil {
			return bad(oneLine(err))
		}
		if manet.IsIP6LinkLocal(addr) {
			return bad("a link-local address cannot be used")
		}
		return addr, "", nil
	}
	addr, err := ma.NewMultiaddr(text)
	if err != nil {
		return bad(oneLine(err))
	}
	rest, id := peer.SplitAddr(addr)
	if id != "" && !host.PeerID(id).Valid() {
		return bad("its peer ID is not of an Ed25519 key")
	}
	if manet.IsIP6LinkLocal(rest) {
		return bad("a link-local address cannot be used")
	}
	if !dialable(rest) {
		return bad("only TCP and QUIC can be dialled")
	}
	return rest, host.PeerID(id), nil
}

// dialable reports whether a has the form IP or DNS name, and TCP or QUIC.
func dialable(a ma.Multiaddr) bool {
	codes := make([]int, 0, 4)
	for _, c := range a {
		codes = append(codes, c.Protocol().Code)
	}
	if len(codes) < 2 || !slices.Contains([]int{ma.P_IP4, ma.P_IP6, ma.P_DNS, ma.P_DNS4, ma.P_DNS6}, codes[0]) {
		return false
	}
	return slices.Equal(codes[1:], []int{ma.P_TCP}) || slices.Equal(codes[1:], []int{ma.P_UDP, ma.P_QUIC_V1})
}

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
	key, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		return "", err
	}
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

// dialError says in the contract's words why libp2p reached nobody.
func dialError(err error) error {
	var other sec.ErrPeerIDMismatch
	switch {
	case errors.As(err, &other):
		return fmt.Errorf("%w: %s answers there", host.ErrWrongPeer, other.Actual)
	case strings.Contains(err.Error(), "peer id mismatch"): // QUIC keeps the text only
		return fmt.Errorf("%w: %s", host.ErrWrongPeer, oneLine(err))
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %s", host.ErrTimeout, oneLine(err))
	}
	var all *swarm.DialError
	if errors.As(err, &all) {
		for _, e := range all.DialErrors {
			if errors.Is(e.Cause, mss.ErrNotSupported[string]{}) || strings.Contains(e.Cause.Error(), "message did not have trailing newline") || strings.Contains(e.Cause.Error(), "multistream") {
				return fmt.Errorf("%w: %s", host.ErrNotOurs, oneLine(err))
			}
		}
	}
	return fmt.Errorf("%w: %s", host.ErrUnreachable, oneLine(err))
}

// streamError says why a connected peer gave no stream.
func streamError(err error) error {
	var missing mss.ErrNotSupported[protocolID]
	switch {
	case errors.As(err, &missing) || strings.Contains(err.Error(), "protocols not supported"):
		return fmt.Errorf("%w: it is a libp2p node of another program", host.ErrNotOurs)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: opening a stream", host.ErrTimeout)
	case errors.Is(err, io.EOF) || errors.Is(err, network.ErrReset):
		return fmt.Errorf("%w: the peer closed the stream", host.ErrUnreachable)
	}
	return fmt.Errorf("%w: %s", host.ErrUnreachable, oneLine(err))
}

// oneLine is the text of an error on one line of bounded length; libp2p's go over several.
func oneLine(err error) string {
	tried := slices.DeleteFunc(slices.Clone(failures(err)), func(e swarm.TransportError) bool {
		return errors.Is(e.Cause, swarm.ErrGaterDisallowedConnection) // see reach
	})
	if len(tried) > 0 {
		var parts []string
		for _, e := range tried[:min(3, len(tried))] {
			parts = append(parts, fmt.Sprintf("%s: %v", e.Address, e.Cause))
		}
		if more := len(tried) - len(parts); more > 0 {
			parts = append(parts, fmt.Sprintf("and %d more", more))
		}
		return cleanText(strings.Join(parts, "; "), 600)
	}
	return cleanText(strings.Join(strings.Fields(err.Error()), " "), 600)
}
