package bridge

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// maxFriendLines is how many lines with which a friend may join are printed;
// a machine with many networks has many more addresses than anybody reads.
const maxFriendLines = 3

// say prints lines for a person.
func (n *Node) say(format string, args ...any) {
	n.saying.Lock()
	defer n.saying.Unlock()
	fmt.Fprintf(n.env.Out, format+"\n", args...)
}

// announce says all that a person needs next.
func (n *Node) announce(p *parts, moved string) {
	s := n.status(p).Node
	n.say("ircbridge %s", n.env.Version)
	n.say("Node ID:  %s", s.ID)
	n.say("Peer ID:  %s", s.Peer)
	n.say("Overlay:  %s, at %s (TCP and QUIC)", s.Overlay, orNone(s.Addresses))
	n.say("Data:     %s", s.DataDir)
	if moved != "" {
		n.say("%s", moved)
	}
	for _, f := range p.fronts {
		for _, hint := range f.Hints() {
			n.say("%s", hint)
		}
	}
	n.say("A friend joins with:")
	for _, a := range reachable(s.Addresses) {
		n.say("  %s", joinLine(s.Overlay, a))
	}
}

// joinLine is the command line with which a friend joins.
func joinLine(overlay string, addrs ...string) string {
	line := "ircbridge"
	for _, a := range addrs {
		line += " -join " + a
	}
	if overlay != defaultOverlay {
		line += " -overlay " + overlay
	}
	return line
}

func orNone(addrs []string) string {
	if len(addrs) == 0 {
		return "no address"
	}
	return strings.Join(addrs, " ")
}

// hostPorts are the TCP addresses of multiaddresses, as a person writes them,
// each once.
func hostPorts(multi []string) []string {
	var list []string
	for _, m := range multi {
		part := strings.Split(m, "/") // "", "ip4", address, "tcp", port
		if len(part) < 5 || part[3] != "tcp" {
			continue
		}
		if a := net.JoinHostPort(part[2], part[4]); !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}

// reachable are the addresses under which others may join, the most widely
// reachable first: public ones, then those of the local network, loopback
// only if there is nothing else.
func reachable(addrs []string) []string {
	var list []netip.AddrPort
	for _, text := range addrs {
		if a, err := netip.ParseAddrPort(text); err == nil {
			list = append(list, a)
		}
	}
	slices.SortStableFunc(list, func(a, b netip.AddrPort) int { return distanceTo(a.Addr()) - distanceTo(b.Addr()) })
	var out []string
	for _, a := range list {
		if a.Addr().IsLoopback() && len(out) > 0 || len(out) == maxFriendLines {
			break
		}
		out = append(out, a.String())
	}
	return out
}

// distanceTo ranks an address: the lower, the more machines can reach it.
func distanceTo(ip netip.Addr) int {
	rank := 0
	switch {
	case ip.IsLoopback():
		rank = 6
	case ip.IsLinkLocalUnicast():
		rank = 4
	case ip.IsPrivate():
		rank = 2
	}
	if ip.Is6() {
		rank++
	}
	return rank
}
