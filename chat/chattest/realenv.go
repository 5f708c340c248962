package chattest

import (
	"sync"
	"testing"
	"time"

	"ircbridge/chat"
)

// realPatience is how long Eventually waits in a RealEnv.
const realPatience = 30 * time.Second

// RealEnv runs body on services, in the calling goroutine, with goroutines for
// tasks and the clock for time (which testing/synctest may make virtual). It
// returns when body and all its tasks are done. It is most of a Harness:
//
//	chattest.Run(t, func(t *testing.T, nodes int, body func(chattest.Env)) {
//		chattest.RealEnv(t, startMyNodes(t, nodes), body)
//	})
func RealEnv(t *testing.T, services []chat.Service, body func(Env)) {
	e := &realEnv{Base: Base{t}, services: services}
	Guard(func() { body(e) })
	e.tasks.Wait()
}

type realEnv struct {
	Base
	services []chat.Service
	tasks    sync.WaitGroup
}

func (e *realEnv) Service(i int) chat.Service { return e.services[i] }

func (e *realEnv) Go(_ string, f func()) {
	e.tasks.Go(func() { Guard(f) })
}

func (e *realEnv) Eventually(what string, cond func() bool) {
	e.Test.Helper()
	for end := time.Now().Add(realPatience); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			e.Fatalf("after %v still not: %s", realPatience, what)
		}
	}
}

func (e *realEnv) Sleep(d time.Duration) { time.Sleep(d) }
func (e *realEnv) Now() time.Time        { return time.Now() }
