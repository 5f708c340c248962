package p2p

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"ircbridge/host"
)

// startStore begins the task that commits, until the test ends or stop is called.
func startStore(t testing.TB, s *store) (stop func()) {
	t.Helper()
	var running tasks
	stopped := make(chan struct{})
	s.start(&running, stopped)
	stop = sync.OnceFunc(func() {
		close(stopped)
		if err := errors.Join(running.wait(patience), s.close(true)); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// commits is the number of transactions that were ever written.
func commits(t testing.TB, s *store) (n int) {
	t.Helper()
	if err := s.base.db.View(func(tx *bbolt.Tx) error { n = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// Many that wait share one commit; it begins at once, not at the next second;
// who comes while one runs is in the next.
func TestSyncSharesCommits(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
	startStore(t, s)
	before := commits(t, s)
	const n = 100
	done := make(chan error, n)
	s.commits.Lock() // as if one ran that takes long
	for i := range n {
		if err := s.Write(host.Change{Key: fmt.Sprint(i), Value: []byte("x")}); err != nil {
			t.Error(err)
		}
		go func() { done <- s.Sync(patience) }()
	}
	eventually(t, "somebody waits", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.next != nil })
	if len(done) > 0 {
		t.Error("a Sync returned before the commit")
	}
	s.commits.Unlock()
	for range n {
		if err := next(t, "a Sync to end", done); err != nil {
			t.Error(err)
		}
	}
	// The last callers may have come when the commit had begun already.
	if took := commits(t, s) - before; took < 1 || took > 2 {
		t.Errorf("%d callers needed %d commits, want 1 or 2", n, took)
	}
	before = commits(t, s)
	if err := s.Sync(0); err != nil || commits(t, s) != before {
		t.Errorf("nothing was to be committed: %v, %d commits", err, commits(t, s)-before)
	}
}

// A commit that nobody waits for comes within the next second; who waits gets
// the error of the disk, of time or of the host's end.
func TestSyncErrors(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"))
	stop := startStore(t, s)
	write := func(key string) {
		t.Helper()
		if err := s.Write(host.Change{Key: key, Value: []byte("x")}); err != nil {
			t.Error(err)
		}
	}
	s.commits.Lock()
	write("slow")
	if err := s.Sync(time.Millisecond); !errors.Is(err, host.ErrTimeout) {
		t.Errorf("a commit that takes too long: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Sync(host.Forever) }()
	go stop()
	if err := next(t, "Sync to end with the host", done); !errors.Is(err, host.ErrStopped) {
		t.Errorf("the host stopped: %v", err)
	}
	if err := s.Sync(patience); !errors.Is(err, host.ErrStopped) {
		t.Errorf("Sync after the end: %v", err)
	}
	s.commits.Unlock()
}

// A commit that does not end is seen in the state, and told when it did.
func TestSlowCommitIsTold(t *testing.T) {
	var log logged
	s := openLogged(t, filepath.Join(t.TempDir(), "store.db"), &log)
	defer func() { _ = s.close(true) }()
	s.mu.Lock()
	s.began = time.Now().Add(-2 * storeSlow) // as if it ran since then
	s.mu.Unlock()
	if st := s.state(); !errors.Is(st.Err, errNoAnswer) || time.Since(st.Since) < storeSlow {
		t.Errorf("while it runs: %+v", st)
	}
	s.mu.Lock()
	err := s.endLocked(nil, s.base, nil)
	s.mu.Unlock()
	if st := s.state(); err != nil || st.Err != nil || log.lines("the disk was slow") != 1 {
		t.Errorf("afterwards: %v, %+v, log %s", err, st, log.String())
	}
}

// A host that has not started commits in the caller's turn; one without a
// database has nothing to wait for.
func TestSyncWithoutTask(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := openTest(t, path)
	_ = s.Write(host.Change{Key: "early", Value: []byte("x")})
	if err := errors.Join(s.Sync(0), s.close(false)); err != nil { // as a crash
		t.Fatal(err)
	}
	s = openTest(t, path)
	if v, err := s.Get("early"); string(v) != "x" || err != nil {
		t.Errorf("after a crash: %q, %v", v, err)
	}
	if err := s.base.db.Close(); err != nil { // a disk that takes nothing
		t.Fatal(err)
	}
	_ = s.Write(host.Change{Key: "late", Value: []byte("x")})
	if err := s.Sync(patience); err == nil || !strings.Contains(err.Error(), "write database") {
		t.Errorf("a failed commit: %v", err)
	}
	var memory store
	_ = memory.Write(host.Change{Key: "k", Value: []byte("x")})
	if err := memory.Sync(0); err != nil {
		t.Errorf("in memory: %v", err)
	}
}
