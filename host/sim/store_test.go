package sim_test

import (
	"errors"
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/host/sim"
)

// Sync takes until the last batch is durable, and no longer; a crash at that
// very instant loses nothing.
func TestSyncWaitsForTheCommit(t *testing.T) {
	w := sim.New(1, sim.Config{CommitDelay: 50 * time.Millisecond})
	defer w.Close()
	a := w.Add("a")
	var took, crashedAt time.Duration
	var ended error
	w.Start(a, func() {
		_ = a.Store().Write(host.Change{Key: "1", Value: []byte("x")})
		_ = a.Sleep(30 * time.Millisecond)
		_ = a.Store().Write(host.Change{Key: "2", Value: []byte("x")})
		if err := a.Store().Sync(49 * time.Millisecond); !errors.Is(err, host.ErrTimeout) || w.Elapsed() != 79*time.Millisecond {
			t.Errorf("a wait that is too short: %v at %v", err, w.Elapsed())
		}
		if err := a.Store().Sync(host.Forever); err != nil {
			t.Error(err)
		}
		took = w.Elapsed()
		_ = a.Store().Write(host.Change{Key: "3", Value: []byte("x")})
		crashedAt = w.Elapsed()
		w.Crash(a)
		_ = a.Store().Sync(time.Second)
		t.Error("a task survived the crash of its node")
	})
	w.RunFor(time.Second)
	if took != 80*time.Millisecond || crashedAt != took {
		t.Errorf("durable at %v, crash at %v; want 80ms", took, crashedAt)
	}
	a = w.Restart(a)
	w.Start(a, func() {
		for key, want := range map[string]string{"1": "x", "2": "x", "3": ""} {
			if v, err := a.Store().Get(key); string(v) != want || err != nil {
				t.Errorf("after the crash %q is %q, %v", key, v, err)
			}
		}
		_ = a.Store().Write(host.Change{Key: "4", Value: []byte("x")})
		ended = a.Store().Sync(time.Second)
	})
	w.RunFor(10 * time.Millisecond)
	w.Stop(a)
	w.RunFor(time.Millisecond)
	if !errors.Is(ended, host.ErrStopped) {
		t.Errorf("Sync while the host stopped: %v", ended)
	}
}

// oneNode runs body as the task of a node of its own world.
func oneNode(t *testing.T, body func(w *sim.World, a *sim.Host)) (*sim.World, *sim.Host) {
	t.Helper()
	w := sim.New(1, sim.Config{CommitDelay: 50 * time.Millisecond})
	t.Cleanup(w.Close)
	a := w.Add("a")
	w.Start(a, func() { body(w, a) })
	w.RunFor(time.Minute)
	return w, a
}

func put(t *testing.T, a *sim.Host, key string) {
	t.Helper()
	if err := a.Store().Write(host.Change{Key: key, Value: []byte("x")}); err != nil {
		t.Error(err)
	}
}

// holds checks which of the keys 1, 2, 3 are in the store.
func holds(t *testing.T, a *sim.Host, want string) {
	t.Helper()
	got := ""
	if err := a.Store().Scan("", func(k string, _ []byte) bool { got += k; return true }); err != nil || got != want {
		t.Errorf("the store holds %q, %v; want %q", got, err, want)
	}
}

// A full disk fails those who wait, also those who waited already, keeps what
// is written in memory, and takes it when there is room again.
func TestFullDisk(t *testing.T) {
	for _, end := range []string{"crash", "stop", "room again"} {
		w, a := oneNode(t, func(w *sim.World, a *sim.Host) {
			put(t, a, "1")
			if err := a.Store().Sync(time.Second); err != nil {
				t.Error(err)
			}
			put(t, a, "2")
			a.Go("fill", func() { w.SetDisk(a, sim.Disk{Full: true}) })
			if err := a.Store().Sync(time.Second); !errors.Is(err, sim.ErrDiskFull) {
				t.Errorf("waiting while the disk became full: %v", err)
			}
			put(t, a, "3")
			if err := a.Store().Sync(time.Second); !errors.Is(err, sim.ErrDiskFull) {
				t.Errorf("a full disk: %v", err)
			}
			holds(t, a, "123")
			if end == "room again" {
				w.SetDisk(a, sim.Disk{})
				start := w.Elapsed()
				if err := a.Store().Sync(time.Second); err != nil || w.Elapsed()-start != 50*time.Millisecond {
					t.Errorf("there is room again: %v after %v", err, w.Elapsed()-start)
				}
			}
		})
		want := "1"
		switch end {
		case "stop":
			w.Stop(a)
		case "room again":
			want = "123"
			fallthrough
		default:
			w.Crash(a)
		}
		a = w.Restart(a)
		w.Start(a, func() { holds(t, a, want) })
		w.RunFor(time.Second)
	}
}

// A disk that refuses takes nothing of a batch.
func TestRefusingDisk(t *testing.T) {
	oneNode(t, func(w *sim.World, a *sim.Host) {
		put(t, a, "1")
		w.SetDisk(a, sim.Disk{Refuses: true})
		if err := a.Store().Write(host.Change{Key: "2", Value: []byte("x")}); !errors.Is(err, host.ErrBusy) {
			t.Errorf("a refusing disk: %v", err)
		}
		holds(t, a, "1")
		w.SetDisk(a, sim.Disk{})
		put(t, a, "3")
		holds(t, a, "13")
	})
}

// On a slow disk those who wait do so for its delay, who waits for one batch not for
// a later one, and nothing overtakes what was written before.
func TestSlowDisk(t *testing.T) {
	oneNode(t, func(w *sim.World, a *sim.Host) {
		w.SetDisk(a, sim.Disk{Delay: 3 * time.Second})
		put(t, a, "1")
		a.Go("later", func() {
			_ = a.Sleep(time.Second)
			put(t, a, "2")
		})
		if err := a.Store().Sync(host.Forever); err != nil || w.Elapsed() != 3*time.Second {
			t.Errorf("%v after %v, want 3 s", err, w.Elapsed())
		}
		if err := a.Store().Sync(time.Millisecond); !errors.Is(err, host.ErrTimeout) {
			t.Errorf("the later batch: %v", err)
		}
		w.SetDisk(a, sim.Disk{})
		put(t, a, "3")
		start := w.Elapsed()
		if err := a.Store().Sync(time.Second); err != nil || w.Elapsed()-start != 50*time.Millisecond {
			t.Errorf("the disk is well again: %v after %v", err, w.Elapsed()-start)
		}
	})
}

// A node comes back with an empty disk, or with what was on it once, and with
// the key that it had.
func TestLostAndOldDisk(t *testing.T) {
	var old sim.DiskCopy
	w, a := oneNode(t, func(w *sim.World, a *sim.Host) {
		put(t, a, "1")
		_ = a.Sleep(time.Second)
		put(t, a, "2") // not committed when the copy is made
		old = w.CopyDisk(a)
		put(t, a, "3")
	})
	id := a.Self().ID
	for _, c := range []struct {
		want string
		opts []sim.Option
	}{
		{"123", nil}, {"1", []sim.Option{sim.OldDisk(old)}}, {"1", nil}, {"", []sim.Option{sim.EmptyDisk()}}, {"", nil}, {"1", []sim.Option{sim.OldDisk(old)}},
	} {
		w.Crash(a)
		a = w.Restart(a, c.opts...)
		if a.Self().ID != id {
			t.Error("the identity changed")
		}
		w.Start(a, func() { holds(t, a, c.want) })
		w.RunFor(time.Second)
	}
}
