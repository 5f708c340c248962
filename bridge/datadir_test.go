package bridge

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestDataDirIsLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	first, err := openDataDir(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = openDataDir(path)
	var locked *LockedError
	if !errors.As(err, &locked) || locked.Dir != path {
		t.Fatalf("second open: %v", err)
	}
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	again, err := openDataDir(path)
	if err != nil {
		t.Fatalf("after the first was closed: %v", err)
	}
	again.close()
}

func TestDataDirIsClosedToOthers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such permissions")
	}
	base := t.TempDir()
	mode := func(path string) os.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	open := func(name string, files ...string) string {
		path := filepath.Join(base, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := os.WriteFile(filepath.Join(path, f), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	for _, path := range []string{filepath.Join(base, "new"), open("empty"), open("ours", lockFile, "identity.key")} {
		d, err := openDataDir(path)
		if err != nil {
			t.Fatal(err)
		}
		d.close()
		if m := mode(path); m != 0o700 {
			t.Errorf("%s: mode %o", path, m)
		}
		if m := mode(filepath.Join(path, lockFile)); m&0o077 != 0 && filepath.Base(path) != "ours" {
			t.Errorf("%s: lock has mode %o", path, m)
		}
	}
	foreign := open("foreign", "thesis.txt")
	_, err := openDataDir(foreign)
	want := "data directory " + foreign + " is open to others and holds other files; name a directory of its own with -data DIR, or run: chmod 700 " + foreign
	if err == nil || err.Error() != want {
		t.Errorf("\n got: %v\nwant: %s", err, want)
	}
	if m := mode(foreign); m != 0o755 {
		t.Errorf("a directory of others was changed to %o", m)
	}
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "below")} {
		if _, err := openDataDir(path); err == nil || !strings.Contains(err.Error(), "-data DIR") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
