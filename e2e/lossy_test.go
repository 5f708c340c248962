package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ircbridge/nodes"
	"ircbridge/ordeal"
)

// TestLossyNetwork lets users talk for a minute over a network that loses one packet in twenty: nothing
// is lost on the way, nothing comes twice, and nobody is taken for dead.
func TestLossyNetwork(t *testing.T) {
	if os.Getenv(insideVariable) != "" {
		t.Skip("this is the process inside")
	}
	if testing.Short() {
		t.Skip("takes more than a minute")
	}
	need(t, os.Geteuid() == 0 && haveCommand("ip", "nft"), "a network that loses packets needs root and the programs ip (iproute2) and nft (nftables)")
	t.Parallel()
	inNamespaces(t, fmt.Sprintf("ircl%d", os.Getpid()), "TestInsideLossyNetwork")
}

// TestInsideLossyNetwork is started by TestLossyNetwork.
func TestInsideLossyNetwork(t *testing.T) {
	prefix := os.Getenv(insideVariable)
	if prefix == "" {
		t.Skip("started by TestLossyNetwork")
	}
	net := &wires{prefix: prefix}
	for n := 1; n <= namespaces; n++ {
		loseOneInTwenty(t, net.namespace(fmt.Sprintf("n%d", n)))
	}
	o := ordeal.Defaults("calm")
	o.Nodes, o.Rounds, o.Rate, o.Down, o.Marks = namespaces, 30, 50, time.Second, ordeal.Marks{}
	o.Group = nodes.Options{
		IRC: `password = "` + ordeal.Password + `"`,
		Place: func(number int) nodes.Place {
			name := fmt.Sprintf("n%d", number)
			return nodes.Place{IP: net.address(name), Prefix: []string{"ip", "netns", "exec", net.namespace(name)}}
		},
	}
	endure(t, o)
	for n := 1; n <= namespaces; n++ {
		out, err := exec.Command("ip", "netns", "exec", net.namespace(fmt.Sprintf("n%d", n)), "nft", "list", "table", "inet", "lossy").CombinedOutput()
		if err != nil || strings.Contains(string(out), "counter packets 0 ") {
			t.Errorf("n%d: nothing was lost on the way to it: %v\n%s", n, err, out)
		}
	}
}

// loseOneInTwenty drops one in twenty of the packets that come from other nodes; what
// comes from the switch, where the clients are, is left alone.
func loseOneInTwenty(t *testing.T, namespace string) {
	t.Helper()
	for _, rule := range []string{
		"add table inet lossy",
		"add chain inet lossy in { type filter hook input priority 0; }",
		"add rule inet lossy in ip saddr 10.77.0.1-10.77.0.99 numgen random mod 20 == 0 counter drop",
	} {
		args := append([]string{"netns", "exec", namespace, "nft"}, rule)
		out, err := exec.Command("ip", args...).CombinedOutput()
		need(t, err == nil, fmt.Sprintf("nft in %s: %s: %v %s", namespace, rule, err, out))
	}
}
