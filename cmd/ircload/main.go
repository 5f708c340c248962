// Command ircload puts load on an IRC server, any IRC server, and prints how
// long things took and what was lost, doubled or out of order.
//
//	go run ./cmd/ircload message -server 127.0.0.1:6667
//	go run ./cmd/ircload fanout -local 1 -clients 1000
//
// With -local it starts nodes of ircbridge itself, as processes with directories
// and ports of their own, and ends them when it ends. What is measured, and
// how, stands in package load.
//
//	go run ./cmd/ircload kill -n 100
//
// and the other ordeals start nodes too, and let happen to them what happens to processes while users talk;
// how, stands in package ordeal.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ircbridge/load"
	"ircbridge/nodes"
	"ircbridge/ordeal"
)

// The exit statuses; the help lists them.
const (
	statusOK     = 0
	statusFailed = 1
	statusWrong  = 2
)

// maxRuns and maxNodes bound what one command does.
const (
	maxRuns  = 100
	maxNodes = 16
)

type flags struct {
	set     *flag.FlagSet
	opts    load.Options
	runs    int
	limit   time.Duration
	local   int
	program string
	rest    time.Duration
	down    time.Duration
	keep    string
	verbose bool
}

// strings and ints that may be repeated.
type (
	texts   struct{ to *[]string }
	numbers struct{ to *[]int }
)

func (t texts) String() string     { return "" }
func (t texts) Set(s string) error { *t.to = append(*t.to, s); return nil }
func (n numbers) String() string   { return "" }
func (n numbers) Set(s string) error {
	v, err := strconv.Atoi(s)
	if err != nil || v < 1 {
		return errors.New("not a process number")
	}
	*n.to = append(*n.to, v)
	return nil
}

func newFlags() *flags {
	f := &flags{set: flag.NewFlagSet("ircload", flag.ContinueOnError), opts: load.Defaults()}
	f.set.SetOutput(io.Discard) // errors are told in one line
	o := &f.opts
	f.set.DurationVar(&f.rest, "rest", -1, "in ordeals, the time before each fault (default 1s)")
	f.set.DurationVar(&f.down, "down", -1, "in ordeals, the time from a fault until it is undone (default by the ordeal)")
	f.set.StringVar(&f.keep, "keep", "", "in ordeals, the `DIR` for the nodes' logs when something was wrong")
	f.set.BoolVar(&f.verbose, "v", false, "in ordeals, say what happens")
	f.set.Var(texts{&o.Servers}, "server", "IRC server at `HOST:PORT`; may be repeated: senders use the first, receivers the second, members and idle clients all in turn")
	f.set.BoolVar(&o.AllowRemote, "allow-remote", false, "allow servers that are not on this machine; ask their owners first")
	f.set.IntVar(&f.local, "local", 0, "start `N` nodes of ircbridge, joined to each other, and use them")
	f.set.StringVar(&f.program, "program", "", "the ircbridge for -local: a `FILE` (default: built from the tree in which this runs)")
	f.set.IntVar(&f.runs, "runs", 1, "measure so many times, and print medians")
	f.set.DurationVar(&f.limit, "limit", 2*time.Minute, "end everything after this time")
	f.set.IntVar(&o.Count, "n", o.Count, "messages (register: registrations; channels: messages for each channel)")
	f.set.IntVar(&o.Clients, "clients", o.Clients, "members in fanout, clients in idle")
	f.set.IntVar(&o.Channels, "channels", o.Channels, "channels in channels")
	f.set.IntVar(&o.Each, "each", o.Each, "channels that one client joins in channels")
	f.set.IntVar(&o.Parallel, "parallel", o.Parallel, "clients that register or join at one time")
	f.set.Float64Var(&o.Rate, "rate", 0, "messages a second in message and private, counted from when each was due (default: one in flight)")
	f.set.IntVar(&o.Warmup, "warmup", o.Warmup, "messages (or registrations) first that are not counted")
	f.set.IntVar(&o.Window, "window", o.Window, "messages in flight in fanout")
	f.set.IntVar(&o.Size, "size", o.Size, "bytes of a message's text")
	f.set.StringVar(&o.Channel, "channel", "", "channel of message and fanout (default: a new one; with -local one that the last node keeps)")
	f.set.Var(numbers{&o.PIDs}, "pid", "the server's process, for idle and quiet; may be repeated (-local knows its own)")
	f.set.DurationVar(&o.Wait, "wait", o.Wait, "time after which what has not come is lost")
	f.set.DurationVar(&o.For, "for", o.For, "how long quiet watches")
	f.set.DurationVar(&o.After, "after", o.After, "how long quiet lets pass before that, and idle before it looks (two seconds at least)")
	return f
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// command runs the program and returns its exit status.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	complain := func(status int, err error) int {
		fmt.Fprintf(stderr, "ircload: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
		return status
	}
	f := newFlags()
	if len(args) == 0 || args[0] == "-h" || args[0] == "-help" || args[0] == "--help" || args[0] == "help" {
		f.help(stdout)
		return statusOK
	}
	mode := args[0]
	switch err := f.parse(args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		f.help(stdout)
		return statusOK
	case err != nil:
		return complain(statusWrong, err)
	}
	names, _ := load.Modes()
	ordeals, _ := ordeal.Faults()
	if !slices.Contains(names, mode) && !slices.Contains(ordeals, mode) {
		return complain(statusWrong, fmt.Errorf("there is no mode %q; there are %s", mode, strings.Join(slices.Concat(names, ordeals), ", ")))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.limit, fmt.Errorf("-limit %v is over", f.limit))
	defer cancel()
	if slices.Contains(ordeals, mode) {
		return f.suffer(ctx, mode, stdout, stderr, complain)
	}
	if f.program != "" && f.local == 0 {
		return complain(statusWrong, errors.New("-program is for -local N; add that"))
	}
	if f.local > 0 {
		group, err := startNodes(ctx, f.program, f.local, stderr)
		if err != nil {
			return complain(statusFailed, err)
		}
		defer group.Close()
		fill(&f.opts, group)
		fmt.Fprintf(stdout, "-local %d, %s\n", f.local, group.Nodes()[0].Version())
	}
	var runs []load.Report
	clean := true
	for range f.runs {
		rep, err := load.Run(ctx, mode, f.opts)
		if err != nil {
			if len(rep.Figures) > 0 {
				fmt.Fprint(stdout, "incomplete: ", load.Format([]load.Report{rep}))
			}
			return complain(statusFailed, err)
		}
		runs = append(runs, rep)
		clean = clean && rep.Counts.Clean()
	}
	fmt.Fprint(stdout, load.Format(runs))
	if !clean {
		return statusFailed
	}
	return statusOK
}

