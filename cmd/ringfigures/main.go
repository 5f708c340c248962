// Command ringfigures prints figures of simulated rings: what lookups and
// maintenance cost, how evenly keys lie, and how soon neighbours, and all
// others, know of a join and of a death. Each ring is measured with the table of
// contacts and without it ("ring only").
//
//	go run ./cmd/ringfigures -sizes 16,100,1000
//	go run ./cmd/ringfigures -sizes 10000 -events 3
//
// Rings of more than 3,000 nodes are measured without tables, which would need
// more memory than a machine for developers has: N tables of N contacts.
//
// The rings are the program's own code (package chord) on the simulated host, in
// virtual time: nodes on a quiet local network with messages of 1 to 1.5 ms.
// One seed gives the same figures on every machine. It is a tool for developers
// and no part of the product.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// maxSize bounds a ring, maxTables one whose nodes have tables.
const (
	maxSize   = 10_000
	maxTables = 3000
)

func main() { os.Exit(command(os.Args[1:], os.Stdout, os.Stderr)) }

// command runs the program and returns its exit status: 0 done, 1 a ring did
// not do what it must, 2 wrong command line.
func command(args []string, stdout, stderr io.Writer) int {
	set := flag.NewFlagSet("ringfigures", flag.ContinueOnError)
	set.SetOutput(stderr)
	sizes := set.String("sizes", "16,100,1000", "`NUMBERS` of nodes, with commas between")
	seed := set.Uint64("seed", 1, "`SEED` of the simulation")
	lookups := set.Int("lookups", 2000, "lookups in each ring")
	events := set.Int("events", 20, "joins, deaths and hangs in each ring, of each so many")
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // it has been printed
	}
	ns, err := parseSizes(*sizes)
	if err == nil && (set.NArg() > 0 || *lookups < 1 || *lookups > 1_000_000 || *events < 1 || *events > 1000) {
		err = errors.New("flags only; -lookups from 1 to 1000000, -events from 1 to 1000")
	}
	if err != nil {
		fmt.Fprintf(stderr, "ringfigures: %v\n", err)
		return 2
	}
	var rows []row
	for _, n := range ns {
		for _, table := range []bool{true, false} {
			if table && n > maxTables {
				continue
			}
			start := time.Now()
			f, err := measure(*seed, n, *lookups, *events, table)
			r := row{n, table, f}
			if err != nil {
				fmt.Fprintf(stderr, "ringfigures: %s, seed %d: %v\n", r.name(), *seed, err)
				return 1
			}
			rows = append(rows, r)
			fmt.Fprintf(stderr, "%s: measured in %v\n", r.name(), time.Since(start).Round(100*time.Millisecond))
		}
	}
	printRows(stdout, rows, *lookups, *events)
	return 0
}

// row is a ring of that size.
type row struct {
	size  int
	table bool
	figures
}

func (r row) name() string {
	if r.table {
		return fmt.Sprintf("%d nodes", r.size)
	}
	return fmt.Sprintf("%d, ring only", r.size)
}

func printRows(stdout io.Writer, rows []row, lookups, events int) {
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%d lookups\thops, mean\tp99\tmost\twrong owner\t\n", lookups)
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%.2f\t%d\t%d\t%d\t\n", r.name(), r.meanHops, r.p99Hops, r.maxHops, r.wrong)
	}
	fmt.Fprint(w, "\na node\tat rest, bytes/s sent\tmessages/s sent\tsessions of 1 h, bytes/s\tfullest node/mean\t\n")
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
	w.Flush()
}

func parseSizes(text string) (sizes []int, err error) {
	for s := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 4 || n > maxSize {
			return nil, fmt.Errorf("-sizes: %q is no number from 4 to %d", s, maxSize)
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}
