package overlay

import (
	"time"

	"ircbridge/host"
)

// Kind is one sort of object. Kinds are registered before Run.
type Kind struct {
	// Name goes into keys and onto the wire: 1 to 16 bytes.
	Name string
	// New makes an empty object of the (folded) name.
	New func(name string) Object
	// Views is this node's own interest in objects of the kind; nil if it
	// never has any.
	Views Views
	// Volatile objects are not kept in the database: what is in them is
	// entered again, and again, by those whom it is about.
	Volatile bool
}

// Object is the keeper's side of an object: plain state. Its methods are
// called one at a time and must be deterministic: replicas make the same calls
// with the same Turns, and have the same state. They do no I/O, take no locks,
// do not block and do not call the overlay.
type Object interface {
	// Apply makes one numbered request. Its result goes to the requester and
	// is kept with its number. Events for all go out with t.Emit.
	Apply(t *Turn, req []byte) (result []byte)
	// Query answers a read, which may be repeated.
	Query(from host.PeerID, q []byte) (answer []byte)
	// Snapshot is the whole state, with what Merge needs.
	Snapshot() []byte
	// Merge unites the state with another copy's snapshot. It is commutative,
	// associative and idempotent. A malformed snapshot is an error and changes
	// nothing.
	Merge(snapshot []byte) error
	// Renew hears what a node says it holds here (Views.Renewal). known is
	// false when the object has no such thing: the node is then given a view,
	// which shows what it missed. A renewal that neither emits nor calls
	// SubscribersChanged or Changed changes nothing that replicas must have.
	Renew(t *Turn, node host.PeerID, run uint64, payload []byte) (known bool)
	// NodeGone removes what belonged to a node that is gone for good, or to
	// all its runs but keep when keep is not 0.
	NodeGone(t *Turn, node host.PeerID, keep uint64)
	// Nodes are those that every event is pushed to, sorted.
	Nodes() []host.PeerID
	// View is the state that a node's view is reset to.
	View() []byte
	// Empty reports that at now, by the hybrid clock, nothing is left worth
	// keeping.
	Empty(now time.Time) bool
	// Summary says in words what it is, for the log: "channel #tea, 7 members".
	Summary() string
}

// A Reviver is an Object that has a word to say when a copy of it is found in
// a node's database while it lives: what was in force when that node ended may
// have been given up since. An Object that is none has the copy merged.
type Reviver interface {
	// Revive unites the state with a copy that was found. Like Merge it changes
	// nothing when the snapshot is malformed.
	Revive(snapshot []byte) error
}

// Views is this node's interest in objects of one kind. For one object the
// calls come one at a time, in order, with no lock held; they must not block.
type Views interface {
	// Event is the next event of the log. Each stamp comes once; after a
	// change of keeper a request may come again under another stamp: repeats
	// are to be dropped by origin (From, Number).
	Event(name string, e Entry)
	// Reset is a whole view as of at. recent are the log's last entries that
	// were not given before by their stamp: first apply them like events,
	// then compare with state and show the difference.
	Reset(name string, at Stamp, state []byte, recent []Entry)
	// Assert is this node's copy, for a keeper that lost the object.
	Assert(name string) (snapshot []byte, ok bool)
	// Renewal says what this node holds in the object; not ok means nothing,
	// and the hold is released.
	Renewal(name string) (payload []byte, ok bool)
}

// Turn is one step of an object: who asked, and where its events go. It is
// valid during the call only.
type Turn struct {
	ob     *object
	cfg    Config
	from   Stream
	number uint64
	now    time.Time
	draws  *draws
	resub  bool
	silent bool     // the state changed, and no event tells
	held   []uint64 // events that wait for a replica
}

// From is the origin of the request; zero when the keeper itself acts.
func (t *Turn) From() Stream { return t.from }

// Number is the number of the request in its stream.
func (t *Turn) Number() uint64 { return t.number }

// Now is the keeper's hybrid clock: never behind an event of this object,
// whoever kept it then.
func (t *Turn) Now() time.Time { return t.now }

// Rand is 64 random bits.
func (t *Turn) Rand() uint64 { return t.draws.next() }

// Stamp is what the next Emit will get.
func (t *Turn) Stamp() Stamp {
	return Stamp{Epoch: t.ob.epoch, Number: t.ob.number + 1}
}

// Emit appends an event to the log, to be pushed to all Nodes once a replica
// has it, and returns its stamp. It keeps event.
func (t *Turn) Emit(event []byte) Stamp {
	s := t.EmitEarly(event)
	t.held = append(t.held, s.Number)
	return s
}

// EmitEarly is Emit of an event that need not wait for a replica, unless one
// before it does: a message, which leaves nothing in the state, and which its
// sender repeats until it is acknowledged.
func (t *Turn) EmitEarly(event []byte) Stamp {
	s := t.Stamp()
	t.ob.number = s.Number
	t.ob.clock = t.now
	t.ob.append(Entry{Stamp: s, At: t.now, From: t.from, Number: t.number, Event: event}, t.cfg)
	return s
}

// SubscribersChanged says that Nodes will answer differently from now on.
func (t *Turn) SubscribersChanged() { t.resub = true }

// Changed says that Renew changed the state without an event.
func (t *Turn) Changed() { t.silent = true }
