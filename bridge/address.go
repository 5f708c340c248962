package bridge

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// checkListen checks a list of listen addresses: IP:PORT or :PORT.
func checkListen(list []string) error {
	switch {
	case len(list) == 0:
		return fmt.Errorf("the list is empty; a node needs at least one address, such as %q", DefaultListen)
	case len(list) > maxAddresses:
		return fmt.Errorf("%d addresses are more than the %d that are allowed", len(list), maxAddresses)
	}
	for _, a := range list {
		if _, err := parseListen(a); err != nil {
			return err
		}
	}
	return nil
}

// parseListen reads one listen address. Without an IP it is every IPv4 address
// of the machine.
func parseListen(text string) (netip.AddrPort, error) {
	bad := func(why string) (netip.AddrPort, error) {
		return netip.AddrPort{}, fmt.Errorf(`%q %s; write IP:PORT or :PORT, such as "0.0.0.0:4747"`, text, why)
	}
	hostText, portText, err := net.SplitHostPort(text)
	if err != nil {
		return bad("is no address with a port")
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return bad("has no port of 0 to 65535")
	}
	if hostText == "" {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port)), nil
	}
	ip, err := netip.ParseAddr(hostText)
	if err != nil {
		return bad("has no IP address of this machine in front of its port")
	}
	return netip.AddrPortFrom(ip, uint16(port)), nil
}

// checkJoin checks the form of addresses to join through: HOST:PORT, or a
// multiaddress, which the host reads in full.
func checkJoin(list []string) error {
	if len(list) > maxAddresses {
		return fmt.Errorf("%d addresses are more than the %d that are allowed", len(list), maxAddresses)
	}
	for _, a := range list {
		if strings.HasPrefix(a, "/") {
			continue
		}
		hostText, portText, err := net.SplitHostPort(a)
		if err != nil || hostText == "" {
			return fmt.Errorf(`%q is not HOST:PORT; write it as your friend's node prints it, such as "192.0.2.7:4747"`, a)
		}
		if port, err := strconv.ParseUint(portText, 10, 16); err != nil || port == 0 {
			return fmt.Errorf(`%q has no port of 1 to 65535; the usual one is 4747`, a)
		}
	}
	return nil
}
