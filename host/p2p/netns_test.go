package p2p

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/host"
)

// lab is two machines on one cable: network namespaces a and b, each with an
// interface net0, 10.77.0.1 and fd77::1 in a, 10.77.0.2 and fd77::2 in b.
type lab struct {
	t    *testing.T
	name string // of the namespaces, without the last letter
}

// newLab makes the two machines. It needs root and iproute2: a test is skipped
// without, and fails where CI=true says that everything must be there.
func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t, fmt.Sprintf("ircbridge%d", os.Getpid())}
	missing := ""
	if os.Geteuid() != 0 {
		missing = "run it as root"
	} else if out, err := exec.Command("ip", "netns", "add", l.name+"a").CombinedOutput(); err != nil {
		missing = fmt.Sprintf("ip netns: %v %s", err, out)
	}
	if missing != "" && os.Getenv("CI") == "true" {
		t.Fatalf("no network namespaces: %s", missing)
	} else if missing != "" {
		t.Skipf("NOT TESTED, because it needs network namespaces: %s", missing)
	}
	t.Cleanup(func() { l.ip("netns", "del", l.name+"a") })
	l.ip("netns", "add", l.name+"b")
	t.Cleanup(func() { l.ip("netns", "del", l.name+"b") })
	l.on("a", "link", "add", "net0", "type", "veth", "peer", "name", "net0", "netns", l.name+"b")
	for i, side := range []string{"a", "b"} {
		l.on(side, "addr", "add", fmt.Sprintf("10.77.0.%d/24", i+1), "dev", "net0")
		l.on(side, "addr", "add", fmt.Sprintf("fd77::%d/64", i+1), "dev", "net0", "nodad")
		l.on(side, "link", "set", "lo", "up")
		l.on(side, "link", "set", "net0", "up")
	}
	return l
}

func (l *lab) ip(words ...string) {
	l.t.Helper()
	if out, err := exec.Command("ip", words...).CombinedOutput(); err != nil {
		l.t.Fatalf("ip %v: %v %s", words, err, out)
	}
}

// on runs ip in the namespace of a side.
func (l *lab) on(side string, words ...string) {
	l.t.Helper()
	l.ip(append([]string{"-n", l.name + side}, words...)...)
}

// drop lets a side lose, without a word, all packets of a transport (tcp,
// udp) that come over the cable. It does with the routing policy what a
// firewall would do: this needs nothing but iproute2.
func (l *lab) drop(side, transport string) {
	l.t.Helper()
	for _, family := range []string{"-4", "-6"} {
		l.on(side, family, "rule", "add", "pref", "10", "lookup", "local")
		l.on(side, family, "rule", "del", "pref", "0")
		l.on(side, family, "rule", "add", "pref", "5", "iif", "net0", "ipproto", transport, "blackhole")
	}
}

// under is the command that runs another in the namespace of a side.
func (l *lab) under(side string) []string { return []string{"ip", "netns", "exec", l.name + side} }

// start runs a node in the namespace of a side.
func (l *lab) start(side string, listen ...string) *labNode {
	l.t.Helper()
	return startLabNode(l.t, l.under(side), nil, labConfig{Overlay: "test", Listen: listen})
}

func within(t *testing.T, least, most time.Duration, what string, f func()) {
	t.Helper()
	start := time.Now()
	f()
	took := time.Since(start)
	t.Logf("%s took %v", what, took)
	if took < least || took > most {
		t.Errorf("%s took %v, want %v to %v", what, took, least, most)
	}
}

// Where TCP packets vanish, nodes meet over QUIC: the first time after TCP
// has had its time, afterwards at once.
func TestDroppedTCP(t *testing.T) {
	l := newLab(t)
	l.drop("b", "tcp")
	const alone = 4 * time.Second // libp2p itself gives TCP five
	start := func(side, listen string) *labNode {
		return startLabNode(t, l.under(side), nil, labConfig{Overlay: "test", Listen: []string{listen}, TCPAlone: alone})
	}
	b := start("b", "0.0.0.0:4747")
	const quic = "/ip4/10.77.0.2/udp/4747/quic-v1"
	for _, c := range []struct {
		name  string
		words []string
	}{
		{"an address as typed", []string{"dial", "10.77.0.2:4747"}},
		{"a call", append([]string{"call", b.self.ID.String()}, b.self.Addrs...)},
	} {
		a := start("a", "0.0.0.0:0")
		within(t, alone, alone+patience, "the first time, "+c.name, func() {
			if got := a.do(c.words...); !slices.Equal(got.Over, []string{quic}) || got.Peer.ID != b.self.ID {
				t.Errorf("reached %+v", got)
			}
		})
		// Another node of that network, and the same one after the connection was lost.
		other := start("b", "0.0.0.0:0")
		within(t, 0, alone, "another node there, dialled", func() {
			if got := a.do("dial", "10.77.0.2:"+port(other.self)); got.Peer.ID != other.self.ID || !strings.Contains(strings.Join(got.Over, " "), "quic") {
				t.Errorf("dialled %+v", got)
			}
		})
		a.do("cut", b.self.ID.String())
		within(t, 0, alone, "a call after the connection was lost", func() {
			if got := a.do(append([]string{"call", b.self.ID.String()}, b.self.Addrs...)...); !slices.Equal(got.Over, []string{quic}) {
				t.Errorf("called over %q", got.Over)
			}
		})
	}
	// The side that may not be reached over TCP cannot reach others over it either.
	d := start("a", "0.0.0.0:4749")
	within(t, alone, alone+patience, "the dial the other way", func() {
		if got := b.do("dial", "10.77.0.1:4749"); got.Peer.ID != d.self.ID || !strings.Contains(strings.Join(got.Over, " "), "quic") {
			t.Errorf("dialled %+v", got)
		}
	})
}