// suffer runs an ordeal.
func (f *flags) suffer(ctx context.Context, name string, stdout, stderr io.Writer, complain func(int, error) int) int {
	o := ordeal.Defaults(name)
	if len(f.opts.Servers) > 0 || len(f.opts.PIDs) > 0 {
		return complain(statusWrong, errors.New("what an ordeal does to nodes it does to its own; leave -server and -pid away"))
	}
	f.set.Visit(func(g *flag.Flag) {
		switch g.Name {
		case "n":
			o.Rounds = f.opts.Count
		case "local":
			o.Nodes = f.local
		case "rate":
			o.Rate = f.opts.Rate
		case "rest":
			o.Rest = f.rest
		case "down":
			o.Down = f.down
		}
	})
	o.Keep = f.keep
	o.Group = nodes.Options{Program: f.program, Progress: stderr}
	if f.verbose {
		o.Log = stderr
	}
	rep, err := ordeal.Run(ctx, o)
	if err != nil && len(rep.First) == 0 {
		return complain(statusFailed, err)
	}
	fmt.Fprint(stdout, rep)
	if err != nil {
		return complain(statusFailed, err)
	}
	if len(rep.Violations) > 0 {
		return statusFailed
	}
	return statusOK
}

func (f *flags) parse(args []string) error {
	if err := f.set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w; ircload -h lists the flags", err)
	}
	switch {
	case f.set.NArg() > 0:
		return fmt.Errorf("%q is not understood; the mode comes first, then flags only", f.set.Arg(0))
	case f.runs < 1 || f.runs > maxRuns:
		return fmt.Errorf("-runs is %d, and must be between 1 and %d", f.runs, maxRuns)
	case f.local < 0 || f.local > maxNodes:
		return fmt.Errorf("-local is %d, and must be between 1 and %d", f.local, maxNodes)
	case f.limit <= 0 || f.limit > time.Hour:
		return fmt.Errorf("-limit is %v, and must be above 0 and at most 1h", f.limit)
	case f.local > 0 && (len(f.opts.Servers) > 0 || len(f.opts.PIDs) > 0):
		return errors.New("-local has servers of its own; leave -server and -pid away, or -local")
	}
	return nil
}

func (f *flags) help(w io.Writer) {
	fmt.Fprint(w, "ircload puts load on an IRC server and prints what came of it.\n\nUsage: ircload MODE [flags]\n\nModes:\n")
	names, helps := load.Modes()
	for i, name := range names {
		fmt.Fprintf(w, "  %-9s %s\n", name, helps[i])
	}
	fmt.Fprint(w, "\nOrdeals, of nodes that are started for them (-local N, 5 if it is not given; -n rounds; -rate messages a second, 200):\n")
	names, helps = ordeal.Faults()
	for i, name := range names {
		fmt.Fprintf(w, "  %-12s %s\n", name, helps[i])
	}
	fmt.Fprint(w, "\nFlags:\n")
	f.set.SetOutput(w)
	f.set.PrintDefaults()
	fmt.Fprint(w, `
Times are from client to client, one way, on one clock. Clients and server share
the machine. Exit status: 0 measured, and every message came once and in order;
1 it could not be measured, or messages were lost, doubled, out of order or
altered, or an ordeal missed a mark; 2 wrong command line.
`)
}
