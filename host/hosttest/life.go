package hosttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ircbridge/host"
)

func lifeScenarios() []scenario {
	return []scenario{
		{"DownAfterKill", 3, func() (func(int, host.Host), func(Env) error) { return down(Env.Kill) }},
		{"DownAfterStop", 3, func() (func(int, host.Host), func(Env) error) { return down(Env.Stop) }},
		{"StopEndsTasks", 2, stopEndsTasks},
		{"Restart", 2, restart},
		{"DialByText", 2, dialByText},
		{"DialBadAddress", 1, dialBadAddress},
		{"DialDeadHost", 2, dialDead},
		{"KeepDialsNothing", 2, keepDialsNothing},
	}
}

// down checks that each side that had a connection is told once, and that
// the notice may itself block and call.
func down(end func(e Env, i int)) (func(int, host.Host), func(Env) error) {
	var mu sync.Mutex
	told := make(map[string]int)
	setup := func(i int, h host.Host) {
		echoSetup(i, h)
		h.OnDown(func(id host.PeerID) {
			if h.Sleep(time.Millisecond) != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			told[fmt.Sprint(i, " ", id)]++
		})
	}
	count := func(i int, id host.PeerID) int {
		mu.Lock()
		defer mu.Unlock()
		return told[fmt.Sprint(i, " ", id)]
	}
	return setup, func(e Env) error {
		h, gone, other := e.Host(0), e.Host(1).Self(), e.Host(2).Self()
		for _, to := range []host.Peer{gone, other} {
			if _, err := h.Call(to, echo, nil, patience); err != nil {
				return err
			}
		}
		if _, ok := h.PeerRun(gone.ID); !ok {
			return errors.New("a connected peer has no run")
		}
		end(e, 1)
		if err := until(h, "the loss was told", func() bool { return count(0, gone.ID) > 0 }); err != nil {
			return err
		}
		if _, ok := h.PeerRun(gone.ID); ok {
			return errors.New("the lost peer still has a run")
		}
		// A connection that stands is not reported, a loss only once.
		if _, err := h.Call(bare(other), echo, nil, patience); err != nil {
			return err
		}
		if err := h.Sleep(100 * time.Millisecond); err != nil {
			return err
		}
		if n, m := count(0, gone.ID), count(0, other.ID); n != 1 || m != 0 {
			return fmt.Errorf("told %d times of the lost peer and %d times of the living one", n, m)
		}
		if n := count(2, gone.ID); n != 0 {
			return fmt.Errorf("a host without connection was told %d times", n)
		}
		return nil
	}
}

// stopEndsTasks checks that every way to block returns ErrStopped, and
// every later call too.
func stopEndsTasks() (func(int, host.Host), func(Env) error) {
	setup := func(i int, h host.Host) {
		echoSetup(i, h)
		h.HandleCall(stall, func(host.Peer, []byte) ([]byte, error) { return nil, h.Sleep(patience) })
	}
	return setup, func(e Env) error {
		h, dying, here := e.Host(0), e.Host(1), e.Host(0).Self()
		var mu sync.Mutex
		started, result := 0, make(map[string]error)
		blocked := map[string]func() error{
			"Sleep": func() error { return dying.Sleep(10 * patience) },
			"Wait":  func() error { return dying.NewEvent().Wait(context.Background(), host.Forever) },
			"Call":  func() error { _, err := dying.Call(here, stall, nil, 10*patience); return err },
			"self":  func() error { _, err := dying.Call(dying.Self(), stall, nil, 10*patience); return err },
		}
		for _, name := range []string{"Sleep", "Wait", "Call", "self"} {
			dying.Go("hosttest", func() {
				mu.Lock()
				started++
				mu.Unlock()
				err := blocked[name]()
				mu.Lock()
				defer mu.Unlock()
				result[name] = err
			})
		}
		if err := until(h, "the tasks ran", func() bool { mu.Lock(); defer mu.Unlock(); return started == len(blocked) }); err != nil {
			return err
		}
		if err := h.Sleep(50 * time.Millisecond); err != nil { // into the blocking calls
			return err
		}
		e.Stop(1)
		if err := until(h, "all tasks of the stopped host were told", func() bool { mu.Lock(); defer mu.Unlock(); return len(result) == len(blocked) }); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		for _, name := range []string{"Sleep", "Wait", "Call", "self"} {
			if !errors.Is(result[name], host.ErrStopped) {
				return fmt.Errorf("blocked in %s of a stopping host: %v", name, result[name])
			}
		}
		if err := dying.Sleep(time.Millisecond); !errors.Is(err, host.ErrStopped) {
			return fmt.Errorf("late Sleep of a stopped host: %v", err)
		}
		if err := dying.Store().Sync(time.Second); !errors.Is(err, host.ErrStopped) {
			return fmt.Errorf("late Sync of a stopped host: %v", err)
		}
		if _, err := dying.Call(here, echo, nil, time.Second); !errors.Is(err, host.ErrStopped) {
			return fmt.Errorf("late Call of a stopped host: %v", err)
		}
		if err := dying.Send(here, note, nil); !errors.Is(err, host.ErrStopped) {
			return fmt.Errorf("late Send of a stopped host: %v", err)
		}
		if _, err := dying.Dial("127.0.0.1:1", time.Second); !errors.Is(err, host.ErrStopped) {
			return fmt.Errorf("late Dial of a stopped host: %v", err)
		}
		return nil
	}
}

