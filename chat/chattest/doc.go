// Package chattest is for tests of what stands on, or implements, package
// chat. It holds
//
//   - NewService: a complete chat.Service in the memory of one process, with
//     every rule of the contract, for the tests of front-ends;
//   - Run: the conformance suite that every chat.Service must pass, on one
//     node and on many (suite.go tells how to write a harness for it).
//
// The in-memory Service does no I/O, and starts no goroutine: each method
// does its whole work before it returns, under the one mutex of its network,
// so that a test which waits for each answer gives the same transcript each
// time. Only Next and Flush wait, and one timer runs for a session whose
// queue is over its bound. The clock and the message IDs may be set.
//
// It is never a part of the program: it keeps no keepers, no epochs and no
// replicas, and forgets all when it is dropped.
//
// Sources: the comment of package chat; RFC 1459 and 2812 (sections 3.2 and
// 3.3) for what a channel operator may do.
package chattest
