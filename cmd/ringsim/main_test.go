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
		{"", 2, ""},
		{"frob", 2, ""},
		{"-h", 0, "figures"},
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
