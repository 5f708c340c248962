package e2e

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ircbridge/nodes"
)

// TestACopiedDataDirectory starts a node from a copy of another's data directory while that one
// runs: it ends and says why, and the users of the others talk on. Once the first one is gone the
// copy is that node, and the first one may not come again beside it.
func TestACopiedDataDirectory(t *testing.T) {
	g, err := nodes.New(t.Context(), nodes.Options{Program: program})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	if err := g.Ring(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	first, second, third := g.Nodes()[0], g.Nodes()[1], g.Nodes()[2]
	// It ends in order once, so that its directory has all that it knows of others.
	if err := third.Terminate(); err != nil {
		t.Fatal(err)
	}
	<-third.Ended()
	if err := third.Start(t.Context(), first.Overlay()); err != nil {
		t.Fatal(err)
	}
	ann, bob := enter(t, second, "ann"), enter(t, third, "bob")
	ann.says("JOIN #tea")
	ann.hears(" 366 ")
	bob.says("JOIN #tea")
	ann.hears(":bob!")
	talk := func(n int) {
		t.Helper()
		for i := range n {
			ann.says("PRIVMSG #tea :%d from ann", i)
			bob.hears(fmt.Sprintf("PRIVMSG #tea :%d from ann", i))
			bob.says("PRIVMSG #tea :%d from bob", i)
			ann.hears(fmt.Sprintf("PRIVMSG #tea :%d from bob", i))
		}
	}
	talk(10)
	twin, err := g.Add()
	if err != nil {
		t.Fatal(err)
	}
	copyFiles(t, third.Data(), twin.Data())
	for _, through := range [][]string{{first.Overlay()}, nil} { // told where to join, and by what it remembers
		if err := twin.Launch(through...); err != nil {
			t.Fatal(err)
		}
		endsAsTwin(t, twin)
		talk(10)
	}
	if ann.heard(" QUIT ") || bob.heard(" QUIT ") {
		t.Error("users of the others have seen somebody quit")
	}

	if err := third.Kill(); err != nil {
		t.Fatal(err)
	}
	<-third.Ended()
	if err := twin.Start(t.Context(), first.Overlay()); err != nil {
		t.Fatalf("the copy, once the first is gone: %v", err)
	}
	if err := third.Launch(first.Overlay()); err != nil {
		t.Fatal(err)
	}
	endsAsTwin(t, third)
	bob = enter(t, twin, "bob")
	bob.says("JOIN #tea")
	bob.hears(" 366 ")
	talk(10)
}

// endsAsTwin waits until a node ends because another one has its key.
func endsAsTwin(t *testing.T, n *nodes.Node) {
	t.Helper()
	select {
	case <-n.Ended():
	case <-time.After(patience):
		t.Fatalf("%s runs on beside its twin: %s", n, n.LastWords())
	}
	for _, part := range []string{"another node runs with this node's key", "Each node needs a data directory of its own"} {
		if said := n.LastWords(); !strings.Contains(said, part) {
			t.Errorf("%s does not say %q: %s", n, part, said)
		}
	}
}

// copyFiles copies the files of a directory, and nothing else.
func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err == nil {
		err = os.Mkdir(to, 0o700)
	}
	for _, e := range entries {
		if err != nil || !e.Type().IsRegular() {
			continue
		}
		var text []byte
		if text, err = os.ReadFile(filepath.Join(from, e.Name())); err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), text, 0o600)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// user is an IRC client at a node.
type user struct {
	t     *testing.T
	conn  net.Conn
	in    *bufio.Scanner
	lines []string // all that it has heard
}

// enter connects and registers.
func enter(t *testing.T, n *nodes.Node, nick string) *user {
	t.Helper()
	conn, err := net.Dial("tcp", n.IRC())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	u := &user{t: t, conn: conn, in: bufio.NewScanner(conn)}
	u.says("USER %s 0 * :%s", nick, nick)
	for deadline := time.Now().Add(patience); ; {
		u.says("NICK %s", nick)
		if strings.Contains(u.hearsOne(" 001 ", " 433 "), " 001 ") {
			return u
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not let in", nick)
		}
	}
}

func (u *user) says(format string, args ...any) {
	u.t.Helper()
	if _, err := fmt.Fprintf(u.conn, format+"\r\n", args...); err != nil {
		u.t.Fatal(err)
	}
}

// hears reads until a line has the text.
func (u *user) hears(text string) { u.t.Helper(); u.hearsOne(text) }

// hearsOne reads until a line has one of the texts, and returns it.
func (u *user) hearsOne(texts ...string) string {
	u.t.Helper()
	if err := u.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		u.t.Fatal(err)
	}
	for u.in.Scan() {
		line := u.in.Text()
		u.lines = append(u.lines, line)
		for _, text := range texts {
			if strings.Contains(line, text) {
				return line
			}
		}
	}
	u.t.Fatalf("none of %q came (%v); the last lines: %q", texts, u.in.Err(), u.lines[max(0, len(u.lines)-5):])
	return ""
}

// heard reports whether a line has had the text so far.
func (u *user) heard(text string) bool {
	return strings.Contains(strings.Join(u.lines, "\n"), text)
}
