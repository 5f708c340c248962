package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"ircbridge/bridge"
)

func TestStatusOfARunningNode(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	dir := filepath.Join(t.TempDir(), "node")
	node := startProgram(t, "-data", dir, "-listen", "127.0.0.1:0", "-irc", "127.0.0.1:0", "-overlay", "tea")
	defer node.stop(t)

	var stdout, stderr bytes.Buffer
	if status := dispatch([]string{"lookup", "-data", dir, "#tea"}, &stdout, &stderr); status != statusOK { // waits for the ring
		t.Fatalf("status %d, %s", status, stderr.String())
	}
	stdout.Reset()
	if status := dispatch([]string{"status", "-data", dir}, &stdout, &stderr); status != statusOK {
		t.Fatalf("status %d, %s", status, stderr.String())
	}
	for _, want := range []string{"Overlay:  tea, at 127.0.0.1:", "Ring:     alone", "Program:  ircbridge " + version} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, stdout.String())
		}
	}
	stdout.Reset()
	if status := dispatch([]string{"status", "-data", dir, "-json"}, &stdout, &stderr); status != statusOK {
		t.Fatalf("status %d, %s", status, stderr.String())
	}
	var s bridge.Status
	if err := json.Unmarshal(stdout.Bytes(), &s); err != nil || s.Node.Overlay != "tea" || s.Node.DataDir != dir || !s.Ring.Alone {
		t.Errorf("%v: %s", err, stdout.String())
	}
}

// What the node answers to, the program prints.
func TestAskingARunningNode(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	dir := t.TempDir()
	node := startProgram(t, "-data", dir, "-listen", "127.0.0.1:0", "-irc", "127.0.0.1:0")
	defer node.stop(t)
	tests := []struct {
		args   []string
		status int
		stdout string // how it begins
		stderr string // all of it
	}{
		{[]string{"invite"}, statusOK, "ircbridge -join 127.0.0.1:", ""},
		{[]string{"invite", "-json"}, statusOK, "{\n  \"command\": \"ircbridge -join 127.0.0.1:", ""},
		{[]string{"lookup", "#Tea"}, statusOK, "The channel #Tea has the key 9f67abfa718b5fe4aaa30c9802ca41523c0c3390.\n\nKeeper:  ", ""},
		{[]string{"lookup", "-json", "Alice"}, statusOK, "{\n  \"name\": \"Alice\",\n  \"kind\": \"nick\",\n  \"key\": \"464475f20f915aca84015b2090fd8a9923844f6a\",", ""},
		{[]string{"lookup", "#"}, statusFailed, "", "ircbridge: \"#\" is neither a nick nor a channel (which begins with #)\n"},
	}
	for _, test := range tests {
		args := append([]string{test.args[0], "-data", dir}, test.args[1:]...)
		var stdout, stderr bytes.Buffer
		status := dispatch(args, &stdout, &stderr)
		if status != test.status || !strings.HasPrefix(stdout.String(), test.stdout) || stderr.String() != test.stderr {
			t.Errorf("%q: status %d, want %d\nstdout: %s\nwant: %s\nstderr: %s\nwant: %s",
				test.args, status, test.status, stdout.String(), test.stdout, stderr.String(), test.stderr)
		}
	}
}

func TestWrongQueries(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	nobody := t.TempDir()
	tests := []struct {
		args   []string
		status int
		stderr string
	}{
		{[]string{"status", "-data", nobody}, statusFailed, "ircbridge: no node answers on the data directory " + nobody + "; start one there, or name the directory of another with -data DIR\n"},
		{[]string{"lookup", "-data", nobody, "#tea"}, statusFailed, "ircbridge: no node answers on the data directory " + nobody + "; start one there, or name the directory of another with -data DIR\n"},
		{[]string{"lookup"}, statusWrong, "ircbridge: lookup needs a nick or a #channel after its flags\n"},
		{[]string{"status", "x"}, statusWrong, "ircbridge: status does not know what to do with \"x\"; ircbridge help shows how it is used\n"},
		{[]string{"status", "-jason"}, statusWrong, "ircbridge: status: flag provided but not defined: -jason; ircbridge help lists the flags\n"},
		{[]string{"status", "-config", "/nowhere/x.toml"}, statusWrong, "ircbridge: /nowhere/x.toml: there is no such file; config.example.toml shows what may stand in it, and without -config a node needs none\n"},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := dispatch(test.args, &stdout, &stderr)
			if status != test.status || stderr.String() != test.stderr || stdout.Len() > 0 {
				t.Errorf("status %d, want %d\nstdout: %s\nstderr: %s\nwant:   %s", status, test.status, stdout.String(), stderr.String(), test.stderr)
			}
		})
	}
}
