package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"ircbridge/bridge"
	"ircbridge/chat"
	"ircbridge/demo"
	"ircbridge/ircd"
)

// runDemoNode is one node of a demonstration, a child of the process that
// plays it (demo.ChildCommand): an ordinary node without a configuration
// file, whose network its parent may cut. It ends when its parent does, and
// leaves nothing behind.
func runDemoNode(args []string, stdout, stderr io.Writer) int {
	f := newRunFlags()
	keep := f.set.Bool("keep", false, "leave the files")
	if err := f.parse(args); err != nil {
		return complain(stderr, statusWrong, err)
	}
	if err := demo.CheckOverlay(f.overlay); err != nil {
		return complain(stderr, statusWrong, err)
	}
	// Ctrl-C goes to the parent too, which knows what is to be done.
	signal.Ignore(os.Interrupt, syscall.SIGHUP)
	cfg, err := bridge.Load("", f.overrides())
	if err != nil {
		return complain(stderr, statusWrong, err)
	}
	var server *ircd.Server
	node, err := bridge.New(cfg, bridge.Env{Out: stderr, Err: stderr, Version: version, Frontends: map[string]chat.Factory{
		"irc": func(s chat.Setup) (chat.Frontend, error) {
			front, err := ircd.New(s)
			server, _ = front.(*ircd.Server)
			return front, err
		},
	}})
	if err != nil {
		return complain(stderr, statusWrong, err)
	}
	child := &demo.Child{In: os.Stdin, Out: stdout, Sever: node.Sever}
	go func() {
		child.Obey()
		if !*keep {
			_ = demo.Sweep(cfg.Node.DataDir) // there is nobody left to tell
		}
		os.Exit(statusFailed)
	}()
	go func() {
		<-node.Ready()
		s := node.Status()
		r := demo.Ready{ID: s.Node.ID, Peer: s.Node.Peer}
		if len(s.Node.Addresses) > 0 {
			r.Overlay = s.Node.Addresses[0]
		}
		if addrs := server.Addrs(); len(addrs) > 0 {
			r.IRC = addrs[0].String()
		}
		_ = child.Ready(r) // a parent that is gone ends Obey
	}()
	if err := node.Run(context.Background()); err != nil {
		return complain(stderr, statusFailed, err)
	}
	return complain(stderr, statusFailed, errors.New("a node of a demonstration ends with it, but this one was asked to"))
}
