package p2p

import (
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"ircbridge/host"
)

// addrCache keeps this node's addresses for a moment: asking libp2p walks over
// all interfaces.
type addrCache struct {
	mu    sync.Mutex
	at    time.Time
	addrs []ma.Multiaddr
	texts []string
}

const addrCacheFor = 2 * time.Second

func (h *Host) refreshAddrs() ([]ma.Multiaddr, []string) {
	lp := h.libp2p()
	if lp == nil {
		return nil, nil
	}
	c := &h.addrs
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); c.texts == nil || now.Sub(c.at) > addrCacheFor {
		c.at = now
		c.addrs = bestAddrs(lp.Addrs())
		c.texts = make([]string, 0, len(c.addrs))
		for _, a := range c.addrs {
			c.texts = append(c.texts, a.String())
		}
	}
	return c.addrs, c.texts
}

// selfAddrs are the addresses under which others may reach this node, best
// first; the caller owns the list.
func (h *Host) selfAddrs() []string {
	_, texts := h.refreshAddrs()
	return slices.Clone(texts)
}

func (h *Host) selfMultiaddrs() []ma.Multiaddr {
	addrs, _ := h.refreshAddrs()
	return addrs
}

// bestAddrs sorts addresses by how likely they are to be reached, this machine's
// own last (local rings need them), and drops what is of no use to others.
func bestAddrs(addrs []ma.Multiaddr) []ma.Multiaddr {
	addrs = slices.DeleteFunc(slices.Clone(addrs), func(a ma.Multiaddr) bool {
		return !dialable(a) || manet.IsIPUnspecified(a) || manet.IsIP6LinkLocal(a)
	})
	slices.SortFunc(addrs, func(a, b ma.Multiaddr) int {
		if d := addrRank(a) - addrRank(b); d != 0 {
			return d
		}
		return a.Compare(b)
	})
	return addrs[:min(len(addrs), maxAddrs)]
}

// remember keeps addresses of a peer, so that it can be dialled without. What
// is no address, or none that can be dialled, is left out.
func (h *Host) remember(id host.PeerID, addrs []string) {
	if lp := h.libp2p(); lp != nil {
		lp.Peerstore().AddAddrs(peer.ID(id), parseAddrs(addrs), h.limits.addrsFor)
	}
}
