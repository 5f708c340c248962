//go:build unix

package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
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
		heedSignals(func() { fmt.Println("asked to end") }, nil)
		fmt.Println("ircbridge -join nobody")
		select {}
	}
	os.Exit(m.Run())
}

// process runs the test binary as the program, without a terminal, until it
// has printed how a friend joins. with changes the command before it starts.
func process(t *testing.T, as string, with func(*exec.Cmd), args ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(cmd.Environ(), "IRCBRIDGE_TEST_AS="+as, "HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if with != nil {
		with(cmd)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() { timer.Stop(); _ = cmd.Process.Kill() })
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

func kill(t *testing.T, cmd *exec.Cmd, s syscall.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// local are the flags of a node that nobody else meets.
func local(t *testing.T) []string {
	return []string{"-data", t.TempDir(), "-listen", "127.0.0.1:0", "-irc", "127.0.0.1:0"}
}

func TestSignalsEndTheNodeInOrder(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		cmd, _ := process(t, "program", nil, local(t)...)
		kill(t, cmd, s)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", s, err)
		}
	}
}

func TestTheSecondSignalEndsAtOnce(t *testing.T) {
	cmd, lines := process(t, "deaf", nil)
	kill(t, cmd, syscall.SIGTERM)
	awaitLine(t, lines, "asked to end")
	kill(t, cmd, syscall.SIGINT)
	_ = cmd.Wait() // the status tells more
	if status := cmd.ProcessState.ExitCode(); status != statusFailed {
		t.Errorf("status %d", status)
	}
}

// SIGHUP to a process without a terminal: the configuration is read again, and
// a wrong one changes nothing.
func TestSIGHUPReloads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	cmd, lines := process(t, "program", nil, append(local(t), "-config", path)...)
	kill(t, cmd, syscall.SIGHUP)
	awaitLine(t, lines, "The configuration was read again.")
	write("[overlay]\nname = \"other\"\n[irc]\nmtod = \"hello\"\n")
	kill(t, cmd, syscall.SIGHUP)
	awaitLine(t, lines, "The configuration cannot be read again, and nothing has changed: "+path+`:4: unknown field "mtod" in [irc]; did you mean "motd"?`)
	write("[overlay]\nname = \"other\"\n[node]\njoin = [\"192.0.2.1:4747\"]\n")
	kill(t, cmd, syscall.SIGHUP)
	awaitLine(t, lines, "The configuration was read again. What needs a restart: overlay.name, node.join.")
	kill(t, cmd, syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// What a service manager is told, and that its watchdog is fed.
func TestTheServiceManagerIsTold(t *testing.T) {
	dir, err := os.MkdirTemp("", "manager") // with a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := socket.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	await := func(want string) {
		t.Helper()
		for seen := []string{}; ; {
			buf := make([]byte, 4096)
			n, err := socket.Read(buf)
			if err != nil {
				t.Fatalf("%q was not told, but %q: %v", want, seen, err)
			}
			if got := string(buf[:n]); got == want {
				return
			} else if got != "WATCHDOG=1" {
				seen = append(seen, got)
			}
		}
	}
	cmd, _ := process(t, "program", func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=20000")
	}, local(t)...)
	await("READY=1")
	await("WATCHDOG=1")
	await("WATCHDOG=1")
	kill(t, cmd, syscall.SIGHUP)
	await("RELOADING=1")
	await("READY=1")
	kill(t, cmd, syscall.SIGTERM)
	await("STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestNoServiceManager(t *testing.T) {
	for _, path := range []string{"", filepath.Join(t.TempDir(), "gone")} {
		t.Setenv("NOTIFY_SOCKET", path)
		m := newManager()
		m.tell("READY=1")
		m.watchdog().Stop()
		m.close()
	}
}
