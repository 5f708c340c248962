package figures

import (
	"fmt"
	"slices"
	"time"

	"ircbridge/chord"
)

// patience is how long a lookup under churn may take.
const patience = 10 * time.Second

// churned is what became of the lookups while nodes came and went.
type churned struct {
	came  int             // nodes that joined; as many died
	none  int             // lookups without an answer in patience, asked by a node that lived on
	wrong int             // that named a node which owned the key at no instant from question to answer
	took  []time.Duration // the others, in order
	bytes float64         // that a node sent in a second
}

// lookups is how many were asked by nodes that lived to see the answer.
func (c *churned) lookups() int { return c.none + c.wrong + len(c.took) }

// churn lets nodes come and go for span, with lookups of random keys from random
// members all the time.
func churn(seed uint64, size int, table bool, median, span time.Duration, lookups int) (c churned, err error) {
	n := newRing(seed, ringConfig(0, table), nil)
	defer n.w.Close()
	if err := n.grow(size); err != nil {
		return c, err
	}
	if err := n.awaitTables(); err != nil {
		return c, err
	}
	n.w.RunFor(time.Minute)
	n.session(min(span, median)/2, median) // what is to be measured has begun

	made, over := n.made, n.w.Elapsed()+span
	n.w.Go("questions", func() {
		for n.w.Elapsed() < over {
			if x := n.nodes[n.rng.IntN(len(n.nodes))]; x.owns >= 0 {
				key := n.key()
				n.w.Go("lookup", func() { c.lookup(n, x, key) })
			}
			n.w.Sleep(span / time.Duration(lookups))
		}
	})
	bytes, _ := n.traffic()
	n.session(span, median)
	bytes2, _ := n.traffic()
	n.w.Run()
	c.came, c.bytes = n.made-made, (bytes2-bytes)/span.Seconds()/float64(size)
	slices.Sort(c.took)
	return c, nil
}

// lookup asks once, and judges the answer.
func (c *churned) lookup(n *ring, x *node, key chord.ID) {
	start := n.w.Elapsed()
	f, err := x.r.Lookup(key, patience)
	now := n.w.Elapsed()
	switch {
	case x.died >= 0: // with who asked
	case err != nil:
		c.none++
	case !ownedAtSomeTime(n.all, f.Owner.ID, key, start, now):
		c.wrong++
	default:
		c.took = append(c.took, now-start)
	}
}

// ownedAtSomeTime reports whether key belonged to the node id at an instant from
// start to end: it lived and had been let in, and no other such node was between
// the key and it.
func ownedAtSomeTime(all []*node, id, key chord.ID, start, end time.Duration) bool {
	var owner *node
	var nearer []*node
	for _, x := range all {
		switch self := x.r.Self().ID; {
		case x.owns < 0:
		case self == id:
			owner = x
		case key != id && (self == key || chord.Between(key, self, id)):
			nearer = append(nearer, x)
		}
	}
	if owner == nil {
		return false
	}
	instants := []time.Duration{start, end}
	for _, x := range append(nearer, owner) {
		instants = append(instants, x.owns-1, x.owns, x.died)
	}
	return slices.ContainsFunc(instants, func(at time.Duration) bool {
		return at >= start && at <= end && owner.ownedAt(at) && !slices.ContainsFunc(nearer, func(x *node) bool { return x.ownedAt(at) })
	})
}

// ownedAt reports whether x was a living owner at that instant.
func (x *node) ownedAt(at time.Duration) bool { return x.owns <= at && (x.died < 0 || at < x.died) }

func printChurn(o options) error {
	w := newTable(o.stdout)
	fmt.Fprintf(w, "%v of churn\tjoins, deaths\tlookups\tno answer in %v\tin 10,000\twrong owner\tms: mean\tp50\tp99\tmost\tbytes/s sent\t\n", o.span, patience)
	for _, size := range o.sizes {
		for _, table := range o.modes {
			if table && size > maxTables {
				continue
			}
			for _, median := range o.sessions {
				name := fmt.Sprintf("%s, %v", ringName(size, table), median)
				var c churned
				err := o.timed("churn: "+name, func() (err error) {
					c, err = churn(o.seed, size, table, median, o.span, max(o.lookups, 10_000))
					return err
				})
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				var sum time.Duration
				for _, d := range c.took {
					sum += d
				}
				k := len(c.took)
				if k == 0 {
					return fmt.Errorf("%s: nobody answered any lookup", name)
				}
				ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
				fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%.1f\t%d\t%.1f\t%.1f\t%.0f\t%.0f\t%.0f\t\n", name, c.came, c.lookups(), c.none,
					1e4*float64(c.none)/float64(c.lookups()), c.wrong, ms(sum)/float64(k), ms(c.took[k/2]), ms(c.took[k*99/100]), ms(c.took[k-1]), c.bytes)
			}
		}
	}
	return w.Flush()
}
