package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ircbridge/script"
)

// The sessions on network namespaces (testdata/namespaces) run in a copy of this test process that is
// itself inside a namespace: that of the switch, where a bridge with the address 10.77.0.254 connects
// the nodes' namespaces. So nothing but their own traffic is there. The nodes'
// namespaces have one address each and no loopback.
const (
	insideVariable  = "E2E_INSIDE"  // prefix of the namespaces' names
	programVariable = "E2E_PROGRAM" // the built program
	namespaces      = 5
)

func TestNamespaces(t *testing.T) {
	if os.Getenv(insideVariable) != "" {
		t.Skip("this is the process inside")
	}
	need(t, os.Geteuid() == 0 && haveCommand("ip"), "network namespaces need root and the program ip (iproute2)")
	t.Parallel()
	inNamespaces(t, fmt.Sprintf("ircb%d", os.Getpid()), "TestInsideNamespace")
}

// inNamespaces runs a test in a copy of this process that is inside the namespace of
// the switch.
func inNamespaces(t *testing.T, prefix, test string) {
	t.Helper()
	makeNamespaces(t, prefix)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	inside := exec.Command("ip", "netns", "exec", prefix+"-switch", self, "-test.run", "^"+test+"$", "-test.v", "-test.timeout", "5m")
	inside.Env = append(os.Environ(), insideVariable+"="+prefix, programVariable+"="+program)
	out, err := inside.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+test) {
		t.Errorf("inside the namespace: %v\n%s", err, out)
		return
	}
	t.Logf("\n%s", out)
}

// TestInsideNamespace is started by TestNamespaces.
func TestInsideNamespace(t *testing.T) {
	prefix := os.Getenv(insideVariable)
	if prefix == "" {
		t.Skip("started by TestNamespaces")
	}
	names, err := filepath.Glob("testdata/namespaces/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no sessions (%v)", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			net := &wires{prefix: prefix}
			play(t, name, script.Options{
				Program: os.Getenv(programVariable), Network: net,
				Place: func(node string) (script.Place, error) {
					return script.Place{IP: net.address(node), Prefix: []string{"ip", "netns", "exec", net.namespace(node)}}, nil
				},
			})
			if err := net.Mend(); err != nil {
				t.Error(err)
			}
		})
	}
}

// wires is the network between the namespaces. Who is cut off gets a wrong hardware address of the
// other, so that what he sends gets lost without a word.
type wires struct {
	prefix string
	cut    [][2]string // who has a wrong address of whom
}

func (w *wires) namespace(node string) string { return w.prefix + "-" + strings.TrimPrefix(node, "n") }
func (w *wires) address(node string) string   { return "10.77.0." + strings.TrimPrefix(node, "n") }

func (w *wires) Cut(one, others []string) error {
	if err := w.CutOneWay(one, others); err != nil {
		return err
	}
	return w.CutOneWay(others, one)
}

func (w *wires) CutOneWay(one, others []string) error {
	for _, a := range one {
		for _, b := range others {
			pair := [2]string{a, b}
			if slices.Contains(w.cut, pair) {
				continue
			}
			if err := w.neighbour(pair, "replace", "lladdr", "02:00:00:00:00:01", "nud", "permanent"); err != nil {
				return err
			}
			w.cut = append(w.cut, pair)
		}
	}
	return nil
}

func (w *wires) Mend() error {
	for _, pair := range w.cut {
		if err := w.neighbour(pair, "del"); err != nil {
			return err
		}
	}
	w.cut = nil
	return nil
}

func (w *wires) neighbour(pair [2]string, action string, more ...string) error {
	args := append([]string{"-n", w.namespace(pair[0]), "neigh", action, w.address(pair[1]), "dev", "uplink"}, more...)
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
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
		ip("-n", name, "route", "add", "224.0.0.0/4", "dev", "uplink") // nodes find each other by multicast
	}
}
