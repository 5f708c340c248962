package ircd

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// maxTries bounds how many addresses are remembered at a time.
const maxTries = 4096

// tries limits how often something is done from one address: so many times at once,
// then once in a while. Its methods are safe for use by many goroutines.
type tries struct {
	burst int
	pause time.Duration

	mu   sync.Mutex
	from map[string]*bucket
}

// try counts one time, or says how long it takes until there may be one.
func (t *tries) try(address string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.from[address]
	if b == nil {
		t.forget()
		b = newBucket(1/t.pause.Seconds(), t.burst)
		if t.from == nil {
			t.from = map[string]*bucket{}
		}
		t.from[address] = b
	}
	return b.try()
}

// forget makes room for one more address: those that have nothing held against
// them go, and if that is not enough all do.
func (t *tries) forget() {
	if len(t.from) < maxTries {
		return
	}
	for address, b := range t.from {
		if b.fill(); b.tokens >= b.burst {
			delete(t.from, address)
		}
	}
	if len(t.from) >= maxTries {
		clear(t.from)
	}
}

// giveBack takes back that a time was counted.
func (t *tries) giveBack(address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b := t.from[address]; b != nil {
		b.tokens = min(b.burst, b.tokens+1)
	}
}

// admitFrom counts a connection from another machine, or says why there may be no more from
// its address. leave takes it back.
func (s *Server) admitFrom(a *arrival) (leave func(), refused string) {
	key := limitKey(a)
	if key == "" {
		return func() {}, ""
	}
	live := s.live.Load()
	if live.connects != nil && live.connects.try(key) > 0 {
		return nil, "Too many connections from your address in a short time: wait a minute"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit := live.Limits.PerAddress; limit > 0 && s.addresses[key] >= limit {
		return nil, "Too many connections from your address"
	}
	s.addresses[key]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.addresses[key]--; s.addresses[key] == 0 {
			delete(s.addresses, key)
		}
	}, ""
}

// limitKey is what is counted as one address: that of IPv4, and of IPv6 the network that one
// customer gets. It is "" for a client on this machine.
func limitKey(a *arrival) string {
	from, ok := a.from.(*net.TCPAddr)
	if !ok || a.local {
		return ""
	}
	ip := from.AddrPort().Addr().Unmap().WithZone("")
	if ip.Is6() {
		return netip.PrefixFrom(ip, 64).Masked().String()
	}
	return ip.String()
}

// address is where the client is: the IP address, without its port; "" for one on this
// machine that has none.
func (c *conn) address() string {
	if a, ok := c.nc.from.(*net.TCPAddr); ok {
		return a.IP.String()
	}
	return ""
}

// origin is that address with its port, or what there is of it.
func (c *conn) origin() string {
	if c.nc.from == nil {
		return ""
	}
	return c.nc.from.String()
}
