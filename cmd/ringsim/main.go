// Command ringsim runs simulated rings. It is a tool for developers and no part
// of the product.
//
//	go run ./cmd/ringsim figures
//
// What its subcommands do stands in the packages below ringsim.
package main

import (
	"fmt"
	"io"
	"os"

	"ircbridge/ringsim/figures"
)

// subcommand is one thing that ringsim does. Its run returns the exit status.
type subcommand struct {
	name, what string
	run        func(args []string, stdout, stderr io.Writer) int
}

func subcommands() []subcommand {
	return []subcommand{
		{"figures", "figures of simulated rings, beside those of the literature", figures.Main},
	}
}

func main() { os.Exit(command(os.Args[1:], os.Stdout, os.Stderr)) }

// command runs a subcommand and returns its exit status; 2 if there is none of
// that name.
func command(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		for _, s := range subcommands() {
			if s.name == args[0] {
				return s.run(args[1:], stdout, stderr)
			}
		}
	}
	to, status := stderr, 2
	if len(args) > 0 && (args[0] == "-h" || args[0] == "--help" || args[0] == "help") {
		to, status = stdout, 0
	}
	fmt.Fprint(to, "Usage: ringsim SUBCOMMAND [flags]; each explains itself with -h.\n\n")
	for _, s := range subcommands() {
		fmt.Fprintf(to, "  %-10s %s\n", s.name, s.what)
	}
	return status
}
