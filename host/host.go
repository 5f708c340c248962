// Package host is what protocol code stands on: the contract between the
// overlay's packages (chord, overlay, mapping) and the world. Two hosts
// implement it: host/p2p on libp2p, goroutines, the clock and a database, and
// host/sim in virtual time, where a seed replays exactly.
//
// Protocol code is plain sequential code. It blocks only through a Host
// (Call, Sleep, Event.Wait), starts tasks only with Go, reads time and
// randomness only from Now and Rand, and holds no lock while it blocks. That
// is the whole price of running unchanged under the simulator.
//
// This package never knows what a ring, a key or a channel is, and imports
// nothing of ours.
package host

import (
	"context"
	"errors"
	"time"
)

// Errors that a Host returns. All are wrapped with what was tried.
var (
	// ErrStopped: this host is stopping; the task should return.
	ErrStopped = errors.New("host stopped")
	// ErrTimeout: no answer, signal or connection within the given duration.
	ErrTimeout = errors.New("timed out")
	// ErrUnreachable: the peer has no connection and none could be made.
	ErrUnreachable = errors.New("peer unreachable")
	// ErrBusy: a bounded queue or the peer's limit on running requests is full.
	ErrBusy = errors.New("too busy")
	// ErrTooLarge: the frame is longer than MaxFrame (or MaxBulk).
	ErrTooLarge = errors.New("message too large")
	// ErrRefused: the peer's handler returned an error or has no such method.
	ErrRefused = errors.New("refused by peer")
	// ErrOtherOverlay: the peer belongs to an overlay of another name.
	ErrOtherOverlay = errors.New("peer belongs to another overlay")
	// ErrOtherVersion: the peer speaks another major version of the protocol.
	ErrOtherVersion = errors.New("peer speaks another major version")
	// ErrNotOurs: what answers at the address does not speak this protocol.
	ErrNotOurs = errors.New("not an ircbridge node")
	// ErrWrongPeer: another identity answered than the one that was named.
	ErrWrongPeer = errors.New("another peer answered")
	// ErrBadAddress: the text is no HOST:PORT and no multiaddress.
	ErrBadAddress = errors.New("bad address")
)

// Limits on one message, in bytes of its body.
const (
	MaxFrame = 256 << 10 // on the request stream
	MaxBulk  = 4 << 20   // on the bulk stream
)

// Peer is how to reach a node: its identity and the addresses under which it
// was last known, best first. Addresses are opaque to protocol code
// (multiaddresses under p2p). A Peer without addresses can still be called
// while a connection to it is open, or when the host remembers addresses.
type Peer struct {
	ID    PeerID
	Addrs []string
}

// Method names one kind of request. Numbers are wire format and never reused.
// The body of a Bulk method travels on the bulk stream, so that megabytes
// never stand in front of chat.
type Method struct {
	Number uint32
	Name   string // for logs
	Bulk   bool
}

// A CallHandler answers a request of from. It runs in a task of its own and
// may block through the host. It owns req. An error reaches the caller as
// ErrRefused with its text.
type CallHandler func(from Peer, req []byte) ([]byte, error)

// A SendHandler takes a one-way message. For each sender the host runs one at
// a time, in order of arrival; it must not block. It owns msg.
type SendHandler func(from Peer, msg []byte)

// Host carries protocol code. All methods are safe for use by many tasks.
type Host interface {
	// Self is this node and the addresses under which others may reach it.
	Self() Peer
	// Run is the 64 random bits drawn when this node started.
	Run() uint64
	// PeerRun is the run that the peer named in its handshake; ok is false
	// while no connection to it is open.
	PeerRun(id PeerID) (run uint64, ok bool)
	// Sign signs msg with this node's key; Verify is its counterpart.
	Sign(msg []byte) []byte

	// HandleCall and HandleSend register the handler of a method. They are
	// called before the host serves.
	HandleCall(m Method, h CallHandler)
	HandleSend(m Method, h SendHandler)
	// OnDown registers f to be told, each time in a new task, that the last
	// connection to a peer was lost. It is no proof that the peer is dead.
	OnDown(f func(id PeerID))

	// Call sends a request and waits at most d for the reply. It dials if it
	// must. It returns as soon as the connection is known to be lost
	// (ErrUnreachable). A call to oneself runs the handler in a new task.
	Call(to Peer, m Method, req []byte, d time.Duration) ([]byte, error)
	// Send queues a one-way message and never blocks: a full queue is
	// ErrBusy. Without a connection it starts to dial. What was queued may
	// be lost; while one connection lasts it arrives in order.
	Send(to Peer, m Method, msg []byte) error
	// Dial reaches a node at an address as a person typed it (HOST:PORT, or
	// a multiaddress with or without /p2p/ID), within d, and learns or checks
	// its identity. Errors: ErrBadAddress, ErrUnreachable, ErrTimeout,
	// ErrNotOurs, ErrOtherOverlay, ErrOtherVersion, ErrWrongPeer.
	Dial(addr string, d time.Duration) (Peer, error)
	// Keep marks a peer's connection as one that must not be trimmed
	// (neighbours, chat partners), or takes that back. It dials nothing.
	Keep(id PeerID, keep bool)

	// Go starts a task. name is for logs and must be a constant.
	Go(name string, f func())
	// Sleep blocks for d; ErrStopped when the host stops.
	Sleep(d time.Duration) error
	// NewEvent makes an Event.
	NewEvent() Event
	// Now is the host's clock: monotonic within a run, and as a wall clock
	// whatever the machine believes. No decision may rest on the wall clock.
	Now() time.Time
	// Rand is 64 random bits (from a seed under simulation).
	Rand() uint64
	// Store is the node's database.
	Store() Store
}

// An Event wakes one waiting task. Signals do not add up.
type Event interface {
	// Signal lets one Wait, present or next, return.
	Signal()
	// Wait blocks until Signal, for at most d (Forever for no bound), or until
	// ctx is done: nil, ErrTimeout, ErrStopped, or ctx.Err().
	Wait(ctx context.Context, d time.Duration) error
}

// Forever is the duration of an unbounded Wait.
const Forever time.Duration = 1<<63 - 1

// Budget is the time that ctx leaves, at most max: how a front-end's context
// becomes a duration for protocol code.
func Budget(ctx context.Context, now time.Time, max time.Duration) time.Duration {
	if at, ok := ctx.Deadline(); ok {
		return min(max, at.Sub(now))
	}
	return max
}

// Store keeps small records through a restart. Writes are atomic for each
// Write call, and durable some time later: a crash may lose the last of them
// but never half of one, nor an earlier one and not a later one. Values
// returned belong to the caller.
type Store interface {
	// Get returns nil, nil for an absent key.
	Get(key string) ([]byte, error)
	// Scan calls f for every key with the prefix, in the order of keys, until
	// f returns false.
	Scan(prefix string, f func(key string, value []byte) bool) error
	// Write applies the changes in one batch; a nil Value deletes. It does not
	// wait for the disk, and its error means that nothing of the batch was taken:
	// ErrBusy when too much waits for a disk that takes nothing. Whether the
	// disk takes it, only Sync tells.
	Write(changes ...Change) error
	// Sync blocks until all that was written before the call survives a crash
	// of this process and of the machine, for at most d: nil, ErrTimeout (the
	// commit goes on), ErrStopped when the host stops, or the disk's error,
	// wrapped. Those that wait at the same time share one commit, which begins
	// as soon as the one before has ended.
	Sync(d time.Duration) error
}

// Change is one change of a batch.
type Change struct {
	Key   string
	Value []byte
}
