package e2e

import (
	"fmt"
	"os"
	"testing"
)

// weechat is WeeChat in a terminal.
type weechat struct{ *terminal }

// startWeechat starts one that connects to a node with the line that the node prints.
func startWeechat(t *testing.T, socket, nick string, n *node) weechat {
	t.Helper()
	return startWeechatAt(t, socket, nick, "", n)
}

// startWeechatAt starts one by a command that puts it where its node is.
func startWeechatAt(t *testing.T, socket, nick, prefix string, n *node) weechat {
	t.Helper()
	home := homeOf(t)
	// Lines that come fast are not to be taken for a paste, about which WeeChat asks.
	look := "[look]\npaste_max_lines = -1\n[plugin]\nautoload = \"irc\"\n"
	if err := os.WriteFile(home+"/weechat.conf", []byte(look), 0o600); err != nil {
		t.Fatal(err)
	}
	// WeeChat sends a command only every two seconds; that brake is not what is tested here.
	irc := fmt.Sprintf("[server_default]\nnicks = %[1]q\nusername = %[1]q\nrealname = %[1]q\nanti_flood_prio_high = 0\nanti_flood_prio_low = 0\n", nick)
	if err := os.WriteFile(home+"/irc.conf", []byte(irc), 0o600); err != nil {
		t.Fatal(err)
	}
	w := weechat{sitDown(t, socket, nick, home, fmt.Sprintf(
		"%s weechat --dir %s -r '/server add ircbridge 127.0.0.1/%s -notls' -r '/connect ircbridge'", prefix, home, n.port))}
	w.sees("Welcome to the ircbridge network, " + nick)
	return w
}

// joins waits for the end of the answers: the names of who is there.
func (w weechat) joins(channel, present string) {
	w.t.Helper()
	w.types("/join " + channel)
	w.sees("Channel " + channel + ": " + present)
}

// goes to another buffer: a channel's, a person's, the server's.
func (w weechat) goes(buffer, title string) {
	w.t.Helper()
	w.types("/buffer " + buffer)
	w.sees(title)
}

// Two WeeChats and an irssi on three nodes: two channels, private words, nicks,
// away, operators, kicks and bans, questions, and leaving.
func TestWeeChat(t *testing.T) {
	need(t, haveCommand("weechat", "irssi", "tmux"), "weechat, irssi and tmux must be installed")
	n1 := startNode(t, nil)
	n2 := startNode(t, n1)
	n3 := startNode(t, n2)
	socket := t.TempDir() + "/tmux"
	defer tmux(t, socket, "kill-server")
	wendy, ian, will := startWeechat(t, socket, "wendy", n1), irssi(t, socket, "ian", n2), startWeechat(t, socket, "will", n3)

	// Joining and speaking.
	wendy.joins("#tea", "1 nick (1 op")
	ian.joins("#tea")
	wendy.sees("--> | ian [")
	will.joins("#tea", "3 nicks (1 op")
	wendy.sees("--> | will [")
	ian.sees("will [")
	wendy.types("Good morning, all")
	ian.sees("<@wendy> Good morning, all")
	will.sees("@wendy | Good morning, all")
	ian.types("Grüß Gott, お茶?")
	wendy.sees("ian | Grüß Gott, お茶?")
	will.sees("ian | Grüß Gott, お茶?")
	will.types("/me pours a cup")
	wendy.sees("* | will pours a cup")
	ian.sees("* will pours a cup")
	wendy.types("/topic First flush")
	ian.sees("changed the topic of #tea to: First flush")
	will.sees(`changed topic for #tea to "First flush"`)

	// Private: a message, an answer, and the windows that they open.
	wendy.types("/msg ian psst, ian")
	ian.types("/query wendy")
	ian.sees("<wendy> psst, ian")
	ian.types("what is it, wendy?")
	wendy.types("/query ian")
	wendy.sees("ian | what is it, wendy?")
	wendy.types("nothing at all")
	ian.sees("<wendy> nothing at all")

	// Away: who writes to him is told, and who asks.
	ian.types("/away at lunch")
	ian.sees("zZzZ")
	wendy.types("are you hungry?")
	wendy.sees("is away: at lunch")
	ian.sees("<wendy> are you hungry?")
	ian.types("/away")
	ian.types("/window 1")
	ian.sees("You are no longer marked as being away")
	ian.types("/window goto #tea")
	wendy.goes("#tea", "* | will pours a cup")

	// A nick, seen by both others.
	will.types("/nick bill")
	will.sees("You are now known as bill")
	wendy.sees("will is now known as bill")
	ian.sees("will is now known as bill")
	will.types("still me")
	wendy.sees("bill | still me")
	ian.sees("bill> still me")

	// An operator makes another, who uses it.
	wendy.types("/op ian")
	ian.sees("mode/#tea [+o ian] by wendy")
	will.sees("Mode #tea [+o ian] by wendy")
	ian.types("/kick bill spilling tea")
	ian.sees("bill was kicked from #tea by ian [spilling tea]")
	wendy.sees("ian has kicked bill (spilling tea)")
	will.sees("ian has kicked bill (spilling tea)")
	will.joins("#tea", "3 nicks (2 ops")
	wendy.sees("--> | bill [")
	ian.types("/ban bill!*@*")
	wendy.sees("Mode #tea [+b bill!*@*] by ian")
	will.sees("Mode #tea [+b bill!*@*] by ian")
	will.types("/part #tea")
	ian.sees("has left #tea")
	will.types("/join #tea")
	will.sees("Cannot join channel (+b)")
	ian.types("/mode #tea -b bill!*@*")
	wendy.sees("Mode #tea [-b bill!*@*] by ian")
	will.types("/buffer clear")
	will.joins("#tea", "3 nicks (2 ops")
	will.types("hello again")
	ian.sees("bill> hello again")

	// A second channel beside the first; names of both.
	ian.joins("#cake")
	wendy.joins("#cake", "2 nicks (1 op")
	wendy.types("any cake left?")
	ian.sees("wendy> any cake left?")
	ian.types("the plum one")
	wendy.sees("@ian | the plum one")
	ian.types("/names #cake")
	ian.sees("Total of 2 nicks")
	ian.types("/window goto #tea")
	wendy.goes("#tea", "bill | hello again")
	wendy.types("/names")
	wendy.sees("Nicks #tea: [")

	// Who somebody is, on another node.
	ian.types("/query wendy")
	ian.sees("<wendy> are you hungry?")
	ian.types("/whois wendy")
	ian.sees("channels : ")
	ian.sees("End of WHOIS")
	ian.types("/window goto #tea")
	ian.sees("bill> hello again")

	// Leaving: a client, and then a whole node.
	will.types("/quit tired")
	wendy.sees("has quit (Quit: tired)")
	ian.sees("has quit [Quit: tired]")
	will.sees("the program has ended")
	n2.stop()
	wendy.sees("ian (ian@")
	wendy.types("alone at last")
	wendy.sees("@wendy | alone at last")
	ian.types("/window 1")
	ian.sees("Closing link (node stopped)")
	wendy.types("/quit")
	wendy.sees("the program has ended")
}
