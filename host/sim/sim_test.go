package sim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/host/sim"
)

var (
	echo = host.Method{Number: 1, Name: "echo"}
	note = host.Method{Number: 2, Name: "note"}
	slow = host.Method{Number: 3, Name: "slow"}
	huge = host.Method{Number: 4, Name: "huge", Bulk: true}
)

// A peer is a node with the handlers of these tests.
type peer struct {
	*sim.Host
	notes []string
	downs []host.PeerID
}

// register gives h handlers and starts it.
func register(w *sim.World, h *sim.Host) *peer {
	p := &peer{Host: h}
	h.HandleCall(echo, func(from host.Peer, req []byte) ([]byte, error) { return req, nil })
	h.HandleCall(huge, func(from host.Peer, req []byte) ([]byte, error) { return req, nil })
	h.HandleCall(slow, func(from host.Peer, req []byte) ([]byte, error) {
		if err := h.Sleep(time.Second); err != nil {
			return nil, err
		}
		return []byte("slow"), nil
	})
	h.HandleSend(note, func(from host.Peer, msg []byte) { p.notes = append(p.notes, string(msg)) })
	h.OnDown(func(id host.PeerID) { p.downs = append(p.downs, id) })
	w.Start(h, nil)
	return p
}

func pair(t *testing.T, cfg sim.Config) (*sim.World, *peer, *peer) {
	w := sim.New(1, cfg)
	t.Cleanup(w.Close)
	return w, register(w, w.Add("a")), register(w, w.Add("b"))
}

// inTask runs f in a task of the test, to its end.
func inTask(w *sim.World, f func()) {
	w.Go("test", f)
	w.Run()
}

func TestCall(t *testing.T) {
	w, a, b := pair(t, sim.Config{Latency: sim.Uniform(10*time.Millisecond, 0)})
	inTask(w, func() {
		for i, want := range []time.Duration{40, 20} { // the first one dials
			at := w.Elapsed()
			got, err := a.Call(b.Self(), echo, []byte("hello"), time.Second)
			if err != nil || string(got) != "hello" {
				t.Errorf("call %d: %q, %v", i, got, err)
			}
			if took := w.Elapsed() - at; took != want*time.Millisecond {
				t.Errorf("call %d took %v, want %v ms", i, took, int(want))
			}
		}
		for name, p := range map[string][2]*peer{"a": {a, b}, "b": {b, a}} {
			if run, ok := p[0].PeerRun(p[1].Self().ID); !ok || run != p[1].Run() {
				t.Errorf("%s sees run %x, %v", name, run, ok)
			}
		}
	})
}

func TestCallErrors(t *testing.T) {
	w, a, b := pair(t, sim.Config{MaxQueued: 3})
	nobody := host.Peer{ID: host.PeerID("nobody"), Addrs: []string{"sim:nobody"}}
	unstarted := w.Add("c")
	tests := []struct {
		name string
		to   host.Peer
		m    host.Method
		req  int
		d    time.Duration
		want error
	}{
		{"too late", b.Self(), slow, 0, time.Second / 2, host.ErrTimeout},
		{"no time", b.Self(), echo, 0, 0, host.ErrTimeout},
		{"no method", b.Self(), host.Method{Number: 99}, 0, time.Second, host.ErrRefused},
		{"too large", b.Self(), echo, host.MaxFrame + 1, time.Second, host.ErrTooLarge},
		{"too large in bulk", b.Self(), huge, host.MaxBulk + 1, time.Second, host.ErrTooLarge},
		{"largest", b.Self(), huge, host.MaxBulk, time.Second, nil},
		{"oneself", a.Self(), echo, 5, time.Second, nil},
		{"nobody", nobody, echo, 0, time.Second, host.ErrUnreachable},
		{"no address", host.Peer{ID: unstarted.Self().ID}, echo, 0, time.Second, host.ErrUnreachable},
		{"not started", unstarted.Self(), echo, 0, time.Second, host.ErrUnreachable},
		{"address of another", host.Peer{ID: unstarted.Self().ID, Addrs: b.Self().Addrs}, echo, 0, time.Second, host.ErrWrongPeer},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inTask(w, func() {
				_, err := a.Call(tt.to, tt.m, make([]byte, tt.req), tt.d)
				if !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			})
		})
	}
	t.Run("full queue", func(t *testing.T) {
		w.Pause(b.Host)
		var errs []error
		for range 5 {
			errs = append(errs, a.Send(b.Self(), note, nil))
		}
		if errs[2] != nil || !errors.Is(errs[3], host.ErrBusy) {
			t.Errorf("got %v", errs)
		}
		w.Resume(b.Host)
	})
}

