package hosttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"ircbridge/host"
)

func localScenarios() []scenario {
	local := func(f func(h host.Host) error) func() (func(int, host.Host), func(Env) error) {
		return func() (func(int, host.Host), func(Env) error) {
			return nil, func(e Env) error { return f(e.Host(0)) }
		}
	}
	return []scenario{
		{"Sign", 2, sign},
		{"Event", 1, local(event)},
		{"EventWakesOne", 1, local(eventWakesOne)},
		{"SleepAndNow", 1, local(sleepAndNow)},
		{"GoAndRand", 1, local(goAndRand)},
		{"Store", 1, local(store)},
	}
}

func sign() (func(int, host.Host), func(Env) error) {
	return nil, func(e Env) error {
		a, b := e.Host(0), e.Host(1)
		sig := a.Sign([]byte("text"))
		if !a.Self().ID.Verify([]byte("text"), sig) {
			return errors.New("own signature does not verify")
		}
		if a.Self().ID.Verify([]byte("other"), sig) || b.Self().ID.Verify([]byte("text"), sig) {
			return errors.New("a signature verifies for another text or peer")
		}
		return nil
	}
}

func event(h host.Host) error {
	bg := context.Background()
	ev := h.NewEvent()
	if err := ev.Wait(bg, 10*time.Millisecond); !errors.Is(err, host.ErrTimeout) {
		return fmt.Errorf("wait without signal: %v", err)
	}
	ev.Signal()
	ev.Signal()
	if err := ev.Wait(bg, host.Forever); err != nil {
		return fmt.Errorf("wait after a signal: %w", err)
	}
	if err := ev.Wait(bg, 10*time.Millisecond); !errors.Is(err, host.ErrTimeout) {
		return fmt.Errorf("two signals before a wait woke two waits: %v", err)
	}
	if err := ev.Wait(bg, 0); !errors.Is(err, host.ErrTimeout) {
		return fmt.Errorf("wait of no time: %v", err)
	}
	ev.Signal()
	if err := ev.Wait(bg, 0); err != nil {
		return fmt.Errorf("wait of no time with a signal there: %w", err)
	}
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if err := ev.Wait(ctx, host.Forever); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("wait with a cancelled context: %v", err)
	}
	h.Go("hosttest", func() {
		if h.Sleep(10*time.Millisecond) == nil {
			ev.Signal()
		}
	})
	if err := ev.Wait(bg, patience); err != nil {
		return fmt.Errorf("signal of another task: %w", err)
	}
	return nil
}

func eventWakesOne(h host.Host) error {
	ev := h.NewEvent()
	var mu sync.Mutex
	woken := 0
	for range 5 {
		h.Go("hosttest", func() {
			if ev.Wait(context.Background(), patience) == nil {
				mu.Lock()
				woken++
				mu.Unlock()
			}
		})
	}
	count := func() int { mu.Lock(); defer mu.Unlock(); return woken }
	for k := range 5 {
		ev.Signal()
		if err := until(h, "one task woke", func() bool { return count() > k }); err != nil {
			return err
		}
		if err := h.Sleep(5 * time.Millisecond); err != nil {
			return err
		}
		if n := count(); n != k+1 {
			return fmt.Errorf("%d signals woke %d tasks", k+1, n)
		}
	}
	return nil
}

func sleepAndNow(h host.Host) error {
	start := h.Now()
	for _, d := range []time.Duration{0, -time.Second, 30 * time.Millisecond} {
		if err := h.Sleep(d); err != nil {
			return fmt.Errorf("sleep of %v: %w", d, err)
		}
	}
	if took := h.Now().Sub(start); took < 30*time.Millisecond || took > patience {
		return fmt.Errorf("30 ms of sleep took %v", took)
	}
	return nil
}

func goAndRand(h host.Host) error {
	var mu sync.Mutex
	drawn := make(map[uint64]bool)
	for range 100 {
		h.Go("hosttest", func() {
			r := h.Rand()
			mu.Lock()
			defer mu.Unlock()
			drawn[r] = true
		})
	}
	return until(h, "100 tasks drew 100 different numbers", func() bool { mu.Lock(); defer mu.Unlock(); return len(drawn) == 100 })
}

func store(h host.Host) error {
	s := h.Store()
	if v, err := s.Get("absent"); v != nil || err != nil {
		return fmt.Errorf("absent key: %v, %v", v, err)
	}
	value := []byte("1")
	changes := []host.Change{{Key: "a/2", Value: []byte("2")}, {Key: "a/1", Value: value}, {Key: "b/1", Value: []byte("3")}, {Key: "a", Value: []byte{}}}
	if err := s.Write(changes...); err != nil {
		return err
	}
	value[0] = 'X'
	for k, want := range map[string]string{"a/1": "1", "a/2": "2", "b/1": "3", "a": ""} {
		got, err := s.Get(k)
		if err != nil || got == nil || string(got) != want {
			return fmt.Errorf("Get(%q) = %q, %v; want %q", k, got, err, want)
		}
		if len(got) > 0 {
			got[0] = 'Y' // is ours
		}
	}
	if err := s.Write(); err != nil {
		return fmt.Errorf("write of nothing: %w", err)
	}
	if err := s.Write(host.Change{Key: "a/3", Value: []byte("4")}, host.Change{Key: "a/2"}, host.Change{Key: "never"}, host.Change{Key: "a/3", Value: []byte("5")}); err != nil {
		return err
	}
	scan := func(prefix string, n int) (keys []string, err error) {
		err = s.Scan(prefix, func(k string, v []byte) bool {
			keys = append(keys, k+"="+string(v))
			return len(keys) < n
		})
		return keys, err
	}
	for _, c := range []struct {
		prefix string
		most   int
		want   []string
	}{
		{"a/", 10, []string{"a/1=1", "a/3=5"}},
		{"", 10, []string{"a=", "a/1=1", "a/3=5", "b/1=3"}},
		{"a", 2, []string{"a=", "a/1=1"}},
		{"c", 10, nil},
	} {
		if got, err := scan(c.prefix, c.most); err != nil || !slices.Equal(got, c.want) {
			return fmt.Errorf("Scan(%q) = %q, %v; want %q", c.prefix, got, err, c.want)
		}
	}
	// The function may use the store.
	return s.Scan("a/", func(k string, _ []byte) bool { return s.Write(host.Change{Key: k}) == nil })
}
