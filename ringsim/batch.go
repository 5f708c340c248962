package ringsim

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// A batch is many runs, some at a time, and a table of what came of them.
type batch struct {
	stdout, stderr io.Writer
	trace, events  io.Writer
	nodes          int
	mode           Mode
	jobs           int
	seeds          int
	first          uint64
	minutes        float64
}

// run makes the runs and returns the exit status of the command.
func (b *batch) run(scenarios []Scenario) int {
	start, rows, wrong := time.Now(), make([]row, len(scenarios)), false
	end := endOf(b.minutes)
	var mu sync.Mutex // guards what follows
	next, ran := 0, 0
	take := func() (i int, o Options, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if b.minutes > 0 && time.Now().After(end) || b.minutes <= 0 && next == b.seeds*len(scenarios) {
			return 0, o, false
		}
		i = next % len(scenarios)
		o = Options{Seed: b.first + uint64(next/len(scenarios)), Scenario: scenarios[i], Mode: b.mode, Nodes: b.nodes, Trace: b.trace, Events: b.events}
		next++
		return i, o, true
	}
	var all sync.WaitGroup
	for range b.jobs {
		all.Go(func() {
			for {
				i, o, ok := take()
				if !ok {
					return
				}
				res := Simulate(o)
				mu.Lock()
				ran++
				rows[i].add(res)
				if len(res.Violations) > 0 {
					wrong = true
					b.tell(res)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for i, s := range scenarios {
		rows[i].name = s.Name
	}
	printTable(b.stdout, rows)
	fmt.Fprintf(b.stdout, "\n%d runs in %v, mode %s\n", ran, time.Since(start).Round(100*time.Millisecond), b.mode)
	if wrong {
		return 1
	}
	return 0
}

// tell prints what was wrong with a run, and how to make it again.
func (b *batch) tell(res Result) {
	fmt.Fprintf(b.stderr, "%s, seed %d, %d nodes: %v\n", res.Scenario.Name, res.Seed, res.Size, res.Report)
	for _, v := range res.Violations {
		fmt.Fprintf(b.stderr, "  %s\n", v)
	}
	fmt.Fprintf(b.stderr, "  again: %s\n", res.Replay())
}

// row is what came of all runs of one scenario.
type row struct {
	name                                                            string
	seeds, nodes, faults                                            int
	sent, acked, refused, delivered                                 int
	lost, excused, duplicated, reordered, invented, diverged, wrong int
	pass, agreed                                                    []time.Duration
}

func (r *row) add(res Result) {
	r.seeds++
	r.nodes += res.Size
	r.faults += res.Faults
	h := res.Report
	r.sent += h.Sent
	r.acked += h.Acked
	r.refused += h.Refused
	r.delivered += h.Delivered
	r.lost += h.Lost
	r.excused += h.Excused
	r.duplicated += h.Duplicated
	r.reordered += h.Reordered
	r.invented += h.Invented
	r.diverged += h.Diverged
	r.wrong += len(res.Violations)
	r.pass = append(r.pass, res.Pass...)
	if res.Agreed > 0 {
		r.agreed = append(r.agreed, res.Agreed)
	}
}

// percentile of durations, the least that so many in a hundred do not exceed.
func percentile(list []time.Duration, p int) time.Duration {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[max((len(sorted)*p+99)/100-1, 0)]
}

func printTable(out io.Writer, rows []row) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "scenario\tseeds\tfaults\tsent\tacked\trefused\tdelivered\tlost\texcused\tduplicated\treordered\tinvented\tdiverged\tviolations\tpass p50\tp99\tagreed p50\tp99\t")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t\n",
			r.name, r.seeds, r.faults, r.sent, r.acked, r.refused, r.delivered, r.lost, r.excused, r.duplicated, r.reordered, r.invented, r.diverged, r.wrong,
			inSeconds(percentile(r.pass, 50)), inSeconds(percentile(r.pass, 99)), inSeconds(percentile(r.agreed, 50)), inSeconds(percentile(r.agreed, 99)))
	}
	w.Flush()
}

func inSeconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
