package p2p

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ircbridge/host"
)

// TestMain makes the test binary a node of its own when it is asked to be one.
func TestMain(m *testing.M) {
	if os.Getenv("IRCBRIDGE_TEST_NODE") != "" {
		fmt.Println(runTestNode())
		return
	}
	if os.Getenv(labVariable) != "" {
		if err := runLabNode(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func runTestNode() error {
	key, err := Identity(os.Getenv("IRCBRIDGE_TEST_NODE"))
	if err != nil {
		return err
	}
	h, err := New(Config{Key: key, Overlay: "test", Listen: []string{"127.0.0.1:0"}, MemoryStore: true})
	if err != nil {
		return err
	}
	h.HandleCall(mStall, func(host.Peer, []byte) ([]byte, error) { return nil, h.Sleep(time.Hour) })
	if err := h.Start(); err != nil {
		return err
	}
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmRSS") {
			fmt.Fprintln(os.Stderr, "a node at rest:", strings.TrimSpace(line))
		}
	}
	fmt.Println(h.Self().Addrs[0])
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the parent has gone
	return h.Close()
}

// soon is far below any timeout, and far above what a slow machine needs.
const soon = 10 * time.Second

// A process that is killed is noticed at once: its pending calls fail and the
// loss is told, long before any timeout. That holds for a neighbour however it
// was dialled at first.
func TestKilledProcess(t *testing.T) {
	t.Run("dialled over TCP", func(t *testing.T) { killedProcess(t, false) })
	t.Run("neighbour dialled over QUIC", func(t *testing.T) { killedProcess(t, true) })
}

func killedProcess(t *testing.T, neighbour bool) {
	downs := make(chan host.PeerID, 1)
	n := startNode(t, inside(func(h *Host) {
		h.limits.tidyEvery = 10 * time.Millisecond
		h.OnDown(func(id host.PeerID) { downs <- id })
	}))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "IRCBRIDGE_TEST_NODE="+t.TempDir())
	cmd.Stderr = logTo{t}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdin.Close() }()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the other process said %q, %v", addr, err)
	}
	addr = strings.TrimSpace(addr)
	if neighbour {
		addr = strings.Replace(addr, "/tcp/", "/udp/", 1) + "/quic-v1"
	}
	p, err := n.Dial(addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	if neighbour {
		n.Keep(p.ID, true)
		eventually(t, "the link moved to TCP", func() bool {
			list := n.Connections()
			return len(list) == 1 && list[0].Transport == "tcp"
		})
	}
	call := make(chan error, 1)
	go func() {
		_, err := n.Call(p, mStall, nil, time.Minute)
		call <- err
	}()
	eventually(t, "the call was on its way", func() bool {
		return !n.linkOf(p.ID).quiet()
	})
	start := time.Now()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if id := next(t, "the loss to be told", downs); id != p.ID {
		t.Errorf("down: %v, want %v", id, p.ID)
	}
	told := time.Since(start)
	err = next(t, "the pending call", call)
	t.Logf("told after %v; the call: %v", told, err)
	if told > soon || err == nil || time.Since(start) > soon {
		t.Errorf("told after %v, the call ended after %v with %v", told, time.Since(start), err)
	}
	start = time.Now()
	if _, err := n.Call(p, mStall, nil, patience); err == nil || time.Since(start) > soon || strings.Contains(err.Error(), "quic") {
		t.Errorf("a call to the dead process took %v: %v", time.Since(start), err)
	}
}
