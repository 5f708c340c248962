package p2p

import (
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/host"
)

// Two nodes of one overlay find each other on a cable, and connect; neither a
// node of another overlay is found, nor one that does not search.
func TestDiscover(t *testing.T) {
	l := newLab(t)
	node := func(side, overlay, listen string) *labNode {
		return startLabNode(t, l.under(side), nil, labConfig{Overlay: overlay, Listen: []string{listen}})
	}
	a := node("a", "home", "0.0.0.0:4747")
	b := node("b", "home", "0.0.0.0:4747")
	beside := node("b", "home", "0.0.0.0:4748") // the same machine, and no less found
	off := node("b", "home", "0.0.0.0:4749")
	other := node("b", "office", "0.0.0.0:4750")
	for _, n := range []*labNode{other, b, beside, a} {
		n.do("discover")
	}
	all := []*labNode{a, b, beside}
	for _, n := range all {
		for _, m := range all {
			if n == m {
				continue
			}
			got := n.do("found", m.self.ID.String())
			if len(got.Peer.Addrs) == 0 || len(got.Over) == 0 {
				t.Errorf("found %+v", got)
			}
		}
	}
	for _, n := range []*labNode{off, other} {
		for _, m := range all {
			if got := m.do("link", n.self.ID.String()); len(got.Over) != 0 {
				t.Errorf("connected with %v over %q, which is of another overlay or does not search", n.self.ID, got.Over)
			}
		}
	}
	if log, err := os.ReadFile(other.log); err != nil || strings.Contains(string(log), "peer refused") {
		t.Errorf("the node of the other overlay was dialled: %v\n%s", err, log)
	}
	if got := a.do("found", b.self.ID.String()); got.Count != 2 {
		t.Errorf("%d nodes were found, want 2", got.Count)
	}
	for _, n := range []*labNode{a, b, beside, off, other} {
		if said := n.stderr.String(); said != "" {
			t.Errorf("standard error: %s", said)
		}
	}
}

// Without IPv6, nodes find each other over IPv4, and nothing is said about it
// but in the log.
func TestDiscoverIPv4Only(t *testing.T) {
	l := newLab(t)
	for _, side := range []string{"a", "b"} {
		words := append(l.under(side), "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6")
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Skipf("NOT TESTED, because IPv6 cannot be switched off here: %v %s", err, out)
		}
	}
	a, b := l.start("a", "0.0.0.0:4747"), l.start("b", "0.0.0.0:4747")
	a.do("discover")
	b.do("discover")
	a.do("found", b.self.ID.String())
	b.do("found", a.self.ID.String())
	for _, n := range []*labNode{a, b} {
		if said := n.stderr.String(); said != "" {
			t.Errorf("standard error: %s", said)
		}
	}
}

// Discover ends with the host, wherever multicast is possible and wherever not.
func TestDiscoverEnds(t *testing.T) {
	before := restingGoroutines(t)
	cfg := testConfig(t)
	records := new(records)
	cfg.Listen, cfg.Log = []string{"0.0.0.0:0"}, records.debugLogger()
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if h.Discover(nil) == nil {
		t.Error("Discover before Start")
	}
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	if err := h.Discover(func(host.Peer) {}); err != nil {
		t.Fatal(err)
	}
	if h.Discover(nil) == nil {
		t.Error("Discover twice")
	}
	eventually(t, "it searched, or said why not", func() bool {
		return records.count("the local network is searched")+records.count("multicast is not possible") == 1
	})
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the goroutines were gone", func() bool { return runtime.NumGoroutine() <= before })
	if !errors.Is(h.Discover(nil), host.ErrStopped) {
		t.Error("Discover of a stopped host")
	}
}

// A node that others cannot reach from outside this machine does not search.
func TestDiscoverLoopback(t *testing.T) {
	for _, c := range []struct {
		listen []string
		want   bool
	}{
		{[]string{"127.0.0.1:1"}, true}, {[]string{"127.0.0.1:1", "[::1]:1"}, true},
		{[]string{"127.0.0.1:1", "0.0.0.0:1"}, false}, {[]string{"[::]:1"}, false}, {nil, false},
	} {
		if got := onlyThisMachine(c.listen); got != c.want {
			t.Errorf("%q: only this machine: %v", c.listen, got)
		}
	}
	n := startNode(t)
	if err := n.Discover(nil); err != nil {
		t.Error(err)
	}
	n.tasks.mu.Lock()
	defer n.tasks.mu.Unlock()
	if n.tasks.running["search local network"] != 0 || n.log.count("the local network is not searched") != 1 {
		t.Errorf("a node on loopback searches; log:\n%v", n.log)
	}
}

// Any name of an overlay becomes a service name that DNS-SD allows, each its own.
func TestServiceName(t *testing.T) {
	form, seen := regexp.MustCompile(`^_[a-z0-9][a-z0-9-]{0,13}[a-z0-9]\._udp$`), make(map[string]bool)
	for _, overlay := range []string{"default", "Default", "a", "Überlagerung", "a.b", "_", strings.Repeat("x", 64)} {
		name := serviceName(overlay)
		if !form.MatchString(name) || seen[name] {
			t.Errorf("overlay %q has the service %q", overlay, name)
		}
		seen[name] = true
	}
}

