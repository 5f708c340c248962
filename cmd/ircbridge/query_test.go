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
