package p2p

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	lphost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/x/rate"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

type protocolID = protocol.ID

// parseListen reads IP:PORT.
func parseListen(text string) (netip.AddrPort, error) {
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return at, fmt.Errorf("listen address %q: want IP:PORT, such as 0.0.0.0:4747", text)
	}
	if at.Addr().Is6() && (at.Addr().IsLinkLocalUnicast() || at.Addr().Zone() != "") {
		return at, fmt.Errorf("listen address %q: a link-local address cannot be used: name another address of that interface, or [::]:%d", text, at.Port())
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), nil
}

// listen makes the libp2p host and binds every listen address for both transports.
func (h *Host) listen() (lphost.Host, error) {
	lp, err := h.newLibp2p()
	if err != nil {
		return nil, fmt.Errorf("starting libp2p: %w", err)
	}
	for _, text := range h.cfg.Listen {
		at, err := parseListen(text)
		if err == nil {
			err = bind(lp.Network(), at)
		}
		if err != nil {
			_ = lp.Close()
			return nil, err
		}
	}
	return lp, nil
}

// bind listens on TCP and QUIC at one port. libp2p would go on with the one it
// could get; here both or none are bound.
func bind(n network.Network, at netip.AddrPort) error {
	tries := 1
	if at.Port() == 0 {
		tries = 20 // the port that TCP gets may be taken on UDP
	}
	var err error
	for range tries {
		var free netip.AddrPort
		if free, err = probe(at); err != nil {
			continue
		}
		addrs := listenAddrs(free)
		for i, a := range addrs {
			if err = n.Listen(a); err != nil {
				for _, bound := range addrs[:i] {
					n.(interface{ ListenClose(...ma.Multiaddr) }).ListenClose(bound)
				}
				err = portError(free, err)
				break
			}
		}
		if err == nil {
			return nil
		}
	}
	return err
}

func listenAddrs(at netip.AddrPort) []ma.Multiaddr {
	kind := "ip4"
	if at.Addr().Is6() {
		kind = "ip6"
	}
	base := fmt.Sprintf("/%s/%s", kind, at.Addr().WithZone(""))
	return []ma.Multiaddr{
		ma.StringCast(fmt.Sprintf("%s/tcp/%d", base, at.Port())),
		ma.StringCast(fmt.Sprintf("%s/udp/%d/quic-v1", base, at.Port())),
	}
}

// probe binds the port for a moment with plain sockets: they know no sharing
// of ports, so a port that anybody has is reported, for UDP too. Port 0 is
// replaced by one that is free for both.
func probe(at netip.AddrPort) (netip.AddrPort, error) {
	family := "4"
	if at.Addr().Is6() {
		family = "6"
	}
	l, err := net.Listen("tcp"+family, at.String())
	if err != nil {
		return at, portError(at, err)
	}
	at = netip.AddrPortFrom(at.Addr(), uint16(l.Addr().(*net.TCPAddr).Port))
	u, err := net.ListenPacket("udp"+family, at.String())
	if err != nil {
		return at, errors.Join(portError(at, err), l.Close())
	}
	return at, errors.Join(l.Close(), u.Close())
}

func portError(at netip.AddrPort, err error) error {
	const wsaeAddrInUse, wsaeAccess = syscall.Errno(10048), syscall.Errno(10013)
	var os *net.OpError
	busy := errors.Is(err, syscall.EADDRINUSE) || runtime.GOOS == "windows" && (errors.Is(err, wsaeAddrInUse) || errors.Is(err, wsaeAccess))
	transport := "TCP"
	if errors.As(err, &os) && strings.HasPrefix(os.Net, "udp") {
		transport = "UDP"
	}
	if busy {
		return fmt.Errorf("%w: %s port %d on %s: choose another, or stop the program that has it", ErrPortBusy, transport, at.Port(), at.Addr())
	}
	return fmt.Errorf("listen on %s (%s): %s", at, transport, oneLine(err))
}

