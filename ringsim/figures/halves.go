package figures

import (
	"fmt"
	"slices"
	"time"

	"ircbridge/chord"
)

// askedFor is how long a lookup in a ring that has lost its half may take.
const askedFor = 30 * time.Second

// halved is what becomes of lookups when half of all nodes die at once.
type halved struct {
	found    float64         // by the pointers as they stood: nobody repairs anything
	answered []time.Duration // the real lookups, all asked at that instant, in order
	none     int             // without an answer in askedFor
	wrong    int             // that named another than the owner
	linked   time.Duration   // until all first successors and predecessors were right; -1: not within a minute
}

// halve lets half of a ring die. With sim.World.Pause for stop nobody is told:
// the dead are silent, as when their machines lose power.
func halve(seed uint64, size, list int, table bool, lookups int, silent bool) (h halved, err error) {
	n := newRing(seed, ringConfig(list, table), nil)
	defer n.w.Close()
	if err := n.grow(size); err != nil {
		return h, err
	}
	if err := n.awaitTables(); err != nil {
		return h, err
	}
	n.w.RunFor(time.Minute) // fingers are looked up
	stop := n.w.Crash
	if silent {
		stop = n.w.Pause
	}
	for range size / 2 {
		n.kill(n.nodes[n.rng.IntN(len(n.nodes))], stop)
	}
	ms := n.sorted()
	keys, from := make([]chord.ID, lookups), make([]*node, lookups)
	reached := 0
	living := make(map[chord.ID]*node, len(ms))
	for _, x := range ms {
		living[x.r.Self().ID] = x
	}
	for i := range keys {
		keys[i], from[i] = n.key(), ms[n.rng.IntN(len(ms))]
		if walk(from[i], keys[i], living) == firstAt(ms, keys[i]) {
			reached++
		}
	}
	h.found = float64(reached) / float64(lookups)

	start := n.w.Elapsed()
	for i := range keys {
		n.w.Go("lookup", func() {
			f, err := from[i].r.Lookup(keys[i], askedFor)
			switch {
			case err != nil:
				h.none++
			case f.Owner.ID != firstAt(ms, keys[i]).r.Self().ID:
				h.wrong++
			default:
				h.answered = append(h.answered, n.w.Elapsed()-start)
			}
		})
	}
	h.linked = n.awaitLinked(time.Minute)
	n.w.Run()
	slices.Sort(h.answered)
	return h, nil
}

// walk follows the pointers as they are, from one living node to the living
// one that it knows nearest before the key, until one has the first living node
// at or after the key for its first living successor. Nil: nobody knew a node to
// go on to, or it ended at one that is not.
func walk(x *node, key chord.ID, living map[chord.ID]*node) *node {
	for range len(living) {
		self := x.r.Self().ID
		for _, s := range x.r.Successors() {
			if y := living[s.ID]; y != nil {
				if chord.InRange(self, key, s.ID) {
					return y
				}
				break
			}
		}
		var next *node
		for _, c := range x.r.Known() {
			y := living[c.ID]
			if y != nil && chord.Between(self, c.ID, key) && (next == nil || chord.Between(next.r.Self().ID, c.ID, key)) {
				next = y
			}
		}
		if next == nil {
			return nil
		}
		x = next
	}
	return nil
}

// linked reports whether all of ms, which are in order, have the right first
// successor and predecessor.
func linked(ms []*node) bool {
	for i, x := range ms {
		next := ms[(i+1)%len(ms)]
		succs := x.r.Successors()
		p, ok := next.r.Predecessor()
		if len(succs) == 0 || succs[0].ID != next.r.Self().ID || !ok || p.ID != x.r.Self().ID {
			return false
		}
	}
	return true
}

// awaitLinked is how long it takes until all are linked; -1 if it takes longer
// than d.
func (n *ring) awaitLinked(d time.Duration) time.Duration {
	ms, start := n.sorted(), n.w.Elapsed()
	for !linked(ms) {
		if n.w.Elapsed()-start >= d {
			return -1
		}
		n.w.RunFor(10 * time.Millisecond)
	}
	return n.w.Elapsed() - start
}

func printHalves(o options) error {
	w := newTable(o.stdout)
	fmt.Fprintf(w, "half die at once, %d lookups\tfound without repair\tanswered, s: p50\tp99\tlast\tnone in %v\twrong\tring linked, s\t\n", o.lookups, askedFor)
	for _, size := range o.sizes {
		for _, table := range []bool{false, true} {
			for _, list := range o.lists {
				if table && (list != listLen || size > maxTables) {
					continue
				}
				for _, silent := range []bool{false, true} {
					name := fmt.Sprintf("%s, r = %d, %s", ringName(size, table), list, map[bool]string{false: "killed", true: "silent"}[silent])
					var h halved
					err := o.timed("halves: "+name, func() (err error) {
						h, err = halve(o.seed, size, list, table, o.lookups, silent)
						return err
					})
					if err != nil {
						return fmt.Errorf("%s: %w", name, err)
					}
					at := func(k int) string {
						if len(h.answered) == 0 {
							return "-"
						}
						return fmt.Sprintf("%.2f", h.answered[min(k*len(h.answered)/100, len(h.answered)-1)].Seconds())
					}
					fmt.Fprintf(w, "%s\t%.1f %%\t%s\t%s\t%s\t%d\t%d\t%s\t\n", name, 100*h.found, at(50), at(99), at(100), h.none, h.wrong, seconds(h.linked))
				}
			}
		}
	}
	return w.Flush()
}

// seconds shows a time; a negative one did not come.
func seconds(d time.Duration) string {
	if d < 0 {
		return "not yet"
	}
	return fmt.Sprintf("%.2f", d.Seconds())
}