// port is that of a peer's first address.
func port(p host.Peer) string { return strings.Split(p.Addrs[0], "/")[4] }

// Where UDP packets vanish, as in many an office, nobody notices.
func TestDroppedUDP(t *testing.T) {
	l := newLab(t)
	l.drop("b", "udp")
	a, b := l.start("a", "0.0.0.0:4747"), l.start("b", "0.0.0.0:4747")
	if got := a.do("dial", "10.77.0.2:4747"); got.Peer.ID != b.self.ID || len(got.Over) != 1 || !strings.Contains(got.Over[0], "/tcp/") {
		t.Errorf("dialled %+v", got)
	}
}

// Nodes that listen on IPv6, alone or beside IPv4 on the same port, are reached
// on all that they listen on and on nothing else, and say so in their addresses.
func TestListenIPv6(t *testing.T) {
	l := newLab(t)
	const v4, v6 = "10.77.0.2:%d", "[fd77::2]:%d"
	for i, c := range []struct {
		listen  []string
		reached []string
	}{
		{[]string{"[::]:%d"}, []string{v6}},
		{[]string{"[fd77::2]:%d"}, []string{v6}},
		{[]string{"0.0.0.0:%d", "[::]:%d"}, []string{v4, v6}},
		{[]string{"[::]:%d", "0.0.0.0:%d"}, []string{v4, v6}},
		{[]string{"0.0.0.0:%d"}, []string{v4}},
	} {
		t.Run(strings.Join(c.listen, " "), func(t *testing.T) {
			port := 4750 + i
			var listen []string
			for _, f := range c.listen {
				listen = append(listen, fmt.Sprintf(f, port))
			}
			b := l.start("b", listen...)
			for _, form := range []string{v4, v6} {
				text := fmt.Sprintf(form, port)
				name, _, _ := strings.Cut(strings.Trim(text, "["), "]")
				if form == v4 {
					name, _, _ = strings.Cut(text, ":")
				}
				said := strings.Contains(strings.Join(b.self.Addrs, " "), "/"+name+"/")
				if want := slices.Contains(c.reached, form); said != want {
					t.Errorf("it says that it has %s: %v, want %v: %q", name, said, want, b.self.Addrs)
				}
				a := l.start("a", "0.0.0.0:0", "[::]:0")
				if slices.Contains(c.reached, form) {
					if got := a.do("dial", text); got.Peer.ID != b.self.ID {
						t.Errorf("%s is %v, want %v", text, got.Peer.ID, b.self.ID)
					}
				} else if got := a.try("dial", text); !strings.Contains(got.Err, "refused") {
					t.Errorf("%s, where nothing should listen: %+v", text, got)
				}
			}
			for _, addr := range b.self.Addrs {
				if strings.Contains(addr, "127.0.0.1") || strings.Contains(addr, "/::1/") {
					continue
				}
				if got := l.start("a").do("dial", addr); !slices.Equal(got.Over, []string{addr}) {
					t.Errorf("dialling %s: over %q", addr, got.Over)
				}
			}
		})
	}
}

// A household, an office or a lecture room behind one address is let in all at
// once: libp2p's own limits would admit eight of them. Over QUIC libp2p turns away
// what arrives while sixteen connections wait for a processor; that is no limit
// for an address, and who dials again gets in.
func TestManyNodesFromOneAddress(t *testing.T) {
	l := newLab(t)
	b := l.start("b", "0.0.0.0:4747", "[::]:4747")
	for _, addr := range []string{"10.77.0.2:4747", "[fd77::2]:4747", "/ip4/10.77.0.2/udp/4747/quic-v1"} {
		a := l.start("a")
		within(t, 0, crowdPatience, "thirty nodes that dial "+addr, func() {
			got := a.do("crowd", "30", addr)
			if got.Count != 30 {
				t.Errorf("%d nodes were connected at the same time", got.Count)
			}
			if len(got.Again) > 0 {
				t.Logf("%d dials were turned away, the first %s", len(got.Again), got.Again[0])
			}
		})
	}
	b.do("self")
}