// What an announcement may say, and what of it is used.
func TestUnderstand(t *testing.T) {
	one, two := idOf(testKey(t)), idOf(testKey(t))
	rec := func(addr string, id host.PeerID) string { return dnsaddr + addr + "/p2p/" + id.String() }
	for _, c := range []struct {
		name    string
		records []string
		want    []string
	}{
		{"nothing", nil, nil},
		{"one address", []string{rec("/ip4/10.0.0.1/tcp/1", one)}, []string{"/ip4/10.0.0.1/tcp/1"}},
		{"both transports", []string{rec("/ip4/10.0.0.1/tcp/1", one), rec("/ip4/10.0.0.1/udp/1/quic-v1", one)}, []string{"/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.1/udp/1/quic-v1"}},
		{"rubbish beside", []string{"", "x=y", dnsaddr, dnsaddr + "/ip4", dnsaddr + "/ip4/10.0.0.1/tcp/1", rec("/ip4/10.0.0.1/tcp/1", one)}, []string{"/ip4/10.0.0.1/tcp/1"}},
		{"two nodes", []string{rec("/ip4/10.0.0.1/tcp/1", one), rec("/ip4/10.0.0.2/tcp/1", two)}, []string{"/ip4/10.0.0.1/tcp/1"}},
		{"this machine", []string{rec("/ip4/127.0.0.1/tcp/1", one), rec("/ip6/::1/tcp/1", one), rec("/ip4/0.0.0.0/tcp/1", one)}, nil},
		{"names", []string{rec("/dns4/example.org/tcp/1", one)}, nil},
		{"link-local", []string{rec("/ip6/fe80::1/tcp/1", one)}, nil},
		{"other transports", []string{rec("/ip4/10.0.0.1/tcp/1/ws", one), rec("/ip4/10.0.0.1/udp/1", one)}, nil},
		{"long", []string{dnsaddr + strings.Repeat("/ip4/10.0.0.1", 100)}, nil},
		{"many", slices.Repeat([]string{rec("/ip4/10.0.0.1/tcp/1", one)}, 1000), slices.Repeat([]string{"/ip4/10.0.0.1/tcp/1"}, maxUnderstood)},
	} {
		got, err := understand(c.records)
		if !slices.Equal(got.Addrs, c.want) || (err == nil) != (len(c.want) > 0) || len(c.want) > 0 && got.ID != one {
			t.Errorf("%s: %v %q, %v; want %q", c.name, got.ID, got.Addrs, err, c.want)
		}
	}
}

// The same peer is tried once in a while only, a connected one is not dialled,
// and who announces peers by the thousand fills no memory.
func TestOffers(t *testing.T) {
	n, other := startNode(t), startNode(t)
	found := make(chan host.Peer, 10)
	d := &discovery{h: n.Host, found: func(p host.Peer) { found <- p }, seen: make(map[host.PeerID]time.Time)}
	for range 5 {
		d.offer(other.Self())
	}
	if p := next(t, "the peer to be found", found); p.ID != other.id || !slices.Equal(p.Addrs, other.Self().Addrs) {
		t.Errorf("found %+v", p)
	}
	forget := func(id host.PeerID) {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.seen, id)
	}
	forget(other.id)
	d.offer(host.Peer{ID: other.id, Addrs: []string{"/ip4/127.0.0.1/tcp/1"}}) // nobody would answer there
	next(t, "the connected peer to be found", found)
	if len(found) != 0 || len(other.Connections()) != 1 {
		t.Errorf("found %d times more, %d connections", len(found), len(other.Connections()))
	}
	d.mu.Lock() // nothing is taken out of the queue meanwhile
	d.trying = triesAtOnce
	d.mu.Unlock()
	for i := range 4 * maxSeen {
		d.offer(host.Peer{ID: host.PeerID(fmt.Sprint("made up ", i))})
	}
	if len(d.waiting) > maxWaiting || len(d.seen) > maxSeen {
		t.Errorf("%d peers wait, %d are known", len(d.waiting), len(d.seen))
	}
	d.waiting = nil
}

// What the library of multicast DNS says by the standard log goes to the host's
// log; other lines are not touched.
func TestStandardLog(t *testing.T) {
	var rest, ours records
	startNode(t, config(func(c *Config) { c.Log = ours.debugLogger() }))
	l := log.New(standardLog{&rest}, "", 0)
	l.Print("[zeroconf] no suitable IPv6 interface")
	l.Print("something else")
	if rest.String() != "something else\n" || ours.count(`level=DEBUG msg="libp2p: [zeroconf] no suitable`) != 1 {
		t.Errorf("standard log %q, the host's %q", &rest, &ours)
	}
}
