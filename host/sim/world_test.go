package sim_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/host/sim"
)

func TestFatalInATaskEndsTheTest(t *testing.T) {
	unwound := false
	t.Run("skips", func(t *testing.T) { // SkipNow ends a test as FailNow does
		w, a, _ := pair(t, sim.Config{})
		a.Go("other", func() {
			defer func() { unwound = true }()
			_ = a.Sleep(time.Hour)
		})
		w.Go("test", func() {
			w.Sleep(time.Second)
			t.SkipNow()
		})
		w.Run()
		t.Error("Run returned")
	})
	if !unwound {
		t.Error("the other task was not unwound")
	}
}

func TestRestartAtAnotherAddress(t *testing.T) {
	w, a, b := pair(t, sim.Config{})
	old := b.Self()
	inTask(w, func() {
		w.Stop(b.Host)
		b = register(w, w.Restart(b.Host, sim.Addr("b2")))
		if b.Addr() != "sim:b2" || b.Self().ID != old.ID {
			t.Errorf("at %s", b.Addr())
		}
		if _, err := a.Call(old, echo, nil, time.Second); !errors.Is(err, host.ErrUnreachable) {
			t.Errorf("at the old address: %v", err)
		}
		if _, err := a.Call(b.Self(), echo, nil, time.Second); err != nil {
			t.Errorf("at the new address: %v", err)
		}
		if _, err := a.Call(host.Peer{ID: old.ID}, echo, nil, time.Second); err != nil {
			t.Errorf("at no address, over the connection: %v", err)
		}
		register(w, w.Add("c", sim.Addr("b")))
		b2 := host.Peer{ID: w.Add("d").Self().ID, Addrs: old.Addrs}
		if _, err := a.Call(b2, echo, nil, time.Second); !errors.Is(err, host.ErrWrongPeer) {
			t.Errorf("at the address of another: %v", err)
		}
	})
}

func TestTooManyRunningHandlers(t *testing.T) {
	w, a, b := pair(t, sim.Config{MaxRunning: 3})
	results := map[string]int{}
	for range 5 {
		w.Go("call", func() {
			_, err := a.Call(b.Self(), slow, nil, time.Minute)
			switch {
			case err == nil:
				results["done"]++
			case errors.Is(err, host.ErrBusy):
				results["busy"]++
			}
		})
	}
	w.Run()
	if results["done"] != 3 || results["busy"] != 2 {
		t.Errorf("got %v", results)
	}
	inTask(w, func() { // the places are free again
		if _, err := a.Call(b.Self(), slow, nil, time.Minute); err != nil {
			t.Error(err)
		}
	})
}

func TestTaskOfTheTestWaitsForAPausedHost(t *testing.T) {
	w, a, b := pair(t, sim.Config{})
	w.Pause(a.Host)
	w.Go("test", func() {
		if _, err := a.Call(b.Self(), echo, nil, time.Second); err != nil {
			t.Error(err)
		}
		if at := w.Elapsed(); at < 10*time.Second || at > 11*time.Second {
			t.Errorf("answered at %v", at)
		}
	})
	w.RunFor(10 * time.Second)
	w.Resume(a.Host)
	w.Run()
}

func TestCrashWhilePaused(t *testing.T) {
	w, a, b := pair(t, sim.Config{})
	inTask(w, func() {
		_, _ = a.Call(b.Self(), echo, nil, time.Second)
		b.Go("never", func() { _ = b.Sleep(time.Second); t.Error("ran") })
		w.Sleep(time.Millisecond)
		w.Pause(b.Host)
		_ = a.Send(b.Self(), note, []byte("x"))
		w.Sleep(time.Minute / 3)
		w.Crash(b.Host)
		b = register(w, w.Restart(b.Host))
		w.Sleep(time.Second)
		if len(a.downs) != 1 || len(b.notes) != 0 {
			t.Errorf("told %d times, the next run got %q", len(a.downs), b.notes)
		}
		if _, err := a.Call(b.Self(), echo, nil, time.Second); err != nil {
			t.Error(err)
		}
	})
}

