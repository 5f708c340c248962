package bridge

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/host/p2p"
)

// copyOf is a data directory with the key of a running node, and without what
// it knows of other nodes: whose it is begins alone, and lets users in.
func copyOf(t *testing.T, n *running) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	key, err := os.ReadFile(filepath.Join(n.dir, "node.key"))
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "node.key"), key, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// endsAsTwin waits until a node ends, and checks what its owner is told.
func endsAsTwin(t *testing.T, n *running) {
	t.Helper()
	select {
	case err := <-n.ended:
		var mistake *ConfigError
		if !errors.Is(err, p2p.ErrTwin) || !errors.As(err, &mistake) || strings.Contains(err.Error(), "\n") {
			t.Fatalf("it ended with %v", err)
		}
		for _, part := range []string{"another node runs with this node's key", "Each node needs a data directory of its own", n.dir, "remove node.key"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("its owner is not told %q: %v", part, err)
			}
		}
	case <-time.After(deadline):
		t.Fatal("the twin does not end")
	}
}

// usersAreTold checks what the users of a twin read.
func usersAreTold(t *testing.T, n *running) {
	t.Helper()
	select {
	case text := <-n.door.noted:
		if text != errTwinRuns.Error() {
			t.Errorf("users are told %q", text)
		}
	case <-time.After(deadline):
		t.Error("users are told nothing")
	}
}

// A copy of a node's data directory is started while the node runs: the copy
// ends, its users are told, and those of the others notice nothing.
func TestACopyOfADataDirectory(t *testing.T) {
	a := startNode(t, "a")
	b := startNode(t, "b", a.Status().Node.Addresses[0])
	b.out.await(t, "Joined the ring")
	ann, bob := a.user(t, "ann"), b.user(t, "bob")
	joinChannel(t, ann, "#tea")
	joinChannel(t, bob, "#tea")
	gate := newGate(t)
	twin := startWith(t, "twin", Overrides{DataDir: copyOf(t, b), Listen: []string{"127.0.0.1:0"}, Join: []string{gate.addr}})
	joinChannel(t, twin.user(t, "cat"), "#tea")
	gate.open(a)
	usersAreTold(t, twin)
	endsAsTwin(t, twin)
	send(t, ann, "#tea", "still here?")
	bob.sees(t, "ann's message", message("ann", "still here?"))
	send(t, bob, "#tea", "of course")
	ann.sees(t, "bob's message", message("bob", "of course"))
	if n := strings.Count(a.log.String()+b.log.String(), "node does not answer"); n != 0 {
		t.Errorf("%d times a node was taken for dead", n)
	}
}

// The one that was started first stays, also where it comes last.
func TestTheEarlierOfTwoCopiesStays(t *testing.T) {
	a := startNode(t, "a")
	gate := newGate(t)
	b := startNode(t, "b", gate.addr)
	dave := b.user(t, "dave")
	joinChannel(t, dave, "#tea")
	twin := startWith(t, "twin", Overrides{DataDir: copyOf(t, b), Listen: []string{"127.0.0.1:0"}, Join: a.Status().Node.Addresses[:1]})
	twin.out.await(t, "Joined the ring")
	ann := a.user(t, "ann")
	joinChannel(t, ann, "#tea")
	joinChannel(t, twin.user(t, "cat"), "#tea")
	gate.open(a)
	usersAreTold(t, twin)
	endsAsTwin(t, twin)
	b.out.await(t, "Joined the ring")
	send(t, dave, "#tea", "here we are")
	ann.sees(t, "dave's message", message("dave", "here we are"))
	send(t, ann, "#tea", "welcome")
	dave.sees(t, "ann's message", message("ann", "welcome"))
}

// Two rings, in each of which one of two twins is, become one: the later twin
// ends, and the users of all other nodes talk.
func TestRingsWithTwinsBecomeOne(t *testing.T) {
	a := startNode(t, "a")
	b := startNode(t, "b", a.Status().Node.Addresses[0])
	b.out.await(t, "Joined the ring")
	gate := newGate(t)
	c := startNode(t, "c", gate.addr)
	twin := startWith(t, "twin", Overrides{DataDir: copyOf(t, b), Listen: []string{"127.0.0.1:0"}, Join: c.Status().Node.Addresses[:1]})
	twin.out.await(t, "Joined the ring")
	ann, bob, cat, dan := a.user(t, "ann"), b.user(t, "bob"), c.user(t, "cat"), twin.user(t, "dan")
	for _, s := range []*user{ann, bob, cat, dan} {
		joinChannel(t, s, "#tea")
	}
	gate.open(a)
	usersAreTold(t, twin)
	endsAsTwin(t, twin)
	cat.sees(t, "ann and bob", func(e chat.Event) bool { j, ok := e.(chat.Joined); return ok && j.Who.Nick == "bob" })
	for i, s := range []*user{ann, bob, cat} {
		text := fmt.Sprint("line ", i)
		send(t, s, "#tea", text)
		for k, other := range []*user{ann, bob, cat} {
			if k != i {
				other.sees(t, text, message(s.nick, text))
			}
		}
	}
	if len(b.ended) != 0 {
		t.Error("the earlier twin has ended too")
	}
}
