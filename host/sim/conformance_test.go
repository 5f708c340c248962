package sim_test

import (
	"fmt"
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/host/hosttest"
	"ircbridge/host/sim"
)

// An env is the world of one test of the conformance suite.
type env struct {
	w     *sim.World
	hosts []*sim.Host
	setup func(i int, h host.Host)
}

func (e *env) Host(i int) host.Host  { return e.hosts[i] }
func (e *env) DialAddr(i int) string { return e.hosts[i].Addr() }
func (e *env) Kill(i int)            { e.w.Crash(e.hosts[i]) }
func (e *env) Stop(i int)            { e.w.Stop(e.hosts[i]) }
func (e *env) Restart(i int)         { e.start(i, e.w.Restart(e.hosts[i])) }
func (e *env) start(i int, h *sim.Host) {
	e.hosts[i] = h
	e.setup(i, h)
	e.w.Start(h, nil)
}

func TestConformance(t *testing.T) {
	for name, latency := range map[string]sim.Latency{"LAN": sim.LAN(), "WAN": sim.WAN(), "none": sim.Uniform(0, 0)} {
		t.Run(name, func(t *testing.T) {
			hosttest.Run(t, func(t *testing.T, n int, setup func(int, host.Host), body func(hosttest.Env)) {
				w := sim.New(1, sim.Config{Latency: latency})
				defer w.Close()
				e := &env{w: w, hosts: make([]*sim.Host, n), setup: setup}
				for i := range n {
					e.start(i, w.Add(fmt.Sprint("n", i)))
				}
				done := false
				w.Go("hosttest", func() {
					body(e)
					done = true
				})
				if !w.Await(10*time.Minute, func() bool { return done }) {
					t.Error("the body did not return within ten minutes")
				}
			})
		})
	}
}
