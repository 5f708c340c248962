package sim_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/host/sim"
)

func TestCrashUnwinds(t *testing.T) {
	w, a, b := pair(t, sim.Config{})
	var deferred []string
	refused := func(what string, err error) {
		if !errors.Is(err, host.ErrStopped) {
			t.Errorf("%s: %v", what, err)
		}
		deferred = append(deferred, what)
	}
	b.Go("sleeper", func() {
		defer func() {
			refused("sleep", b.Sleep(time.Second))
			refused("send", b.Send(a.Self(), note, []byte("from the grave")))
			_, err := b.Call(a.Self(), echo, nil, time.Second)
			refused("call", err)
			refused("store", b.Store().Write(host.Change{Key: "k", Value: []byte("v")}))
			b.Go("more", func() { t.Error("a task started after the crash") })
		}()
		_ = b.Sleep(time.Hour)
		t.Error("the task went on after the crash")
	})
	b.Go("self", func() {
		_ = b.Sleep(10 * time.Second)
		w.Crash(b.Host)
		_ = b.Sleep(time.Second)
		t.Error("the task that crashed its node went on")
	})
	inTask(w, func() {
		if _, err := a.Call(b.Self(), echo, nil, time.Second); err != nil {
			t.Error(err)
		}
		w.Sleep(9500 * time.Millisecond)
		at := w.Elapsed()
		_, err := a.Call(b.Self(), slow, nil, time.Minute)
		if !errors.Is(err, host.ErrUnreachable) || w.Elapsed()-at > time.Second {
			t.Errorf("call to a node that crashed: after %v: %v", w.Elapsed()-at, err)
		}
		if err := b.Sleep(time.Second); !errors.Is(err, host.ErrStopped) {
			t.Errorf("through the crashed host: %v", err)
		}
		w.Sleep(10 * time.Millisecond)
	})
	if len(a.downs) != 1 || a.downs[0] != b.Self().ID {
		t.Errorf("a was told %v", a.downs)
	}
	if len(deferred) != 4 || len(a.notes) != 0 {
		t.Errorf("deferred code did %v, a got %q", deferred, a.notes)
	}
}

func TestCrashEndsWaitsOfTheTest(t *testing.T) {
	w, a, b := pair(t, sim.Config{})
	w.Go("test", func() {
		if _, err := a.Call(b.Self(), slow, nil, time.Hour); !errors.Is(err, host.ErrStopped) {
			t.Error(err)
		}
		if w.Elapsed() > 100*time.Millisecond {
			t.Errorf("only after %v", w.Elapsed())
		}
	})
	w.RunFor(50 * time.Millisecond)
	w.Crash(a.Host)
	w.Run()
}

func TestStopIsGraceful(t *testing.T) {
	w, a, b := pair(t, sim.Config{})
	ended := false
	b.Go("loop", func() {
		for b.Sleep(time.Second) == nil {
		}
		ended = true
	})
	inTask(w, func() {
		if err := b.Send(a.Self(), note, []byte("last words")); err != nil {
			t.Error(err)
		}
		if err := b.Store().Write(host.Change{Key: "k", Value: []byte("v")}); err != nil {
			t.Error(err)
		}
		w.Sleep(1500 * time.Millisecond)
		if err := b.Send(a.Self(), note, []byte("bye")); err != nil {
			t.Error(err)
		}
		w.Stop(b.Host)
		w.Sleep(100 * time.Millisecond)
	})
	if !ended {
		t.Error("the task did not end")
	}
	if len(a.notes) != 2 || len(a.downs) != 1 {
		t.Errorf("a got %q and was told %d times", a.notes, len(a.downs))
	}
	b = register(w, w.Restart(b.Host))
	if v, err := b.Store().Get("k"); string(v) != "v" || err != nil {
		t.Errorf("store after a graceful end: %q, %v", v, err)
	}
}

