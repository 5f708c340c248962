package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"

	"ircbridge/bridge"
)

// statusUsage is the usage of all that only asks the running node.
const statusUsage = "[-data DIR] [-config FILE] [-json]"

// lookupUsage is that of lookup.
const lookupUsage = statusUsage + " NAME"

// queryFlags are the flags of subcommands that ask the running node.
type queryFlags struct {
	set          *flag.FlagSet
	config, data string
	json         bool
}

func newQueryFlags(name string) *queryFlags {
	f := &queryFlags{set: flag.NewFlagSet(name, flag.ContinueOnError)}
	f.set.SetOutput(io.Discard)
	f.set.StringVar(&f.data, "data", "", "ask the node that runs on the data directory `DIR` (default: as run)")
	f.set.StringVar(&f.config, "config", "", "configuration `FILE` that names the data directory (default: as run)")
	f.set.BoolVar(&f.json, "json", false, "print JSON")
	return f
}

// parse reads the command line, which has exactly the arguments named. It
// returns flag.ErrHelp for -h.
func (f *queryFlags) parse(args []string, names ...string) error {
	if err := f.set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%s: %w; ircbridge help lists the flags", f.set.Name(), err)
	}
	switch n := f.set.NArg(); {
	case n < len(names):
		return fmt.Errorf("%s needs %s after its flags", f.set.Name(), names[n])
	case n > len(names):
		return fmt.Errorf("%s does not know what to do with %q; ircbridge help shows how it is used", f.set.Name(), f.set.Arg(len(names)))
	}
	return nil
}

// dataDir is the directory of the node that is asked.
func (f *queryFlags) dataDir() (string, error) {
	path := f.config
	if path == "" {
		var err error
		if path, err = bridge.DefaultConfigPath(); err != nil {
			return "", err
		}
	}
	cfg, err := bridge.Load(path, bridge.Overrides{DataDir: f.data})
	return cfg.Node.DataDir, err
}

// answer is what a node answers: text for a person, or JSON.
type answer interface{ Text() string }

// askNode is a whole subcommand that asks the running node: parse, ask, print.
func askNode[A answer](name string, args []string, stdout, stderr io.Writer, names []string, ask func(ctx context.Context, dataDir string, args []string) (A, error)) int {
	f := newQueryFlags(name)
	switch err := f.parse(args, names...); {
	case errors.Is(err, flag.ErrHelp):
		return printHelp(nil, stdout, stderr)
	case err != nil:
		return complain(stderr, statusWrong, err)
	}
	dir, err := f.dataDir()
	if err != nil {
		return complain(stderr, statusWrong, err)
	}
	a, err := ask(context.Background(), dir, f.set.Args())
	switch {
	case errors.Is(err, bridge.ErrNobody):
		return complain(stderr, statusFailed, fmt.Errorf("%w; start one there, or name the directory of another with -data DIR", err))
	case err != nil:
		return complain(stderr, statusFailed, err)
	}
	if f.json {
		text, err := json.MarshalIndent(a, "", "  ")
		if err != nil {
			return complain(stderr, statusFailed, err)
		}
		fmt.Fprintf(stdout, "%s\n", text)
	} else {
		fmt.Fprint(stdout, a.Text())
	}
	if a, ok := any(a).(interface{ Err() error }); ok && a.Err() != nil {
		return complain(stderr, statusFailed, a.Err())
	}
	return statusOK
}

func printStatus(args []string, stdout, stderr io.Writer) int {
	return askNode("status", args, stdout, stderr, nil,
		func(ctx context.Context, dir string, _ []string) (bridge.Status, error) {
			return bridge.QueryStatus(ctx, dir)
		})
}

func printInvitation(args []string, stdout, stderr io.Writer) int {
	return askNode("invite", args, stdout, stderr, nil,
		func(ctx context.Context, dir string, _ []string) (bridge.Invitation, error) {
			return bridge.QueryInvitation(ctx, dir)
		})
}

func printLookup(args []string, stdout, stderr io.Writer) int {
	return askNode("lookup", args, stdout, stderr, []string{"a nick or a #channel"},
		func(ctx context.Context, dir string, args []string) (bridge.Trace, error) {
			return bridge.QueryTrace(ctx, dir, args[0])
		})
}
