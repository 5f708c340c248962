package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
)

// Invitation is how a friend joins; `ircbridge invite -json` prints it.
// docs/control.md describes its fields.
type Invitation struct {
	Command string `json:"command"` // what the friend runs
	Overlay string `json:"overlay"`
	Peer    string `json:"peer"` // of this node
	// Addresses of this node, those that most machines can reach first.
	Addresses []InviteAddress `json:"addresses"`
}

// InviteAddress is one address of a node.
type InviteAddress struct {
	Address string `json:"address"` // HOST:PORT
	// Multiaddress with the peer ID at its end: who joins through it checks
	// that it is this node that answers.
	Multiaddress string `json:"multiaddress"`
	Scope        string `json:"scope"` // internet, local network, or this machine
	// Asked is how many other nodes dialled the address just now, and Reached
	// how many of them this node answered. Asked is 0 when none was there to ask
	// that sees this node at the address.
	Asked   int `json:"asked"`
	Reached int `json:"reached"`
}

// Scopes of an address.
const (
	scopeInternet = "internet"
	scopeLocal    = "local network"
	scopeMachine  = "this machine"
)

func scopeOf(ip netip.Addr) string {
	switch {
	case ip.IsLoopback():
		return scopeMachine
	case ip.IsPrivate(), ip.IsLinkLocalUnicast():
		return scopeLocal
	}
	return scopeInternet
}

// invite has the node's addresses checked and makes an invitation of them.
func (n *Node) invite(p *parts) Invitation {
	self := p.ring.Self()
	own := addrPorts(hostPorts(self.Peer.Addrs))
	var ports []uint16
	for _, a := range own {
		if !slices.Contains(ports, a.Port()) {
			ports = append(ports, a.Port())
		}
	}
	return invitation(n.cfg.Overlay.Name, self.Peer.ID.String(), own, p.reach.ask(ports))
}

func addrPorts(texts []string) (list []netip.AddrPort) {
	for _, text := range texts {
		if a, err := netip.ParseAddrPort(text); err == nil {
			list = append(list, a)
		}
	}
	return list
}

// invitation is made of the node's own addresses and of those at which others
// see it, which it need not know itself: that of a router before it.
func invitation(overlay, peer string, own []netip.AddrPort, found map[netip.AddrPort]reach) Invitation {
	list := slices.Clone(own)
	for at := range found {
		if !slices.Contains(list, at) {
			list = append(list, at)
		}
	}
	slices.SortFunc(list, func(a, b netip.AddrPort) int {
		if d := distanceTo(a.Addr()) - distanceTo(b.Addr()); d != 0 {
			return d
		}
		return a.Compare(b)
	})
	i := Invitation{Overlay: overlay, Peer: peer, Addresses: []InviteAddress{}}
	for _, a := range list {
		kind := "ip4"
		if a.Addr().Is6() {
			kind = "ip6"
		}
		i.Addresses = append(i.Addresses, InviteAddress{
			Address:      a.String(),
			Multiaddress: fmt.Sprintf("/%s/%s/tcp/%d/p2p/%s", kind, a.Addr(), a.Port(), peer),
			Scope:        scopeOf(a.Addr()), Asked: found[a].asked, Reached: found[a].reached,
		})
	}
	i.Command = joinLine(overlay, i.best()...)
	return i
}

// best are the addresses for a friend: those that answered when they were
// dialled, else those that nobody could dial, else all; this machine's own only if
// there is nothing else.
func (i Invitation) best() (addrs []string) {
	for _, good := range []func(InviteAddress) bool{
		func(a InviteAddress) bool { return a.Reached > 0 && a.Scope != scopeMachine },
		func(a InviteAddress) bool { return a.Asked == 0 && a.Scope != scopeMachine },
		func(a InviteAddress) bool { return a.Scope != scopeMachine },
		func(InviteAddress) bool { return true },
	} {
		for _, a := range i.Addresses {
			if good(a) && len(addrs) < maxFriendLines {
				addrs = append(addrs, a.Address)
			}
		}
		if len(addrs) > 0 {
			return addrs
		}
	}
	return nil
}

// Text is the invitation for a person: first the line for the friend, then
// what is known of each address.
func (i Invitation) Text() string {
	var text strings.Builder
	if len(i.Addresses) == 0 {
		return "This node has no address at which others reach it; name one with -listen.\n"
	}
	fmt.Fprintf(&text, "%s\n\n", i.Command)
	t := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	for _, a := range i.Addresses {
		fmt.Fprintf(t, "%s\t%s\t%s\n", a.Address, a.Scope, a.check())
	}
	_ = t.Flush() // a Builder takes all
	fmt.Fprintf(&text, "\nTo make sure that it is this node that answers: -join %s\n", i.multiaddress())
	return text.String()
}

// multiaddress is that of the first address in the command.
func (i Invitation) multiaddress() string {
	best := i.best()
	for _, a := range i.Addresses {
		if len(best) > 0 && a.Address == best[0] {
			return a.Multiaddress
		}
	}
	return ""
}

func (a InviteAddress) check() string {
	switch {
	case a.Asked == 0 && a.Scope == scopeMachine:
		return "for other nodes on this machine only"
	case a.Asked == 0:
		return "not checked from outside: no other node sees this one there"
	case a.Reached == 0:
		return fmt.Sprintf("does NOT answer: %s could not reach it just now; allow or forward its port, TCP and UDP", count(a.Asked, "other node"))
	case a.Reached < a.Asked:
		return fmt.Sprintf("%d of %d other nodes reached it just now", a.Reached, a.Asked)
	}
	return fmt.Sprintf("%s reached it just now", count(a.Reached, "other node"))
}

// QueryInvitation has the node that runs on a data directory check its
// addresses, which takes some seconds at most. ErrNobody: none runs there.
func QueryInvitation(ctx context.Context, dataDir string) (Invitation, error) {
	r, err := query(ctx, dataDir, request{Ask: "invite"})
	switch {
	case err != nil:
		return Invitation{}, err
	case r.Invitation == nil:
		return Invitation{}, errors.New("the node answered without an invitation")
	}
	return *r.Invitation, nil
}
