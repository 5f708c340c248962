package ringsim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"ircbridge/host/sim"
)

// A plan is all that a seed and a scenario decide before a run begins: the ring,
// the users and the schedule of the faults.
type plan struct {
	nodes    int
	listLen  int // of successor lists
	wan      bool
	skews    []time.Duration // of the nodes' clocks
	users    int
	channels int
	pace     time.Duration // mean pause of a user between two things that he does
	lasts    time.Duration // of the faults
	faults   []fault       // in the order of their time
}

// A fault is one thing that happens to the network. Nodes are named by their
// index; what cannot happen when its time comes (a node that does not run
// crashes) does not.
type fault struct {
	at      time.Duration // since the faults began
	kind    kind
	nodes   []int
	channel int           // whose keeper it is about; -1 for none
	lasts   time.Duration // until it is taken back; 0 for never
	delay   time.Duration // of a slow node's messages
	rates   sim.Faults
}

// kind of a fault
type kind string

const (
	crash     kind = "crash"     // nodes are killed at one instant, and restarted after a while
	killKeep  kind = "keeper"    // the keeper of a channel is killed, with as many nodes after it as there are in nodes, less one
	killAll   kind = "all"       // all nodes are killed at one instant, and restarted
	leave     kind = "leave"     // a node leaves in order, and comes back
	join      kind = "join"      // new nodes join
	partition kind = "partition" // nodes are cut off from all others
	cutOneWay kind = "cut"       // what the first sends to the second is lost
	lossy     kind = "lossy"     // messages and replies are lost, doubled, late
	slow      kind = "slow"      // a node's messages take long
	pause     kind = "pause"     // a node stands still, as with SIGSTOP
	move      kind = "move"      // a node comes to another address
)

func (f fault) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %s", f.at, f.kind)
	if f.channel >= 0 {
		fmt.Fprintf(&b, " of %s", channelName(f.channel))
	}
	for _, n := range f.nodes {
		fmt.Fprintf(&b, " n%d", n)
	}
	if f.lasts > 0 {
		fmt.Fprintf(&b, " for %v", f.lasts)
	}
	if f.delay > 0 {
		fmt.Fprintf(&b, ", %v late", f.delay)
	}
	if f.kind == lossy {
		fmt.Fprintf(&b, ", %+v", f.rates)
	}
	return b.String()
}

func channelName(i int) string { return fmt.Sprintf("#c%d", i) }

// drawPlan draws all but the faults.
func drawPlan(rng *rand.Rand, nodes int) *plan {
	p := &plan{nodes: nodes, listLen: []int{4, 8, 16, 16}[rng.IntN(4)], wan: rng.IntN(6) == 0, pace: 400 * time.Millisecond}
	if p.nodes == 0 {
		switch x := rng.IntN(20); {
		case x < 15:
			p.nodes = 5 + rng.IntN(5)
		case x < 19:
			p.nodes = 10 + rng.IntN(11)
		default:
			p.nodes = 21 + rng.IntN(30)
		}
	}
	p.users = 4 + rng.IntN(5)
	p.channels = 1 + rng.IntN(3)
	p.lasts = 30*time.Second + time.Duration(rng.IntN(31))*time.Second
	for range p.nodes {
		p.skews = append(p.skews, 0)
	}
	return p
}

// some draws n different nodes.
func (p *plan) some(rng *rand.Rand, n int) []int { return rng.Perm(p.nodes)[:min(n, p.nodes)] }

// seconds draws a duration from a to b seconds.
func seconds(rng *rand.Rand, a, b float64) time.Duration {
	return time.Duration((a + rng.Float64()*(b-a)) * float64(time.Second)).Truncate(time.Millisecond)
}

// add puts a fault into the plan, at some time.
func (p *plan) add(rng *rand.Rand, f fault) {
	f.at = time.Duration(rng.Int64N(int64(p.lasts))).Truncate(time.Microsecond)
	p.put(f)
}

func (p *plan) put(f fault) {
	if f.kind != killKeep {
		f.channel = -1
	}
	p.faults = append(p.faults, f)
	slices.SortStableFunc(p.faults, func(a, b fault) int { return int(a.at - b.at) })
}
