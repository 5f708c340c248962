package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const contrib = "../../contrib"

// systemd itself finds nothing wrong with the unit files.
func TestUnitFiles(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("there is no systemd-analyze")
	}
	for unit, scope := range map[string]string{"systemd/ircbridge.service": "--system", "systemd/user/ircbridge.service": "--user"} {
		text, err := os.ReadFile(filepath.Join(contrib, unit))
		if err != nil {
			t.Fatal(err)
		}
		// The program that is started must be there.
		program := regexp.MustCompile(`(?m)^ExecStart=\S+`)
		if !program.Match(text) {
			t.Errorf("%s starts nothing", unit)
		}
		path := filepath.Join(t.TempDir(), "ircbridge.service")
		if err := os.WriteFile(path, program.ReplaceAll(text, []byte("ExecStart="+os.Args[0])), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("systemd-analyze", scope, "--man=no", "verify", path)
		cmd.Env = append(cmd.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
		switch out, err := cmd.CombinedOutput(); {
		case strings.Contains(string(out), "ircbridge.service:"):
			t.Errorf("%s: %s", unit, out)
		case err != nil:
			t.Skipf("systemd-analyze does not work here: %v: %s", err, out)
		}
	}
}

func TestPropertyList(t *testing.T) {
	f, err := os.Open(filepath.Join(contrib, "launchd/ircbridge.plist"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for d := xml.NewDecoder(f); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
