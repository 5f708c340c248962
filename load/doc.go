// Package load measures an IRC server, any IRC server, from outside: it
// connects as ordinary clients do, sends numbered messages, and reports how
// long they took and which were lost, doubled, out of order or altered. It
// knows nothing of ircbridge and imports nothing of it, so that figures of two
// servers were taken in the same way.
//
// It never connects to an address that is not loopback unless Options allow
// it, sends no more than Options say, and ends by itself.
//
// # What is measured
//
// Sender and receiver live in this process and read one monotonic clock, so a
// time from client to client is one way, exactly, and no halved round trip. A
// time begins before the line is written to the socket and ends when the
// read that brought it returned. The clients run on the machine of the server
// and take processor time from it; figures are for both together.
//
// With Options.Rate the messages have a timetable, and a time begins when the
// message should have been sent, whether or not it could be: a server that
// stalls is charged for what had to wait (no coordinated omission). How late
// the sender itself was is a figure of its own. Without Rate one message is in
// flight, which measures an unloaded server.
//
// Every mode warms up first, with messages that are not counted.
//
// # Concurrency
//
// Each client has one goroutine, which reads its socket, answers PING, and
// hands lines to the mode that runs. It alone touches what its lines are counted
// in until it has ended; senders see atomic counts only.
package load
