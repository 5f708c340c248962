package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// python is that of Debian, for which its packages are; another may be first in the path.
const python = "/usr/bin/python3"

// haveBotLibrary reports whether Python has the library that the bot is written on.
func haveBotLibrary() bool {
	return exec.Command(python, "-c", "import irc.bot").Run() == nil
}

// startBot starts testdata/bot.py on a node, by a command that puts it there.
func startBot(t *testing.T, socket, nick, prefix string, n *node, channels ...string) *terminal {
	t.Helper()
	quoted := "'" + strings.Join(channels, "' '") + "'"
	return sitDown(t, socket, nick, homeOf(t), fmt.Sprintf("%s %s -u testdata/bot.py 127.0.0.1 %s %s %s", prefix, python, n.port, nick, quoted))
}

// An irssi, a WeeChat and a bot on three nodes, in two channels, through a cut of the network and its end. Nobody is told
// anything that a network of servers would not have told him.
func TestClientsThroughANetsplit(t *testing.T) {
	if os.Getenv(insideVariable) != "" {
		t.Skip("this is the process inside")
	}
	need(t, os.Geteuid() == 0 && haveCommand("ip", "irssi", "weechat", "tmux") && haveBotLibrary(),
		"it needs root, ip (iproute2), irssi, weechat, tmux and Python's irc.bot (python3-irc)")
	t.Parallel()
	prefix := fmt.Sprintf("ircc%d", os.Getpid())
	makeNamespaces(t, prefix)
	net := &wires{prefix: prefix}
	var inside [4]string // the command that puts one beside node 1, 2, 3
	var nodes [4]*node
	for i := 1; i <= 3; i++ {
		name := fmt.Sprintf("n%d", i)
		inside[i] = "ip netns exec " + net.namespace(name)
		if out, err := exec.Command("ip", "-n", net.namespace(name), "link", "set", "lo", "up").CombinedOutput(); err != nil {
			t.Fatalf("a loopback for %s: %v\n%s", name, err, out)
		}
		join := nodes[1]
		nodes[i] = startNodeAt(t, net.address(name), strings.Fields(inside[i]), join)
	}
	socket := t.TempDir() + "/tmux"
	defer tmux(t, socket, "kill-server")
	alice := irssiAt(t, socket, "alice", inside[1], nodes[1])
	wendy := startWeechatAt(t, socket, "wendy", inside[2], nodes[2])

	// The bot is made an operator of one channel, and is nobody in the other.
	alice.joins("#tea")
	wendy.joins("#cake", "1 nick (1 op")
	alice.joins("#cake")
	alice.types("/window goto #tea")
	startBot(t, socket, "robin", inside[3], nodes[3], "#tea", "#cake")
	alice.sees("robin [robin@")
	alice.types("/op robin")
	wendy.sees("--> | robin [")
	alice.types("!who")
	alice.sees("#tea: @alice @robin")
	wendy.types("!who")
	wendy.sees("#cake: alice robin @wendy")

	// It voices who comes, and finds people on other nodes.
	wendy.joins("#tea", "3 nicks (2 ops")
	wendy.sees("Mode #tea [+v wendy] by robin")
	alice.sees("mode/#tea [+v wendy] by robin")
	wendy.types("!whois alice")
	wendy.sees("alice is alice at ")
	alice.types("!whois nemo")
	alice.sees("nobody is nemo")

	// Away, and a ban, which the bot keeps to as anybody.
	wendy.types("/away baking")
	alice.types("/msg wendy are you there?")
	alice.types("/query wendy")
	alice.sees("wendy is away: baking")
	wendy.types("/away")
	alice.types("/window goto #tea")
	alice.types("/quote MODE #tea +b robin!*@*")
	wendy.sees("Mode #tea [+b robin!*@*] by alice")
	alice.types("/deop robin")
	wendy.sees("Mode #tea [-o robin] by alice")
	wendy.goes("#cake", "#cake: alice robin @wendy")
	wendy.types("!ops")
	wendy.sees("#tea has 1 operators")

	// The bot's node is cut off. After the grace time the others are told, irssi in its line for netsplits.
	if err := net.Cut([]string{"n3"}, []string{"n1", "n2"}); err != nil {
		t.Fatal(err)
	}
	alice.seesLate("Netsplit ")
	alice.sees("quits: robin")
	wendy.seesLate("<-- | robin (robin@")
	wendy.types("we two go on")
	alice.types("/window goto #cake")
	alice.sees("@wendy> we two go on")
	alice.types("/window goto #tea")
	alice.types("/quote MODE #tea -b robin!*@*")
	alice.sees("mode/#tea [-b robin!*@*] by alice")

	// And back: it was in both channels all the time, and knows who is there. It is banned no more.
	if err := net.Mend(); err != nil {
		t.Fatal(err)
	}
	alice.seesLate("Netsplit over, joins: robin")
	alice.types("!who")
	alice.sees("#cake: alice robin @wendy")
	alice.sees("#tea: @alice robin +wendy")
}
