// Command ringsim runs whole rings of nodes in virtual time, lets faults happen
// to them, judges what their users sent and saw, and prints a table. It exits
// with 1 when anything was wrong, and says how to make that run again. With the
// subcommand figures it prints figures of rings instead.
//
//	go run ./cmd/ringsim -h
//	go run ./cmd/ringsim figures -h
//
// It is a tool for developers and no part of the product.
package main

import (
	"io"
	"os"

	"ircbridge/ringsim"
	"ircbridge/ringsim/figures"
)

func main() { os.Exit(command(os.Args[1:], os.Stdout, os.Stderr)) }

// command returns the exit status.
func command(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "figures" {
		return figures.Main(args[1:], stdout, stderr)
	}
	return ringsim.Main(args, stdout, stderr)
}