func restart() (func(int, host.Host), func(Env) error) {
	return echoSetup, func(e Env) error {
		h, before := e.Host(0), e.Host(1).Self()
		if _, err := h.Call(before, echo, nil, patience); err != nil {
			return err
		}
		for round := range 2 {
			old := e.Host(1).Run()
			if err := e.Host(1).Store().Write(host.Change{Key: "kept", Value: []byte{byte(round)}}); err != nil {
				return err
			}
			e.Stop(1)
			e.Restart(1)
			now := e.Host(1)
			if now.Self().ID != before.ID || now.Run() == old {
				return fmt.Errorf("restarted: identity %v, was %v; run %x, was %x", now.Self().ID, before.ID, now.Run(), old)
			}
			if got, err := now.Store().Get("kept"); err != nil || len(got) != 1 || got[0] != byte(round) {
				return fmt.Errorf("the store lost a record in an orderly stop: %v, %v", got, err)
			}
			// The first calls may meet the connection that is just being lost.
			var err error
			if e := until(h, "the restarted host answered", func() bool {
				_, err = h.Call(now.Self(), echo, nil, time.Second)
				return err == nil
			}); e != nil {
				return fmt.Errorf("%w: %w", e, err)
			}
			if run, ok := h.PeerRun(before.ID); !ok || run != now.Run() {
				return fmt.Errorf("the run of the peer after the restart: %x, %v; want %x", run, ok, now.Run())
			}
		}
		e.Kill(1)
		e.Restart(1)
		if got, err := e.Host(1).Store().Get("kept"); err != nil || (got != nil && len(got) != 1) {
			return fmt.Errorf("after a kill a record is neither whole nor absent: %v, %v", got, err)
		}
		return nil
	}
}

func dialByText() (func(int, host.Host), func(Env) error) {
	return echoSetup, func(e Env) error {
		h, want := e.Host(0), e.Host(1).Self()
		if want.ID == h.Self().ID || len(want.Addrs) == 0 {
			return fmt.Errorf("own peer: %v with addresses %q", want.ID, want.Addrs)
		}
		for _, addr := range []string{e.DialAddr(1), want.Addrs[0]} {
			got, err := h.Dial(addr, patience)
			if err != nil || got.ID != want.ID || len(got.Addrs) == 0 {
				return fmt.Errorf("dialling %q: %v %q, %v; want %v", addr, got.ID, got.Addrs, err, want.ID)
			}
		}
		if run, ok := h.PeerRun(want.ID); !ok || run != e.Host(1).Run() {
			return fmt.Errorf("the run of the peer after Dial: %x, %v", run, ok)
		}
		_, err := h.Call(bare(want), echo, nil, patience)
		return err
	}
}

func dialBadAddress() (func(int, host.Host), func(Env) error) {
	return nil, func(e Env) error {
		for _, addr := range []string{"", " ", "nonsense", ":", "host:", "host:99999", "host:port", "/ip4/1.2.3.4/tcp", "/nonsense", "1.2.3.4:5:6"} {
			if _, err := e.Host(0).Dial(addr, patience); !errors.Is(err, host.ErrBadAddress) {
				return fmt.Errorf("dialling (%q): %v", addr, err)
			}
		}
		return nil
	}
}

func dialDead() (func(int, host.Host), func(Env) error) {
	return nil, func(e Env) error {
		addr := e.DialAddr(1)
		e.Kill(1)
		if _, err := e.Host(0).Dial(addr, patience); !errors.Is(err, host.ErrUnreachable) {
			return fmt.Errorf("dialling a dead host: %v", err)
		}
		return nil
	}
}

func keepDialsNothing() (func(int, host.Host), func(Env) error) {
	return echoSetup, func(e Env) error {
		h, to := e.Host(0), e.Host(1).Self()
		h.Keep(to.ID, true)
		if err := h.Sleep(20 * time.Millisecond); err != nil {
			return err
		}
		if _, ok := h.PeerRun(to.ID); ok {
			return errors.New("marking a peer dialled it")
		}
		if _, err := h.Call(to, echo, nil, patience); err != nil {
			return err
		}
		h.Keep(to.ID, false)
		h.Keep(to.ID, false)
		_, err := h.Call(bare(to), echo, nil, patience)
		return err
	}
}
