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
// Server.Serve owns all goroutines. Each connection has one, and a second one
// while there is something to write:
//
//   - the reader (conn.serve) reads lines, runs the command handlers, and ends
//     the connection: it alone says goodbye to the session and to the client;
//   - the writer (conn.writer) takes the session's events, makes lines of them,
//     and writes what the outbox holds to the socket. It is started when there
//     is an event or a line, and ends when there is neither, so that a silent
//     client costs one goroutine and no buffer for writing.
//
// A client over WebSocket has a third one, which makes lines of its messages (webConn).
//
// One mutex, the turn, orders "handle one command" and "write some events": who
// holds it may use the connection's fields and write lines. A handler holds it
// while it asks the session for something that events will refer to (a JOIN,
// a MODE), so that no event of a channel is written before the answer to
// JOIN; it gives the turn up while it only waits (for outcomes of messages, or
// for a look-up). The writer never waits for the turn: the reader writes the
// events that came meanwhile when it gives the turn back.
//
// The line of a message to a channel is made once for all clients that have
// the same capabilities (sharedLines).
//
// A client that does not read keeps its writer at the socket. Then its outbox
// fills and the reader waits, the session's own bounded queue of events fills,
// and either the writer's deadline or the session's bound ends the connection.
// Nobody else waits for it.
//
// # Time
//
// Read deadlines drive PING and the registration timeout; who waits for the nick
// of a ghost has a timer of his own; certificate files are looked at when a TLS
// client comes; who comes by WebSocket is sent its pings. Nothing polls.
//
// # Sources
//
// RFC 1459 and 2812 (commands, numerics), the modern IRC client protocol
// description (005, 417, 696), the IRCv3 specifications: capability
// negotiation 3.2, message-tags, message-ids, server-time, echo-message,
// extended-join, account-notify, account-tag, away-notify, chghost, setname,
// invite-notify, monitor, extended-monitor, metadata (two drafts), multi-prefix, userhost-in-names, batch, labeled-response,
// standard-replies, UTF8ONLY, WebSocket; the PROXY protocol of HAProxy; ircu for WHOX.
package ircd
