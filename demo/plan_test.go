package demo

import (
	"slices"
	"testing"
)

// A seed draws everything: the same one, the same story.
func TestPlan(t *testing.T) {
	victims, sides := map[string]bool{}, map[int]bool{}
	for seed := range uint64(200) {
		for nodes := minNodes; nodes <= maxNodes; nodes++ {
			p, err := newPlan(nodes, seed)
			if err != nil {
				t.Fatal(err)
			}
			again, _ := newPlan(nodes, seed)
			near, far := p.sides()
			if p.victim != again.victim || !slices.Equal(p.beyond, again.beyond) {
				t.Fatalf("seed %d drew %+v and then %+v", seed, p, again)
			}
			all := slices.Sorted(slices.Values(slices.Concat(near, far)))
			if len(far) == 0 || len(far) >= len(near) || len(all) != nodes || len(slices.Compact(all)) != nodes || all[0] != 1 || all[nodes-1] != nodes {
				t.Fatalf("seed %d cuts %d nodes into %v and %v", seed, nodes, near, far)
			}
			victims[p.victim] = true
			sides[far[0]] = true
		}
	}
	if len(victims) != len(channels) || len(sides) < 5 {
		t.Errorf("the seeds draw keepers of %v only, and sides that begin with %v", victims, sides)
	}
}

func TestNumberOfNodes(t *testing.T) {
	for nodes, ok := range map[int]bool{-1: false, 2: false, 3: true, 5: true, 20: true, 21: false} {
		if err := CheckNodes(nodes); (err == nil) != ok {
			t.Errorf("%d nodes: %v", nodes, err)
		}
		if _, err := newPlan(nodes, 1); (err == nil) != ok {
			t.Errorf("a plan for %d nodes: %v", nodes, err)
		}
	}
	if len(names) < maxNodes {
		t.Errorf("%d nodes have names for %d bots", maxNodes, len(names))
	}
}

// No text is said twice, and bots say things where they are.
func TestChatter(t *testing.T) {
	p, _ := newPlan(5, 7)
	said, where := map[string]bool{}, map[string]int{}
	for number := 1; number <= p.nodes; number++ {
		c, again := p.chatter(number), p.chatter(number)
		for range 200 {
			channel, text := c.next(channels)
			if otherChannel, other := again.next(channels); other != text || otherChannel != channel {
				t.Fatalf("the seed draws %q and then %q", text, other)
			}
			if said[text] {
				t.Fatalf("%q is said twice", text)
			}
			said[text] = true
			where[channel]++
			if d := c.pause(); d < p.meanPause()/2 || d > p.meanPause()*3/2 {
				t.Fatalf("a pause of %v with a mean of %v", d, p.meanPause())
			}
			again.pause()
		}
		if channel, _ := c.next([]string{"#tea"}); channel != "#tea" {
			t.Errorf("a bot that is on #tea alone speaks in %s", channel)
		}
	}
	if len(where) != len(channels) {
		t.Errorf("bots speak in %v", where)
	}
}
