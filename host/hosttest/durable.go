package hosttest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"ircbridge/host"
)

func durableScenarios() []scenario {
	return []scenario{
		{"SyncSurvivesKill", 2, syncSurvivesKill},
		{"KillLosesTheEnd", 2, killLosesTheEnd},
		{"SyncInTime", 2, syncInTime},
	}
}

// in runs f in a task of h, and waits for it in the time of the host that
// waits: a host's blocking methods are for its own tasks.
func in(waits, h host.Host, what string, f func() error) error {
	var mu sync.Mutex
	done, result := false, error(nil)
	h.Go("hosttest", func() {
		err := f()
		mu.Lock()
		defer mu.Unlock()
		done, result = true, err
	})
	if err := until(waits, what, func() bool { mu.Lock(); defer mu.Unlock(); return done }); err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	return result
}

// pair is a batch of two records.
func pair(name string, n int) []host.Change {
	key := fmt.Sprintf("%s/%05d", name, n)
	return []host.Change{{Key: "a/" + key, Value: []byte(key)}, {Key: "b/" + key, Value: []byte(key)}}
}

// whole reports whether a pair is in the store; half of one is an error.
func whole(s host.Store, name string, n int) (bool, error) {
	there := 0
	for _, c := range pair(name, n) {
		v, err := s.Get(c.Key)
		if err != nil {
			return false, err
		}
		if v != nil {
			there++
		}
		if v != nil && string(v) != string(c.Value) {
			return false, fmt.Errorf("%q holds %q after a kill, want %q", c.Key, v, c.Value)
		}
	}
	if there == 1 {
		return false, fmt.Errorf("half of batch %s %d survived a kill", name, n)
	}
	return there == 2, nil
}

// syncSurvivesKill has many tasks write and wait, each for its own, and kills
// the host behind them: all that anybody was told to be durable is there.
func syncSurvivesKill() (func(int, host.Host), func(Env) error) {
	const tasks, rounds = 20, 3
	return nil, func(e Env) error {
		for round := range rounds {
			h := e.Host(1)
			var mu sync.Mutex
			var failed error
			synced := 0
			for i := range tasks {
				h.Go("hosttest", func() {
					err := h.Store().Write(pair("synced", round*tasks+i)...)
					if err == nil {
						err = h.Store().Sync(patience)
					}
					mu.Lock()
					defer mu.Unlock()
					failed = errors.Join(failed, err)
					synced++
				})
			}
			if err := until(e.Host(0), "all had synchronised", func() bool { mu.Lock(); defer mu.Unlock(); return synced == tasks }); err != nil {
				return err
			}
			if failed != nil {
				return failed
			}
			if err := h.Store().Write(pair("late", round)...); err != nil {
				return err
			}
			e.Kill(1)
			e.Restart(1)
			for i := range (round + 1) * tasks {
				if there, err := whole(e.Host(1).Store(), "synced", i); err != nil || !there {
					return fmt.Errorf("round %d: what was synchronised was lost in a kill: batch %d, %v", round, i, err)
				}
			}
			if _, err := whole(e.Host(1).Store(), "late", round); err != nil {
				return err
			}
		}
		return nil
	}
}

// killLosesTheEnd has one task write batch after batch and kills the host in
// the middle of it: what is left is a beginning, without gap or half.
func killLosesTheEnd() (func(int, host.Host), func(Env) error) {
	return nil, func(e Env) error {
		h := e.Host(1)
		var mu sync.Mutex
		written, synced := 0, 0
		h.Go("hosttest", func() {
			for n := 0; ; n++ {
				if h.Store().Write(pair("n", n)...) != nil {
					return
				}
				mu.Lock()
				written = n + 1
				mu.Unlock()
				if n%8 == 7 {
					if h.Store().Sync(patience) != nil {
						return
					}
					mu.Lock()
					synced = n + 1
					mu.Unlock()
				}
			}
		})
		if err := until(e.Host(0), "some were synchronised", func() bool { mu.Lock(); defer mu.Unlock(); return synced >= 40 }); err != nil {
			return err
		}
		e.Kill(1)
		e.Restart(1)
		mu.Lock()
		defer mu.Unlock()
		kept, gap := 0, false
		for n := range written + 1 { // the last may be there although Write did not return
			switch there, err := whole(e.Host(1).Store(), "n", n); {
			case err != nil:
				return err
			case there && gap:
				return fmt.Errorf("batch %d survived, and an earlier one did not", n)
			case there:
				kept++
			default:
				gap = true
			}
		}
		if kept < synced {
			return fmt.Errorf("%d batches of %d that were synchronised survived", kept, synced)
		}
		return nil
	}
}

// syncInTime checks that a wait ends when its time does, that the commit goes
// on, and that there is nothing to wait for when all is durable.
func syncInTime() (func(int, host.Host), func(Env) error) {
	return nil, func(e Env) error {
		h, s := e.Host(1), e.Host(1).Store()
		err := in(e.Host(0), h, "a store was synchronised", func() error {
			if err := s.Sync(0); err != nil {
				return fmt.Errorf("nothing was written, and yet: %w", err)
			}
			if err := s.Write(pair("timed", 1)...); err != nil {
				return err
			}
			if err := s.Sync(0); err != nil && !errors.Is(err, host.ErrTimeout) {
				return fmt.Errorf("a wait of no time: %w", err)
			}
			for end := h.Now().Add(patience); s.Sync(0) != nil; {
				if h.Now().After(end) {
					return errors.New("the commit that nobody had time for did not go on")
				}
				if err := h.Sleep(time.Millisecond); err != nil {
					return err
				}
			}
			return s.Sync(-time.Second)
		})
		if err != nil {
			return err
		}
		e.Kill(1)
		e.Restart(1)
		if there, err := whole(e.Host(1).Store(), "timed", 1); err != nil || !there {
			return fmt.Errorf("what was synchronised was lost in a kill: %v", err)
		}
		return nil
	}
}
