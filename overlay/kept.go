package overlay

import (
	"cmp"
	"slices"
	"time"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/overlay/wire"
)

// ref names an object within the overlay.
type ref struct{ kind, name string }

func (r ref) key() chord.ID { return Key(r.kind, r.name) }

func (r ref) compare(s ref) int {
	return cmp.Or(cmp.Compare(r.kind, s.kind), cmp.Compare(r.name, s.name))
}

// object is one object that this node keeps: the kind's state and what the
// overlay keeps with it. All of it is owned by Overlay.mu.
type object struct {
	ref    ref
	key    chord.ID
	obj    Object
	epoch  Epoch
	number uint64    // of the last event
	clock  time.Time // of the last event

	log      []Entry // oldest first
	logBytes int

	streams  map[Stream]*streamState
	cursors  map[host.PeerID]*cursor
	branches []*branch // of the nodes with cursors, where there are many
	branched bool      // each of them is in one
	leases   map[host.PeerID]lease

	moving  bool         // handed over, or taken over, and not yet confirmed: takes no changes
	taking  bool         // moving because it is taken over; what others have of it is still united with it
	taken   bool         // that was over while it was being handed on
	waiters []host.Event // of requests that came while it moved

	// Of its copies (replicas.go).
	version   uint64       // steps made in this epoch; one more in those that began with a whole state
	steps     []*wire.Step // the last of them
	stepBytes int
	replicas  map[host.PeerID]*replica
	safe      uint64       // version that a replica has, or the database where there is none, or that needs neither
	held      []heldEvent  // events that wait for that, oldest first
	early     []earlyEvent // and those that wait for it with some nodes only
	unsafe    []host.Event // of requests that wait for it

	// Of its record in the database (save.go).
	durable  uint64    // version that the database has
	saveFrom time.Time // not written again before
	saveNext time.Time // nor before this, as only was spoken
}

// streamState is how far the requests of one origin were applied, and the
// results of the last batch, the last of which answers number last.
type streamState struct {
	last    uint64
	results [][]byte
	used    time.Time
}

// cursor is how far one node has acknowledged this object's log, and whether
// its view must be sent whole.
type cursor struct {
	number   uint64
	needView bool
	moved    time.Time // when the node acknowledged last
	// ending: the node is no longer named; it gets what removed it (a KICK),
	// up to until, and nothing after.
	ending bool
	until  uint64
	// declined: the node said that it has no stake, and is told nothing until
	// it asks for something here.
	declined bool
	// asked: it has asked for something since the push went out that it answers: if that
	// found no stake, there may be one by now.
	asked bool

	// Of the tree (fan.go).
	riding      bool          // a batch for it is on its way through its branch
	shy         time.Time     // it does not ride before
	pause       time.Duration // for which it did not, the last time
	unfit       bool          // no relay
	addrs       []string      // of the node, as it named them
	sure, later uint64        // what relays vouched for: a while ago, and after that
	sureBy      host.PeerID   // which relay did
	laterBy     host.PeerID
	laterAt     time.Time
}

// asks notes that the cursor's node asks for something.
func (c *cursor) asks() {
	c.asked = true
	if c.declined {
		c.declined, c.needView = false, true
	}
}

// decline notes that the cursor's node had no stake when a push came.
func (c *cursor) decline() {
	c.declined, c.until = !c.asked, 0
	c.needView = c.needView || c.asked
}

// behind reports whether there is something to push to the cursor's node.
func (c *cursor) behind(ob *object, node host.PeerID) bool {
	if c.riding {
		return false // what becomes of that shows when it ends
	}
	if c.ending {
		return c.number < min(c.until, ob.pushable(node))
	}
	if c.declined {
		return false
	}
	return c.needView || c.number < ob.pushable(node)
}

// lease is a node's stake in this object: its run and when it last said so.
type lease struct {
	run uint64
	at  time.Time
	// doubtful: it was found in a database, and the node has not spoken of it
	// since. Does the node know of no stake, it has none.
	doubtful bool
}

func newObject(r ref, obj Object, epoch Epoch) *object {
	return &object{
		ref: r, key: r.key(), obj: obj, epoch: epoch,
		streams: make(map[Stream]*streamState),
		cursors: make(map[host.PeerID]*cursor),
		leases:  make(map[host.PeerID]lease),

		replicas: make(map[host.PeerID]*replica),
	}
}

// still reports that the object is not on its way to another node.
func (ob *object) still() bool { return !ob.moving || ob.taking }