func TestRestartKeepsKeyAndStore(t *testing.T) {
	w, a, b := pair(t, sim.Config{CommitDelay: time.Second})
	write := func(key string) {
		if err := b.Store().Write(host.Change{Key: key + "1", Value: []byte(key)}, host.Change{Key: key + "2", Value: []byte(key)}); err != nil {
			t.Fatal(err)
		}
	}
	write("old")
	w.RunFor(2 * time.Second)
	write("new")
	w.RunFor(time.Second / 2)
	was := b.Host
	w.Crash(b.Host)
	w.RunFor(time.Second)
	b = register(w, w.Restart(b.Host))
	if b.Self().ID != was.Self().ID || b.Run() == was.Run() {
		t.Errorf("ID %v, run %x; before %v, %x", b.Self().ID, b.Run(), was.Self().ID, was.Run())
	}
	var keys []string
	if err := b.Store().Scan("", func(k string, v []byte) bool { keys = append(keys, k+"="+string(v)); return true }); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(keys, " "); got != "old1=old old2=old" {
		t.Errorf("the store has %s", got)
	}
	inTask(w, func() {
		if _, err := a.Call(host.Peer{ID: b.Self().ID, Addrs: b.Self().Addrs}, echo, nil, time.Second); err != nil {
			t.Error(err)
		}
		if run, ok := a.PeerRun(b.Self().ID); !ok || run != b.Run() {
			t.Errorf("run %x, %v", run, ok)
		}
	})
}

func TestPartition(t *testing.T) {
	w, a, b := pair(t, sim.Config{BreakAfter: 5 * time.Second})
	inTask(w, func() {
		call := func() error {
			_, err := a.Call(b.Self(), echo, nil, time.Second)
			return err
		}
		if err := call(); err != nil {
			t.Error(err)
		}
		w.Partition([]*sim.Host{a.Host})
		if err := call(); !errors.Is(err, host.ErrTimeout) {
			t.Errorf("across the cut: %v", err)
		}
		_ = a.Send(b.Self(), note, []byte("1"))
		_ = a.Send(b.Self(), note, []byte("2"))
		w.Heal()
		_ = a.Send(b.Self(), note, []byte("3"))
		if err := call(); err != nil {
			t.Error(err)
		}
		if got := strings.Join(b.notes, ""); got != "123" {
			t.Errorf("after a short cut: %q", got)
		}
		w.Partition([]*sim.Host{a.Host}, []*sim.Host{b.Host})
		at := w.Elapsed()
		_ = a.Send(b.Self(), note, []byte("lost"))
		if _, err := a.Call(b.Self(), echo, nil, time.Minute); !errors.Is(err, host.ErrUnreachable) || w.Elapsed()-at != 5*time.Second {
			t.Errorf("after %v: %v", w.Elapsed()-at, err)
		}
		w.Sleep(time.Millisecond)
		if len(a.downs) != 1 || len(b.downs) != 1 {
			t.Errorf("told %d and %d times", len(a.downs), len(b.downs))
		}
		if err := call(); !errors.Is(err, host.ErrTimeout) {
			t.Errorf("dial across the cut: %v", err)
		}
		w.Heal()
		if err := call(); err != nil {
			t.Errorf("after the heal: %v", err)
		}
		if len(b.notes) != 3 {
			t.Errorf("what a lost connection carried arrived: %q", b.notes)
		}
	})
}

func TestOneWayCut(t *testing.T) {
	w, a, b := pair(t, sim.Config{})
	inTask(w, func() {
		if _, err := a.Call(b.Self(), echo, nil, time.Second); err != nil {
			t.Error(err)
		}
		w.Cut(a.Host, b.Host)
		_ = a.Send(b.Self(), note, []byte("x"))
		_ = b.Send(a.Self(), note, []byte("y"))
		w.Sleep(time.Second)
		if len(b.notes) != 0 || len(a.notes) != 1 {
			t.Errorf("b got %q, a got %q", b.notes, a.notes)
		}
		w.Mend(a.Host, b.Host)
		w.Sleep(time.Second)
		if len(b.notes) != 1 {
			t.Errorf("b got %q", b.notes)
		}
	})
}

// Two nodes that dial each other across a partition until they give up reach
// each other when it is over.
func TestDialsThatCrossInAPartition(t *testing.T) {
	w, first, second := pair(t, sim.Config{})
	w.Partition([]*sim.Host{first.Host}, []*sim.Host{second.Host})
	inTask(w, func() {
		for range 3 {
			w.Go("first", func() { _, _ = first.Call(second.Self(), echo, nil, time.Second) })
			w.Sleep(time.Millisecond)
			if _, err := second.Call(first.Self(), echo, nil, time.Second); !errors.Is(err, host.ErrTimeout) {
				t.Errorf("across a partition: %v", err)
			}
		}
		w.Sleep(20 * time.Second)
		w.Heal()
		if _, err := second.Call(first.Self(), echo, nil, time.Second); err != nil {
			t.Errorf("after it: %v", err)
		}
	})
}

