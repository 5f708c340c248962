package p2p

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"ircbridge/host"
)

// What stands is shown on both sides, sorted, with the peer's program.
func TestConnections(t *testing.T) {
	n := startNode(t, config(func(c *Config) { c.Version = "here 1.0" }))
	other := startNode(t, config(func(c *Config) { c.Version = "there 2.0" }))
	third := startNode(t)
	if len(n.Connections()) != 0 {
		t.Errorf("connections of a new node: %+v", n.Connections())
	}
	if _, err := n.Dial(other.Self().Addrs[0], patience); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Dial(third.Self().Addrs[1], patience); err != nil {
		t.Fatal(err)
	}
	n.Keep(other.id, true)
	eventually(t, "both sides show what stands", func() bool {
		return len(n.Connections()) == 2 && len(other.Connections()) == 1 && len(third.Connections()) == 1
	})
	list := n.Connections()
	if list[0].Peer > list[1].Peer {
		t.Errorf("not sorted: %+v", list)
	}
	for _, c := range list {
		if time.Since(c.Since) > time.Hour || c.Idle < 0 || c.Idle > time.Hour || c.Inbound {
			t.Errorf("%+v", c)
		}
		switch c.Peer {
		case other.id:
			if c.Addr != "127.0.0.1:"+portOf(other) || c.Transport != "tcp" || !c.Kept || c.Version != "there 2.0" {
				t.Errorf("over TCP: %+v", c)
			}
		case third.id:
			if c.Addr != "127.0.0.1:"+portOf(third) || c.Transport != "quic" || c.Kept {
				t.Errorf("over QUIC: %+v", c)
			}
		}
	}
	if c := other.Connections()[0]; c.Peer != n.id || !c.Inbound || c.Kept || c.Version != "here 1.0" || !strings.HasPrefix(c.Addr, "127.0.0.1:") {
		t.Errorf("the other side: %+v", c)
	}
	if len(n.Dialling()) != 0 || len(n.Failures()) != 0 {
		t.Errorf("dials under way %+v, failed %+v", n.Dialling(), n.Failures())
	}
}

// A dial is shown while it runs: first without a peer, then with one.
func TestDialling(t *testing.T) {
	n := startNode(t)
	quiet := listener(t, silent)
	ended := make(chan error, 2)
	go func() {
		_, err := n.Dial(quiet, patience)
		ended <- err
	}()
	eventually(t, "the dial was shown", func() bool {
		list := n.Dialling()
		return len(list) == 1 && list[0].Peer == "" && list[0].Addr == quiet && !list[0].Since.IsZero()
	})
	_, port, _ := net.SplitHostPort(quiet)
	nobody := host.Peer{ID: idOf(testKey(t)), Addrs: []string{"/ip4/127.0.0.1/tcp/" + port}}
	go func() {
		_, err := n.Call(nobody, mEcho, nil, patience)
		ended <- err
	}()
	eventually(t, "the call's dial was shown too", func() bool {
		list := n.Dialling()
		return len(list) == 2 && list[0].Peer == "" && list[1].Peer == nobody.ID && list[1].Addr == quiet
	})
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := next(t, "the dial to end", ended); !errors.Is(err, host.ErrStopped) {
			t.Errorf("a dial that the stop ended: %v", err)
		}
	}
	if len(n.Dialling()) != 0 || len(n.Failures()) != 0 {
		t.Errorf("after the stop: under way %+v, failed %+v", n.Dialling(), n.Failures())
	}
}

// A failure is kept once for each peer or address, until it is reached.
func TestFailures(t *testing.T) {
	n := startNode(t)
	later := startNode(t)
	at := "127.0.0.1:" + portOf(later)
	if err := later.Close(); err != nil {
		t.Fatal(err)
	}
	nobody := host.Peer{ID: idOf(testKey(t)), Addrs: []string{"/ip4/127.0.0.1/tcp/" + strings.TrimPrefix(at, "127.0.0.1:")}}
	for range 2 {
		if _, err := n.Dial(at, patience); err == nil {
			t.Fatal("nobody answered")
		}
		if _, err := n.Call(nobody, mEcho, nil, patience); err == nil {
			t.Fatal("nobody answered")
		}
	}
	list := n.Failures()
	if len(list) != 2 || list[0].Peer != nobody.ID || list[1].Peer != "" {
		t.Fatalf("failures: %+v", list)
	}
	for _, f := range list {
		if f.Addr != at || !strings.Contains(f.Err, "refused") || strings.Contains(f.Err, "\n") || time.Since(f.At) > time.Hour {
			t.Errorf("%+v", f)
		}
	}
	again := startNode(t, config(func(c *Config) { c.Listen = []string{at} }))
	if _, err := n.Dial(at, patience); err != nil {
		t.Fatal(err)
	}
	if list := n.Failures(); len(list) != 1 || list[0].Peer != nobody.ID {
		t.Errorf("after %v was reached: %+v", again.id, list)
	}
	for i := range 2 * maxFailures {
		n.failed.add("", fmt.Sprint("address ", i), errors.New("no"))
	}
	if list := n.Failures(); len(list) != maxFailures || list[0].Addr != fmt.Sprint("address ", 2*maxFailures-1) {
		t.Errorf("%d failures are kept, the first %+v", len(list), list[0])
	}
}
