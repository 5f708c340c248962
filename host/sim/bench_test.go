package sim_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/host/sim"
)

// toy is a protocol of about the traffic of a ring: every second each node
// calls one of eight fixed neighbours and sends to another.
func toy(w *sim.World, nodes int) {
	peers := make([]host.Peer, nodes)
	hosts := make([]*sim.Host, nodes)
	for i := range hosts {
		hosts[i] = w.Add(fmt.Sprint("n", i))
		peers[i] = hosts[i].Self()
	}
	for i, h := range hosts {
		got := 0
		h.HandleCall(echo, func(_ host.Peer, req []byte) ([]byte, error) { return req, nil })
		h.HandleSend(note, func(host.Peer, []byte) { got++ })
		w.Start(h, func() {
			msg := make([]byte, 100)
			for h.Sleep(time.Second+time.Duration(h.Rand()%uint64(100*time.Millisecond))) == nil {
				to := peers[(i+1+int(h.Rand()%8)*37)%nodes]
				if _, err := h.Call(to, echo, msg, time.Second); err != nil {
					panic(err)
				}
				if err := h.Send(to, note, msg); err != nil {
					panic(err)
				}
			}
		})
	}
}

// BenchmarkHour is a virtual hour of 1,000 nodes: 3.4 million rounds.
func BenchmarkHour(b *testing.B) {
	for range b.N {
		w := sim.New(1, sim.Config{})
		toy(w, 1000)
		w.RunFor(time.Hour)
		b.ReportMetric(float64(w.Events()), "events/op")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(w.Events()), "ns/event")
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapInuse+m.StackInuse)/(1<<20), "MiB")
		w.Close()
	}
}

// BenchmarkCall is one request and its reply.
func BenchmarkCall(b *testing.B) {
	w := sim.New(1, sim.Config{})
	defer w.Close()
	x, y := register(w, w.Add("x")), register(w, w.Add("y"))
	b.ReportAllocs()
	w.Go("bench", func() {
		msg := make([]byte, 100)
		for b.Loop() {
			if _, err := x.Call(y.Self(), echo, msg, time.Second); err != nil {
				b.Error(err)
			}
		}
	})
	w.Run()
}

// BenchmarkSleep is one wake of a task.
func BenchmarkSleep(b *testing.B) {
	w := sim.New(1, sim.Config{})
	defer w.Close()
	h := register(w, w.Add("x"))
	b.ReportAllocs()
	w.Go("bench", func() {
		for b.Loop() {
			_ = h.Sleep(time.Second)
		}
	})
	w.Run()
}
