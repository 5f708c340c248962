package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"ircbridge/demo"
)

// The exit statuses; help lists them.
const (
	statusOK     = 0 // ended as asked
	statusFailed = 1 // could not start, or not go on, or nobody answered
	statusWrong  = 2 // wrong command line or configuration, or a key that another node has
)

// version of the program.
const version = "0.1.0"

// dispatch runs the subcommand that args begin with, run if they begin with
// none, and returns the exit status.
func dispatch(args []string, stdout, stderr io.Writer) int {
	name := "run"
	switch {
	case len(args) > 0 && (args[0] == "-h" || args[0] == "-help" || args[0] == "--help"):
		name, args = "help", nil
	case len(args) > 0 && (args[0] == "-version" || args[0] == "--version"):
		name, args = "version", args[1:]
	case len(args) > 0 && !strings.HasPrefix(args[0], "-"):
		name, args = args[0], args[1:]
	}
	for _, c := range subcommands() {
		if c.name == name {
			return c.run(args, stdout, stderr)
		}
	}
	if name == demo.ChildCommand { // in no list: people have no use for it
		return runDemoNode(args, stdout, stderr)
	}
	return complain(stderr, statusWrong, fmt.Errorf("there is no subcommand %q; there are %s", name, strings.Join(names(), ", ")))
}

// complain prints an error in one line and returns the status.
func complain(stderr io.Writer, status int, err error) int {
	fmt.Fprintf(stderr, "ircbridge: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	return status
}

func printVersion(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		return complain(stderr, statusWrong, fmt.Errorf("version takes no arguments, but got %q", args[0]))
	}
	fmt.Fprintf(stdout, "ircbridge %s (%s)\n", version, strings.Join(build(), ", "))
	return statusOK
}

// build says what the program was built from, and for what.
func build() []string {
	system := runtime.GOOS + "/" + runtime.GOARCH
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return []string{runtime.Version(), system}
	}
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	var parts []string
	if revision := set["vcs.revision"]; revision != "" {
		part := "revision " + revision[:min(len(revision), 12)]
		if day, _, ok := strings.Cut(set["vcs.time"], "T"); ok {
			part += " of " + day
		}
		if set["vcs.modified"] == "true" {
			part += " with changes"
		}
		parts = append(parts, part)
	}
	return append(parts, info.GoVersion, system)
}

func printHelp(_ []string, stdout, _ io.Writer) int {
	fmt.Fprint(stdout, "ircbridge is chat without a central server, from any IRC client.\n\nUsage:\n")
	for _, c := range subcommands() {
		name := c.name
		if name == "run" {
			name = "[run]"
		}
		fmt.Fprintf(stdout, "  %s\n        %s\n", strings.TrimSpace("ircbridge "+name+" "+c.usage), c.help)
	}
	fmt.Fprint(stdout, "\nFlags of run:\n")
	f := newRunFlags()
	f.set.SetOutput(stdout)
	f.set.PrintDefaults()
	fmt.Fprint(stdout, "\nFlags of what asks the running node:\n")
	q := newQueryFlags("status")
	q.set.SetOutput(stdout)
	q.set.PrintDefaults()
	fmt.Fprint(stdout, "\nFlags of demo:\n")
	d := newDemoFlags()
	d.set.SetOutput(stdout)
	d.set.PrintDefaults()
	fmt.Fprint(stdout, `
Flags win over the configuration file; config.example.toml shows every key of it.
Exit status: 0 ended as asked, 1 could not start or not go on, or no node
answered, 2 wrong command line or configuration, or another node runs with
this one's key.
`)
	return statusOK
}
