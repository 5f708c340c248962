package bridge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLogFileIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), logFile)
	r, err := openRotating(path, 100)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 29) + "\n"
	for range 20 {
		if n, err := r.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	for path, want := range map[string]int{path: 60, path + oldSuffix: 90} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) != want || strings.Trim(string(text), "x\n") != "" {
			t.Errorf("%s has %d bytes, want %d: %q", path, len(text), want, text)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Write([]byte(line)); err == nil {
		t.Error("a line was written after Close")
	}
	again, err := openRotating(path, 100)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.size != 60 {
		t.Errorf("opened again it has size %d, want 60", again.size)
	}
}
