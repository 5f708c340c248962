package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ircbridge/script"
)

// ngircdConfig is a server without a net, without limits that a session would meet, and without
// questions to DNS and ident.
const ngircdConfig = `[Global]
Name = irc.example.net
Info = a server of somebody else
Listen = 127.0.0.1
Ports = %s
[Limits]
MaxConnectionsIP = 0
MaxJoins = 0
MaxNickLength = 30
MaxPenaltyTime = 0
[Options]
DNS = no
Ident = no
PAM = no
`

// TestSessionsAgainstNgircd plays sessions against a server that is not ours: the
// runner takes nobody's side, and what our server does is what IRC servers do.
func TestSessionsAgainstNgircd(t *testing.T) {
	command := ngircd()
	need(t, command != "", "ngircd must be installed")
	server := startNgircd(t, command)
	for _, name := range []string{"plain", "foreign/crowd"} {
		t.Run(strings.ReplaceAll(name, "/", "-"), func(t *testing.T) {
			play(t, filepath.Join("testdata", filepath.FromSlash(name)+".txt"), script.Options{Server: server})
		})
	}
}

// ngircd is the program, which Debian keeps where only root looks, or "".
func ngircd() string {
	for _, name := range []string{"ngircd", "/usr/sbin/ngircd"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// startNgircd starts the server and returns its address. Somebody else may take
// the port before it does: then it ends, and is started with another.
func startNgircd(t *testing.T, command string) string {
	t.Helper()
	var all output
	for range 5 {
		all = output{}
		port := freePort(t)
		addr := net.JoinHostPort("127.0.0.1", port)
		config := filepath.Join(t.TempDir(), "ngircd.conf")
		if err := os.WriteFile(config, fmt.Appendf(nil, ngircdConfig, port), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(command, "--nodaemon", "--config", config)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, &all, &all
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			// How it ended shows in its output.
			_ = cmd.Wait()
			close(ended)
		}()
		t.Cleanup(func() {
			// It may have ended before.
			_ = cmd.Process.Kill()
			<-ended
		})
		if listens(addr, ended) {
			return addr
		}
	}
	t.Fatalf("ngircd does not start:\n%s", all.String())
	return ""
}

// listens waits until somebody takes connections at addr, or the process there
// has ended, or patience has.
func listens(addr string, ended <-chan struct{}) bool {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return true
		}
		select {
		case <-tick.C:
		case <-ended:
			return false
		case <-deadline:
			return false
		}
	}
}
