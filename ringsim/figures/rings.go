package figures

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"ircbridge/host/sim"
)

// cost is what one ring costs, and how soon its nodes know of what happens.
type cost struct {
	meanHops         float64
	p99Hops, maxHops int
	wrong            int     // lookups that named another than the owner
	bytes, messages  float64 // sent by a node in a second, while nothing happens
	churning         float64 // the same bytes while sessions last an hour in the median
	fullest          float64 // the greatest part of the ring, as a multiple of the mean

	join, death, hang noticed
}

// noticed is how long it takes until neighbours know of something: the two
// nearest, all who have the place in their lists, and every node.
type noticed struct{ nearest, all, every span }

// span is the median and the longest of some times.
type span struct{ median, longest time.Duration }

func (s span) String() string {
	return fmt.Sprintf("%.2f\t%.2f", s.median.Seconds(), s.longest.Seconds())
}

func spanOf(ds []time.Duration) span {
	slices.Sort(ds)
	return span{ds[len(ds)/2], ds[len(ds)-1]}
}

func measure(seed uint64, size, lookups, events int, table bool) (f cost, err error) {
	n := newRing(seed, ringConfig(0, table), nil)
	defer n.w.Close()
	if err := n.grow(size); err != nil {
		return f, err
	}
	if err := n.awaitTables(); err != nil {
		return f, err
	}
	f.fullest = n.fullest()
	n.w.RunFor(time.Minute) // fingers are looked up

	bytes, messages := n.traffic()
	n.w.RunFor(time.Minute)
	bytes2, messages2 := n.traffic()
	f.bytes, f.messages = (bytes2-bytes)/60/float64(size), (messages2-messages)/60/float64(size)

	hops, wrong, err := n.lookups(lookups)
	if err != nil {
		return f, err
	}
	sum := 0
	for _, h := range hops {
		sum += h
	}
	f.meanHops, f.wrong = float64(sum)/float64(len(hops)), wrong
	f.p99Hops, f.maxHops = hops[len(hops)*99/100], hops[len(hops)-1]

	bytes, _ = n.traffic()
	n.session(10*time.Minute, time.Hour)
	bytes2, _ = n.traffic()
	f.churning = (bytes2 - bytes) / 600 / float64(size)
	if err := n.awaitIdeal(); err != nil {
		return f, err
	}

	if f.join, err = n.repeat(events, n.oneJoin); err != nil {
		return f, fmt.Errorf("join: %w", err)
	}
	if f.death, err = n.repeat(events, n.oneDeath); err != nil {
		return f, fmt.Errorf("death: %w", err)
	}
	if f.hang, err = n.repeat(events, n.oneHang); err != nil {
		return f, fmt.Errorf("hang: %w", err)
	}
	return f, nil
}

// repeat measures something several times, each time in a ring of the same
// size that has come to rest.
func (n *ring) repeat(times int, once func() (known, error)) (noticed, error) {
	var near, far, every []time.Duration
	for range times {
		k, err := once()
		if err != nil {
			return noticed{}, err
		}
		near, far, every = append(near, k.nearest), append(far, k.all), append(every, k.every)
		if err := n.awaitIdeal(); err != nil {
			return noticed{}, err
		}
		n.w.RunFor(time.Duration(n.rng.IntN(2000)) * time.Millisecond) // any moment between two rounds
	}
	return noticed{spanOf(near), spanOf(far), spanOf(every)}, nil
}

// oneJoin lets a node join. Afterwards one dies, so that the size stays.
func (n *ring) oneJoin() (k known, err error) {
	through := n.nodes[n.rng.IntN(len(n.nodes))]
	x := n.add()
	n.join(x, through)
	k, err = n.timeUntil(n.around(x), x.r.Self().ID, true)
	if err == nil {
		_, err = n.end(n.w.Crash)
	}
	return k, err
}

// oneDeath kills a node, as SIGKILL does: its connections end.
func (n *ring) oneDeath() (known, error) {
	return n.replaced(n.w.Crash)
}

// oneHang stops a node, as SIGSTOP does: it is silent, and its connections stay.
func (n *ring) oneHang() (known, error) {
	return n.replaced(n.w.Pause)
}

// replaced ends a node. Afterwards another joins, so that the size stays.
func (n *ring) replaced(stop func(*sim.Host)) (k known, err error) {
	if k, err = n.end(stop); err == nil {
		through := n.nodes[n.rng.IntN(len(n.nodes))]
		n.join(n.add(), through)
	}
	return k, err
}

// end ends a random node and waits until nobody lists it.
func (n *ring) end(stop func(*sim.Host)) (known, error) {
	x := n.nodes[n.rng.IntN(len(n.nodes))]
	near := n.around(x)
	n.kill(x, stop)
	return n.timeUntil(near, x.r.Self().ID, false)
}

// row is a ring of that size, with the table of contacts or without.
type row struct {
	size  int
	table bool
	cost
}

func (r row) name() string { return ringName(r.size, r.table) }

func ringName(size int, table bool) string {
	if table {
		return fmt.Sprintf("%d nodes", size)
	}
	return fmt.Sprintf("%d, ring only", size)
}

func printRings(o options) error {
	var rows []row
	for _, size := range o.sizes {
		for _, table := range o.modes {
			events := o.events
			if size > maxTables {
				if table {
					continue
				}
				events = 1
			}
			r := row{size: size, table: table}
			err := o.timed("rings: "+r.name(), func() (err error) {
				r.cost, err = measure(o.seed, size, o.lookups, events, table)
				return err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", r.name(), err)
			}
			rows = append(rows, r)
		}
	}
	return printRows(o.stdout, rows, o.lookups, o.events)
}

func newTable(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
}

func printRows(stdout io.Writer, rows []row, lookups, events int) error {
	w := newTable(stdout)
	fmt.Fprintf(w, "%d lookups\thops, mean\tp99\tmost\twrong owner\t\n", lookups)
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%.2f\t%d\t%d\t%d\t\n", r.name(), r.meanHops, r.p99Hops, r.maxHops, r.wrong)
	}
	fmt.Fprint(w, "\na node\tat rest, bytes/s sent\tmessages/s sent\tsessions of 1 h, bytes/s\tgreatest part/mean\t\n")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%.0f\t%.1f\t%.0f\t%.1f\t\n", r.name(), r.bytes, r.messages, r.churning, r.fullest)
	}
	fmt.Fprintf(w, "\n%d each, s\tnearest two, p50\tmax\tall that list it, p50\tmax\tevery node, p50\tmax\t\n", events)
	for _, r := range rows {
		for i, x := range []noticed{r.join, r.death, r.hang} {
			every := "\t"
			if r.table {
				every = x.every.String()
			}
			name := []string{r.name() + ", join", "killed", "hung"}[i]
			fmt.Fprintf(w, "%s\t%v\t%v\t%s\t\n", name, x.nearest, x.all, every)
		}
	}
	return w.Flush()
}
