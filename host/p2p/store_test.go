package p2p

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"ircbridge/host"
)

func openTest(t testing.TB, path string) *store {
	t.Helper()
	s, err := openBolt(path, slog.New(slog.NewTextHandler(logTo{t}, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Records are found in the order of keys wherever they are: committed, in a
// commit, new, changed or deleted since.
func TestStoreLayers(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
	defer func() { _ = s.close(true) }()
	const n = 3 * scanChunk
	key := func(i int) string { return fmt.Sprintf("k/%05d", i) }
	for i := range n {
		if err := s.Write(host.Change{Key: key(i), Value: []byte("old")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.commit(); err != nil {
		t.Fatal(err)
	}
	want := make(map[string]string)
	for i := range n {
		want[key(i)] = "old"
		switch i % 4 {
		case 1:
			want[key(i)] = "new"
			_ = s.Write(host.Change{Key: key(i), Value: []byte("new")})
		case 2:
			delete(want, key(i))
			_ = s.Write(host.Change{Key: key(i)})
		case 3:
			want[key(i)+"+"] = "more"
			_ = s.Write(host.Change{Key: key(i) + "+", Value: []byte("more")})
		}
	}
	check := func(when string) {
		t.Helper()
		last, got := "", 0
		err := s.Scan("k/", func(k string, v []byte) bool {
			if k <= last || want[k] != string(v) || want[k] == "" {
				t.Errorf("%s: %q = %q after %q, want %q", when, k, v, last, want[k])
			}
			if one, err := s.Get(k); err != nil || string(one) != string(v) {
				t.Errorf("%s: Get(%q) = %q, %v", when, k, one, err)
			}
			last = k
			got++
			return true
		})
		if err != nil || got != len(want) {
			t.Errorf("%s: %d records, %v; want %d", when, got, err, len(want))
		}
		if v, err := s.Get(key(2)); v != nil || err != nil {
			t.Errorf("%s: a deleted key gave %q, %v", when, v, err)
		}
	}
	check("before the commit")
	s.inCommit, s.fresh = s.fresh, nil // as in the middle of a commit
	check("during the commit")
	s.inCommit, s.fresh = nil, s.inCommit
	if err := s.commit(); err != nil {
		t.Fatal(err)
	}
	check("after the commit")
}

func TestStoreDurability(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := openTest(t, path)
	_ = s.Write(host.Change{Key: "first", Value: []byte("1")})
	if err := s.close(true); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, path)
	_ = s.Write(host.Change{Key: "second", Value: []byte("2")})
	if err := s.close(false); err != nil { // as a crash
		t.Fatal(err)
	}
	s = openTest(t, path)
	one, _ := s.Get("first")
	two, _ := s.Get("second")
	if string(one) != "1" || two != nil {
		t.Errorf("after orderly end and crash: %q, %q", one, two)
	}
	if err := s.Write(host.Change{Key: ""}); err == nil {
		t.Error("an empty key was taken")
	}
	if err := s.close(true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get("first"); !errors.Is(err, host.ErrStopped) {
		t.Errorf("Get after the end: %v", err)
	}
	if err := s.Write(host.Change{Key: "x"}); !errors.Is(err, host.ErrStopped) {
		t.Errorf("Write after the end: %v", err)
	}
}

// What somebody must decide keeps the node from starting.
func TestStoreRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := openTest(t, path)
	defer func() { _ = s.close(true) }()
	if _, err := openBolt(path, s.log); !errors.Is(err, ErrStoreLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("an open database: %v", err)
	}
	if _, err := openBolt(t.TempDir(), s.log); !errors.Is(err, errNoFile) {
		t.Errorf("a directory was opened: %v", err)
	}
}
