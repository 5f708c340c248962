package hosttest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"ircbridge/host"
)

func echoSetup(_ int, h host.Host) {
	reply := func(_ host.Peer, req []byte) ([]byte, error) { return req, nil }
	h.HandleCall(echo, reply)
	h.HandleCall(bulk, reply)
}

func callScenarios() []scenario {
	return []scenario{
		{"CallReply", 2, callReply},
		{"CallTellsWhoCalls", 2, callTellsWhoCalls},
		{"CallErrorIsRefused", 2, callRefused},
		{"CallTimeout", 2, callTimeout},
		{"CallTooLarge", 2, callTooLarge},
		{"CallUnreachable", 2, callUnreachable},
		{"CallSelf", 1, callSelf},
		{"CallNested", 2, callNested},
		{"CallManyAtOnce", 3, callManyAtOnce},
		{"CallBothDialAtOnce", 2, callBothDial},
		{"CallBuffersAreOwn", 2, callBuffers},
		{"CallPendingWhenPeerDies", 2, callPeerDies},
	}
}

func callReply() (func(int, host.Host), func(Env) error) {
	return echoSetup, func(e Env) error {
		h, to := e.Host(0), e.Host(1).Self()
		for _, size := range []int{0, 1, 1000, host.MaxFrame} {
			req := bytes.Repeat([]byte{7}, size)
			got, err := h.Call(to, echo, req, patience)
			if err != nil || !bytes.Equal(got, req) {
				return fmt.Errorf("echo of %d bytes: %d bytes, %v", size, len(got), err)
			}
		}
		req := bytes.Repeat([]byte{9}, host.MaxBulk)
		if got, err := h.Call(to, bulk, req, patience); err != nil || !bytes.Equal(got, req) {
			return fmt.Errorf("bulk echo of %d bytes: %d bytes, %v", len(req), len(got), err)
		}
		// While connected no address is needed, in either direction.
		if _, err := h.Call(bare(to), echo, nil, patience); err != nil {
			return fmt.Errorf("call without addresses to a connected peer: %w", err)
		}
		if _, err := e.Host(1).Call(bare(h.Self()), echo, nil, patience); err != nil {
			return fmt.Errorf("call back without addresses: %w", err)
		}
		return nil
	}
}

func callTellsWhoCalls() (func(int, host.Host), func(Env) error) {
	setup := func(i int, h host.Host) {
		h.HandleCall(echo, func(from host.Peer, _ []byte) ([]byte, error) { return []byte(from.ID), nil })
		h.HandleCall(nest, func(from host.Peer, req []byte) ([]byte, error) { return h.Call(from, echo, req, patience) })
	}
	return setup, func(e Env) error {
		a, b := e.Host(0), e.Host(1)
		got, err := a.Call(b.Self(), echo, nil, patience)
		if err != nil || host.PeerID(got) != a.Self().ID {
			return fmt.Errorf("handler saw a call from %v (%v), want %v", host.PeerID(got), err, a.Self().ID)
		}
		got, err = a.Call(b.Self(), nest, nil, patience)
		if err != nil || host.PeerID(got) != b.Self().ID {
			return fmt.Errorf("call back to the caller came from %v (%v), want %v", host.PeerID(got), err, b.Self().ID)
		}
		for i, h := range []host.Host{a, b} {
			other := e.Host(1 - i)
			if run, ok := h.PeerRun(other.Self().ID); !ok || run != other.Run() {
				return fmt.Errorf("host %d: PeerRun = %x, %v; want %x", i, run, ok, other.Run())
			}
		}
		return nil
	}
}

func callRefused() (func(int, host.Host), func(Env) error) {
	setup := func(_ int, h host.Host) {
		h.HandleCall(fail, func(host.Peer, []byte) ([]byte, error) { return nil, errors.New("no such herring") })
		h.HandleCall(giant, func(host.Peer, []byte) ([]byte, error) { return make([]byte, host.MaxFrame+1), nil })
		h.HandleSend(note, func(host.Peer, []byte) {})
	}
	return setup, func(e Env) error {
		h, to := e.Host(0), e.Host(1).Self()
		_, err := h.Call(to, fail, nil, patience)
		if !errors.Is(err, host.ErrRefused) || !strings.Contains(err.Error(), "no such herring") {
			return fmt.Errorf("handler's error arrived as %v", err)
		}
		if _, err = h.Call(to, nobody, nil, patience); !errors.Is(err, host.ErrRefused) {
			return fmt.Errorf("call of a method without handler: %v", err)
		}
		if _, err = h.Call(to, note, nil, patience); !errors.Is(err, host.ErrRefused) {
			return fmt.Errorf("call of a method that has only a send handler: %v", err)
		}
		if _, err = h.Call(to, giant, nil, patience); !errors.Is(err, host.ErrRefused) {
			return fmt.Errorf("call whose reply is too large: %v", err)
		}
		// Nor does a message without handler end the connection.
		if err = h.Send(to, nobody, nil); err != nil {
			return fmt.Errorf("send of a method without handler: %w", err)
		}
		if _, err = h.Call(bare(to), fail, nil, patience); !errors.Is(err, host.ErrRefused) {
			return fmt.Errorf("after it: %v", err)
		}
		return nil
	}
}

