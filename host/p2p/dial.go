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

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
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
	for _, precise := range []error{host.ErrWrongPeer, host.ErrOtherOverlay, host.ErrOtherVersion, host.ErrNotOurs, host.ErrBusy, host.ErrTimeout, ErrTwin} {
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
