package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"sync"

	"ircbridge/bridge"
)

const runUsage = "[-config FILE] [-irc ADDR] [-listen ADDR]... [-join PEER]... [-overlay NAME] [-discovery=false] [-data DIR] [-console] [-nick NICK]"

// runFlags are the flags of run.
type runFlags struct {
	set                *flag.FlagSet
	config, irc, data  string
	nick, overlay      string
	listen, join       list
	console, discovery bool
}

// list is a flag that may be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

func newRunFlags() *runFlags {
	f := &runFlags{set: flag.NewFlagSet("run", flag.ContinueOnError)}
	f.set.SetOutput(io.Discard) // errors are told in one line
	f.set.StringVar(&f.config, "config", "", "configuration `FILE` (default: ircbridge/config.toml in the user's configuration directory, if it exists)")
	f.set.StringVar(&f.irc, "irc", "", "take IRC clients at `ADDR` (default 127.0.0.1:6667, or the next free port of ten)")
	f.set.Var(&f.listen, "listen", "take other nodes at `ADDR`, IP:PORT or :PORT, TCP and UDP; may be repeated (default 0.0.0.0:4747, or the next free port of ten)")
	f.set.Var(&f.join, "join", "join through the node at `PEER`, HOST:PORT or a multiaddress; may be repeated")
	f.set.StringVar(&f.overlay, "overlay", "", "`NAME` of the overlay, the same for all who chat together (default \"default\")")
	f.set.BoolVar(&f.discovery, "discovery", true, "find nodes of the same overlay on the local network, and let them find this one")
	f.set.StringVar(&f.data, "data", "", "data directory `DIR` (default: ircbridge in the user's data directory)")
	f.set.BoolVar(&f.console, "console", false, "chat here, at the terminal, too; the log then goes to a file in the data directory")
	f.set.StringVar(&f.nick, "nick", "", "`NICK` at the console (default: the login name)")
	return f
}

// parse reads the command line of run. It returns flag.ErrHelp for -h.
func (f *runFlags) parse(args []string) error {
	if err := f.set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w; ircbridge help lists the flags", err)
	}
	switch {
	case f.set.NArg() > 0:
		return fmt.Errorf("run takes flags only, but got %q; ircbridge help lists them", f.set.Arg(0))
	case f.nick != "" && !f.console:
		return errors.New("-nick names the user at the console; add -console, or leave -nick away (an IRC client brings its own nick)")
	}
	return nil
}

// overrides is what the flags say, with those that belong to front-ends.
func (f *runFlags) overrides() bridge.Overrides {
	o := bridge.Overrides{Overlay: f.overlay, DataDir: f.data, Listen: f.listen, Join: f.join, Tables: map[string]map[string]any{}}
	set := func(table, key string, value any) {
		if o.Tables[table] == nil {
			o.Tables[table] = map[string]any{}
		}
		o.Tables[table][key] = value
	}
	f.set.Visit(func(given *flag.Flag) {
		if given.Name == "discovery" {
			o.Discovery = &f.discovery
		}
	})
	if f.irc != "" {
		set("irc", "listen", []string{f.irc})
	}
	if f.console {
		set("console", "enabled", true)
	}
	if f.nick != "" {
		set("console", "nick", f.nick)
	}
	return o
}

// runNode is the subcommand run.
func runNode(args []string, stdout, stderr io.Writer) int {
	f := newRunFlags()
	switch err := f.parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return printHelp(nil, stdout, stderr)
	case err != nil:
		return complain(stderr, statusWrong, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	reload := make(chan struct{}, 1)
	defer heedSignals(stop, reload)()
	return f.run(ctx, reload, stdout, stderr)
}

// run runs a node until ctx is done, reads its configuration again whenever
// reload has something, and tells what went wrong.
func (f *runFlags) run(ctx context.Context, reload <-chan struct{}, stdout, stderr io.Writer) int {
	cfg, err := f.load()
	if err != nil {
		return complain(stderr, statusWrong, err)
	}
	node, err := bridge.New(cfg, bridge.Env{
		Out: stdout, Err: stderr, Version: version, Frontends: frontends(), Terminal: terminal(), Load: f.load,
	})
	if err == nil {
		err = f.supervised(ctx, node, reload)
	}
	var locked *bridge.LockedError
	var config *bridge.ConfigError
	switch {
	case err == nil:
		return statusOK
	case errors.As(err, &locked):
		return complain(stderr, statusFailed, f.another(locked))
	case errors.As(err, &config):
		return complain(stderr, statusWrong, err)
	}
	return complain(stderr, statusFailed, err)
}

// load reads the configuration that the flags name, with the flags on top.
func (f *runFlags) load() (bridge.Config, error) {
	path := f.config
	if path == "" {
		var err error
		if path, err = bridge.DefaultConfigPath(); err != nil {
			return bridge.Config{}, err
		}
	}
	return bridge.Load(path, f.overrides())
}

// supervised runs the node; meanwhile one goroutine tells the service manager
// of its life and reloads its configuration, and another one keeps its memory small.
func (f *runFlags) supervised(ctx context.Context, node *bridge.Node, reload <-chan struct{}) error {
	manager := newManager()
	defer manager.close()
	var watching sync.WaitGroup
	defer watching.Wait()
	over, end := context.WithCancel(context.Background())
	defer end()
	watching.Go(func() { newThrift().run(over) })
	watching.Go(func() {
		select {
		case <-node.Ready():
			manager.tell("READY=1")
		case <-over.Done():
			return
		}
		alive := manager.watchdog()
		defer alive.Stop()
		leaving := ctx.Done()
		for {
			select {
			case <-reload:
				manager.tell("RELOADING=1")
				_ = node.Reload(f.load) // which tells the person
				manager.tell("READY=1")
			case <-alive.C:
				node.Status() // goes through every part of the node, and hangs if one does
				manager.tell("WATCHDOG=1")
			case <-leaving:
				leaving = nil // and the watchdog is fed on
				manager.tell("STOPPING=1")
			case <-over.Done():
				return
			}
		}
	})
	return node.Run(ctx)
}

// another adds to the error of a locked data directory the line with which a
// second node starts beside the first.
func (f *runFlags) another(locked *bridge.LockedError) error {
	data, irc, listen, err := bridge.Another(locked.Dir)
	if err != nil {
		return fmt.Errorf("%w; a second node needs one of its own, with -data DIR (%w)", locked, err)
	}
	line := []string{"ircbridge"}
	add := func(flag, value string) {
		if value != "" {
			line = append(line, flag, shellWord(value))
		}
	}
	add("-config", f.config)
	add("-data", data)
	add("-irc", irc)
	add("-listen", listen)
	for _, peer := range f.join {
		add("-join", peer)
	}
	add("-overlay", f.overlay)
	if !f.discovery {
		line = append(line, "-discovery=false")
	}
	if f.console {
		line = append(line, "-console")
	}
	add("-nick", f.nick)
	return fmt.Errorf("%w; a second node starts with: %s", locked, strings.Join(line, " "))
}

// shellWord quotes a word for a shell where that is needed.
func shellWord(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/.:,_-+=@%[]\\") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