func callTimeout() (func(int, host.Host), func(Env) error) {
	setup := func(i int, h host.Host) {
		echoSetup(i, h)
		h.HandleCall(stall, func(host.Peer, []byte) ([]byte, error) { return nil, h.Sleep(500 * time.Millisecond) })
	}
	return setup, func(e Env) error {
		h, to := e.Host(0), e.Host(1).Self()
		if _, err := h.Call(to, echo, nil, patience); err != nil {
			return err
		}
		const d = 100 * time.Millisecond
		start := h.Now()
		_, err := h.Call(to, stall, nil, d)
		if took := h.Now().Sub(start); !errors.Is(err, host.ErrTimeout) || took < d || took > patience/2 {
			return fmt.Errorf("call with %v to a handler that takes longer: %v after %v", d, err, took)
		}
		// The late reply disturbs nobody, and a stalled handler holds up none.
		for range 5 {
			if got, err := h.Call(to, echo, []byte("x"), patience); err != nil || string(got) != "x" {
				return fmt.Errorf("after a timeout: %q, %v", got, err)
			}
		}
		if _, err := h.Call(to, stall, nil, patience); err != nil {
			return fmt.Errorf("slow call within its time: %w", err)
		}
		for _, d := range []time.Duration{0, -time.Second} {
			if _, err := h.Call(to, stall, nil, d); !errors.Is(err, host.ErrTimeout) {
				return fmt.Errorf("call with %v left: %v", d, err)
			}
		}
		return nil
	}
}

func callTooLarge() (func(int, host.Host), func(Env) error) {
	return echoSetup, func(e Env) error {
		h, to := e.Host(0), e.Host(1).Self()
		for _, to := range []host.Peer{to, h.Self()} {
			if _, err := h.Call(to, echo, make([]byte, host.MaxFrame+1), patience); !errors.Is(err, host.ErrTooLarge) {
				return fmt.Errorf("call with MaxFrame+1 bytes: %v", err)
			}
			if _, err := h.Call(to, bulk, make([]byte, host.MaxBulk+1), patience); !errors.Is(err, host.ErrTooLarge) {
				return fmt.Errorf("bulk call with MaxBulk+1 bytes: %v", err)
			}
			if err := h.Send(to, note, make([]byte, host.MaxFrame+1)); !errors.Is(err, host.ErrTooLarge) {
				return fmt.Errorf("send of MaxFrame+1 bytes: %v", err)
			}
		}
		return nil
	}
}

func callUnreachable() (func(int, host.Host), func(Env) error) {
	return echoSetup, func(e Env) error {
		h, to := e.Host(0), e.Host(1).Self()
		if _, err := h.Call(bare(to), echo, nil, patience); !errors.Is(err, host.ErrUnreachable) {
			return fmt.Errorf("call to a stranger without addresses: %v", err)
		}
		e.Kill(1)
		if _, err := h.Call(to, echo, nil, patience); !errors.Is(err, host.ErrUnreachable) {
			return fmt.Errorf("call to a dead host: %v", err)
		}
		return nil
	}
}

func callSelf() (func(int, host.Host), func(Env) error) {
	setup := func(i int, h host.Host) {
		echoSetup(i, h)
		h.HandleCall(fail, func(host.Peer, []byte) ([]byte, error) { return nil, errors.New("herring") })
		h.HandleCall(stall, func(host.Peer, []byte) ([]byte, error) { return nil, h.Sleep(time.Second) })
		h.HandleCall(nest, func(from host.Peer, req []byte) ([]byte, error) {
			if from.ID != h.Self().ID {
				return nil, errors.New("call to oneself from another")
			}
			return h.Call(from, echo, req, patience)
		})
	}
	return setup, func(e Env) error {
		h := e.Host(0)
		req := []byte("mine")
		got, err := h.Call(h.Self(), nest, req, patience)
		if err != nil || string(got) != "mine" {
			return fmt.Errorf("nested call to oneself: %q, %v", got, err)
		}
		got[0] = 'X'
		if string(req) != "mine" {
			return errors.New("a call to oneself lends the handler the caller's buffer")
		}
		if _, err := h.Call(h.Self(), fail, nil, patience); !errors.Is(err, host.ErrRefused) {
			return fmt.Errorf("refused call to oneself: %v", err)
		}
		if _, err := h.Call(h.Self(), nobody, nil, patience); !errors.Is(err, host.ErrRefused) {
			return fmt.Errorf("call to oneself without handler: %v", err)
		}
		if _, err := h.Call(h.Self(), stall, nil, 20*time.Millisecond); !errors.Is(err, host.ErrTimeout) {
			return fmt.Errorf("slow call to oneself: %v", err)
		}
		return nil
	}
}

