package p2p

import (
	"context"
	"errors"
	"sync"
	"syscall"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

// reach connects to a peer: over TCP first, then over QUIC where TCP got no
// answer at all. Where TCP was refused nobody listens, and QUIC would need five
// seconds to find that out. Where TCP is known to be silent (silentTCP) both are
// tried at once, TCP a moment earlier. Addresses are the given ones and, unless only is
// set, those that are remembered; the given ones are remembered for the dial
// alone, because nobody has yet answered there.
func (h *Host) reach(ctx context.Context, id peer.ID, addrs []string, only bool) error {
	ctx = network.WithForceDirectDial(ctx, "link") // no back-off: protocol code has its own periods
	given := parseAddrs(addrs)
	h.lp.Peerstore().AddAddrs(id, given, h.limits.dial)
	tcp, quic := make(map[string]bool), make(map[string]bool) // to be tried, by IP and port
	candidates := given
	if !only {
		candidates = h.lp.Peerstore().Addrs(id)
	}
	silent := false
	for _, a := range candidates {
		if isTCP(a) {
			tcp[endpoint(a)] = true
		} else {
			quic[endpoint(a)] = true
			silent = silent || h.silent.at(a)
		}
	}
	if len(tcp) > 0 && !silent {
		alone, cancel := ctx, context.CancelFunc(func() {})
		if len(quic) > 0 {
			alone, cancel = context.WithTimeout(ctx, h.limits.tcpAlone)
		}
		_, err := h.dialOnly(alone, id, func(a ma.Multiaddr) bool { return isTCP(a) && tcp[endpoint(a)] })
		cancel()
		for _, e := range failures(err) {
			if isTCP(e.Address) && !noAnswer(e.Cause) {
				delete(quic, endpoint(e.Address))
			}
		}
		if err == nil || len(quic) == 0 || ctx.Err() != nil {
			return err
		}
	}
	over, err := h.dialOnly(ctx, id, func(a ma.Multiaddr) bool {
		return !isTCP(a) && quic[endpoint(a)] || silent && isTCP(a) && tcp[endpoint(a)]
	})
	if err == nil && !silent && !isTCP(over) && tcp[endpoint(over)] {
		h.silent.note(over)
	}
	return err
}

// dialOnly connects to a peer, at addresses that allow lets pass unless there
// is a connection already, and returns the address of the peer's end.
func (h *Host) dialOnly(ctx context.Context, id peer.ID, allow func(ma.Multiaddr) bool) (ma.Multiaddr, error) {
	defer h.gate.only(id, allow)()
	c, err := h.lp.Network().DialPeer(ctx, id)
	if err != nil {
		return nil, err
	}
	if isTCP(c.RemoteMultiaddr()) && c.Stat().Direction == network.DirOutbound {
		h.silent.clear(c.RemoteMultiaddr())
	}
	return c.RemoteMultiaddr(), nil
}

func failures(err error) []swarm.TransportError {
	var all *swarm.DialError
	if errors.As(err, &all) {
		return all.DialErrors
	}
	return nil
}

// noAnswer reports whether a TCP dial failed without a word from the other machine.
func noAnswer(err error) bool {
	return isTimeout(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)
}

// parseAddrs are the addresses among texts that can be dialled.
func parseAddrs(texts []string) []ma.Multiaddr {
	var addrs []ma.Multiaddr
	for _, text := range texts[:min(len(texts), maxAddrs)] {
		if len(text) > maxAddrText {
			continue
		}
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			continue
		}
		if a, _ = peer.SplitAddr(a); dialable(a) {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// endpoint is IP and port of a TCP or QUIC address.
func endpoint(a ma.Multiaddr) string {
	text := ""
	for _, c := range a {
		switch c.Protocol().Code {
		case ma.P_IP4, ma.P_IP6, ma.P_DNS, ma.P_DNS4, ma.P_DNS6, ma.P_TCP, ma.P_UDP:
			text += "/" + c.Value()
		}
	}
	return text
}

// gate narrows the addresses under which libp2p dials a peer while an
// attempt to reach it runs, and tells who came in. It refuses nothing else.
type gate struct {
	mu     sync.Mutex
	allow  map[peer.ID]func(ma.Multiaddr) bool
	expect map[peer.ID]chan struct{} // closed when that peer has come in
}

// only sets what may be dialled, and returns what takes that back.
func (g *gate) only(id peer.ID, allow func(ma.Multiaddr) bool) func() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.allow == nil {
		g.allow = make(map[peer.ID]func(ma.Multiaddr) bool)
	}
	g.allow[id] = allow
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.allow, id)
	}
}

// InterceptAddrDial implements libp2p's ConnectionGater.
func (g *gate) InterceptAddrDial(id peer.ID, a ma.Multiaddr) bool {
	g.mu.Lock()
	allow := g.allow[id]
	g.mu.Unlock()
	return allow == nil || allow(a)
}

// InterceptPeerDial implements libp2p's ConnectionGater.
func (g *gate) InterceptPeerDial(peer.ID) bool { return true }

// InterceptAccept implements libp2p's ConnectionGater.
func (g *gate) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured implements libp2p's ConnectionGater.
func (g *gate) InterceptSecured(way network.Direction, id peer.ID, _ network.ConnMultiaddrs) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if came := g.expect[id]; came != nil && way == network.DirInbound {
		close(came)
		delete(g.expect, id)
	}
	return true
}

// incoming returns what is closed when a peer connects to this node, and what
// ends the watch.
func (g *gate) incoming(id peer.ID) (came <-chan struct{}, end func()) {
	ch := make(chan struct{})
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.expect == nil {
		g.expect = make(map[peer.ID]chan struct{})
	}
	g.expect[id] = ch
	return ch, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.expect[id] == ch {
			delete(g.expect, id)
		}
	}
}

// InterceptUpgraded implements libp2p's ConnectionGater.
func (g *gate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