func (h *Host) newLibp2p() (lphost.Host, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(h.key)
	if err != nil {
		return nil, err
	}
	limits, err := resourceManager()
	if err != nil {
		return nil, err
	}
	options := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.NoListenAddrs,
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.Transport(quic.NewTransport),
		libp2p.Muxer(yamux.ID, multiplexer()),
		libp2p.UserAgent(h.cfg.Version),
		libp2p.ResourceManager(limits),
		libp2p.ConnectionManager(connmgr.NullConnMgr{}), // see tidy.go
		libp2p.SwarmOpts(swarm.WithDialRanker(h.rank)),
		libp2p.ConnectionGater(&h.gate),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.Ping(false),
		libp2p.UDPBlackHoleSuccessCounter(nil),
		libp2p.IPv6BlackHoleSuccessCounter(nil),
	}
	if h.cfg.PortMap {
		options = append(options, libp2p.NATPortMap())
	}
	return libp2p.New(options...)
}

// multiplexer is the library's for TCP, with fewer pings: every half minute from
// both ends of each connection they were a quarter of what a node at rest
// sends. Who lives is asked by those above, where it matters.
func multiplexer() *yamux.Transport {
	const pings = 2 * time.Minute
	t := *yamux.DefaultTransport
	t.KeepAliveInterval, t.MeasureRTTInterval = pings, pings
	return &t
}

// resourceManager has room for a household or an office behind one address,
// and for many connections that say nothing yet; libp2p's own limits (8
// connections from one address, 16 new ones and then one in 5 s, 64 in all on a
// small machine) are meant for a public network of strangers.
func resourceManager() (network.ResourceManager, error) {
	scaling := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&scaling)
	partial := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: 8192, ConnsInbound: 6144, ConnsOutbound: 4096,
			Streams: 32768, StreamsInbound: 16384, StreamsOutbound: 16384,
			FD: 8192, Memory: 1 << 30,
		},
		Transient: rcmgr.ResourceLimits{
			Conns: 4096, ConnsInbound: 3072, ConnsOutbound: 1024,
			Streams: 4096, StreamsInbound: 2048, StreamsOutbound: 2048,
			FD: 4096, Memory: 256 << 20,
		},
		ProtocolDefault:     rcmgr.ResourceLimits{Streams: 16384, StreamsInbound: 8192, StreamsOutbound: 8192, Memory: 512 << 20},
		ProtocolPeerDefault: rcmgr.ResourceLimits{Streams: 64, StreamsInbound: 32, StreamsOutbound: 32, Memory: 64 << 20},
		PeerDefault:         rcmgr.ResourceLimits{Conns: 16, ConnsInbound: 8, ConnsOutbound: 8, Streams: 128, StreamsInbound: 64, StreamsOutbound: 64, FD: 16, Memory: 128 << 20},
	}
	const perAddress, perSite = 256, 1024
	return rcmgr.NewResourceManager(
		rcmgr.NewFixedLimiter(partial.Build(scaling.AutoScale())),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: perAddress}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: perAddress}, {PrefixLength: 48, ConnCount: perSite}}),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: []rate.PrefixLimit{
				{Prefix: netip.MustParsePrefix("127.0.0.0/8")},
				{Prefix: netip.MustParsePrefix("::1/128")},
			},
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: rate.Limit{RPS: 50, Burst: perAddress}}},
				IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: rate.Limit{RPS: 50, Burst: perAddress}}, {PrefixLength: 48, Limit: rate.Limit{RPS: 200, Burst: perSite}}},
				GracePeriod:      time.Minute,
			},
		}))
}

// rank orders the addresses of one peer for dialling: one after the other in
// short steps, this machine's own last. When all that were tried have failed,
// libp2p goes on to the next at once.
func (h *Host) rank(addrs []ma.Multiaddr) []network.AddrDelay {
	addrs = slices.Clone(addrs)
	slices.SortStableFunc(addrs, func(a, b ma.Multiaddr) int { return addrRank(a) - addrRank(b) })
	ranked := make([]network.AddrDelay, 0, len(addrs))
	for i, a := range addrs {
		ranked = append(ranked, network.AddrDelay{Addr: a, Delay: time.Duration(i) * h.limits.dialStep})
	}
	return ranked
}

func isTCP(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_TCP)
	return err == nil
}

// addrRank is small for an address that is likely to be reached, by TCP.
func addrRank(a ma.Multiaddr) int {
	rank := 0
	switch {
	case manet.IsIPLoopback(a):
		rank = 4
	case manet.IsIP6LinkLocal(a):
		rank = 5
	case manet.IsPublicAddr(a):
		rank = 1
	case manet.IsPrivateAddr(a):
		rank = 2
	}
	if !isTCP(a) {
		rank += 10
	}
	return rank
}
