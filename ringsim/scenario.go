package ringsim

import (
	"math/rand/v2"
	"time"

	"ircbridge/host/sim"
)

// A Scenario says which faults happen. How many, when and to whom the seed
// draws.
type Scenario struct {
	Name  string
	About string // one line for people
	draw  func(rng *rand.Rand, p *plan)
}

// Scenarios are all there are; the first is a mix of all the others.
func Scenarios() []Scenario {
	return []Scenario{
		{"mixed", "three to eight faults of any kinds", drawMixed},
		{"quiet", "no faults", func(*rand.Rand, *plan) {}},
		{"crashes", "nodes are killed one by one, and restarted or not", func(rng *rand.Rand, p *plan) { many(rng, p, 6, drawCrash) }},
		{"keepers", "keepers are killed, again and again", func(rng *rand.Rand, p *plan) { many(rng, p, 6, drawKeeper) }},
		{"neighbours", "a keeper and the node after it are killed at one instant", func(rng *rand.Rand, p *plan) { many(rng, p, 3, drawNeighbours) }},
		{"half", "half of all nodes are killed at one instant", drawHalf},
		{"blackout", "all nodes are killed at one instant, and restarted with their disks", drawAll},
		{"churn", "nodes join, leave and are killed", func(rng *rand.Rand, p *plan) { many(rng, p, 12, drawChurn) }},
		{"partition", "the network is cut in two, and healed", drawPartition},
		{"alone", "one node is cut off, and comes back", drawAlone},
		{"flap", "short cuts, below the grace time", func(rng *rand.Rand, p *plan) { many(rng, p, 3, drawFlap) }},
		{"oneway", "a node reaches another, which does not reach it", func(rng *rand.Rand, p *plan) { many(rng, p, 3, drawOneWay) }},
		{"lossy", "messages and replies are lost, doubled and late", func(rng *rand.Rand, p *plan) { many(rng, p, 2, drawLossy) }},
		{"slow", "some nodes' messages take long", func(rng *rand.Rand, p *plan) { many(rng, p, 3, drawSlow) }},
		{"pauses", "nodes stand still for a while", func(rng *rand.Rand, p *plan) { many(rng, p, 3, drawPause) }},
		{"moves", "nodes come to other addresses", func(rng *rand.Rand, p *plan) { many(rng, p, 4, drawMove) }},
		{"clocks", "clocks are wrong by up to a day, while keepers are killed", drawClocks},
	}
}

// many draws one to most faults of one kind.
func many(rng *rand.Rand, p *plan, most int, draw func(*rand.Rand, *plan)) {
	for range 1 + rng.IntN(most) {
		draw(rng, p)
	}
}

func drawMixed(rng *rand.Rand, p *plan) {
	kinds := []func(*rand.Rand, *plan){
		drawCrash, drawCrash, drawKeeper, drawKeeper, drawKeeper, drawNeighbours, drawChurn, drawChurn, drawChurn,
		drawFlap, drawOneWay, drawLossy, drawSlow, drawPause, drawMove,
	}
	for range 3 + rng.IntN(6) {
		kinds[rng.IntN(len(kinds))](rng, p)
	}
	switch rng.IntN(8) {
	case 0:
		drawPartition(rng, p)
	case 1:
		drawAlone(rng, p)
	case 2:
		drawHalf(rng, p)
	case 3:
		drawAll(rng, p)
	case 4:
		drawSkews(rng, p)
	}
}

// downTime is how long a killed node stays away: mostly a moment, sometimes
// beyond the grace time, sometimes for ever.
func downTime(rng *rand.Rand) time.Duration {
	switch rng.IntN(4) {
	case 0:
		return 0
	case 1:
		return seconds(rng, 20, 40)
	}
	return seconds(rng, 0.2, 10)
}

func drawCrash(rng *rand.Rand, p *plan) {
	p.add(rng, fault{kind: crash, nodes: p.some(rng, 1), lasts: downTime(rng)})
}

func drawKeeper(rng *rand.Rand, p *plan) {
	p.add(rng, fault{kind: killKeep, channel: rng.IntN(p.channels), nodes: []int{0}, lasts: downTime(rng)})
}

func drawNeighbours(rng *rand.Rand, p *plan) {
	p.add(rng, fault{kind: killKeep, channel: rng.IntN(p.channels), nodes: []int{0, 1}, lasts: downTime(rng)})
}

func drawHalf(rng *rand.Rand, p *plan) {
	p.add(rng, fault{kind: crash, nodes: p.some(rng, p.nodes/2), lasts: downTime(rng)})
}

func drawAll(rng *rand.Rand, p *plan) {
	p.add(rng, fault{kind: killAll, lasts: seconds(rng, 0.5, 5)})
}

func drawChurn(rng *rand.Rand, p *plan) {
	switch rng.IntN(3) {
	case 0:
		p.add(rng, fault{kind: join, nodes: make([]int, 1+rng.IntN(3))})
	case 1:
		p.add(rng, fault{kind: leave, nodes: p.some(rng, 1), lasts: downTime(rng)})
	case 2:
		drawCrash(rng, p)
	}
}

func drawPartition(rng *rand.Rand, p *plan) {
	p.add(rng, fault{kind: partition, nodes: p.some(rng, 1+rng.IntN(max(p.nodes/2, 1))), lasts: seconds(rng, 15, 60)})
}

func drawAlone(rng *rand.Rand, p *plan) {
	p.add(rng, fault{kind: partition, nodes: p.some(rng, 1), lasts: seconds(rng, 5, 60)})
}

func drawFlap(rng *rand.Rand, p *plan) {
	p.add(rng, fault{kind: partition, nodes: p.some(rng, 1+rng.IntN(2)), lasts: seconds(rng, 0.2, 12)})
}

func drawOneWay(rng *rand.Rand, p *plan) {
	p.add(rng, fault{kind: cutOneWay, nodes: p.some(rng, 2), lasts: seconds(rng, 2, 25)})
}

func drawLossy(rng *rand.Rand, p *plan) {
	p.add(rng, fault{kind: lossy, lasts: seconds(rng, 5, 25), rates: sim.Faults{
		Loss: rng.Float64() * 0.2, Duplicate: rng.Float64() * 0.1, Reorder: rng.Float64() * 0.2, ReplyLoss: rng.Float64() * 0.1,
	}})
}

func drawSlow(rng *rand.Rand, p *plan) {
	p.add(rng, fault{kind: slow, nodes: p.some(rng, 1), lasts: seconds(rng, 5, 30), delay: seconds(rng, 0.02, 0.4)})
}

func drawPause(rng *rand.Rand, p *plan) {
	p.add(rng, fault{kind: pause, nodes: p.some(rng, 1), lasts: seconds(rng, 0.5, 40)})
}

func drawMove(rng *rand.Rand, p *plan) {
	p.add(rng, fault{kind: move, nodes: p.some(rng, 1)})
}

func drawSkews(rng *rand.Rand, p *plan) {
	for i := range p.skews {
		if rng.IntN(2) == 0 {
			p.skews[i] = seconds(rng, -86400, 86400)
		}
	}
}

func drawClocks(rng *rand.Rand, p *plan) {
	drawSkews(rng, p)
	many(rng, p, 4, drawKeeper)
}
