// Package figures measures simulated rings and prints what it finds beside
// what the literature has: what lookups and maintenance cost, how evenly keys
// lie, how soon nodes know of a join or a death, what is found when half of all
// nodes die at once, what lookups do under churn, and how long a ring that was
// cut in two needs to be one again.
//
//	go run ./cmd/ringsim figures              # a short set, under two minutes
//	go run ./cmd/ringsim figures all          # everything, with a ring of 10,000
//	go run ./cmd/ringsim figures -sizes 64 rings churn
//
// The rings are the program's own code (package chord, with what the program
// sets: r = 16, a period of 1 s) on the simulated host, in virtual time: nodes
// on a quiet local network with messages of 1 to 1.5 ms. One seed gives the same
// figures on every machine. Where it matters a ring is measured with the table
// of contacts, as the program runs, and without it ("ring only").
//
// Package figures judges nothing: it has no marks, and its exit status says only
// whether it could measure. It never looks into a ring but through the methods
// that the layers above have.
//
// Sources of the figures beside ours: I. Stoica et al., "Chord", IEEE/ACM ToN
// 11(1), 2003, for hops, keys and churn; docs/figures.md says which are whose.
package figures

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxSize bounds a ring, maxTables one whose nodes have tables of contacts: N
// tables of N contacts need more memory than a machine for developers has.
const (
	maxSize   = 10_000
	maxTables = 3000
)

// options say what is measured.
type options struct {
	seed     uint64
	sizes    []int
	lookups  int
	events   int
	lists    []int
	sessions []time.Duration
	span     time.Duration
	modes    []bool // with tables of contacts, without

	stdout, progress io.Writer
}

// A figure is measured in rings of some sizes: few and small ones in the short
// set, and those that the literature has otherwise.
type figure struct {
	name, what  string
	short, full []int
	print       func(o options) error
}

func figureTable() []figure {
	return []figure{
		{"keys", "how evenly keys lie", []int{16, 1000}, []int{16, 1000}, printKeys},
		{"rings", "hops, bytes, and the time until nodes know of a join and of a death", []int{10, 16, 100}, []int{10, 16, 64, 100, 1000, 10_000}, printRings},
		{"halves", "lookups after half of all nodes died at once", []int{300}, []int{1000}, printHalves},
		{"churn", "lookups while nodes come and go", []int{100}, []int{1000}, printChurn},
		{"cut", "the time until a ring that was cut in two is one", []int{16, 100}, []int{16, 100, 1000}, printCuts},
	}
}

// Main is the subcommand. It returns the exit status: 0 done, 1 a ring did not do
// what it must, 2 wrong command line.
func Main(args []string, stdout, stderr io.Writer) int {
	o, names, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "ringsim figures: %v\n", err)
		return 2
	}
	o.stdout, o.progress = stdout, stderr
	start := time.Now()
	for _, f := range figureTable() {
		in := func(name string) bool { return slices.Contains(names, name) }
		if !in(f.name) && !in("all") && !in("short") {
			continue
		}
		of := o
		if of.sizes == nil {
			if of.sizes = f.full; !in(f.name) && !in("all") {
				of.sizes = f.short
			}
		}
		if err := f.print(of); err != nil {
			fmt.Fprintf(stderr, "ringsim figures: %s, seed %d: %v\n", f.name, o.seed, err)
			return 1
		}
		fmt.Fprintln(stdout)
	}
	fmt.Fprintf(stderr, "all measured in %v\n", time.Since(start).Round(100*time.Millisecond))
	return 0
}

// parse reads the command line. Its errors are told by the caller.
func parse(args []string, stderr io.Writer) (o options, names []string, err error) {
	set := flag.NewFlagSet("ringsim figures", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	sizes := set.String("sizes", "", "`NUMBERS` of nodes, with commas between (default: those of each figure)")
	lists := set.String("lists", "4,8,16", "halves: `LENGTHS` of successor lists")
	sessions := set.String("sessions", "60m,30m,10m,4m", "churn: median `TIMES` for which a node stays")
	set.Uint64Var(&o.seed, "seed", 1, "`SEED` of the simulation")
	set.IntVar(&o.lookups, "lookups", 2000, "lookups in each ring; churn: at least so many")
	set.IntVar(&o.events, "events", 10, "rings: joins, deaths and hangs in each ring, of each so many; above 3,000 nodes one; cut: cuts in each ring of up to 100 nodes")
	set.DurationVar(&o.span, "for", 10*time.Minute, "churn: virtual `TIME` for each kind of session")
	only := set.String("only", "", "rings, churn: measure only rings with `TABLES` of contacts (table) or without (ring)")
	set.Usage = func() {}
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			usage(set, stderr)
		}
		return o, nil, err
	}
	if names = set.Args(); len(names) == 0 {
		names = []string{"short"}
	}
	for _, name := range names {
		if name != "all" && name != "short" && !slices.ContainsFunc(figureTable(), func(f figure) bool { return f.name == name }) {
			return o, nil, fmt.Errorf("%q is no figure; -h lists them", name)
		}
	}
	if o.modes = map[string][]bool{"": {true, false}, "table": {true}, "ring": {false}}[*only]; o.modes == nil {
		return o, nil, fmt.Errorf("-only: %q is neither table nor ring", *only)
	}
	if *sizes != "" {
		if o.sizes, err = numbers("sizes", *sizes, 4, maxSize); err != nil {
			return o, nil, err
		}
	}
	if o.lists, err = numbers("lists", *lists, 1, 64); err != nil {
		return o, nil, err
	}
	for s := range strings.SplitSeq(*sessions, ",") {
		d, err := time.ParseDuration(strings.TrimSpace(s))
		if err != nil || d < time.Minute {
			return o, nil, fmt.Errorf("-sessions: %q is no time of a minute or more, like 60m", s)
		}
		o.sessions = append(o.sessions, d)
	}
	if o.lookups < 1 || o.lookups > 1_000_000 || o.events < 1 || o.events > 1000 || o.span < time.Minute || o.span > 24*time.Hour {
		return o, nil, errors.New("-lookups goes from 1 to 1000000, -events from 1 to 1000, -for from 1m to 24h")
	}
	return o, names, nil
}

func numbers(name, text string, least, most int) (ns []int, err error) {
	for s := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < least || n > most {
			return nil, fmt.Errorf("-%s: %q is no number from %d to %d", name, s, least, most)
		}
		ns = append(ns, n)
	}
	return ns, nil
}

func usage(set *flag.FlagSet, w io.Writer) {
	fmt.Fprint(w, "Usage: ringsim figures [flags] [NAME ...]\n\nPrints figures of simulated rings. NAME is one of:\n\n")
	for _, f := range figureTable() {
		fmt.Fprintf(w, "  %-7s %s (%d nodes)\n", f.name, f.what, f.full)
	}
	fmt.Fprint(w, "  short   each of these, in smaller rings, in under two minutes (what is done without a NAME)\n  all     each of these; with its ring of 10,000 nodes it takes most of an hour\n\nFlags:\n")
	set.SetOutput(w)
	set.PrintDefaults()
}

// timed tells, on the side, how long something took.
func (o options) timed(what string, f func() error) error {
	start := time.Now()
	err := f()
	fmt.Fprintf(o.progress, "%s: measured in %v\n", what, time.Since(start).Round(100*time.Millisecond))
	return err
}
