package chord

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"ircbridge/host/sim"
)

var churnSeeds = flag.Int("chord.seeds", 200, "seeds of TestChurn")
var churnSeed = flag.Uint64("chord.seed", 0, "run this one seed of TestChurn")
var tableBudget = flag.Int("chord.budget", 0, "TableBudget of TestChurn; -1 for no table")
var churnFirst = flag.Uint64("chord.first", 1, "first seed of TestChurn")

// churn is one simulated history: a ring forms, nodes join, leave, crash and
// restart while lookups run, then it is quiet.
type churn struct {
	*testNet
	c       *watcher
	rng     *rand.Rand
	size    int // the size about which the ring varies
	gone    []*testNode
	joins   int
	leaves  int
	crashes int
	again   int
	lookups int
	none    int // lookups that nobody answered
	wrong   int
	split   int // answered by one of two owners, within two periods of a crash
}

// newChurn derives everything from the seed.
func newChurn(t testing.TB, seed uint64) *churn {
	rng := rand.New(rand.NewPCG(seed, 0x636875726e))
	sizes := []int{2, 3, 4, 6, 8, 12, 16, 17, 18, 20, 24, 32, 48, 64, 100}
	cfg := Config{SuccessorListLen: []int{3, 4, 8, 16}[rng.IntN(4)], TableBudget: *tableBudget}
	var sc sim.Config
	if rng.IntN(4) == 0 {
		sc.Latency = sim.WAN()
	}
	return newChurnOf(t, seed, sizes[seed%uint64(len(sizes))], cfg, sc)
}

func newChurnOf(t testing.TB, seed uint64, size int, cfg Config, sc sim.Config) *churn {
	x := &churn{testNet: newNet(t, seed, sc, cfg), rng: rand.New(rand.NewPCG(seed, 0x6576656e7473)), size: size}
	x.c = x.watch()
	return x
}

func (x *churn) run() {
	first := x.add()
	first.r.Create()
	for len(x.nodes) < x.size {
		x.joinOne()
		if x.rng.IntN(3) == 0 {
			x.runFor(300)
		}
	}
	x.runFor(3000)
	x.events(30 + x.rng.IntN(30))
	x.awaitIdeal(x.settle(), 90*time.Second)
}

// events lets n things happen, with lookups among them.
func (x *churn) events(n int) {
	for range n {
		x.event()
		x.lookupSome(2)
		x.runFor([]int{5, 50, 500, 2000}[x.rng.IntN(4)])
	}
}

// settle waits until nobody is on the way in, and counts the members.
func (x *churn) settle() int {
	x.w.RunFor(15 * time.Second)
	return len(x.members())
}

// runFor runs for up to ms milliseconds.
func (x *churn) runFor(ms int) {
	x.w.RunFor(time.Duration(x.rng.IntN(ms*1000)+1) * time.Microsecond)
}

func (x *churn) pick() *testNode {
	ms := x.members()
	return ms[x.rng.IntN(len(ms))]
}

func (x *churn) joinOne() {
	via := []*testNode{x.pick(), x.pick()}
	x.join(x.add(), via...)
	x.joins++
}

func (x *churn) event() {
	many := 1
	if x.rng.IntN(4) == 0 {
		many = 1 + x.rng.IntN(4)
	}
	what := x.rng.IntN(4)
	if len(x.members()) < x.size/2 {
		what = 0
	}
	for range many {
		switch what {
		case 0:
			x.joinOne()
		case 1:
			if v := x.pick(); x.allows(v) {
				x.leave(v)
			}
		case 2:
			if v := x.pick(); x.allows(v) {
				x.crashes++
				v.ended = x.w.Elapsed()
				x.c.ring.Fault()
				x.w.Crash(v.h)
				x.gone = append(x.gone, v)
			}
		case 3:
			if n := len(x.gone); n > 0 {
				i := x.rng.IntN(n)
				v := x.gone[i]
				x.gone = append(x.gone[:i:i], x.gone[i+1:]...)
				x.again++
				via := x.pick()
				x.restart(v)
				x.join(v, via)
			}
		}
	}
}

func (x *churn) leave(v *testNode) {
	x.leaves++
	v.ended = x.w.Elapsed()
	x.c.ring.Fault()
	h, r := v.h, v.r
	h.Go("leave", func() {
		r.Leave(2 * time.Second)
		x.w.Go("stop", func() { x.w.Stop(h) })
	})
	// Leave takes effect at the task's first step.
	x.w.RunFor(0)
}

func (x *churn) lookupSome(n int) {
	for range n {
		v := x.pick()
		var key ID
		for k := range key {
			key[k] = byte(x.rng.Uint32())
		}
		if x.rng.IntN(3) == 0 {
			key = x.pick().r.id
		}
		r, h := v.r, v.h
		h.Go("lookup", func() {
			start := x.w.Elapsed()
			x.lookups++
			f, err := r.Lookup(key, 5*time.Second)
			if err != nil {
				if h.Running() && r.Member() {
					x.none++
					if *logLines {
						fmt.Printf("%v lookup of %s from %s since %v: %v\n%s", x.w.Elapsed(), key.short(), v.name, start, err, x.dump())
					}
				}
				return
			}
			now := x.w.Elapsed()
			switch {
			case x.c.wasOwner(f.Owner.ID, key, start, now):
			case now < x.c.crashed+2*x.cfg.StabilizePeriod && x.c.held(f.Owner.ID, start, now):
				x.split++
			default:
				x.wrong++
				x.t.Errorf("seed %d at %v: %s was told that %s owns %s (asked at %v)\n%s", x.w.Seed(), x.w.Elapsed(), v.name, x.name(f.Owner.ID), key.short(), start, x.dump())
			}
		})
	}
}

func TestChurn(t *testing.T) {
	seeds := *churnSeeds
	if testing.Short() {
		seeds = min(seeds, 5)
	}
	first := *churnFirst
	if *churnSeed != 0 {
		first, seeds = *churnSeed, 1
	}
	var total churn
	var overlaps, checks int // of the invariants
	start := time.Now()
	for seed := first; seed < first+uint64(seeds); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			x := newChurn(t, seed)
			x.run()
			x.checkLookups(50)
			total.joins += x.joins
			total.leaves += x.leaves
			total.crashes += x.crashes
			total.again += x.again
			total.lookups += x.lookups
			total.none += x.none
			total.wrong += x.wrong
			total.split += x.split
			overlaps += x.c.overlaps
			checks += x.c.checks
			x.w.Close()
		})
	}
	t.Logf("%d seeds in %v: %d joins, %d leaves, %d crashes, %d restarts; during churn %d lookups, %d without answer within 5 s, %d from one of two owners just after a crash, %d wrong; %d checks of changed nodes, %d found two owners (all within 2 s of a crash)",
		seeds, time.Since(start).Round(time.Millisecond), total.joins, total.leaves, total.crashes, total.again, total.lookups, total.none, total.split, total.wrong, checks, overlaps)
}
