package p2p

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"ircbridge/host"
)

func portOf(n *node) string { return strings.Split(n.Self().Addrs[0], "/")[4] }

// listener serves each connection with f until the test ends.
func listener(t *testing.T, f func(c net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				f(c)
			}()
		}
	}()
	return l.Addr().String()
}

func silent(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func httpServer(c net.Conn) {
	_, _ = bufio.NewReader(c).ReadString('\n')
	fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n400 Bad Request")
}

func ircServer(c net.Conn) {
	fmt.Fprint(c, ":irc.example.org NOTICE * :*** Looking up your hostname...\r\n")
	silent(c)
}

// Each way in which a typed address can be wrong has its own error, in the time given.
func TestDialErrors(t *testing.T) {
	n := startNode(t)
	other := startNode(t)
	elsewhere := startNode(t, config(func(c *Config) { c.Overlay = "work" }))
	future := startNode(t, inside(func(h *Host) { h.major = Major + 1 }))
	full := startNode(t, config(func(c *Config) { c.MaxPeers = 1 }))
	if _, err := other.Dial("127.0.0.1:"+portOf(full), patience); err != nil {
		t.Fatal(err)
	}
	foreign := newStranger(t, testKey(t))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	_ = l.Close()
	multi := func(hostPort string) string {
		_, port, _ := net.SplitHostPort(hostPort)
		return "/ip4/127.0.0.1/tcp/" + port
	}
	quiet, web, irc, shut := listener(t, silent), listener(t, httpServer), listener(t, ircServer), listener(t, func(net.Conn) {})
	someone := idOf(testKey(t)).String()
	const short = 700 * time.Millisecond
	for _, c := range []struct {
		name, addr string
		want       error
		text       string
	}{
		{"nothing listens", dead, host.ErrUnreachable, "refused"},
		{"nothing listens, identity given", multi(dead) + "/p2p/" + someone, host.ErrUnreachable, "refused"},
		{"no such name", "no-such-host.invalid:4747", host.ErrUnreachable, "no-such-host.invalid"},
		{"silent", quiet, host.ErrTimeout, "nothing there answers"},
		{"silent, identity given", multi(quiet) + "/p2p/" + someone, host.ErrTimeout, "nothing there answers"},
		{"closes at once", shut, host.ErrUnreachable, "closed the connection"},
		{"HTTP server", web, host.ErrNotOurs, "speaks something else"},
		{"HTTP server, identity given", multi(web) + "/p2p/" + someone, host.ErrNotOurs, "speaks something else"},
		{"IRC server", irc, host.ErrNotOurs, "speaks something else"},
		{"IRC server, identity given", multi(irc) + "/p2p/" + someone, host.ErrNotOurs, "speaks something else"},
		{"other libp2p program", foreign.Addrs()[0].String(), host.ErrNotOurs, "another program"},
		{"other overlay", "127.0.0.1:" + portOf(elsewhere), host.ErrOtherOverlay, `that node is of overlay "work", this one of "test"`},
		{"other version", "127.0.0.1:" + portOf(future), host.ErrOtherVersion, "upgrade the older"},
		{"wrong peer", other.Self().Addrs[0] + "/p2p/" + someone, host.ErrWrongPeer, other.Self().ID.String()},
		{"wrong peer over QUIC", other.Self().Addrs[1] + "/p2p/" + someone, host.ErrWrongPeer, other.Self().ID.String()},
		{"oneself", "127.0.0.1:" + portOf(n), ErrSelf, ""},
		{"oneself by identity", n.Self().Addrs[0] + "/p2p/" + n.Self().ID.String(), ErrSelf, ""},
		{"too many peers", "127.0.0.1:" + portOf(full), host.ErrBusy, "try another node"},
		{"a key of another kind", "/ip4/127.0.0.1/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", host.ErrBadAddress, "Ed25519"},
		{"a long text", "/ip4/127.0.0.1/tcp/1/p2p/" + strings.Repeat("1", 1000), host.ErrBadAddress, "too long"},
		{"a link-local address", "[fe80::1]:4747", host.ErrBadAddress, "link-local"},
		{"a link-local address with its interface", "[fe80::1%eth0]:4747", host.ErrBadAddress, "link-local"},
		{"a link-local multiaddress", "/ip6/fe80::1/udp/4747/quic-v1", host.ErrBadAddress, "link-local"},
		{"a link-local multiaddress with its interface", "/ip6zone/eth0/ip6/fe80::1/tcp/4747", host.ErrBadAddress, "link-local"},
		{"a transport of another kind", "/ip4/127.0.0.1/udp/4747", host.ErrBadAddress, "only TCP and QUIC"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := patience
			if c.want == host.ErrTimeout {
				d = short
			}
			start := time.Now()
			_, err := n.Dial(c.addr, d)
			if took := time.Since(start); took > soon {
				t.Errorf("took %v", took)
			}
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Dial(%q):\n%v\nwant %v, with %q, on one line", c.addr, err, c.want, c.text)
			}
			t.Log(err)
			for _, precise := range []error{host.ErrUnreachable, host.ErrTimeout, host.ErrNotOurs, host.ErrOtherOverlay, host.ErrOtherVersion, host.ErrWrongPeer} {
				if precise != c.want && errors.Is(err, precise) {
					t.Errorf("%v is also %v", err, precise)
				}
			}
		})
	}
	// The node that refused has said why, and holds nothing of the refused.
	eventually(t, "the refusals were logged", func() bool { return elsewhere.log.count("peer refused") == 1 && future.log.count("peer refused") == 1 })
	eventually(t, "connections of the refused were closed", func() bool {
		return len(elsewhere.libp2p().Network().Conns()) == 0 && len(future.libp2p().Network().Conns()) == 0
	})
}

