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
