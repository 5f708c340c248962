package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"

	"ircbridge/bridge"
	"ircbridge/demo"
)

const demoUsage = "[-nodes NUMBER] [-seed NUMBER] [-v] [-keep]"

// demoFlags are the flags of demo.
type demoFlags struct {
	set     *flag.FlagSet
	nodes   int
	seed    uint64
	v, keep bool
}

func newDemoFlags() *demoFlags {
	f := &demoFlags{set: flag.NewFlagSet("demo", flag.ContinueOnError)}
	f.set.SetOutput(io.Discard) // errors are told in one line
	f.set.IntVar(&f.nodes, "nodes", 5, "`NUMBER` of nodes, 3 to 20")
	f.set.Uint64Var(&f.seed, "seed", 0, "`NUMBER` that draws whose keeper dies, who is on which side, and how the bots chat (default: another one each time)")
	f.set.BoolVar(&f.v, "v", false, "show the nodes' logs, too")
	f.set.BoolVar(&f.keep, "keep", false, "leave the nodes' files and logs, and say where they are")
	return f
}

// runDemo is the subcommand demo: it plays package demo with this program's
// own executable as the nodes.
func runDemo(args []string, stdout, stderr io.Writer) int {
	f := newDemoFlags()
	switch err := f.set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return printHelp(nil, stdout, stderr)
	case err != nil:
		return complain(stderr, statusWrong, fmt.Errorf("demo: %w; ircbridge help lists the flags", err))
	case f.set.NArg() > 0:
		return complain(stderr, statusWrong, fmt.Errorf("demo takes flags only, but got %q; ircbridge help lists them", f.set.Arg(0)))
	}
	if err := demo.CheckNodes(f.nodes); err != nil {
		return complain(stderr, statusWrong, fmt.Errorf("demo: %w", err))
	}
	program, err := os.Executable()
	if err != nil {
		return complain(stderr, statusFailed, fmt.Errorf("demo: finding this program, to start nodes with it: %w", err))
	}
	cfg := demo.Config{
		Program: []string{program, demo.ChildCommand}, Nodes: f.nodes, Seed: f.seed, Out: stdout, Keep: f.keep,
		Place: placeOf, Keeper: keeperOf,
	}
	for cfg.Seed == 0 {
		cfg.Seed = rand.Uint64N(1_000_000)
	}
	if f.v {
		cfg.Log = stderr
	}
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	defer heedSignals(func() { stop(errors.New("stopped: the nodes have ended and their files are removed")) }, nil)()
	if err := demo.Run(ctx, cfg); err != nil {
		return complain(stderr, statusFailed, err)
	}
	return statusOK
}

// placeOf asks a node for its neighbours.
func placeOf(ctx context.Context, dataDir string) (demo.Place, error) {
	s, err := bridge.QueryStatus(ctx, dataDir)
	if err != nil {
		return demo.Place{}, err
	}
	p := demo.Place{ID: s.Node.ID}
	if s.Ring.Predecessor != nil {
		p.Predecessor = s.Ring.Predecessor.ID
	}
	if len(s.Ring.Successors) > 0 {
		p.Successor = s.Ring.Successors[0].ID
	}
	return p, nil
}

// keeperOf has a node look a channel up.
func keeperOf(ctx context.Context, dataDir, channel string) (demo.Keeping, error) {
	t, err := bridge.QueryTrace(ctx, dataDir, channel)
	if err == nil {
		err = t.Err()
	}
	if err != nil {
		return demo.Keeping{}, err
	}
	k := demo.Keeping{Keeper: t.Keeper.ID}
	for _, r := range t.Replicas {
		k.Replicas = append(k.Replicas, r.ID)
	}
	return k, nil
}
