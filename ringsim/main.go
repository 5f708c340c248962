package ringsim

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Main is the command ringsim. It returns the exit status: 0 nothing was wrong,
// 1 something was, 2 wrong command line.
func Main(args []string, stdout, stderr io.Writer) int {
	set := flag.NewFlagSet("ringsim", flag.ContinueOnError)
	set.SetOutput(stderr)
	seeds := set.Int("seeds", 20, "how many `seeds` to run of each scenario")
	seed := set.Uint64("seed", 1, "the first `seed`; without -seeds and -minutes the only one")
	names := set.String("scenario", "mixed", "`names` of scenarios, with commas between; all for each of them")
	nodes := set.Int("nodes", 0, "`number` of nodes at the beginning; 0 lets the seed draw it")
	minutes := set.Float64("minutes", 0, "run seed after seed for so many `minutes` of real time, instead of -seeds")
	mode := set.String("mode", string(Safety), "what is asked: safety or liveness")
	verbose := set.Bool("v", false, "print what happens, in words")
	events := set.Bool("vv", false, "print each event of the network too")
	jobs := set.Int("jobs", runtime.GOMAXPROCS(0), "how many runs at a `time`")
	set.Usage = func() {} // only for who asks
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		set.SetOutput(stdout)
		usage(set, stdout)
		return 0
	case err != nil:
		return 2 // it has been printed
	}
	scenarios, err := pick(*names)
	if err == nil && (set.NArg() > 0 || *nodes < 0 || *nodes > 2000 || *seeds < 1 || *jobs < 1 || Mode(*mode) != Safety && Mode(*mode) != Liveness) {
		err = errors.New("flags only; -mode is safety or liveness, -nodes at most 2000, -seeds and -jobs at least 1")
	}
	if err != nil {
		fmt.Fprintf(stderr, "ringsim: %v\n", err)
		return 2
	}
	given := make(map[string]bool)
	set.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if given["seed"] && !given["seeds"] {
		*seeds = 1
	}
	if *verbose || *events {
		*jobs = 1
	}
	b := &batch{stdout: stdout, stderr: stderr, nodes: *nodes, mode: Mode(*mode), jobs: *jobs, seeds: *seeds, first: *seed, minutes: *minutes}
	if *verbose || *events {
		b.trace = stdout
	}
	if *events {
		b.events = stdout
	}
	return b.run(scenarios)
}

// pick finds scenarios by name.
func pick(names string) ([]Scenario, error) {
	all := Scenarios()
	if names == "all" {
		return all, nil
	}
	var list []Scenario
	for _, name := range strings.Split(names, ",") {
		i := slices.IndexFunc(all, func(s Scenario) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no scenario %q; ringsim -h lists them", name)
		}
		list = append(list, all[i])
	}
	return list, nil
}

func usage(set *flag.FlagSet, out io.Writer) {
	fmt.Fprint(out, `ringsim runs whole rings in virtual time, lets faults happen to them, and
judges what their users sent and saw.

  go run ./cmd/ringsim                               20 seeds of mixed faults
  go run ./cmd/ringsim -scenario all -seeds 50       50 seeds of each scenario
  go run ./cmd/ringsim -scenario half -seed 7 -v     one run, told in words
  go run ./cmd/ringsim figures -h                    figures of rings

Scenarios:
`)
	for _, s := range Scenarios() {
		fmt.Fprintf(out, "  %-12s %s\n", s.Name, s.About)
	}
	fmt.Fprintln(out, "\nFlags:")
	set.PrintDefaults()
}

// Replay is the command that makes a run again.
func (o Options) Replay() string {
	s := fmt.Sprintf("go run ./cmd/ringsim -scenario %s -seed %d", o.Scenario.Name, o.Seed)
	if o.Nodes > 0 {
		s += fmt.Sprintf(" -nodes %d", o.Nodes)
	}
	if o.Mode != Safety {
		s += " -mode " + string(o.Mode)
	}
	return s
}

// endOf is when a batch ends that lasts so many minutes.
func endOf(minutes float64) time.Time {
	return time.Now().Add(time.Duration(minutes * float64(time.Minute)))
}
