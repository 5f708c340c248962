package p2p

import (
	"fmt"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

// What is remembered of networks where TCP is silent.
func TestSilentTCP(t *testing.T) {
	at := func(ip string) ma.Multiaddr {
		kind := "ip4"
		if ip[0] == 'f' || ip == "::1" {
			kind = "ip6"
		}
		return ma.StringCast(fmt.Sprintf("/%s/%s/udp/4747/quic-v1", kind, ip))
	}
	var s silentTCP
	check := func(what, ip string, want bool) {
		t.Helper()
		if got := s.at(at(ip)); got != want {
			t.Errorf("%s: TCP silent at %s: %v, want %v", what, ip, got, want)
		}
	}
	check("at first", "10.1.2.3", false)
	s.note(at("10.1.2.3"))
	check("noted", "10.1.2.3", true)
	check("the same network", "10.1.2.200", true)
	check("another network", "10.1.3.3", false)
	s.note(at("fd01:2:3:4::5"))
	check("the same site", "fd01:2:3:9::9", true)
	check("another site", "fd01:2:4::5", false)
	s.note(at("127.0.0.1"))
	s.note(at("::1"))
	s.note(ma.StringCast("/dns/example.org/udp/1/quic-v1"))
	check("this machine", "127.0.0.1", false)
	check("two in a row", "10.9.9.9", false)
	s.note(at("10.5.0.1"))
	check("three in a row: it is our own network", "10.9.9.9", true)
	check("but not this machine", "127.0.0.1", false)
	s.clear(at("10.5.0.7"))
	check("TCP reached one", "10.5.0.1", false)
	check("so it is not our own", "10.9.9.9", false)
	check("the others stay", "10.1.2.3", true)
	long := time.Now().Add(-silentFor - time.Second)
	for n := range s.networks {
		s.networks[n] = long
	}
	check("long ago", "10.1.2.3", false)
	for i := range 3 * maxSilent {
		s.note(at(fmt.Sprintf("10.%d.%d.1", i/256, i%256)))
	}
	if len(s.networks) != maxSilent {
		t.Errorf("%d networks are kept, want %d", len(s.networks), maxSilent)
	}
	s.row, s.last = silentOwn, long
	check("our own network, long ago", "11.9.9.9", false)
}
