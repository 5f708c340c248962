// Command ircbridge is one node of a chat without a central server: a standard
// IRC endpoint on this machine, carried by an overlay of all such nodes.
//
// This file is the table of its front-ends and subcommands, and nothing else;
// what each subcommand does stands in a file of its own. A new front-end is
// one folder, and one line here.
package main

import (
	"io"
	"os"

	"ircbridge/chat"
	"ircbridge/console"
	"ircbridge/ircd"
	"ircbridge/script"
)

// frontends are the plug-ins that let people in, by the name of their table
// in the configuration.
func frontends() map[string]chat.Factory {
	return map[string]chat.Factory{
		"console": console.New,
		"irc":     ircd.New,
	}
}

// terminal are those of them that need the terminal for themselves.
func terminal() []string { return []string{"console"} }

// subcommand is one thing the program does. run gets the arguments after its
// name and returns the exit status.
type subcommand struct {
	name  string
	usage string
	help  string
	run   func(args []string, stdout, stderr io.Writer) int
}

func subcommands() []subcommand {
	return []subcommand{
		{"run", runUsage, "run a node (what happens without a subcommand)", runNode},
		{"status", statusUsage, "say what the node that runs here is doing", printStatus},
		{"invite", statusUsage, "check where the node that runs here is reached, and print the line with which a friend joins", printInvitation},
		{"lookup", lookupUsage, "follow the ring to the node that keeps a nick or a #channel, hop by hop", printLookup},
		{"demo", demoUsage, "play a ring of nodes on this machine, in which nodes die and the network breaks, and count what was lost", runDemo},
		{"script", "[-server HOST:PORT] [-timeout DURATION] [-v] FILE...", "run scripted IRC sessions (docs/scripts.md)", script.Main},
		{"hash", "", "read a password, and print the hash that stands for it in the table of an operator ([[irc.oper]])", printHash},
		{"completion", completionUsage, "print what makes a shell complete these command lines", printCompletion},
		{"version", "", "print the version", printVersion},
		{"help", "", "print this help", printHelp},
	}
}

func main() { os.Exit(dispatch(os.Args[1:], os.Stdout, os.Stderr)) }
