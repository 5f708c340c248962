// Package ircsim runs IRC servers on a simulated ring: the code of the program from a client's
// connection down to the links, with packages ircd, mapping, overlay and chord, on host/sim. It is made for
// tests only, and knows no rule of IRC.
//
// # Time
//
// Servers and clients are goroutines, with the clock of a bubble of testing/synctest; the ring is
// a world of host/sim, with a clock of its own. A network's Run holds both together: goroutines run until all of
// them wait; then the world goes on to the next event that concerns one of them, and the bubble's
// clock is brought to the same instant.
//
// # What a seed replays
//
// The ring replays exactly, as ever. Goroutines would run in any order when several are woken at one instant, so
// they are woken one at a time: a line that arrives, a call that returns and
// events for a session each have their turn, and all that follows from one ends before the next begins. What goroutines
// ask of the network in one turn is done in an order of its own, not in that of asking. So equal seeds give equal runs as long
// as the goroutines of one turn do not race with each other; Digest tells, and the test of this package asks it. What the bubble does not
// hold is the order of several timers of one instant, and of a range over a map: where a server's lines depend on
// that, runs may differ.
//
// # Faults
//
// A node can be killed and started again, with what its disk had; nodes can be cut off; messages can be
// lost, doubled and overtaken. A client whose node is killed reads ErrKilled.
package ircsim