func TestSendKeepsOrder(t *testing.T) {
	w, a, b := pair(t, sim.Config{Latency: sim.Uniform(time.Millisecond, 50*time.Millisecond)})
	for i := range 100 {
		if err := a.Send(b.Self(), note, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	w.RunFor(time.Second)
	for i, n := range b.notes {
		if n != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, n)
		}
	}
	if len(b.notes) != 100 {
		t.Errorf("%d of 100 arrived", len(b.notes))
	}
}

func TestNoMemoryIsShared(t *testing.T) {
	w, a, b := pair(t, sim.Config{})
	inTask(w, func() {
		msg := []byte("before")
		if err := a.Send(b.Self(), note, msg); err != nil {
			t.Error(err)
		}
		copy(msg, "after!")
		got, err := a.Call(b.Self(), echo, msg, time.Second)
		if err != nil || &got[0] == &msg[0] {
			t.Errorf("the reply is the request's memory, or %v", err)
		}
	})
	if len(b.notes) != 1 || b.notes[0] != "before" {
		t.Errorf("got %q", b.notes)
	}
}

func TestEvent(t *testing.T) {
	w, a, _ := pair(t, sim.Config{})
	e := a.NewEvent()
	ctx := context.Background()
	inTask(w, func() {
		e.Signal()
		e.Signal()
		if err := e.Wait(ctx, time.Second); err != nil {
			t.Errorf("signalled before: %v", err)
		}
		at := w.Elapsed()
		if err := e.Wait(ctx, time.Second); !errors.Is(err, host.ErrTimeout) || w.Elapsed()-at != time.Second {
			t.Errorf("after %v: %v", w.Elapsed()-at, err)
		}
		a.Go("later", func() {
			_ = a.Sleep(time.Minute)
			e.Signal()
		})
		if err := e.Wait(ctx, host.Forever); err != nil || w.Elapsed()-at != time.Minute+time.Second {
			t.Errorf("after %v: %v", w.Elapsed()-at, err)
		}
		done, cancel := context.WithCancel(ctx)
		a.Go("cancel", func() {
			_ = a.Sleep(time.Minute)
			cancel()
		})
		at = w.Elapsed()
		if err := e.Wait(done, host.Forever); !errors.Is(err, context.Canceled) || w.Elapsed()-at > time.Minute+time.Second {
			t.Errorf("after %v: %v", w.Elapsed()-at, err)
		}
		if err := e.Wait(done, 0); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestEventWakesOneForEachSignal(t *testing.T) {
	w, a, _ := pair(t, sim.Config{})
	e := a.NewEvent()
	woken := 0
	for range 3 {
		a.Go("wait", func() {
			if e.Wait(context.Background(), host.Forever) == nil {
				woken++
			}
		})
	}
	w.RunFor(time.Second)
	for want := 1; want <= 3; want++ {
		e.Signal()
		w.RunFor(time.Second)
		if woken != want {
			t.Fatalf("%d woken, want %d", woken, want)
		}
	}
}

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

func TestDial(t *testing.T) {
	w, a, b := pair(t, sim.Config{})
	w.Start(w.Add("other", sim.Overlay("other")), nil)
	w.Start(w.Add("next", sim.Major(2)), nil)
	tests := []struct {
		addr string
		want error
	}{
		{"sim:b", nil},
		{"sim:b/p2p/" + b.Self().ID.String(), nil},
		{"sim:b/p2p/" + a.Self().ID.String(), host.ErrUnreachable}, // its own ID
		{"sim:other/p2p/" + b.Self().ID.String(), nil},             // b is connected
		{"sim:nobody", host.ErrUnreachable},
		{"b", host.ErrBadAddress},
		{"sim:", host.ErrBadAddress},
		{"sim:b/p2p/xyz", host.ErrBadAddress},
		{"sim:other", host.ErrOtherOverlay},
		{"sim:next", host.ErrOtherVersion},
		{"sim:a", host.ErrUnreachable},
	}
	for _, tt := range tests {
		t.Run(tt.addr, func(t *testing.T) {
			inTask(w, func() {
				p, err := a.Dial(tt.addr, time.Second)
				if !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if err == nil && p.ID != b.Self().ID {
					t.Errorf("got %v", p)
				}
			})
		})
	}
}

func TestTrim(t *testing.T) {
	w := sim.New(1, sim.Config{MaxConns: 12})
	t.Cleanup(w.Close)
	hub := register(w, w.Add("hub"))
	first := register(w, w.Add("first"))
	hub.Keep(first.Self().ID, true)
	_ = first.Send(hub.Self(), note, nil)
	for i := range 40 {
		p := register(w, w.Add(fmt.Sprint("n", i)))
		_ = p.Send(hub.Self(), note, nil)
		w.RunFor(time.Second)
	}
	if n := hub.Connections(); n > 12 || n < 10 {
		t.Errorf("%d connections", n)
	}
	if _, ok := hub.PeerRun(first.Self().ID); !ok || len(hub.notes) != 41 || len(hub.downs) == 0 {
		t.Errorf("kept peer %v, %d messages, told %d times", ok, len(hub.notes), len(hub.downs))
	}
}

func TestSkew(t *testing.T) {
	w := sim.New(1, sim.Config{})
	t.Cleanup(w.Close)
	h := w.Add("a", sim.Skew(time.Hour))
	if d := h.Now().Sub(w.Now()); d != time.Hour {
		t.Errorf("skew %v", d)
	}
}

func TestPanicNamesSeedAndNode(t *testing.T) {
	for name, start := range map[string]func(w *sim.World, h *sim.Host){
		"task":         func(w *sim.World, h *sim.Host) { w.Start(h, func() { panic("boom") }) },
		"call handler": func(w *sim.World, h *sim.Host) { callSelf(w, h, func() { panic("boom") }) },
		"send handler": func(w *sim.World, h *sim.Host) {
			h.HandleSend(note, func(host.Peer, []byte) { panic("boom") })
			w.Start(h, func() { _ = h.Send(h.Self(), note, nil) })
		},
		"blocking send handler": func(w *sim.World, h *sim.Host) {
			h.HandleSend(note, func(host.Peer, []byte) { _ = h.Sleep(1) })
			w.Start(h, func() { _ = h.Send(h.Self(), note, nil) })
		},
		"deferred code": func(w *sim.World, h *sim.Host) {
			w.Start(h, func() { defer func() { panic("boom") }(); _ = h.Sleep(time.Hour) })
			w.Go("crash", func() { w.Sleep(time.Second); w.Crash(h) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := sim.New(77, sim.Config{})
			defer w.Close()
			defer func() {
				text := fmt.Sprint(recover())
				for _, want := range []string{"seed 77", "node victim"} {
					if !strings.Contains(text, want) {
						t.Errorf("the panic does not say %q: %s", want, text)
					}
				}
			}()
			start(w, w.Add("victim"))
			w.RunFor(time.Minute)
			t.Error("no panic")
		})
	}
}

func callSelf(w *sim.World, h *sim.Host, f func()) {
	h.HandleCall(echo, func(host.Peer, []byte) ([]byte, error) { f(); return nil, nil })
	w.Start(h, func() { _, _ = h.Call(h.Self(), echo, nil, time.Second) })
}

func TestCloseEndsEveryCoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	w := sim.New(1, sim.Config{})
	a, b := register(w, w.Add("a")), register(w, w.Add("b"))
	unwound := 0
	for range 50 {
		a.Go("call", func() {
			defer func() { unwound++ }()
			_, _ = a.Call(b.Self(), slow, nil, time.Hour)
		})
		w.Go("sleep", func() {
			defer func() { unwound++ }()
			w.Sleep(time.Hour)
		})
	}
	w.RunFor(time.Second / 2)
	if n := runtime.NumGoroutine(); n < before+150 {
		t.Fatalf("only %d goroutines run", n-before)
	}
	w.Close()
	if unwound != 100 {
		t.Errorf("%d of 100 tasks unwound", unwound)
	}
	if n := runtime.NumGoroutine(); n > before+1 { // a watchdog timer may be ending
		t.Errorf("%d goroutines left", n-before)
	}
}

// storm is a run with every kind of fault.
func storm(t *testing.T, seed uint64) (digest uint64, trace string) {
	var out bytes.Buffer
	w := sim.New(seed, sim.Config{
		Latency: sim.WAN(),
		Faults:  sim.Faults{Loss: 0.05, Duplicate: 0.05, Reorder: 0.05, ReplyLoss: 0.05},
		Trace:   &out,
	})
	defer w.Close()
	peers := make([]*peer, 12)
	var run func(i int, h *sim.Host)
	run = func(i int, h *sim.Host) {
		peers[i] = register(w, h)
		h.Go("gossip", func() {
			for n := 0; h.Sleep(time.Duration(h.Rand()%uint64(time.Second))) == nil; n++ {
				to := peers[h.Rand()%uint64(len(peers))].Self()
				_ = h.Send(to, note, fmt.Append(nil, n))
				_, _ = h.Call(to, echo, fmt.Append(nil, n), time.Second)
				_ = h.Store().Write(host.Change{Key: fmt.Sprint(n % 10), Value: fmt.Append(nil, n)})
			}
		})
	}
	for i := range peers {
		run(i, w.Add(fmt.Sprint("n", i)))
	}
	w.Go("faults", func() {
		for i := range 30 {
			w.Sleep(2 * time.Second)
			victim := peers[i*7%len(peers)]
			switch i % 5 {
			case 0:
				w.Crash(victim.Host)
				run(i*7%len(peers), w.Restart(victim.Host))
			case 1:
				w.Partition([]*sim.Host{peers[0].Host, peers[1].Host, peers[2].Host})
			case 2:
				w.Pause(victim.Host)
				w.Go("resume", func() { w.Sleep(3 * time.Second); w.Resume(victim.Host) })
			case 3:
				w.Sleep(8 * time.Second)
				w.Heal()
			case 4:
				w.Stop(victim.Host)
				run(i*7%len(peers), w.Restart(victim.Host))
			}
		}
	})
	w.Run()
	if w.Events() < 1000 {
		t.Errorf("only %d events", w.Events())
	}
	return w.Digest(), out.String()
}

func TestEqualSeedsGiveEqualRuns(t *testing.T) {
	for seed := range uint64(5) {
		d1, t1 := storm(t, seed)
		d2, t2 := storm(t, seed)
		if d1 != d2 || t1 != t2 {
			t.Fatalf("seed %d: digests %x and %x, first difference: %s", seed, d1, d2, firstDifference(t1, t2))
		}
		if d3, _ := storm(t, seed+100); d3 == d1 {
			t.Fatalf("seeds %d and %d give the same run", seed, seed+100)
		}
	}
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("line %d: %q and %q", i, x[i], y[i])
		}
	}
	return "one is longer"
}

func TestHookSeesChangedNodes(t *testing.T) {
	w, a, b := pair(t, sim.Config{})
	seen := map[string]int{}
	w.AfterEvent(func(h *sim.Host) { seen[h.Name()]++ })
	inTask(w, func() { _, _ = a.Call(b.Self(), echo, nil, time.Second) })
	if seen["a"] == 0 || seen["b"] == 0 {
		t.Errorf("seen %v", seen)
	}
}

func TestRunSaysWhoWaitsForEver(t *testing.T) {
	w, a, _ := pair(t, sim.Config{})
	defer func() {
		if text := fmt.Sprint(recover()); !strings.Contains(text, "task stuck") {
			t.Error(text)
		}
	}()
	w.Go("stuck", func() { _ = a.NewEvent().Wait(context.Background(), host.Forever) })
	w.Run()
	t.Error("Run returned")
}
