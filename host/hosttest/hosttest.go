// Package hosttest is the conformance suite of the host contract: what
// chord, overlay and mapping may rely on, whichever host they stand on. Both
// hosts run it: host/p2p in real time on loopback, host/sim in virtual time.
//
// The suite never starts a goroutine, reads a clock or sleeps by itself: it
// does these things through the hosts under test, so that it runs unchanged
// as a simulated task. A body reports by its return value and never calls
// t.Fatal, which would end the wrong goroutine under a simulator. State that
// handlers and bodies share is behind a mutex that nobody holds while he blocks.
package hosttest

import (
	"fmt"
	"testing"
	"time"

	"ircbridge/host"
)

// Env is a small world of hosts, numbered from 0, that can reach each other
// and have no connection yet when a body starts.
type Env interface {
	// Host is host i; after Restart it is another value than before.
	Host(i int) host.Host
	// DialAddr is text under which Dial reaches host i.
	DialAddr(i int) string
	// Kill ends host i as kill -9 ends a process: nobody is told in advance, and
	// the last unsynchronised writes of its store may be lost. It is not
	// called for host 0.
	Kill(i int)
	// Stop ends host i in order: its tasks get ErrStopped, its store keeps
	// all. It returns when the host is closed. It is not called for host 0.
	Stop(i int)
	// Restart starts host i again after Kill or Stop, with the same identity
	// and store, and calls setup for the new host before it serves.
	Restart(i int)
}

// With makes a world of n hosts, calls setup for each host before it serves,
// runs body in a task of host 0, waits until body has returned, and takes the
// world down again. It fails t when that cannot be done, also when body does not
// return within some minutes of the hosts' time.
type With func(t *testing.T, n int, setup func(i int, h host.Host), body func(Env))

// scenario is one test of the suite: handlers to register, and a body that returns
// what is wrong. Both are closures over state that make draws anew for each run.
type scenario struct {
	name  string
	hosts int
	make  func() (setup func(i int, h host.Host), body func(Env) error)
}

// Run runs the whole suite, one subtest for each promise of the contract.
func Run(t *testing.T, with With) {
	for _, list := range [][]scenario{callScenarios(), sendScenarios(), lifeScenarios(), localScenarios(), durableScenarios()} {
		for _, s := range list {
			t.Run(s.name, func(t *testing.T) {
				setup, body := s.make()
				if setup == nil {
					setup = func(int, host.Host) {}
				}
				with(t, s.hosts, setup, func(e Env) {
					if err := body(e); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// Methods of the suite.
var (
	echo   = host.Method{Number: 1, Name: "echo"}
	fail   = host.Method{Number: 2, Name: "fail"}
	stall  = host.Method{Number: 3, Name: "stall"}
	bulk   = host.Method{Number: 4, Name: "bulk", Bulk: true}
	nest   = host.Method{Number: 5, Name: "nest"}
	note   = host.Method{Number: 6, Name: "note"}
	giant  = host.Method{Number: 7, Name: "giant"}
	nobody = host.Method{Number: 99, Name: "nobody"} // without a handler
)

// patience is how long the suite waits for what must happen soon.
const patience = 20 * time.Second

// until waits, in h's time, until cond holds.
func until(h host.Host, what string, cond func() bool) error {
	for end := h.Now().Add(patience); !cond(); {
		if h.Now().After(end) {
			return fmt.Errorf("waited %v in vain until %s", patience, what)
		}
		if err := h.Sleep(2 * time.Millisecond); err != nil {
			return fmt.Errorf("waiting until %s: %w", what, err)
		}
	}
	return nil
}

// bare is p without addresses: reachable only while connected or remembered.
func bare(p host.Peer) host.Peer { return host.Peer{ID: p.ID} }
