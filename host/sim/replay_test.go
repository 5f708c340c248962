package sim_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/host/sim"
)

// storm is a run with every kind of fault.
func storm(t *testing.T, seed uint64) (digest uint64, trace string) {
	var out bytes.Buffer
	w := sim.New(seed, sim.Config{
		Latency: sim.WAN(),
		Faults:  sim.Faults{Loss: 0.05, Duplicate: 0.05, Reorder: 0.05, ReplyLoss: 0.05},
		Trace:   &out,
	})
	defer w.Close()
	peers := make([]*peer, 12)
	run := func(i int, h *sim.Host) {
		peers[i] = register(w, h)
		h.Go("gossip", func() {
			for n := 0; h.Sleep(time.Duration(h.Rand()%uint64(time.Second))) == nil; n++ {
				to := peers[h.Rand()%uint64(len(peers))].Self()
				_ = h.Send(to, note, fmt.Append(nil, n))
				_, _ = h.Call(to, echo, fmt.Append(nil, n), time.Second)
				_ = h.Store().Write(host.Change{Key: fmt.Sprint(n % 10), Value: fmt.Append(nil, n)})
			}
		})
	}
	for i := range peers {
		run(i, w.Add(fmt.Sprint("n", i)))
	}
	w.Go("faults", func() {
		for i := range 30 {
			w.Sleep(2 * time.Second)
			victim := peers[i*7%len(peers)]
			switch i % 5 {
			case 0:
				w.Crash(victim.Host)
				run(i*7%len(peers), w.Restart(victim.Host))
			case 1:
				w.Partition([]*sim.Host{peers[0].Host, peers[1].Host, peers[2].Host})
			case 2:
				w.Pause(victim.Host)
				w.Go("resume", func() { w.Sleep(3 * time.Second); w.Resume(victim.Host) })
			case 3:
				w.Sleep(8 * time.Second)
				w.Heal()
			case 4:
				w.Stop(victim.Host)
				run(i*7%len(peers), w.Restart(victim.Host))
			}
		}
	})
	w.Run()
	if w.Events() < 1000 {
		t.Errorf("only %d events", w.Events())
	}
	return w.Digest(), out.String()
}

func TestEqualSeedsGiveEqualRuns(t *testing.T) {
	for seed := range uint64(5) {
		d1, t1 := storm(t, seed)
		d2, t2 := storm(t, seed)
		if d1 != d2 || t1 != t2 {
			t.Fatalf("seed %d: digests %x and %x, first difference: %s", seed, d1, d2, firstDifference(t1, t2))
		}
		if d3, _ := storm(t, seed+100); d3 == d1 {
			t.Fatalf("seeds %d and %d give the same run", seed, seed+100)
		}
	}
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("line %d: %q and %q", i, x[i], y[i])
		}
	}
	return "one is longer"
}
