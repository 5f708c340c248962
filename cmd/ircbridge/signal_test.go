package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be the program: a signal can be sent to a
// process only.
func TestMain(m *testing.M) {
	switch os.Getenv("IRCBRIDGE_TEST_AS") {
	case "program":
		main()
	case "deaf": // a node that does not get around to leaving
		endOnSignals(func() { fmt.Println("asked to end") })
		fmt.Println("ircbridge -join nobody")
		select {}
	}
	os.Exit(m.Run())
}

// process runs the test binary as the program, until it has printed how a
// friend joins.
func process(t *testing.T, as string, args ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such signals")
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(cmd.Environ(), "IRCBRIDGE_TEST_AS="+as, "HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() { timer.Stop() })
	lines := bufio.NewScanner(out)
	awaitLine(t, lines, "ircbridge -join ")
	return cmd, lines
}

func awaitLine(t *testing.T, lines *bufio.Scanner, text string) {
	t.Helper()
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return
		}
	}
	t.Fatalf("the process ended without %q", text)
}

func TestSignalsEndTheNodeInOrder(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		cmd, _ := process(t, "program", "-data", t.TempDir(), "-listen", "127.0.0.1:0", "-irc", "127.0.0.1:0")
		began := time.Now()
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", s, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%v: it took %v", s, took)
		}
	}
}

func TestTheSecondSignalEndsAtOnce(t *testing.T) {
	cmd, lines := process(t, "deaf")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awaitLine(t, lines, "asked to end")
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the status tells more
	if status := cmd.ProcessState.ExitCode(); status != statusFailed {
		t.Errorf("status %d", status)
	}
}
