package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// irssi starts one that connects to a node.
func irssi(t *testing.T, socket, nick string, n *node) *terminal {
	t.Helper()
	return irssiAt(t, socket, nick, "", n)
}

// irssiAt starts one by a command that puts it where its node is.
func irssiAt(t *testing.T, socket, nick, prefix string, n *node) *terminal {
	t.Helper()
	home := homeOf(t)
	// irssi sends a command only every 2.2 s after its first five; that brake is not what
	// is tested here.
	config := fmt.Sprintf(`settings = {
  core = { real_name = "%[1]s"; user_name = "%[1]s"; nick = "%[1]s"; };
  "irc/core" = { cmd_queue_speed = "10msec"; cmds_max_at_once = "100"; };
};
`, nick)
	if err := os.WriteFile(home+"/config", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := sitDown(t, socket, nick, home, fmt.Sprintf("%s irssi --home=%s --connect=127.0.0.1 --port=%s --nick=%s", prefix, home, n.port, nick))
	s.sees("Welcome to the ircbridge network, " + nick)
	return s
}

// joins waits for irssi's word that all its questions were answered: MODE, WHO
// and the list of bans.
func (s *terminal) joins(channel string) {
	s.t.Helper()
	s.types("/join " + channel)
	s.sees("Join to " + channel + " was synced")
}

func TestIrssi(t *testing.T) {
	need(t, haveCommand("irssi", "tmux"), "irssi and tmux must be installed")
	n1 := startNode(t, nil)
	n2 := startNode(t, n1)
	socket := t.TempDir() + "/tmux"
	defer tmux(t, socket, "kill-server")
	alice, bob, carol := irssi(t, socket, "alice", n1), irssi(t, socket, "bob", n2), irssi(t, socket, "carol", n2)

	// Joining and speaking.
	alice.joins("#tea")
	alice.sees("[@alice]")
	bob.joins("#tea")
	alice.sees("bob [bob@")
	alice.types("Good morning, bob")
	alice.sees("<@alice> Good morning, bob")
	bob.sees("<@alice> Good morning, bob")
	bob.types("Grüß Gott, alice")
	alice.sees("bob> Grüß Gott, alice")
	alice.types("/topic #tea First flush")
	bob.sees("First flush")

	// Private: /msg, and a query.
	alice.types("/msg bob psst, bob")
	bob.types("/query alice")
	bob.sees("<alice> psst, bob")
	bob.types("what is it, alice?")
	alice.types("/query bob")
	alice.sees("<bob> what is it, alice?")
	alice.types("nothing")
	bob.sees("<alice> nothing")
	alice.types("/window goto #tea")
	bob.types("/window goto #tea")

	// Parting, and coming back.
	bob.types("/part #tea so long")
	alice.sees("has left #tea [so long]")
	bob.joins("#tea")
	bob.types("back again")
	alice.sees("bob> back again")
	carol.joins("#tea")
	alice.sees("carol [carol@")

	// Alice's node ends: she is told, the others see her quit, and go on.
	n1.stop()
	alice.types("/window 1")
	alice.sees("Closing link (node stopped)")
	bob.sees("alice [alice@")
	bob.sees("has quit")
	carol.types("two are company")
	bob.sees("carol> two are company")
	bob.types("indeed")
	carol.sees("bob> indeed")

	// Quitting.
	bob.types("/quit tired")
	carol.sees("has quit [Quit: tired]")
	bob.sees("the program has ended")
}

// TestIrssiFoldsANetsplit: two users of a node that is killed quit in one line.
func TestIrssiFoldsANetsplit(t *testing.T) {
	need(t, haveCommand("irssi", "tmux"), "irssi and tmux must be installed")
	t.Parallel()
	n1 := startNode(t, nil)
	n2 := startNode(t, n1)
	socket := t.TempDir() + "/tmux"
	defer tmux(t, socket, "kill-server")
	alice, bob, carol := irssi(t, socket, "alice", n1), irssi(t, socket, "bob", n2), irssi(t, socket, "carol", n2)
	alice.joins("#tea")
	bob.joins("#tea")
	carol.joins("#tea")
	alice.sees("carol [carol@")
	if err := n2.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// Their node is given 20 s to come back, and irssi waits a little for more.
	alice.seesLate("Netsplit ")
	if screen := alice.screen(); !strings.Contains(screen, "quits: bob, carol") && !strings.Contains(screen, "quits: carol, bob") || strings.Contains(screen, "has quit") {
		t.Errorf("she does not see one line with both:\n%s", screen)
	}
}