// A node that crashes and returns behind a partition is a stranger to a peer
// that still holds the old connection.
func TestRestartBehindAPartition(t *testing.T) {
	w, a, b := pair(t, sim.Config{})
	inTask(w, func() {
		_, _ = a.Call(b.Self(), echo, nil, time.Second)
		w.Partition([]*sim.Host{a.Host})
		w.Crash(b.Host)
		b = register(w, w.Restart(b.Host))
		w.Sleep(time.Second)
		if run, ok := a.PeerRun(b.Self().ID); !ok || run == b.Run() {
			t.Errorf("a sees run %x, %v", run, ok)
		}
		w.Heal()
		if _, err := b.Call(a.Self(), echo, nil, time.Second); err != nil {
			t.Error(err)
		}
		w.Sleep(time.Second)
		if run, ok := a.PeerRun(b.Self().ID); !ok || run != b.Run() {
			t.Errorf("after the heal a sees run %x, %v", run, ok)
		}
		if _, err := a.Call(b.Self(), echo, nil, time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestPartitionInGroups(t *testing.T) {
	w := sim.New(1, sim.Config{})
	t.Cleanup(w.Close)
	var p []*peer
	for i := range 6 {
		p = append(p, register(w, w.Add(fmt.Sprint("n", i))))
	}
	w.Partition([]*sim.Host{p[0].Host, p[1].Host}, []*sim.Host{p[2].Host, p[3].Host})
	inTask(w, func() {
		for i := range p {
			for j := range p {
				_, err := p[i].Call(p[j].Self(), echo, nil, 100*time.Millisecond)
				if together := i/2 == j/2; (err == nil) != together {
					t.Errorf("%d to %d: %v", i, j, err)
				}
			}
		}
	})
}

// Messages under way during a short cut arrive once, in order, with those
// sent before and after it, whatever the latencies.
func TestOrderThroughShortCuts(t *testing.T) {
	for seed := range uint64(20) {
		w := sim.New(seed, sim.Config{Latency: sim.Uniform(0, 10*time.Millisecond)})
		a, b := register(w, w.Add("a")), register(w, w.Add("b"))
		w.Go("send", func() {
			for i := range 300 {
				if err := a.Send(b.Self(), note, fmt.Append(nil, i)); err != nil {
					t.Error(err)
				}
				w.Sleep(time.Millisecond)
			}
		})
		w.Go("cut", func() {
			for range 30 {
				w.Sleep(7 * time.Millisecond)
				w.Cut(a.Host, b.Host)
				w.Sleep(3 * time.Millisecond)
				if w.Seed()%2 == 0 {
					w.Pause(b.Host)
				}
				w.Mend(a.Host, b.Host)
				w.Sleep(time.Millisecond)
				w.Resume(b.Host)
			}
		})
		w.Run()
		w.RunFor(time.Second)
		if len(b.notes) != 300 || reordered(b.notes) {
			t.Errorf("seed %d: %d of 300 arrived, reordered %v", seed, len(b.notes), reordered(b.notes))
		}
		w.Close()
	}
}

func TestRunUntil(t *testing.T) {
	w, a, _ := pair(t, sim.Config{})
	n := 0
	a.Go("tick", func() {
		for a.Sleep(time.Second) == nil {
			n++
		}
	})
	w.RunUntil(5 * time.Second)
	if n != 5 || w.Elapsed() != 5*time.Second {
		t.Errorf("%d ticks at %v", n, w.Elapsed())
	}
	w.RunFor(2500 * time.Millisecond)
	if n != 7 || w.Elapsed() != 7500*time.Millisecond {
		t.Errorf("%d ticks at %v", n, w.Elapsed())
	}
	if !w.Await(time.Minute, func() bool { return n == 10 }) || w.Elapsed() != 10*time.Second {
		t.Errorf("%d ticks at %v", n, w.Elapsed())
	}
	if w.Await(time.Minute, func() bool { return n == 1000 }) || w.Elapsed() != 70*time.Second {
		t.Errorf("%d ticks at %v", n, w.Elapsed())
	}
}

func TestMisuseIsToldInWords(t *testing.T) {
	tests := map[string]struct {
		want string
		do   func(w *sim.World, a, b *peer)
	}{
		"blocking outside a task": {"outside a task", func(w *sim.World, a, b *peer) { _ = a.Sleep(1) }},
		"host of another node": {"node a blocks through the host of b", func(w *sim.World, a, b *peer) {
			a.Go("x", func() { _ = b.Sleep(1) })
			w.RunFor(time.Second)
		}},
		"handler after Start": {"after Start", func(w *sim.World, a, b *peer) { a.HandleSend(huge, nil) }},
		"second Start":        {"started before", func(w *sim.World, a, b *peer) { w.Start(a.Host, nil) }},
		"same name":           {"already", func(w *sim.World, a, b *peer) { w.Add("a") }},
		"bad name":            {"no address", func(w *sim.World, a, b *peer) { w.Add("a/b") }},
		"restart of a living": {"has not ended", func(w *sim.World, a, b *peer) { w.Restart(a.Host) }},
		"run inside a task": {"a task runs the world", func(w *sim.World, a, b *peer) {
			inTask(w, func() { w.RunFor(1) })
		}},
		"loop after the end": {"goes on although", func(w *sim.World, a, b *peer) {
			a.Go("loop", func() {
				defer func() {
					for a.Sleep(1) != nil {
					}
				}()
				_ = a.Sleep(time.Hour)
			})
			w.RunFor(time.Second)
			w.Crash(a.Host)
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, a, b := pair(t, sim.Config{})
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, tt.want) {
					t.Errorf("the panic does not say %q: %.300s", tt.want, text)
				}
			}()
			tt.do(w, a, b)
			t.Error("no panic")
		})
	}
}

func TestContextOfRealTimeDoesNotCutVirtualTime(t *testing.T) {
	w, a, _ := pair(t, sim.Config{})
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if d := host.Budget(ctx, a.Now(), 10*time.Second); d != 10*time.Second {
		t.Errorf("budget %v", d)
	}
	w.RunFor(1000 * time.Hour)
	if d := host.Budget(ctx, a.Now(), 10*time.Second); d != 10*time.Second {
		t.Errorf("budget %v", d)
	}
}

func TestGracefulEndIsDurable(t *testing.T) {
	w, _, b := pair(t, sim.Config{CommitDelay: time.Minute})
	if err := b.Store().Write(host.Change{Key: "k", Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	w.Stop(b.Host)
	b = register(w, w.Restart(b.Host))
	w.Crash(b.Host)
	b = register(w, w.Restart(b.Host))
	if v, err := b.Store().Get("k"); string(v) != "v" || err != nil {
		t.Errorf("got %q, %v", v, err)
	}
}

// What arrives at the very instant of Resume comes after what waited.
func TestResumeKeepsOrder(t *testing.T) {
	w, a, b := pair(t, sim.Config{Latency: sim.Uniform(10*time.Millisecond, 0)})
	send := func(s string) {
		if err := a.Send(b.Self(), note, []byte(s)); err != nil {
			t.Error(err)
		}
	}
	w.Go("resume", func() {
		w.Sleep(time.Second)
		w.Resume(b.Host)
	})
	inTask(w, func() {
		_, _ = a.Call(b.Self(), echo, nil, time.Second)
		w.Pause(b.Host)
		send("1")
		w.Sleep(990*time.Millisecond - w.Elapsed())
		send("2")
		w.Sleep(time.Second)
	})
	if got := strings.Join(b.notes, ""); got != "12" {
		t.Errorf("got %q", got)
	}
}

func TestShortPausesDoNotAddUp(t *testing.T) {
	w, a, b := pair(t, sim.Config{})
	inTask(w, func() {
		_, _ = a.Call(b.Self(), echo, nil, time.Second)
		for range 4 {
			w.Pause(b.Host)
			w.Sleep(20 * time.Second)
			w.Resume(b.Host)
			w.Sleep(time.Second)
		}
	})
	if len(a.downs) != 0 {
		t.Errorf("told %d times", len(a.downs))
	}
}
