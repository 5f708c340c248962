package chord

import (
	"encoding/binary"
	mathbits "math/bits"
	"slices"
	"time"

	"ircbridge/host"
)

const (
	// maxTable bounds the contacts of a table, whatever the budget.
	maxTable = 1 << 15
	// maxGraves bounds the dead that are remembered as dead.
	maxGraves = 4096
	// graveTime is how long news of a life that ended are not believed:
	// longer than any news travel.
	graveTime = 10 * time.Minute
	// maxIncarnation bounds a node's incarnations on the wire, so that nobody
	// can make one that the node cannot raise.
	maxIncarnation = 1 << 48
	// maxLevel is the thinnest sample: one contact of 2^16.
	maxLevel = 16
)

// An event says what became of a node: it is a settled member, or gone. Of two
// events about one node the one with the higher incarnation holds, of equal
// ones "gone" (SWIM, 4.2). An event is never changed.
type event struct {
	Contact
	incarnation uint64
	gone        bool
}

// table holds what this node believes of the members of its ring: all of them,
// or those of a sample when all are too many for the budget. The node itself is
// in it too, so that equal tables have equal sums. It is a help for speed: the
// ring decides who owns what. Guarded by Ring.mu.
type table struct {
	members []*event         // in the order of IDs
	level   int              // only IDs that end in so many zero bits are kept
	graves  map[uint64]grave // by place
	buried  []grave          // oldest first
}

// grave is a life that ended.
type grave struct {
	*event
	at time.Time
}

func (t *table) reset() { *t = table{level: t.level, graves: make(map[uint64]grave)} }

// ended reports whether that life of the node, or a later one, is known
// to have ended.
func (t *table) ended(id ID, incarnation uint64) bool {
	g, ok := t.graves[place(id)]
	return ok && g.incarnation >= incarnation
}

// search is the position of the first member at or after id, len(t.members) if
// there is none, and whether it is id itself.
func (t *table) search(id ID) (int, bool) {
	return slices.BinarySearchFunc(t.members, id, func(e *event, id ID) int { return e.ID.Compare(id) })
}

func (t *table) get(id ID) *event {
	if i, ok := t.search(id); ok {
		return t.members[i]
	}
	return nil
}

// after calls f with the members from the first at or after id clockwise, each
// once, until f returns false.
func (t *table) after(id ID, f func(*event) bool) {
	at, _ := t.search(id)
	for i := range t.members {
		if !f(t.members[(at+i)%len(t.members)]) {
			return
		}
	}
}

// before calls f with the members before id, counterclockwise, each once,
// until f returns false.
func (t *table) before(id ID, f func(*event) bool) {
	at, _ := t.search(id)
	n := len(t.members)
	for i := range t.members {
		if !f(t.members[(at-1-i+2*n)%n]) {
			return
		}
	}
}

// learn takes an event over; it reports whether it was news.
func (t *table) learn(e *event, now time.Time) (news bool) {
	at, have := t.search(e.ID)
	if t.ended(e.ID, e.incarnation) || have && t.members[at].incarnation > e.incarnation {
		return false
	}
	switch {
	case e.gone:
		if have {
			t.members = slices.Delete(t.members, at, at+1)
		}
		t.bury(e, now)
	case have && t.members[at].incarnation == e.incarnation:
		return false
	case !t.samples(e.ID):
		return true
	case have:
		t.members[at] = e
	case len(t.members) < maxTable:
		t.members = slices.Insert(t.members, at, e)
	}
	return true
}

// forget removes a member that did not answer this node. Unlike one that is
// gone it comes back when others say that it lives.
func (t *table) forget(id ID) (had *event) {
	if at, ok := t.search(id); ok {
		had = t.members[at]
		t.members = slices.Delete(t.members, at, at+1)
	}
	return had
}

func (t *table) bury(e *event, now time.Time) {
	for len(t.buried) > 0 && (len(t.buried) >= maxGraves || now.Sub(t.buried[0].at) > graveTime) {
		old := t.buried[0]
		t.buried = t.buried[1:]
		if t.graves[place(old.ID)].event == old.event {
			delete(t.graves, place(old.ID))
		}
	}
	g := grave{e, now}
	t.graves[place(e.ID)] = g
	t.buried = append(t.buried, g)
}

// samples reports whether the table has room for id at its level.
func (t *table) samples(id ID) bool { return inSample(id, t.level) }

// inSample reports whether id ends in level zero bits. IDs are hashes, so the
// sample lies evenly over the ring, and it is the same one at all nodes.
func inSample(id ID, level int) bool {
	return mathbits.TrailingZeros32(binary.BigEndian.Uint32(id[len(id)-4:])) >= level
}

// setLevel thins the table out, or makes room for more.
func (t *table) setLevel(level int) {
	t.level = level
	t.members = slices.DeleteFunc(t.members, func(e *event) bool { return !inSample(e.ID, level) })
}

// place is the beginning of an ID: enough to tell members apart in a segment.
func place(id ID) uint64 { return binary.BigEndian.Uint64(id[:]) }

// weight is what one member adds to a sum.
func weight(e *event) uint64 {
	x := place(e.ID) ^ e.incarnation*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// sum is equal for equal tables, at a level.
func (t *table) sum(level int) (s uint64) {
	for _, e := range t.members {
		if inSample(e.ID, level) {
			s += weight(e)
		}
	}
	return s
}

// sums are those of the 2^n segments.
func (t *table) sums(level, n int) []uint32 {
	out := make([]uint32, 1<<n)
	for _, e := range t.members {
		if inSample(e.ID, level) {
			out[segmentOf(e.ID, n)] += uint32(weight(e))
		}
	}
	return out
}

func segmentOf(id ID, n int) int { return int(place(id) >> 1 >> (63 - n)) }

// segment is the members of one of 2^n segments.
func (t *table) segment(level, n, index int) []*event {
	from, _ := slices.BinarySearchFunc(t.members, index, func(e *event, i int) int { return segmentOf(e.ID, n) - i })
	to, _ := slices.BinarySearchFunc(t.members, index+1, func(e *event, i int) int { return segmentOf(e.ID, n) - i })
	var out []*event
	for _, e := range t.members[from:to] {
		if inSample(e.ID, level) {
			out = append(out, e)
		}
	}
	return out
}

// TableStats describes the table of contacts.
type TableStats struct {
	// Contacts is the number of other members in the table. When they are too
	// many for the budget it is that of a sample.
	Contacts int
	// BytesPerSecond is what the table costs: bodies sent or received,
	// whichever is more, over the last ten seconds or so.
	BytesPerSecond float64
	// Budget is the most that it may cost; 0: there is no table.
	Budget int
}

// Table describes the table of contacts as it is now.
func (r *Ring) Table() TableStats {
	now := r.h.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	s := TableStats{Contacts: len(r.table.members), BytesPerSecond: r.meter.rate(now), Budget: max(r.cfg.TableBudget, 0)}
	if r.table.get(r.id) != nil {
		s.Contacts--
	}
	return s
}

// Contact is what this node knows of the member with that ID: a neighbour, a
// finger or an entry of its table. False when it knows none.
func (r *Ring) Contact(id ID) (Contact, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.ringContactLocked(id); ok {
		return c, true
	}
	if e := r.table.get(id); e != nil {
		return e.Contact, true
	}
	return Contact{}, false
}

// RTT is the smoothed round trip to a peer; false if it was never measured.
func (r *Ring) RTT(id host.PeerID) (time.Duration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peers.rtt(NodeID(id))
}
