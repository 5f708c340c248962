package bridge

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPortFree(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	for _, busy := range []net.Addr{l.Addr(), u.LocalAddr()} {
		if portFree(netip.MustParseAddrPort(busy.String())) == nil {
			t.Errorf("%s %s is called free", busy.Network(), busy)
		}
	}
}

func TestABusyDefaultPortGivesWay(t *testing.T) {
	busy := map[uint16]bool{4747: true, 4748: true}
	free := func(a netip.AddrPort) error {
		if busy[a.Port()] {
			return net.ErrClosed
		}
		return nil
	}
	first := netip.MustParseAddrPort(DefaultListen)
	if a, err := freePort(first, free); err != nil || a.String() != "0.0.0.0:4749" {
		t.Errorf("got %v, %v", a, err)
	}
	for port := uint16(4747); port < 4757; port++ {
		busy[port] = true
	}
	if a, err := freePort(first, free); err == nil || err.Error() != "no port from 4747 to 4756 is free" {
		t.Errorf("got %v, %v", a, err)
	}
}

func TestNamedPortsStay(t *testing.T) {
	cfg, err := Load("", Overrides{Listen: []string{":5000", "[::1]:0"}})
	if err != nil {
		t.Fatal(err)
	}
	got, moved, err := cfg.choosePorts()
	if want := []string{"0.0.0.0:5000", "[::1]:0"}; err != nil || moved != "" || !slices.Equal(got, want) {
		t.Errorf("got %v, %q, %v", got, moved, err)
	}
}

func TestAnother(t *testing.T) {
	base := filepath.Join(t.TempDir(), "data")
	second, err := openDataDir(base + "-2")
	if err != nil {
		t.Fatal(err)
	}
	defer second.close()
	if err := os.Mkdir(base+"-3", 0o700); err != nil { // there, but not in use
		t.Fatal(err)
	}
	data, irc, listen, err := Another(base)
	if err != nil || data != base+"-3" {
		t.Fatalf("got %q, %v", data, err)
	}
	if err := checkListen([]string{listen, irc}); err != nil || !strings.HasPrefix(irc, "127.0.0.1:66") {
		t.Errorf("listen %q, irc %q: %v", listen, irc, err)
	}
}

func TestReachable(t *testing.T) {
	multi := []string{
		"/ip4/127.0.0.1/tcp/4747", "/ip4/127.0.0.1/udp/4747/quic-v1", "/ip4/10.0.0.7/tcp/4747", "/ip4/203.0.113.9/tcp/4747",
		"/ip6/2001:db8::7/tcp/4747", "/ip6/::1/tcp/4747", "/ip4/10.0.0.7/udp/4747/quic-v1", "/ip4/10.0.0.7/tcp/4747", "/dns4/x", "nonsense",
	}
	got := reachable(hostPorts(multi))
	if want := []string{"203.0.113.9:4747", "[2001:db8::7]:4747", "10.0.0.7:4747"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	got = reachable(hostPorts(multi[:3]))
	if want := []string{"10.0.0.7:4747"}; !slices.Equal(got, want) {
		t.Errorf("not only loopback: got %v, want %v", got, want)
	}
	got = reachable(hostPorts(multi[:2]))
	if want := []string{"127.0.0.1:4747"}; !slices.Equal(got, want) {
		t.Errorf("loopback only: got %v, want %v", got, want)
	}
}
