package sim_test

import (
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
	if n := runtime.NumGoroutine(); n < before+140 { // those of earlier tests' watchdogs may have ended
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