func callNested() (func(int, host.Host), func(Env) error) {
	setup := func(i int, h host.Host) {
		h.HandleCall(nest, func(from host.Peer, req []byte) ([]byte, error) {
			if req[0] == 0 {
				return req, nil
			}
			return h.Call(from, nest, []byte{req[0] - 1}, patience)
		})
	}
	return setup, func(e Env) error {
		if _, err := e.Host(0).Call(e.Host(1).Self(), nest, []byte{16}, patience); err != nil {
			return fmt.Errorf("calls nested 16 deep: %w", err)
		}
		return inTasks(e, []int{0, 1}, 32, func(h, other host.Host, _ int) error {
			_, err := h.Call(other.Self(), nest, []byte{4}, patience)
			return err
		})
	}
}

func callManyAtOnce() (func(int, host.Host), func(Env) error) {
	return echoSetup, func(e Env) error {
		return inTasks(e, []int{0, 1, 2}, 64, func(h, other host.Host, i int) error {
			req := []byte(fmt.Sprint("call ", i))
			got, err := h.Call(other.Self(), echo, req, patience)
			if err == nil && !bytes.Equal(got, req) {
				err = fmt.Errorf("answer of another call: %q for %q", got, req)
			}
			return err
		})
	}
}

// callBothDial has two strangers call each other in the same instant: no call
// may fall between two connections of which one is given up.
func callBothDial() (func(int, host.Host), func(Env) error) {
	return echoSetup, func(e Env) error {
		return inTasks(e, []int{0, 1}, 20, func(h, other host.Host, i int) error {
			for range 5 {
				if _, err := h.Call(other.Self(), echo, nil, patience); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// inTasks runs f in n tasks of each host named, towards the next host
// named, and waits for all.
func inTasks(e Env, hosts []int, n int, f func(h, other host.Host, i int) error) error {
	var mu sync.Mutex
	var done int
	var first error
	for k, from := range hosts {
		h, other := e.Host(from), e.Host(hosts[(k+1)%len(hosts)])
		for i := range n {
			h.Go("hosttest", func() {
				err := f(h, other, i)
				mu.Lock()
				defer mu.Unlock()
				done++
				if err != nil && first == nil {
					first = fmt.Errorf("task %d of host %d: %w", i, from, err)
				}
			})
		}
	}
	err := until(e.Host(0), "all tasks were done", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return done == n*len(hosts)
	})
	mu.Lock()
	defer mu.Unlock()
	return errors.Join(err, first)
}

// callBuffers checks that caller and handler may write into what they own.
func callBuffers() (func(int, host.Host), func(Env) error) {
	var mu sync.Mutex
	var kept []byte
	setup := func(_ int, h host.Host) {
		h.HandleCall(echo, func(_ host.Peer, req []byte) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			kept = req
			return append([]byte(nil), req...), nil
		})
	}
	return setup, func(e Env) error {
		h := e.Host(0)
		for _, to := range []host.Peer{e.Host(1).Self(), h.Self()} {
			req := []byte("first")
			if _, err := h.Call(to, echo, req, patience); err != nil {
				return err
			}
			copy(req, "-----")
			mu.Lock()
			got := string(kept)
			mu.Unlock()
			if got != "first" {
				return fmt.Errorf("the caller's later write shows in the handler's request: %q", got)
			}
		}
		return nil
	}
}

func callPeerDies() (func(int, host.Host), func(Env) error) {
	var mu sync.Mutex
	running := false
	setup := func(i int, h host.Host) {
		h.HandleCall(stall, func(host.Peer, []byte) ([]byte, error) {
			mu.Lock()
			running = true
			mu.Unlock()
			return nil, h.Sleep(10 * patience)
		})
	}
	return setup, func(e Env) error {
		h, to := e.Host(0), e.Host(1).Self()
		var result error
		done := false
		h.Go("hosttest", func() {
			_, err := h.Call(to, stall, nil, 10*patience)
			mu.Lock()
			defer mu.Unlock()
			result, done = err, true
		})
		is := func(flag *bool) func() bool {
			return func() bool { mu.Lock(); defer mu.Unlock(); return *flag }
		}
		if err := until(h, "the handler ran", is(&running)); err != nil {
			return err
		}
		e.Kill(1)
		if err := until(h, "the pending call returned", is(&done)); err != nil {
			return err
		}
		if !errors.Is(result, host.ErrUnreachable) {
			return fmt.Errorf("pending call to a peer that died: %v", result)
		}
		return nil
	}
}
