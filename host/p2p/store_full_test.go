//go:build linux

package p2p

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ircbridge/host"
)

// fullVariable makes this test's process the one whose files may not grow.
const fullVariable = "IRCBRIDGE_TEST_FULL"

// A disk that takes nothing more costs no reader and no writer anything: one
// line in the log, the node goes on in memory, which is bounded, and when there
// is room again all is written. Here the system lets the files of a process grow no further.
func TestFullDisk(t *testing.T) {
	if os.Getenv(fullVariable) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
		cmd.Env = append(os.Environ(), fullVariable+"=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestFullDisk") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	path := filepath.Join(t.TempDir(), "store.db")
	fullDisk(t, path, func(full bool) {
		limit := syscall.Rlimit{Cur: 1 << 40, Max: 1 << 40}
		if info, err := os.Stat(path); full && err == nil {
			limit.Cur = uint64(info.Size()) / 2
		} else if full {
			limit.Cur = 0
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
	})
}

// The same on a file system that is really full, which only root can make.
func TestFullFileSystem(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: a small file system is mounted by root only; TestFullDisk does nearly the same")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=200m"); err != nil {
		t.Skip("SKIPPED: a small file system cannot be mounted here: ", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	ballast := filepath.Join(dir, "ballast")
	fullDisk(t, filepath.Join(dir, "store.db"), func(full bool) {
		f, err := os.Create(ballast)
		if err != nil {
			t.Fatal(err)
		}
		for chunk := make([]byte, 4096); full && err == nil; {
			_, err = f.Write(chunk)
		}
		_ = f.Close()
	})
}

func fullDisk(t *testing.T, path string, fill func(full bool)) {
	t.Run("while running", func(t *testing.T) {
		var log logged
		s := openLogged(t, path, &log)
		for i := range 1000 {
			_ = s.Write(host.Change{Key: recordKey(i), Value: recordValue(i)})
		}
		if err := s.Sync(patience); err != nil {
			t.Fatal(err)
		}
		stop := startStore(t, s)
		fill(true)
		defer fill(false)
		total := 1000
		for ; total < 8000; total++ {
			if err := s.Write(host.Change{Key: recordKey(total), Value: recordValue(total)}); err != nil {
				t.Fatalf("the node cannot go on in memory: %v", err)
			}
		}
		start := time.Now()
		err := s.Sync(patience)
		if err == nil || errors.Is(err, host.ErrTimeout) || time.Since(start) > patience/2 {
			t.Errorf("who waits for a full disk got %v after %v", err, time.Since(start))
		}
		for range 2 { // however often it is tried
			if s.commit() == nil {
				t.Error("a full disk took a commit")
			}
		}
		if st := s.state(); st.Err == nil || st.Waiting == 0 || st.Since.IsZero() {
			t.Errorf("state: %+v", st)
		}
		if err := s.Sync(patience); err == nil {
			t.Error("who waits is not told that the disk takes nothing")
		}
		big := make([]byte, 1<<20)
		for n := 0; err == nil || !errors.Is(err, host.ErrBusy); n++ {
			if err = s.Write(host.Change{Key: fmt.Sprint("big/", n), Value: big}); n > storeMost/len(big) {
				t.Fatal("memory has no bound")
			}
		}
		if st := s.state(); st.Waiting > storeMost || st.Waiting < storeMost/2 {
			t.Errorf("%d bytes wait", st.Waiting)
		}
		if err := s.Write(host.Change{Key: "big/0", Value: big}); err != nil {
			t.Errorf("what takes no more room was refused: %v", err)
		}
		neverInvented(t, memoryOnly(s), "on a full disk")
		fill(false)
		if err := s.commit(); err != nil || s.state().Err != nil || s.state().Waiting != 0 {
			t.Errorf("there is room again: %v, %+v", err, s.state())
		}
		stop()
		if log.lines("")-log.lines("the disk was slow") != 2 || log.lines("the database takes nothing") != 1 || log.lines("takes writes again") != 1 {
			t.Errorf("the log:\n%s", log.String())
		}
		s = openLogged(t, path, &log)
		for i := range total {
			if v, err := s.Get(recordKey(i)); !bytes.Equal(v, recordValue(i)) || err != nil {
				t.Fatalf("%s: %q, %v", recordKey(i), v, err)
			}
		}
		mustWork(t, s, "after the full disk")
	})
	t.Run("at the start", func(t *testing.T) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		fill(true)
		defer fill(false)
		var log logged
		s := openLogged(t, path, &log)
		if err := s.Write(host.Change{Key: "k", Value: []byte("v")}); err != nil {
			t.Error(err)
		}
		if v, err := s.Get("k"); string(v) != "v" || err != nil || s.Sync(0) == nil {
			t.Errorf("%q, %v", v, err)
		}
		startStore(t, s)
		fill(false)
		eventually(t, "all was written", func() bool { return s.state().Err == nil && s.state().Records == 1 })
	})
}

// memoryOnly is a view of the records named object/… of a store.
func memoryOnly(s *store) *store {
	objects := &store{}
	_ = s.Scan("object/", func(k string, v []byte) bool { return objects.Write(host.Change{Key: k, Value: v}) == nil })
	return objects
}

// A database, or its whole directory, that is removed under the running node
// is made again with all that was in it; another's file in its place is moved aside.
func TestRemovedWhileRunning(t *testing.T) {
	for name, c := range map[string]struct {
		remove, restore func(dir string) error
		aside           int
	}{
		"the file": {remove: func(dir string) error { return os.Remove(filepath.Join(dir, "store.db")) }},
		// Moved away in one step: while its files are removed one by one, the node makes its database again.
		"the directory": {remove: func(dir string) error { return os.Rename(dir, dir+".gone") }, restore: func(dir string) error { return os.Mkdir(dir, 0o700) }},
		"replaced": {aside: 1, remove: func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "store.db")), os.WriteFile(filepath.Join(dir, "store.db"), []byte("another"), 0o600))
		}},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		var log logged
		s := openLogged(t, filepath.Join(dir, "store.db"), &log)
		for i := range 1000 {
			_ = s.Write(host.Change{Key: recordKey(i), Value: recordValue(i)})
		}
		if err := s.Sync(0); err != nil {
			t.Fatal(err)
		}
		startStore(t, s)
		if err := c.remove(dir); err != nil {
			t.Fatal(err)
		}
		_ = s.Write(host.Change{Key: recordKey(1000), Value: recordValue(1000)})
		err := s.Sync(patience)
		if c.restore != nil {
			if err == nil || !strings.Contains(err.Error(), "the data directory is gone") {
				t.Errorf("%s: %v", name, err)
			}
			if v, err := s.Get(recordKey(7)); !bytes.Equal(v, recordValue(7)) || err != nil {
				t.Errorf("%s: a record is %q, %v", name, v, err)
			}
			if err := c.restore(dir); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it was made again", func() bool { return s.state().Err == nil })
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if st := s.state(); st.Records != 1001 || len(st.Aside) != c.aside || log.lines("was removed or replaced") != 1 {
			t.Errorf("%s: %+v; log %s", name, st, log.String())
		}
		neverInvented(t, s, name)
		mustWork(t, s, name)
	}
}
