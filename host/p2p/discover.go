package p2p

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"ircbridge/host"
)

// Discover looks for nodes of this overlay on the local network, by multicast
// DNS as libp2p's specification has it, until the host stops. It is called once,
// after Start. The service is named after the overlay, so that nodes of others are not
// even found; each that is found is dialled (unless it is connected) with the
// handshake that every peer goes through, and then found is called in a task
// of its own: again, for one that stays, some minutes later.
//
// A node that listens on this machine only neither searches nor is found. Where
// multicast is not possible now, one line in the log says so, and Discover goes on
// looking at the interfaces: laptops move.
func (h *Host) Discover(found func(host.Peer)) error {
	h.mu.Lock()
	started, twice := h.lp != nil, h.discovers
	h.discovers = h.discovers || started
	h.mu.Unlock()
	switch {
	case h.ctx.Err() != nil:
		return host.ErrStopped
	case !started:
		return errors.New("p2p: Discover before Start")
	case twice:
		return errors.New("p2p: Discover called twice")
	case onlyThisMachine(h.cfg.Listen):
		h.log.Info("the local network is not searched: this node listens on this machine only")
		return nil
	}
	d := &discovery{h: h, found: found, service: serviceName(h.cfg.Overlay), seen: make(map[host.PeerID]time.Time)}
	if !h.tasks.start("search local network", d.run) {
		return host.ErrStopped
	}
	return nil
}

// onlyThisMachine reports whether all listen addresses are loopback ones. A
// node without any can still find others.
func onlyThisMachine(listen []string) bool {
	for _, text := range listen {
		if at, err := netip.ParseAddrPort(text); err == nil && !at.Addr().Unmap().IsLoopback() {
			return false
		}
	}
	return len(listen) > 0
}

// serviceName is the DNS-SD service of an overlay: "ircb-" and the first 50
// bits of the SHA-256 of its name, so that any name fits into the 15 letters
// that a service may have (RFC 6335, section 5.1).
func serviceName(overlay string) string {
	sum := sha256.Sum256([]byte(overlay))
	return "_ircb-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:10]) + "._udp"
}

// discovery tries the peers that announce themselves. Everybody on the local
// network can announce whatever he likes, so all of it is bounded.
type discovery struct {
	h       *Host
	found   func(host.Peer)
	service string

	mu      sync.Mutex
	seen    map[host.PeerID]time.Time // when one may be tried again
	waiting []host.Peer
	trying  int
}

const (
	triesAtOnce   = 4
	maxWaiting    = 256
	maxSeen       = 1024
	sameAgain     = 5 * time.Minute // a peer that was found is told again
	failedAgain   = time.Minute     // one that was not reached is tried again
	maxAnnounced  = 8               // addresses: an answer should fit into one packet
	maxUnderstood = 32              // addresses of one announcement
)

// offer takes an announcement.
func (d *discovery) offer(p host.Peer) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Before(d.seen[p.ID]) || len(d.waiting) >= maxWaiting {
		return
	}
	if len(d.seen) >= maxSeen {
		for id, until := range d.seen {
			if now.After(until) {
				delete(d.seen, id)
			}
		}
		if len(d.seen) >= maxSeen {
			return
		}
	}
	d.seen[p.ID] = now.Add(sameAgain)
	d.waiting = append(d.waiting, p)
	if d.trying < triesAtOnce && d.h.tasks.start("reach node on local network", d.tryWaiting) {
		d.trying++
	}
}

// tryWaiting tries what waits until nothing does.
func (d *discovery) tryWaiting() {
	for {
		d.mu.Lock()
		if len(d.waiting) == 0 || d.h.ctx.Err() != nil {
			d.trying--
			d.mu.Unlock()
			return
		}
		p := d.waiting[0]
		d.waiting = slices.Delete(d.waiting, 0, 1)
		d.mu.Unlock()
		d.try(p)
	}
}

// try makes sure that there is a link to p.
func (d *discovery) try(p host.Peer) {
	timer := time.NewTimer(d.h.limits.dial)
	defer timer.Stop()
	l, err := d.h.linkTo(p, true, timer.C)
	if err != nil {
		d.h.log.Debug("a node on the local network was not reached", "peer", p.ID, "reason", oneLine(err))
		d.mu.Lock()
		d.seen[p.ID] = time.Now().Add(failedAgain)
		d.mu.Unlock()
		return
	}
	d.h.log.Info("node on the local network", "peer", p.ID)
	reached := withAddrs(p, l.peer.Addrs)
	d.h.Go("node on local network", func() { d.found(reached) })
}

// withAddrs is p with further addresses behind its own.
func withAddrs(p host.Peer, more []string) host.Peer {
	p.Addrs = slices.Clone(p.Addrs)
	for _, a := range more {
		if !slices.Contains(p.Addrs, a) {
			p.Addrs = append(p.Addrs, a)
		}
	}
	return p
}

const dnsaddr = "dnsaddr=" // before each address in a TXT record

// announced are the TXT records that tell of this node: the addresses of this
// machine's interfaces at which others on the same network can reach it; ips are
// those alone.
func (h *Host) announced() (records, ips []string) {
	addrs, err := h.libp2p().Network().InterfaceListenAddresses()
	if err != nil {
		return nil, nil
	}
	for _, a := range bestAddrs(addrs) {
		if !onLAN(a) || len(records) == maxAnnounced {
			continue
		}
		records = append(records, dnsaddr+a.String()+"/p2p/"+h.id.String())
		if ip := a[0].Value(); !slices.Contains(ips, ip) {
			ips = append(ips, ip)
		}
	}
	return records, ips
}

// onLAN reports whether an address may be one of another machine nearby.
func onLAN(a ma.Multiaddr) bool {
	_, err := manet.ToIP(a) // no name
	return err == nil && dialable(a) && !manet.IsIPLoopback(a) && !manet.IsIPUnspecified(a) && !manet.IsIP6LinkLocal(a)
}

// understand reads the TXT records of an announcement, which are of one node.
func understand(records []string) (p host.Peer, err error) {
	for _, r := range records[:min(len(records), maxUnderstood)] {
		text, ok := strings.CutPrefix(r, dnsaddr)
		if !ok || len(text) > maxAddrText {
			continue
		}
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			continue
		}
		a, id := peer.SplitAddr(a)
		if !host.PeerID(id).Valid() || p.ID != "" && p.ID != host.PeerID(id) || !onLAN(a) {
			continue
		}
		p.ID = host.PeerID(id)
		p.Addrs = append(p.Addrs, a.String())
	}
	if p.ID == "" {
		return p, fmt.Errorf("%w: no address of a node in it", host.ErrBadAddress)
	}
	return p, nil
}
