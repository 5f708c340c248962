// Package nodes runs nodes of ircbridge as processes on this machine, and does to them what
// happens to processes: they are killed, stopped for a while, ended, and started again on the
// directory and the ports that they had. It is for programs that measure and test whole rings
// (cmd/ircload, package ordeal, the end-to-end tests), never for the product itself.
//
// It knows the program from outside only: its command line, its standard output and its log
// (docs/service.md), `ircbridge lookup -json` (docs/control.md), and the placement of keys
// (docs/protocol.md).
//
// A Group owns a temporary directory, which has the directory, the configuration and the
// log of each node, and overlays of groups have names of their own, so that no two of them ever meet. Close ends
// what still runs and removes the directory.
//
// Concurrency: a Group and its Nodes may be used by several goroutines; one Node is started
// by one of them at a time. Each process has goroutines of its own that read what it
// writes and wait for its end.
package nodes