// A node that moved is reached at its new address only, and reaches all.
func TestMove(t *testing.T) {
	w, a, b := pair(t, sim.Config{})
	inTask(w, func() {
		old := b.Self()
		if _, err := a.Call(old, echo, nil, time.Second); err != nil {
			t.Fatal(err)
		}
		w.Move(b.Host, "elsewhere")
		w.Sleep(time.Second)
		if _, err := a.Call(old, echo, nil, time.Second); !errors.Is(err, host.ErrUnreachable) {
			t.Errorf("at the old address: %v", err)
		}
		if _, err := b.Call(a.Self(), echo, nil, time.Second); err != nil {
			t.Errorf("from the new address: %v", err)
		}
		if got := b.Self().Addrs; len(got) != 1 || got[0] != "sim:elsewhere" {
			t.Errorf("its addresses are %v", got)
		}
	})
}

func TestPause(t *testing.T) {
	w, a, b := pair(t, sim.Config{})
	ticks := 0
	b.Go("tick", func() {
		for b.Sleep(time.Second) == nil {
			ticks++
		}
	})
	inTask(w, func() {
		_, _ = a.Call(b.Self(), echo, nil, time.Second)
		w.Sleep(2500*time.Millisecond - w.Elapsed())
		w.Pause(b.Host)
		_ = a.Send(b.Self(), note, []byte("1"))
		if _, err := a.Call(b.Self(), echo, nil, time.Second); !errors.Is(err, host.ErrTimeout) {
			t.Error(err)
		}
		_ = a.Send(b.Self(), note, []byte("2"))
		w.Sleep(4 * time.Second)
		if ticks != 2 || len(b.notes) != 0 {
			t.Errorf("paused: %d ticks, %q", ticks, b.notes)
		}
		w.Resume(b.Host)
		_ = a.Send(b.Self(), note, []byte("3"))
		w.Sleep(500 * time.Millisecond)
		if got := strings.Join(b.notes, ""); ticks != 3 || got != "123" {
			t.Errorf("resumed: %d ticks, %q", ticks, got)
		}
		if len(a.downs) != 0 {
			t.Error("a short pause broke the connection")
		}
		w.Pause(b.Host)
		w.Sleep(31 * time.Second)
		if len(a.downs) != 1 || len(b.downs) != 0 {
			t.Errorf("told %d and %d times during a long pause", len(a.downs), len(b.downs))
		}
		w.Resume(b.Host)
		w.Sleep(time.Second)
		if len(b.downs) != 1 {
			t.Errorf("the paused node was told %d times", len(b.downs))
		}
	})
}

func TestFaults(t *testing.T) {
	w, a, b := pair(t, sim.Config{})
	send := func(f sim.Faults) int {
		b.notes = nil
		w.SetFaults(f)
		for i := range 1000 {
			if err := a.Send(b.Self(), note, fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		w.RunFor(time.Second)
		return len(b.notes)
	}
	if n := send(sim.Faults{Loss: 0.5}); n < 400 || n > 600 {
		t.Errorf("half of 1000 lost: %d arrived", n)
	}
	if n := send(sim.Faults{Duplicate: 0.5}); n < 1400 || n > 1600 {
		t.Errorf("half of 1000 doubled: %d arrived", n)
	}
	if n := send(sim.Faults{Reorder: 0.5}); n != 1000 || !reordered(b.notes) {
		t.Errorf("half of 1000 late: %d arrived, reordered %v", n, reordered(b.notes))
	}
	w.SetFaults(sim.Faults{ReplyLoss: 1})
	inTask(w, func() {
		if _, err := a.Call(b.Self(), echo, nil, time.Second); !errors.Is(err, host.ErrTimeout) {
			t.Errorf("reply lost: %v", err)
		}
		w.SetFaults(sim.Faults{})
		if _, err := a.Call(b.Self(), echo, nil, time.Second); err != nil {
			t.Error(err)
		}
	})
}

func reordered(notes []string) bool {
	for i, n := range notes {
		if n != fmt.Sprint(i) {
			return true
		}
	}
	return false
}
