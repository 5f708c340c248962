package script

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"
)

const usage = `usage: ircbridge script [-server HOST:PORT] [-timeout DURATION] [-v] FILE...

Runs scripted IRC sessions (docs/scripts.md). Without -server, nodes are
started as the session asks; with it, the session runs against that server.

`

// Main is the subcommand `script`: it runs the sessions named in args (without
// the name of the subcommand) one after the other, and returns the exit status: 0 when all
// held, 1 when one failed, 2 when the arguments are wrong. Nodes are started
// from the running executable. The first interrupt ends the session and its processes.
func Main(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("script", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	server := flags.String("server", "", "run against the IRC server at `HOST:PORT` instead of starting nodes")
	timeout := flags.Duration("timeout", DefaultTimeout, "how long a step may take")
	verbose := flags.Bool("v", false, "show each step, line and log line as it comes")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() == 0 || *timeout <= 0:
		flags.Usage()
		return 2
	}
	opts := Options{Server: *server, Timeout: *timeout}
	if *verbose {
		opts.Log = stdout
	}
	if *server == "" {
		program, err := os.Executable()
		if err != nil {
			fmt.Fprintf(stderr, "finding the program to start nodes with: %v\n", err)
			return 1
		}
		opts.Program = program
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	status := 0
	for _, name := range flags.Args() {
		began := time.Now()
		if err := runFile(ctx, name, opts); err != nil {
			fmt.Fprintf(stderr, "FAIL %s\n  %s\n", name, strings.ReplaceAll(err.Error(), "\n", "\n  "))
			status = 1
			continue
		}
		fmt.Fprintf(stdout, "ok   %s (%.1f s)\n", name, time.Since(began).Seconds())
	}
	return status
}

func runFile(ctx context.Context, name string, opts Options) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("opening the session: %w", err)
	}
	defer f.Close()
	s, err := Parse(name, f)
	if err != nil {
		return err
	}
	return Run(ctx, s, opts)
}
