package p2p

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ircbridge/host"
)

func benchPair(b *testing.B, addr int) (n *node, to host.Peer, received *atomic.Int64) {
	received = new(atomic.Int64)
	other := startNode(b, inside(func(h *Host) {
		h.sends[99] = sendEntry{host.Method{Number: 99}, func(host.Peer, []byte) { received.Add(1) }}
	}))
	n = startNode(b)
	to = other.Self()
	to.Addrs = to.Addrs[addr : addr+1]
	if _, err := n.Call(to, mEcho, nil, patience); err != nil {
		b.Fatal(err)
	}
	return n, to, received
}

func benchTransports(b *testing.B, f func(b *testing.B, n *node, to host.Peer, received *atomic.Int64)) {
	for i, name := range []string{"TCP", "QUIC"} {
		b.Run(name, func(b *testing.B) {
			n, to, received := benchPair(b, i)
			b.ReportAllocs()
			b.ResetTimer()
			f(b, n, to, received)
		})
	}
}

// One request of 200 bytes at a time.
func BenchmarkCallOneInFlight(b *testing.B) {
	benchTransports(b, func(b *testing.B, n *node, to host.Peer, _ *atomic.Int64) {
		req := make([]byte, 200)
		for range b.N {
			if _, err := n.Call(to, mEcho, req, patience); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCall64InFlight(b *testing.B) {
	benchTransports(b, func(b *testing.B, n *node, to host.Peer, _ *atomic.Int64) {
		req := make([]byte, 200)
		b.SetParallelism(32) // for each of two processors
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := n.Call(to, mEcho, req, patience); err != nil {
					b.Error(err)
					return
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	})
}

// Messages of 256 bytes, one way, until the last has arrived.
func BenchmarkSend(b *testing.B) {
	benchTransports(b, func(b *testing.B, n *node, to host.Peer, received *atomic.Int64) {
		msg := make([]byte, 256)
		for range b.N {
			for {
				err := n.Send(to, host.Method{Number: 99}, msg)
				if err == nil {
					break
				}
				if !errors.Is(err, host.ErrBusy) {
					b.Fatal(err)
				}
				time.Sleep(50 * time.Microsecond)
			}
		}
		for received.Load() < int64(b.N) {
			time.Sleep(50 * time.Microsecond)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	})
}

func BenchmarkStoreWrite(b *testing.B) {
	s := openTest(b, b.TempDir()+"/store.db")
	defer func() { _ = s.close(true) }()
	value := make([]byte, 200)
	for i := range b.N {
		if err := s.Write(host.Change{Key: string(rune('a' + i%26)), Value: value}); err != nil {
			b.Fatal(err)
		}
	}
}

// What it costs to wait for the disk: each of so many callers writes a record
// and waits until it is durable, again and again. They share the commits.
func BenchmarkStoreSync(b *testing.B) {
	for _, callers := range []int{1, 64, 1000} {
		b.Run(fmt.Sprint(callers, " callers"), func(b *testing.B) {
			s := openTest(b, b.TempDir()+"/store.db")
			startStore(b, s)
			before := commits(b, s)
			var left atomic.Int64
			left.Store(int64(b.N))
			var all sync.WaitGroup
			b.ResetTimer()
			for i := range callers {
				all.Go(func() {
					key, value := fmt.Sprintf("object/%04d", i), make([]byte, 200)
					for left.Add(-1) >= 0 {
						if err := errors.Join(s.Write(host.Change{Key: key, Value: value}), s.Sync(patience)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			all.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "syncs/s")
			b.ReportMetric(b.Elapsed().Seconds()*1e3*float64(callers)/float64(b.N), "ms/wait")
			b.ReportMetric(float64(b.N)/float64(max(commits(b, s)-before, 1)), "syncs/commit")
		})
	}
}
