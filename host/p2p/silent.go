package p2p

import (
	"net/netip"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// silentTCP remembers where TCP packets vanish while QUIC gets through, so
// that dials do not wait there for TCP each time: the networks of addresses
// where that was seen, and, after some in a row, this node's own network,
// where it then holds for every address. A TCP connection to the same place
// takes it back; so does time, because firewalls change and laptops move.
type silentTCP struct {
	mu       sync.Mutex
	networks map[netip.Prefix]time.Time // when it was last seen
	row      int                        // times in a row, without a TCP connection to anywhere
	last     time.Time                  // of the row
}

const (
	silentFor   = 30 * time.Minute
	silentOwn   = 3   // in a row: it is our own firewall
	maxSilent   = 256 // networks
	networkBits = 24  // of an IPv4 address
	siteBits    = 48  // of an IPv6 address
)

// networkOf is the network of an address; false for a name, and for this
// machine itself, where no firewall is.
func networkOf(a ma.Multiaddr) (netip.Prefix, bool) {
	ip, err := manet.ToIP(a)
	if err != nil || ip.IsLoopback() {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return netip.Prefix{}, false
	}
	addr, bits := addr.Unmap(), siteBits
	if addr.Is4() {
		bits = networkBits
	}
	p, err := addr.Prefix(bits)
	return p, err == nil
}

// note remembers that QUIC reached a when TCP had got no answer there.
func (s *silentTCP) note(a ma.Multiaddr) {
	n, ok := networkOf(a)
	if !ok {
		return
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.networks == nil {
		s.networks = make(map[netip.Prefix]time.Time)
	}
	if _, known := s.networks[n]; !known && len(s.networks) == maxSilent {
		oldest := n
		for k, at := range s.networks {
			if oldest == n || at.Before(s.networks[oldest]) {
				oldest = k
			}
		}
		delete(s.networks, oldest)
	}
	s.networks[n] = now
	if now.Sub(s.last) > silentFor {
		s.row = 0
	}
	s.row, s.last = s.row+1, now
}

// clear forgets what was noted of a's network: TCP reached a.
func (s *silentTCP) clear(a ma.Multiaddr) {
	n, ok := networkOf(a)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.networks, n)
	s.row = 0
}

// at reports whether TCP is not worth waiting for at a.
func (s *silentTCP) at(a ma.Multiaddr) bool {
	n, ok := networkOf(a)
	if !ok {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	seen, known := s.networks[n]
	return known && now.Sub(seen) <= silentFor || s.row >= silentOwn && now.Sub(s.last) <= silentFor
}
