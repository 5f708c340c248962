// Package chord is the ring: it gives every node a place among all nodes that
// run now, and finds for any key the one node that the key belongs to. It
// knows nothing of what is kept under keys, moves nothing, and never decides
// who is allowed in.
//
// # A node's states
//
//	outside  never joined (or all died before anybody let it in). Answers only
//	         that it is outside, which counts as the answer of a dead node.
//	member   stands in lists. First a joiner: it has a successor list but owns
//	         nothing. Settled: its successor has granted it its part of the
//	         ring; it owns (predecessor, self]. Open: settled, but its
//	         predecessor died and no other one has shown itself; it owns
//	         nothing until one does. Lost: its whole list died; it goes on
//	         owning (predecessor, self] if its predecessor lives, and looks
//	         for the ring. Alone: a ring of one that owns every key.
//	left     for good. Answers only that, and who its successor was.
//
//	outside --Create--> alone
//	outside, alone --Join: a successor answered--> joiner
//	joiner --notify, granted--> settled
//	joiner --whole list died--> outside (alone, if it was settled before)
//	settled --predecessor died--> open --a settled node notifies--> settled
//	settled --whole list died--> lost --any member found--> settled
//	lost --nobody answers, no predecessor--> alone
//	alone --a node notifies--> settled
//	member --Leave--> left
//
// # The messages
//
// The files in wire document each with its section of the papers. docs/ring.md
// tells the protocol as a whole.
//
//	ping        is it alive, and a member?
//	neighbours  its predecessor and successor list; one in each period to the
//	            first successor (stabilize), and nothing more in a quiet ring
//	notify      "I believe that I am your predecessor" (rectify, grant)
//	find        a lookup, passed on from node to node
//	hint        one way: your first successor may be this one
//	leave       to both neighbours
//	changed     one way, in rings of r nodes or fewer: who came, who is gone
//	next        one step of an iterative lookup, for diagnosis (trace.go)
//	gossip      who came and who is gone, for the table of contacts
//	table       a chunk of that table, for a joiner
//	compare     in what do our tables differ?
//	meet        "I may be of another ring: bring me to my place in yours"
//	meeting     one way: such a contact on its way; news of another ring
//	relay       a request to a peer that the sender does not reach
//	gone        one way, backwards along those that list it: a node is dead
//
// # Rules
//
// They are Zave's ("Reasoning about identifier spaces: how to make Chord
// correct", IEEE TSE 43(12), 2017): the rules of the first Chord paper can
// break a ring for good. On top of them:
//
//   - The owner confirms (confirm): a lookup ends only at a node whose
//     predecessor has just said that it takes this node for its successor.
//   - No two owners (grant.go): a joiner owns exactly what its successor has
//     stopped owning.
//   - A takeover from a dead node is immediate only for the node behind it
//     (claimLater).
//   - In a ring of r nodes or fewer the list is the whole ring and never wraps
//     (Ring.big is false): unknown entries are checked before they are
//     believed, and what a node itself sees change it tells to all.
//   - What a node knows it forgets only after a check (adopt, doubtful).
//   - Silence is death only if neighbours say so too; a peer that others reach
//     stays in the ring (probe.go).
//   - Two rings become one by the rules by which nodes join, once a node of one
//     has met one of the other (merge.go).
//
// A node alone joins others by itself (seekOthers).
//
// # The table of contacts
//
// Half of log2 N hops are many where a node can know all others for a few
// bytes a second. So each keeps a table of the settled members (table.go), which
// gossip keeps fresh along the fingers (gossip.go) and comparisons complete
// (table_compare.go), within a budget (table_meter.go); when all are too many,
// a sample. It is for speed only: lookups try the owner that it names
// (table_routes.go), and the owner confirms or not. No rule above reads it.
//
// # Time and concurrency
//
// One mutex, Ring.mu, guards all state; it is never held over a blocking call
// of the host. Lists are values that are replaced and never changed in place,
// so that a copied slice header stays good. Of the tasks that Run starts
// one stabilizes, one fixes fingers, one keeps the table. A period is a pause after the previous
// round ended, jittered by a quarter; events (a hint, a loss, a new node) end
// the pause early, at most 32 times in a row. Rounds never overlap. Checks,
// forwards of lookups and upcalls are tasks of their own, bounded in number or
// by the host. Durations travel as what remains, never as clock times. The
// deadline of a request is the peer's measured round trip, mean + 4
// deviations, at least 100 ms, at most 2 s, 1 s if never measured (RFC 6298);
// what silence means is decided by a second try with twice the deadline, and by
// neighbours.
//
// # Sources
//
// Zave as above. I. Stoica et al., "Chord", IEEE/ACM ToN 11(1), 2003. RFC 6298
// for deadlines. A. Gupta, B. Liskov, R. Rodrigues, "Efficient routing for
// peer-to-peer overlays", NSDI 2004, for tables of all contacts. A. Das, I.
// Gupta, A. Motivala, "SWIM", DSN 2002, for incarnations.
package chord
