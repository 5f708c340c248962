// Package console is the front-end for a person at the node's own terminal:
// one user, one command a line, everything that happens as a plain line with
// its time. It needs an io.Reader and an io.Writer and nothing of a terminal:
// it works in a pipe, and never moves the cursor, asks or completes.
//
// A message of one's own is shown when its outcome comes (package chat, rule
// 1), so what stands on the screen was accepted; a line with ! says what was
// not. No line that others cause can do more than stand there: control
// characters, escape sequences among them, are printed in a visible form, in
// the one place that all output passes (output.go).
//
// Time and concurrency: New starts nothing. Serve runs the commands one after
// another in the caller's goroutine, each for at most commandTime, and owns
// two more: one takes the events of the session, one reads the input. The
// session and all fields of Console belong to Serve's goroutine; screen and
// tally have a mutex each. A Read that blocks cannot be interrupted in
// general, so the reading goroutine may outlive Serve until its Read returns;
// it then drops what it read and touches nothing else. A terminal that takes
// no output (Ctrl-S) stops the console, Serve's return with it, and in the end
// costs the user his session (package chat, rule 4); the node goes on.
package console
