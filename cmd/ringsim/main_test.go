package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestSubcommands(t *testing.T) {
	for _, tt := range []struct {
		args   string
		status int
		stdout string
	}{
		{"frob", 2, ""},
		{"-scenario frob", 2, ""},
		{"-mode frob", 2, ""},
		{"-seeds 0", 2, ""},
		{"-h", 0, "figures"},
		{"-scenario quiet -nodes 5 -seed 1", 0, "quiet"},
		{"figures -h", 0, ""},
		{"figures keys", 0, "fullest"},
		{"figures frob", 2, ""},
	} {
		var stdout, stderr bytes.Buffer
		status := command(strings.Fields(tt.args), &stdout, &stderr)
		if status != tt.status || !strings.Contains(stdout.String(), tt.stdout) || status == 2 && stderr.Len() == 0 {
			t.Errorf("%q: status %d, stdout %q, stderr %q", tt.args, status, stdout.String(), stderr.String())
		}
	}
}
