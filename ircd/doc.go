// Package ircd is the IRC front-end: it lets people in through any IRC client
// and turns what they do into calls of a chat.Session, and the session's
// events into lines. It is a chat.Frontend like any other; what carries the
// words is behind chat.Service.
//
// It never talks to another node, keeps no state of channels or users (the
// session answers for that), links to no other IRC server, and pretends
// nothing: a command, mode or capability that is not there is answered with
// 421, 472 or CAP NAK.
//
// # Concurrency
//
// Server.Serve owns all goroutines. Each connection has three:
//
//   - the reader (conn.serve) reads lines, runs the command handlers, and ends
//     the connection: it alone says goodbye to the session and to the client;
//   - the pump (conn.pump) starts with the session, takes its events and
//     writes their lines;
//   - the writer (outbox.drain) owns the write side of the socket.
//
// One mutex, the turn, orders "handle one command" and "write one event": who
// holds it may use the connection's fields and write lines. A handler holds it
// while it asks the session for something that events will refer to (a JOIN,
// a MODE), so that no event of a channel is written before the answer to
// JOIN; it gives the turn up while it only waits (for outcomes of messages, or
// for a look-up).
//
// A client that does not read fills its outbox; then reader and pump wait, the
// session's own bounded queue fills, and either the writer's deadline or the
// session's bound ends the connection. Nobody else waits for it.
//
// # Time
//
// Read deadlines drive PING and the registration timeout; who waits for the nick
// of a ghost has a timer of his own; certificate files are looked at when a TLS
// client comes. Nothing polls.
//
// # Sources
//
// RFC 1459 and 2812 (commands, numerics), the modern IRC client protocol
// description (005, 417, 696), the IRCv3 specifications: capability
// negotiation 3.2, message-tags, message-ids, server-time, echo-message,
// extended-join, account-notify, account-tag, away-notify, chghost, setname,
// invite-notify, multi-prefix, userhost-in-names, batch, labeled-response,
// standard-replies, UTF8ONLY; ircu for WHOX.
package ircd
