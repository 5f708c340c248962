// Package bridge makes one node of all the parts: it reads the configuration,
// takes the data directory, starts host, ring, overlay and chat service and
// the front-ends it is given, joins a ring through the addresses it is told,
// says what a person needs to know, and leaves in order. While it runs it
// answers its owner over a socket (bridge/control, docs/control.md) and its users
// (chat.Setup.Ask), lets other nodes have themselves dialled (reach.go), and
// reads its configuration again when it is told to (reload.go).
//
// It never imports a front-end (cmd/ircbridge hands it a table of factories),
// never handles signals, never exits the process, and never writes the text of
// a message, a key or a password anywhere.
//
// Time and concurrency: New starts nothing. Run blocks, owns every goroutine
// that is started here (one for each front-end, one that joins, one for each
// address that is being dialled, those of the control socket), and returns when
// the last of them is gone; the end of its context is the only stop. What a Node
// knows of its life is guarded by Node.mu, which is never held over a call into
// another package.
//
// The configuration file is TOML (toml.io, v1.0.0). What this package does not
// know it refuses, with file, line and remedy: a misspelt key that is silently
// ignored costs an evening.
package bridge
