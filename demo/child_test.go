package demo

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A child does what it is told, says what came of it, and ends with its input.
func TestChildObeys(t *testing.T) {
	var out strings.Builder
	var cuts [][]string
	c := &Child{
		In:  strings.NewReader(`{"sever":["a","b"]}` + "\n" + `{"sever":[]}` + "\n" + "what?\n" + `{"sever":["nobody"]}` + "\n"),
		Out: &out,
		Sever: func(peers []string) error {
			cuts = append(cuts, peers)
			if slices.Contains(peers, "nobody") {
				return errors.New("no such peer")
			}
			return nil
		},
	}
	if err := c.Ready(Ready{ID: "1", Peer: "2", Overlay: "3", IRC: "4"}); err != nil {
		t.Fatal(err)
	}
	c.Obey()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 5 || lines[0] != `{"ready":{"id":"1","peer":"2","overlay":"3","irc":"4"}}` || lines[1] != "{}" || lines[2] != "{}" ||
		!strings.Contains(lines[3], "invalid character") || lines[4] != `{"error":"no such peer"}` {
		t.Errorf("it answered %q", lines)
	}
	if len(cuts) != 3 || !slices.Equal(cuts[0], []string{"a", "b"}) || len(cuts[1]) != 0 {
		t.Errorf("it cut %q", cuts)
	}
}

// Sweep takes the directory of a demonstration, and nothing else.
func TestSweep(t *testing.T) {
	all := filepath.Join(t.TempDir(), dirPrefix+"1")
	other := filepath.Join(t.TempDir(), "mine")
	for _, dir := range []string{all, other} {
		if err := os.MkdirAll(filepath.Join(dir, "node1", "deep"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := Sweep(filepath.Join(all, "node1")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(all); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
	if err := Sweep(filepath.Join(other, "node1")); err == nil {
		t.Error("a directory of somebody else was taken")
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("it is gone: %v", err)
	}
}

func TestNoChildInAnOrdinaryOverlay(t *testing.T) {
	for name, ok := range map[string]bool{"": false, "default": false, "work": false, "demo": false, OverlayPrefix + "12ab": true} {
		if err := CheckOverlay(name); (err == nil) != ok {
			t.Errorf("overlay %q: %v", name, err)
		}
	}
}