func (ob *object) stamp() Stamp { return Stamp{Epoch: ob.epoch, Number: ob.number} }

// append adds an event to the log and drops the oldest beyond its bounds.
func (ob *object) append(e Entry, cfg Config) {
	ob.log = append(ob.log, e)
	ob.logBytes += e.size()
	ob.trim(cfg)
}

func (ob *object) trim(cfg Config) {
	drop := 0
	for len(ob.log)-drop > 1 && (len(ob.log)-drop > cfg.MaxLogEntries || ob.logBytes > cfg.MaxLogBytes) {
		ob.logBytes -= ob.log[drop].size()
		drop++
	}
	clear(ob.log[:drop]) // append moves the others to a new place now and then
	ob.log = ob.log[drop:]
}

// unite puts another copy's log into this one's, in the order of stamps.
func (ob *object) unite(entries []Entry, cfg Config) {
	ob.log = append(ob.log, entries...)
	slices.SortStableFunc(ob.log, func(a, b Entry) int { return a.Stamp.Compare(b.Stamp) })
	ob.log = slices.CompactFunc(ob.log, func(a, b Entry) bool { return a.Stamp == b.Stamp })
	ob.logBytes = 0
	for _, e := range ob.log {
		ob.logBytes += e.size()
		if e.At.After(ob.clock) {
			ob.clock = e.At
		}
	}
	ob.trim(cfg)
}

// since is the part of the log after a number, and whether the log reaches
// back that far. Entries of earlier epochs keep their numbers, which only a
// rebuilt object repeats; its cursors all need a view.
func (ob *object) since(number uint64) (entries []Entry, whole bool) {
	i := len(ob.log)
	for i > 0 && ob.log[i-1].Stamp.Number > number {
		i--
	}
	entries = ob.log[i:]
	whole = uint64(len(entries)) == ob.number-min(number, ob.number)
	return entries, whole
}

// pressed reports that the log is about to lose events which a node that keeps
// up, if slowly, has not acknowledged. Whoever asks then is told to wait. A
// node that acknowledged nothing for a second presses nobody: it will get a
// view.
func (ob *object) pressed(now time.Time, cfg Config) bool {
	behind := ob.number
	// any order: the least
	for _, c := range ob.cursors {
		if !c.needView && !c.ending && !c.declined && c.number < behind && now.Sub(c.moved) < time.Second {
			behind = c.number
		}
	}
	entries, _ := ob.since(behind)
	if len(entries) > cfg.MaxLogEntries*3/4 {
		return true
	}
	bytes := 0
	for _, e := range entries {
		bytes += e.size()
	}
	return bytes > cfg.MaxLogBytes*3/4
}

// subscribe makes the cursors those of the nodes that the kind names. A new
// one begins at the present number: what comes after its view is pushed. One
// that is named no more ends after the events up to now.
func (ob *object) subscribe() {
	ob.branched = false
	nodes := ob.obj.Nodes()
	named := make(map[host.PeerID]bool, len(nodes))
	for _, n := range nodes {
		named[n] = true
		if c := ob.cursors[n]; c == nil || c.ending {
			ob.cursors[n] = &cursor{number: ob.number, needView: true}
		}
	}
	// any order: each is treated for itself
	for n, c := range ob.cursors {
		switch {
		case named[n] || c.ending:
		case c.needView || c.number >= ob.number:
			delete(ob.cursors, n)
		default:
			c.ending, c.until = true, ob.number
		}
	}
}

// newEpoch makes this node the orderer from now on: above its own epoch and
// above seen. Every view is sent whole.
func (ob *object) newEpoch(self Epoch, seen Epoch) {
	self.Counter = max(ob.epoch.Counter, seen.Counter) + 1
	ob.epoch = self
	ob.anew()
	// any order: all are treated alike
	for _, c := range ob.cursors {
		c.needView = true
	}
}

// renewLease prolongs a node's lease. gone reports that the node was known
// under another run, whose stakes are to be removed.
func (ob *object) renewLease(node host.PeerID, run uint64, now time.Time) (gone bool) {
	old, ok := ob.leases[node]
	ob.leases[node] = lease{run: run, at: now}
	return ok && old.run != run
}

// wake lets requests that waited for a move look again.
func (ob *object) wake() {
	for _, e := range ob.waiters {
		e.Signal()
	}
	ob.waiters = nil
}

// sorted lists the keys of a map in order, so that nothing depends on chance.
func sorted[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	// any order: sorted below
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
