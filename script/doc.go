// Package script reads and runs scripted IRC sessions: text files in which
// actors connect to a server, send lines, and must receive lines. The
// project's end-to-end tests are such files; `ircbridge script` runs them
// against nodes that it starts itself, or against any IRC server. The format
// is described in docs/scripts.md.
//
// The package knows the IRC protocol only as far as a session needs it: how a
// client registers, PING and PONG, JOIN and PRIVMSG of its own bursts. It
// knows the program under test by its command line, its standard output (the
// node's ID) and its log, and the placement of keys on the ring by docs/protocol.md
// (written down here a second time on purpose: a test that asks the program where a key
// belongs would believe it). It imports nothing of the other packages.
//
// Concurrency: a session is played by the one goroutine that called Run.
// Each connection, each output of a process and each burst has a goroutine of
// its own that only appends to a stream or writes to a socket; all streams,
// variables and nicks are guarded by one mutex, play.mu, and every change
// wakes whoever waits for a condition. Run returns when all of its goroutines
// and processes are gone.
//
// Time: nothing sleeps to wait for something. Steps are conditions with a deadline;
// the only pauses are the pace of a burst, of `during bursts` and of questions
// that are asked again.
package script
