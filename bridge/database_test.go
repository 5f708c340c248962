package bridge

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/overlay"
)

// overlay.copies is how many nodes hold an object: with 1, nobody but its keeper.
func TestCopiesAreConfigured(t *testing.T) {
	for copies, want := range map[int]bool{1: false, 2: true, defaultCopies: true} {
		start := func(name string, join ...string) *running {
			cfg, err := Load("", Overrides{DataDir: filepath.Join(t.TempDir(), name), Listen: []string{"127.0.0.1:0"}, Join: join})
			if err != nil {
				t.Fatal(err)
			}
			cfg.Overlay.Copies = copies
			return startConfig(t, name, cfg)
		}
		a := start("a")
		b := start("b", a.Status().Node.Addresses[0])
		b.out.await(t, "Joined the ring")
		ann := b.user(t, "ann")
		tea := keptBy(t, ann)
		joinChannel(t, ann, tea) // answered when a copy stands, if there is to be one
		// Other copies there may be left from what was kept there before there were two.
		copied := slices.ContainsFunc(a.parts.overlay.Holdings(), func(h overlay.Holding) bool { return h.Kind == "channel" && h.Name == tea })
		if k := a.Status().Keeps; k.OnNodes != copies || copied != want {
			t.Errorf("copies = %d: the other node keeps %+v, a copy of the channel: %v", copies, k, copied)
		}
	}
}

// A node whose database is damaged starts without it, and is who it was.
func TestDamagedDatabaseIsNoEnd(t *testing.T) {
	a := startNode(t, "a")
	id := a.Status().Node.ID
	a.leave(t)
	path := filepath.Join(a.dir, "store.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("damaged", 10000)), 0o600); err != nil {
		t.Fatal(err)
	}
	a = startWith(t, "a again", Overrides{DataDir: a.dir, Listen: []string{"127.0.0.1:0"}})
	s := a.Status()
	if s.Node.ID != id || len(s.Database.Damaged) != 1 || s.Database.Error != "" {
		t.Errorf("after the damage: %+v, %+v", s.Node, s.Database)
	}
	a.log.await(t, "the database is damaged and was moved aside")
	joinChannel(t, a.user(t, "ann"), "#tea")
}

// A data directory that is removed under the running node is said once, and shown by its
// status; its users chat on. When there is a directory again, all is written to it.
func TestDataDirectoryGoes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: Windows removes no directory of which a file is open")
	}
	a := startNode(t, "a")
	ann, bob := a.user(t, "ann"), a.user(t, "bob")
	joinChannel(t, ann, "#tea")
	joinChannel(t, bob, "#tea")
	if err := os.RemoveAll(a.dir); err != nil {
		t.Fatal(err)
	}
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	await := func(what string, ok func(DatabaseStatus) bool) {
		t.Helper()
		for late := time.After(deadline); !ok(a.Status().Database); {
			select {
			case <-look.C:
			case <-late:
				t.Fatalf("never %s: %+v", what, a.Status().Database)
			}
		}
	}
	await("noticed", func(d DatabaseStatus) bool {
		return d.Since != nil && strings.Contains(d.Error, "the data directory is gone")
	})
	send(t, ann, "#tea", "still here")
	bob.sees(t, "ann's message", message("ann", "still here"))
	if text := a.Status().Text(); !strings.Contains(text, "TAKES NOTHING") {
		t.Errorf("the status does not say it:\n%s", text)
	}
	if err := os.Mkdir(a.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	await("written again", func(d DatabaseStatus) bool { return d.Error == "" && d.Records > 0 })
	if _, err := os.Stat(filepath.Join(a.dir, "store.db")); err != nil {
		t.Error(err)
	}
}
