package figures

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"ircbridge/host/sim"
)

// cutFor is how long a network is cut at least before it is whole again. Halves
// must have become rings by then, or within maxCut.
const (
	cutFor = 30 * time.Second
	maxCut = 3 * time.Minute
)

// mended is how long it took after the cut was mended: until all first
// successors and predecessors were those of one ring, and all lists.
type mended struct{ linked, lists time.Duration }

// cutOff cuts so many nodes, drawn by chance, off the others, and mends it.
func cutOff(seed uint64, size, part int, latency sim.Latency) (m mended, err error) {
	n := newRing(seed, ringConfig(0, size <= maxTables), latency)
	defer n.w.Close()
	if err := n.grow(size); err != nil {
		return m, err
	}
	n.w.RunFor(30 * time.Second) // peers are remembered
	ms := n.sorted()
	n.rng.Shuffle(len(ms), func(i, k int) { ms[i], ms[k] = ms[k], ms[i] })
	var some []*sim.Host
	for _, x := range ms[:part] {
		some = append(some, x.h)
	}
	n.w.Partition(some)
	cut := n.w.Elapsed()
	n.w.RunFor(cutFor + time.Duration(n.rng.IntN(1000))*time.Millisecond)
	for !n.parted(ms[:part], ms[part:]) && part*8 > size { // of a smaller part become several
		if n.w.RunFor(time.Second); n.w.Elapsed() > cut+maxCut {
			return m, fmt.Errorf("the parts are no rings of their own after %v", maxCut)
		}
	}
	n.w.Heal()
	start := n.w.Elapsed()
	if m.linked = n.awaitLinked(2 * time.Minute); m.linked < 0 {
		return m, errors.New("no one ring two minutes after the cut was mended")
	}
	err = n.awaitIdeal()
	m.lists = n.w.Elapsed() - start
	return m, err
}

// parted reports whether each part has become an ideal ring.
func (n *ring) parted(parts ...[]*node) bool {
	for _, p := range parts {
		p = slices.Clone(p)
		slices.SortFunc(p, byID)
		if !idealRing(p, n.cfg.SuccessorListLen) {
			return false
		}
	}
	return true
}

func printCuts(o options) error {
	w := newTable(o.stdout)
	fmt.Fprint(w, "periods (of a second) after a cut was mended\tcuts\tone ring, p50\tmost\tall lists, p50\tmost\t\n")
	for _, size := range o.sizes {
		for _, c := range []struct {
			name    string
			part    int
			latency sim.Latency
		}{{"halves", size / 2, nil}, {"a tenth", max(size/10, 1), nil}, {"halves, wide network", size / 2, sim.WAN()}} {
			name := fmt.Sprintf("%d nodes, %s", size, c.name)
			times := o.events
			if size > 100 {
				times = 1
			}
			var one, lists []time.Duration
			err := o.timed("cut: "+name, func() error {
				for i := range times {
					m, err := cutOff(o.seed+uint64(i), size, c.part, c.latency)
					if err != nil {
						return fmt.Errorf("%s, seed %d: %w", name, o.seed+uint64(i), err)
					}
					one, lists = append(one, m.linked), append(lists, m.lists)
				}
				return nil
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%s\t%d\t%v\t%v\t\n", name, times, spanOf(one), spanOf(lists))
		}
	}
	return w.Flush()
}
