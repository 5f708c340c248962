package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"ircbridge/script"
)

// The session on network namespaces runs in a copy of this test process that is itself inside
// a namespace: that of the switch, where a bridge with the address 10.77.0.254 connects the
// nodes' namespaces. So nothing but their own traffic is there. The nodes'
// namespaces have one address each and no loopback.
const (
	insideVariable  = "E2E_INSIDE"  // prefix of the namespaces' names
	programVariable = "E2E_PROGRAM" // the built program
	namespaces      = 3
)

func TestNamespaces(t *testing.T) {
	if os.Getenv(insideVariable) != "" {
		t.Skip("this is the process inside")
	}
	need(t, os.Geteuid() == 0 && haveCommand("ip"), "network namespaces need root and the program ip (iproute2)")
	prefix := fmt.Sprintf("ircb%d", os.Getpid())
	makeNamespaces(t, prefix)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	inside := exec.Command("ip", "netns", "exec", prefix+"-switch", self, "-test.run", "^TestInsideNamespace$", "-test.v", "-test.timeout", "3m")
	inside.Env = append(os.Environ(), insideVariable+"="+prefix, programVariable+"="+program)
	out, err := inside.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestInsideNamespace") {
		t.Errorf("inside the namespace: %v\n%s", err, out)
	}
}

// TestInsideNamespace is started by TestNamespaces.
func TestInsideNamespace(t *testing.T) {
	prefix := os.Getenv(insideVariable)
	if prefix == "" {
		t.Skip("started by TestNamespaces")
	}
	play(t, "testdata/namespaces/three.txt", script.Options{
		Program: os.Getenv(programVariable),
		Place: func(node string) (script.Place, error) {
			n := strings.TrimPrefix(node, "n")
			return script.Place{IP: "10.77.0." + n, Prefix: []string{"ip", "netns", "exec", prefix + "-" + n}}, nil
		},
	})
}

func makeNamespaces(t *testing.T, prefix string) {
	t.Helper()
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	add := func(name string) {
		t.Helper()
		ip("netns", "add", name)
		t.Cleanup(func() {
			if out, err := exec.Command("ip", "netns", "del", name).CombinedOutput(); err != nil {
				t.Errorf("removing the namespace %s: %v\n%s", name, err, out)
			}
		})
	}
	hub := prefix + "-switch"
	add(hub)
	ip("-n", hub, "link", "add", "bridge", "type", "bridge")
	ip("-n", hub, "addr", "add", "10.77.0.254/24", "dev", "bridge")
	ip("-n", hub, "link", "set", "bridge", "up")
	for n := 1; n <= namespaces; n++ {
		name, port := fmt.Sprintf("%s-%d", prefix, n), fmt.Sprintf("port%d", n)
		add(name)
		ip("-n", hub, "link", "add", port, "type", "veth", "peer", "name", "uplink", "netns", name)
		ip("-n", hub, "link", "set", port, "master", "bridge", "up")
		ip("-n", name, "addr", "add", fmt.Sprintf("10.77.0.%d/24", n), "dev", "uplink")
		ip("-n", name, "link", "set", "uplink", "up")
	}
}
