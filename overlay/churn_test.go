package overlay

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// churn runs five members in one room, who speak all the time, while others
// come and go for half a virtual minute. depart makes one go.
func churn(t *testing.T, seed uint64, depart func(*world, *node)) (*world, [][]string) {
	w := newWorld(t, seed)
	const members = 5
	said := make([][]string, members)
	w.run(func() {
		w.grow(members)
		for _, n := range w.nodes {
			n.do(w, "tea", "join")
		}
		stop := w.Elapsed() + 30*time.Second
		speaking := members
		for i, n := range w.nodes {
			w.Go("speaker", func() {
				for k := 0; w.Elapsed() < stop; k++ {
					text := fmt.Sprintf("%d.%d", i, k)
					if n.do(w, "tea", "say "+text) != "" {
						said[i] = append(said[i], text)
					}
					w.Sleep(20 * time.Millisecond)
				}
				speaking--
			})
		}
		var others []*node
		for k := uint64(0); w.Elapsed() < stop; k++ {
			w.Sleep(time.Duration(200+w.nodes[0].host.Rand()%1500) * time.Millisecond)
			if len(others) < 3 || len(others) < 12 && w.nodes[0].host.Rand()%2 == 0 {
				others = append(others, w.add())
				continue
			}
			i := int(w.nodes[0].host.Rand() % uint64(len(others)))
			gone := others[i]
			others = slices.Delete(others, i, i+1)
			w.Go("depart", func() { depart(w, gone) })
		}
		w.must("all have spoken", func() bool { return speaking == 0 })
		w.nodes[0].do(w, "tea", "say the end")
		for _, n := range w.nodes[:members] {
			w.must("the end is heard", func() bool {
				lines := n.views.said["tea"]
				return len(lines) > 0 && lines[len(lines)-1] == "the end"
			})
		}
		w.must("each room at its keeper", w.allHome)
	})
	return w, said
}

// bySpeaker are the lines of one speaker, as a node heard them.
func bySpeaker(lines []string, i int) []string {
	prefix := fmt.Sprintf("%d.", i)
	var out []string
	for _, l := range lines {
		if len(l) > len(prefix) && l[:len(prefix)] == prefix {
			out = append(out, l)
		}
	}
	return out
}

// Nodes that come and go politely: nothing is lost, nothing comes twice, each
// speaker's order is kept, and the order is the same for all.
func TestPoliteChurnLosesNothing(t *testing.T) {
	for seed := range seeds(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w, said := churn(t, seed, func(w *world, n *node) {
				n.o.Leave(5 * time.Second)
				n.ring.Leave(time.Second)
				w.Stop(n.host)
			})
			first := w.nodes[0].views.said["tea"]
			for m, n := range w.nodes[:5] {
				for i := range said {
					if got := bySpeaker(n.views.said["tea"], i); !slices.Equal(got, said[i]) {
						t.Errorf("node %d heard %d of %d lines of speaker %d, or not in order", m, len(got), len(said[i]), i)
					}
				}
				if !slices.Equal(n.views.said["tea"], first) {
					t.Errorf("node %d heard another order", m)
				}
			}
		})
	}
}

// Nodes that are killed, one now and then: nothing that was acknowledged is
// lost, nothing comes twice, each speaker's order is kept.
func TestKillsNeitherLoseNorRepeatNorReorder(t *testing.T) {
	for seed := range seeds(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w, said := churn(t, seed, func(w *world, n *node) { w.Crash(n.host) })
			for m, n := range w.nodes[:5] {
				for i := range said {
					if got := bySpeaker(n.views.said["tea"], i); !slices.Equal(got, said[i]) {
						t.Errorf("node %d heard %d of %d lines of speaker %d, or not in order", m, len(got), len(said[i]), i)
					}
				}
			}
		})
	}
}

// isSubsequence reports whether got is some of all, in order, each once.
func isSubsequence(got, all []string) bool {
	i := 0
	for _, line := range got {
		for i < len(all) && all[i] != line {
			i++
		}
		if i == len(all) {
			return false
		}
		i++
	}
	return true
}
