package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	tests := []struct {
		args   string
		status int
		stdout string // a part of it
		stderr string // all of it
	}{
		{"", statusOK, "  fanout    deliveries a second", ""},
		{"-h", statusOK, "-allow-remote", ""},
		{"message -h", statusOK, "-local N", ""},
		{"massage -server 127.0.0.1:1", statusWrong, "", "ircload: there is no mode \"massage\"; there are message, private, fanout, register, channels, idle, quiet, kill, kill-two, kill-leaving, restart, restart-all, stall, sleep, silence, calm\n"},
		{"message -srv x", statusWrong, "", "ircload: flag provided but not defined: -srv; ircload -h lists the flags\n"},
		{"message 127.0.0.1:6667", statusWrong, "", "ircload: \"127.0.0.1:6667\" is not understood; the mode comes first, then flags only\n"},
		{"message -runs 0 -local 1", statusWrong, "", "ircload: -runs is 0, and must be between 1 and 100\n"},
		{"message -local 17", statusWrong, "", "ircload: -local is 17, and must be between 1 and 16\n"},
		{"message -limit 2h -local 1", statusWrong, "", "ircload: -limit is 2h0m0s, and must be above 0 and at most 1h\n"},
		{"message -local 1 -server 127.0.0.1:6667", statusWrong, "", "ircload: -local has servers of its own; leave -server and -pid away, or -local\n"},
		{"idle -pid 0", statusWrong, "", "ircload: invalid value \"0\" for flag -pid: not a process number; ircload -h lists the flags\n"},
		{"kill -server 127.0.0.1:1", statusWrong, "", "ircload: what an ordeal does to nodes it does to its own; leave -server and -pid away\n"},
		{"kill -n 0", statusFailed, "", "ircload: 0 rounds are asked for, and there must be between 1 and 10000\n"},
		{"message -program x", statusWrong, "", "ircload: -program is for -local N; add that\n"},
		{"message", statusFailed, "", "ircload: no server is named; add -server HOST:PORT, or -local N for nodes of this tree\n"},
		{"message -server 192.0.2.1:6667", statusFailed, "", "ircload: server 192.0.2.1:6667 is not on this machine (192.0.2.1); load is put on other people's servers only with -allow-remote, and with their leave\n"},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := command(t.Context(), strings.Fields(test.args), &stdout, &stderr)
			if status != test.status || stderr.String() != test.stderr || !strings.Contains(stdout.String(), test.stdout) {
				t.Errorf("status %d, want %d\nstdout: %s\nstderr: %s\nwant:   %s", status, test.status, stdout.String(), stderr.String(), test.stderr)
			}
		})
	}
}

// Three real nodes are built, started, used and stopped; nothing stays.
func TestLocalNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	t.Setenv("TMP", tmp)
	var stdout, stderr bytes.Buffer
	status := command(t.Context(), strings.Fields("message -local 3 -n 50 -warmup 5 -runs 2"), &stdout, &stderr)
	if status != statusOK || !strings.Contains(stdout.String(), "100 expected: 0 lost, 0 doubled, 0 out of order, 0 altered") {
		t.Errorf("status %d\nstdout: %s\nstderr: %s", status, stdout.String(), stderr.String())
	}
	left, err := filepath.Glob(filepath.Join(tmp, "ircb-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

// A program that is no node is told of with its last words.
func TestLocalNodesThatDoNotStart(t *testing.T) {
	other, err := exec.LookPath("go") // a program that does not know these flags
	if err != nil {
		t.Skip(err)
	}
	for program, want := range map[string]string{
		filepath.Join(t.TempDir(), "none"): "starting n1: ",
		other:                              "n1 ended: usage: go run",
	} {
		var stdout, stderr bytes.Buffer
		status := command(t.Context(), []string{"message", "-local", "1", "-program", program}, &stdout, &stderr)
		if status != statusFailed || !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: status %d, stderr %q", program, status, stderr.String())
		}
	}
}