// Every form of a right address leads to the peer.
func TestDialForms(t *testing.T) {
	other := startNode(t)
	tcp, quic, id := other.Self().Addrs[0], other.Self().Addrs[1], "/p2p/"+other.Self().ID.String()
	if !strings.Contains(tcp, "/tcp/") || !strings.Contains(quic, "/quic-v1") {
		t.Fatalf("addresses %q: want TCP, then QUIC", other.Self().Addrs)
	}
	for _, addr := range []string{"127.0.0.1:" + portOf(other), "localhost:" + portOf(other), "/dns4/localhost/tcp/" + portOf(other), tcp, tcp + id, quic, quic + id} {
		n := startNode(t)
		got, err := n.Dial(addr, patience)
		if err != nil || got.ID != other.Self().ID || len(got.Addrs) < 2 {
			t.Errorf("Dial(%q) = %v %q, %v", addr, got.ID, got.Addrs, err)
			continue
		}
		if _, err := n.Call(host.Peer{ID: got.ID}, mEcho, nil, patience); err != nil {
			t.Errorf("call after Dial(%q): %v", addr, err)
		}
		conns := n.libp2p().Network().Conns()
		over := strings.Contains(conns[0].RemoteMultiaddr().String(), "/udp/")
		if len(conns) != 1 || over != strings.Contains(addr, "/udp/") {
			t.Errorf("Dial(%q) made connections %v", addr, conns)
		}
	}
}

// QUIC is used where TCP is not known, and never because it was quicker. TCP
// is dialled from a fresh port, so that two dials can never meet in one connection.
func TestPrefersTCP(t *testing.T) {
	for range 5 {
		n, other := startNode(t), startNode(t)
		p := other.Self()
		p.Addrs = []string{p.Addrs[1], p.Addrs[0]}
		if _, err := n.Call(p, mEcho, nil, patience); err != nil {
			t.Fatal(err)
		}
		for _, c := range n.libp2p().Network().Conns() {
			if !isTCP(c.RemoteMultiaddr()) {
				t.Errorf("connected over %v", c.RemoteMultiaddr())
			}
			if strings.HasSuffix(c.LocalMultiaddr().String(), "/tcp/"+portOf(n)) {
				t.Errorf("dialled from the listening port: %v", c.LocalMultiaddr())
			}
		}
	}
}

// A caller that gives addresses which are none loses nothing but these.
func TestCallSkipsBadAddresses(t *testing.T) {
	n, other := startNode(t), startNode(t)
	p := other.Self()
	p.Addrs = append([]string{"", "nonsense", "/ip4/1.2.3.4", "/unix/x"}, p.Addrs...)
	if _, err := n.Call(p, mEcho, nil, patience); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Call(host.Peer{ID: "short"}, mEcho, nil, patience); !errors.Is(err, host.ErrUnreachable) {
		t.Errorf("call of a peer ID that is none: %v", err)
	}
}
