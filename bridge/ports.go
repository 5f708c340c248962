package bridge

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// portsToTry is how many ports, from the default one upwards, are tried when
// nobody named one.
const portsToTry = 10

// choosePorts is where to listen. The default port, when nobody named it, gives
// way to the next free one if it is busy; moved then says so to a person. What
// was named is taken as it is: a port that silently is another helps nobody who
// has opened his router for it.
func (c *Config) choosePorts() (listen []string, moved string, err error) {
	if c.named {
		for _, text := range c.Node.Listen {
			a, err := parseListen(text)
			if err != nil {
				return nil, "", err // checked by Load already
			}
			listen = append(listen, a.String())
		}
		return listen, "", nil
	}
	first := netip.MustParseAddrPort(DefaultListen)
	at, err := freePort(first, portFree)
	if err != nil {
		return nil, "", fmt.Errorf("%w; name one with -listen :PORT, or let the system choose with -listen :0", err)
	}
	if at != first {
		moved = fmt.Sprintf("Port %d is busy, so other nodes reach this one on port %d this time.", first.Port(), at.Port())
	}
	return []string{at.String()}, moved, nil
}

// freePort is the first of portsToTry addresses from first upwards that is free.
func freePort(first netip.AddrPort, free func(netip.AddrPort) error) (netip.AddrPort, error) {
	last := first.Port() + portsToTry - 1
	for port := first.Port(); port <= last; port++ {
		if a := netip.AddrPortFrom(first.Addr(), port); free(a) == nil {
			return a, nil
		}
	}
	return netip.AddrPort{}, fmt.Errorf("no port from %d to %d is free", first.Port(), last)
}

// portFree reports whether both TCP and UDP can be had at an address.
func portFree(a netip.AddrPort) error {
	l, err := net.Listen("tcp", a.String())
	if err != nil {
		return err
	}
	u, err := net.ListenPacket("udp", a.String())
	if err != nil {
		return errors.Join(err, l.Close())
	}
	return errors.Join(u.Close(), l.Close())
}

// Another finds what a second node on this machine needs for itself: a data
// directory beside dir, an address for IRC and one for the overlay, all of
// them free now.
func Another(dir string) (data, irc, listen string, err error) {
	for i := 2; data == ""; i++ {
		if next := fmt.Sprintf("%s-%d", dir, i); !inUse(next) {
			data = next
		}
	}
	ircAt, err := freePort(netip.MustParseAddrPort("127.0.0.1:6668"), func(a netip.AddrPort) error {
		l, err := net.Listen("tcp", a.String())
		if err != nil {
			return err
		}
		return l.Close()
	})
	if err != nil {
		return "", "", "", err
	}
	at, err := freePort(netip.MustParseAddrPort("0.0.0.0:4748"), portFree)
	if err != nil {
		return "", "", "", err
	}
	return data, ircAt.String(), fmt.Sprintf(":%d", at.Port()), nil
}
