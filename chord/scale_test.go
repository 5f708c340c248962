package chord

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"ircbridge/host/sim"
)

// grow makes an ideal ring of size nodes, many joining at a time.
func (n *testNet) grow(size int) {
	first := n.add()
	first.r.Create()
	for len(n.nodes) < size {
		ms := n.members()
		for range min(len(ms), size-len(n.nodes)) {
			x := n.add()
			n.join(x, ms[int(x.h.Rand()%uint64(len(ms)))])
		}
		n.w.RunFor(2 * time.Second)
	}
	n.awaitIdeal(size, 2*time.Minute)
}

// TestHops prints what lookups cost, and holds them to little more than one hop
// with the table of contacts; without it to what the Chord paper says:
// ½·log2 N − ½·log2 r + 1 in the mean.
func TestHops(t *testing.T) {
	for _, c := range []struct {
		size   int
		budget int
		limit  float64
	}{{16, 0, 1}, {100, 0, 1.3}, {300, 0, 1.4}, {100, -1, 2.6}, {1000, -1, 4.1}} {
		if c.size > 16 && testing.Short() {
			continue
		}
		t.Run(fmt.Sprintf("%d, budget %d", c.size, c.budget), func(t *testing.T) {
			start := time.Now()
			n := newNet(t, 1, sim.Config{}, Config{TableBudget: c.budget})
			n.grow(c.size)
			formed := n.w.Elapsed()
			n.w.RunFor(40 * time.Second) // all fingers are looked up
			hops := n.checkLookups(2000)
			slices.Sort(hops)
			sum := 0
			for _, h := range hops {
				sum += h
			}
			mean := float64(sum) / float64(len(hops))
			t.Logf("%d nodes, ideal after %v: mean %.2f hops, p99 %d, most %d (%v)",
				c.size, formed, mean, hops[len(hops)*99/100], hops[len(hops)-1], time.Since(start).Round(time.Millisecond))
			if mean > c.limit {
				t.Errorf("mean %.2f hops, want at most %.2f", mean, c.limit)
			}
		})
	}
}

// TestThousand is one run of 1,000 nodes with joins, leaves and crashes,
// without tables, whose million entries would only make it slow.
func TestThousand(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	x := newChurnOf(t, 1, 1000, Config{TableBudget: -1}, sim.Config{})
	x.grow(1000)
	x.events(200)
	x.awaitIdeal(x.settle(), 2*time.Minute)
	x.checkLookups(500)
	t.Logf("%v: %d joins, %d leaves, %d crashes, %d restarts; during churn %d lookups, %d without answer, %d wrong",
		x.w.Elapsed(), x.joins, x.leaves, x.crashes, x.again, x.lookups, x.none, x.wrong)
}

// TestIdleTraffic prints what a quiet ring costs.
func TestIdleTraffic(t *testing.T) {
	for _, size := range []int{16, 100} {
		n := newNet(t, 1, sim.Config{}, Config{})
		n.grow(size)
		n.w.RunFor(time.Minute)
		bytes := func() (b, m uint64) {
			for _, x := range n.nodes {
				b += x.h.Traffic().SentBytes
				m += x.h.Traffic().SentMessages
			}
			return
		}
		b, m := bytes()
		n.w.RunFor(time.Minute)
		b2, m2 := bytes()
		perNode := float64(b2-b) / 60 / float64(size)
		t.Logf("%d nodes: %.0f bytes and %.1f messages a second and node", size, perNode, float64(m2-m)/60/float64(size))
		if perNode > 200 {
			t.Errorf("%d nodes: %.0f bytes a second and node", size, perNode)
		}
	}
}

var benchHour = flag.Duration("chord.hour", time.Hour, "virtual time of BenchmarkHour")

// BenchmarkHour is a simulated hour of 1,000 nodes at rest.
func BenchmarkHour(b *testing.B) {
	for range b.N {
		n := newNet(b, 1, sim.Config{}, Config{TableBudget: -1})
		b.StopTimer()
		n.grow(1000)
		before := n.w.Events()
		b.StartTimer()
		n.w.RunFor(*benchHour)
		b.ReportMetric(float64(n.w.Events()-before)/1e6, "Mevents/op")
		n.w.Close()
	}
}
