// Package demo plays a story of nodes that die and networks that break, on one
// machine, in front of a person: `ircbridge demo`. Real nodes (processes of
// this program), real IRC clients at them, a real kill -9. A narrator says in
// plain words what happens while it happens, and at the end what clients sent
// and saw is judged by package history.
//
// A ring of nodes is started on loopback, with an overlay name of its own and
// its files in one temporary directory; a bot chats at each. Then the keeper
// of a channel is killed and comes back; the network between two groups of
// nodes is cut and mended; all nodes are killed at once and started from
// their disks. A seed draws whose keeper dies, who is on which side, and how the
// bots chat.
//
// Nodes are children of the process that runs the demonstration, and talk with
// it over their standard input and output (child.go). The end of the input
// is the end of a child: whatever becomes of its parent, it goes, and takes
// the directory with it.
//
// This package knows nodes only from outside: as processes, as IRC servers, and
// by two questions that its caller asks for it (Config.Keeper, Config.Place). It
// never reads a configuration and never touches a node that it did not start.
//
// Time and concurrency: Run blocks, owns every goroutine and process of the
// demonstration, and returns when the last of them is gone; the end of its
// context is the only stop. Each bot has one goroutine that reads and one
// that chats; each child one that reads its answers. All times that are told and
// judged are of one clock, which begins with Run.
package demo
