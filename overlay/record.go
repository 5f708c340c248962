package overlay

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"ircbridge/host"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

// recordKind is the name of the kind that Put, Get and Remove use.
const recordKind = "record"

// Limits of records.
const (
	MaxValue       = 1024 // bytes of one value; at least one
	MaxValues      = 128  // under one key
	MaxOwnerValues = 16   // of one owner under one key
	// MinTTL and MaxTTL bound the time to live. It is not below the overlay's
	// lease, in which an owner renews three times.
	MinTTL = 90 * time.Second
	MaxTTL = 7 * 24 * time.Hour
)

// record is the keeper's side of one key: its values, each with its owner. A
// value lives for its time to live after its owner renewed it last; whoever
// takes the object over begins that time anew. The owners that live are the
// nodes with a view, so that each knows its keeper.
//
// Time comes in turns and, every few seconds, with Empty; nothing else lapses
// values.
type record struct {
	name   string
	owners map[host.PeerID]*recordOwner
}

type recordOwner struct {
	run    uint64 // in which it lives; 0 when it is gone
	values map[string]*recordValue
}

type recordValue struct {
	ttl     time.Duration
	run     uint64 // of the owner when it put the value
	number  uint64 // of that request
	renewed time.Time
}

func newRecord(name string) Object {
	return &record{name: name, owners: make(map[host.PeerID]*recordOwner)}
}

// Apply makes one RecordRequest.
func (r *record) Apply(t *Turn, req []byte) []byte {
	msg := new(wire.RecordRequest)
	if proto.Unmarshal(req, msg) != nil || t.From().Session != sessionRecords {
		return outcome(wire.Outcome_MALFORMED)
	}
	r.expire(t.Now())
	switch what := msg.What.(type) {
	case *wire.RecordRequest_Put:
		return outcome(r.put(t, what.Put))
	case *wire.RecordRequest_Remove:
		if o := r.owners[t.From().Node]; o != nil {
			delete(o.values, string(what.Remove))
			r.trim(t)
		}
		return outcome(wire.Outcome_DONE)
	}
	return outcome(wire.Outcome_MALFORMED)
}

func (r *record) put(t *Turn, msg *wire.RecordPut) wire.Outcome_Code {
	ttl, ok := ttlFromWire(msg.GetTtlMs())
	value := string(msg.GetValue())
	if !ok || value == "" || len(value) > MaxValue {
		return wire.Outcome_MALFORMED
	}
	o := r.owners[t.From().Node]
	if o == nil || o.values[value] == nil {
		switch {
		case o != nil && len(o.values) >= MaxOwnerValues:
			return wire.Outcome_QUOTA
		case r.count() >= MaxValues:
			return wire.Outcome_FULL
		}
	}
	if o == nil {
		o = &recordOwner{values: make(map[string]*recordValue)}
		r.owners[t.From().Node] = o
	}
	o.values[value] = &recordValue{ttl: ttl, run: t.From().Run, number: t.Number(), renewed: t.Now()}
	o.run = t.From().Run
	t.SubscribersChanged()
	return wire.Outcome_DONE
}

// Query answers with all values.
func (r *record) Query(host.PeerID, []byte) []byte { return r.Snapshot() }

// Snapshot is all values, with their whole times to live.
func (r *record) Snapshot() []byte {
	msg := new(wire.RecordState)
	for _, id := range sorted(r.owners) {
		o := r.owners[id]
		w := &wire.RecordOwner{Node: []byte(id), Run: o.run}
		for _, v := range sorted(o.values) {
			x := o.values[v]
			w.Values = append(w.Values, &wire.RecordValue{
				Value: []byte(v), TtlMs: uint64(x.ttl.Milliseconds()), Run: x.run, Number: x.number,
			})
		}
		msg.Owners = append(msg.Owners, w)
	}
	return deterministic(msg)
}

// Merge unites: of a value that both have, the later by run and number, and
// the longer time to live; an owner lives if it does in either. Beyond the
// limits the first values of each owner, and of all, are kept.
func (r *record) Merge(snapshot []byte) error {
	msg := new(wire.RecordState)
	if err := proto.Unmarshal(snapshot, msg); err != nil {
		return err
	}
	other, err := recordFromWire(r.name, msg)
	if err != nil {
		return err
	}
	for _, id := range sorted(other.owners) {
		mine, theirs := r.owners[id], other.owners[id]
		if mine == nil {
			r.owners[id] = theirs
			continue
		}
		mine.run = max(mine.run, theirs.run)
		for _, v := range sorted(theirs.values) {
			x, y := mine.values[v], theirs.values[v]
			if x == nil {
				mine.values[v] = y
				continue
			}
			if cmp.Or(cmp.Compare(x.run, y.run), cmp.Compare(x.number, y.number)) < 0 {
				x.run, x.number = y.run, y.number
			}
			x.ttl, x.renewed = max(x.ttl, y.ttl), time.Time{}
		}
	}
	left := MaxValues
	for _, id := range sorted(r.owners) {
		o := r.owners[id]
		for i, v := range sorted(o.values) {
			if i >= MaxOwnerValues || left == 0 {
				delete(o.values, v)
				continue
			}
			left--
		}
		if len(o.values) == 0 {
			delete(r.owners, id)
		}
	}
	return nil
}

// recordFromWire reads a state; its values are renewed when time next comes.
func recordFromWire(name string, msg *wire.RecordState) (*record, error) {
	r := &record{name: name, owners: make(map[host.PeerID]*recordOwner)}
	for _, w := range msg.Owners {
		id := host.PeerID(w.GetNode())
		if !id.Valid() || r.owners[id] != nil || len(w.Values) > MaxOwnerValues || len(r.owners) >= MaxValues {
			return nil, fmt.Errorf("%w: owner of a record", errWire)
		}
		o := &recordOwner{run: w.Run, values: make(map[string]*recordValue)}
		for _, v := range w.Values {
			ttl, ok := ttlFromWire(v.GetTtlMs())
			if !ok || len(v.Value) == 0 || len(v.Value) > MaxValue {
				return nil, fmt.Errorf("%w: value of a record", errWire)
			}
			o.values[string(v.Value)] = &recordValue{ttl: ttl, run: v.Run, number: v.Number}
		}
		r.owners[id] = o
	}
	return r, nil
}

// ttlFromWire refuses what lies outside the limits.
func ttlFromWire(ms uint64) (time.Duration, bool) {
	if ms > uint64(MaxTTL.Milliseconds()) {
		return 0, false
	}
	d := time.Duration(ms) * time.Millisecond
	return d, d >= MinTTL
}

// Renew prolongs what the owner still has here, drops what it has no more,
// and reports whether all that it has is here.
func (r *record) Renew(t *Turn, node host.PeerID, run uint64, payload []byte) (known bool) {
	msg := new(wire.RecordRenewal)
	if proto.Unmarshal(payload, msg) != nil || len(msg.Held) > MaxOwnerValues {
		return false
	}
	r.expire(t.Now())
	held := make(map[uint64]bool, len(msg.Held))
	for _, h := range msg.Held {
		held[h] = true
	}
	o := r.owners[node]
	if o == nil {
		return len(held) == 0
	}
	for _, v := range sorted(o.values) {
		x, h := o.values[v], recordHash(node, v)
		switch {
		case held[h]:
			x.renewed, x.run = t.Now(), run
			delete(held, h)
		case x.run == run && x.number <= msg.Settled:
			delete(o.values, v)
		}
	}
	if o.run != run {
		o.run = run
		t.SubscribersChanged()
	}
	r.trim(t)
	return len(held) == 0
}

// NodeGone: the owner does not renew any more; its values have their time.
func (r *record) NodeGone(_ *Turn, node host.PeerID, keep uint64) {
	if o := r.owners[node]; o != nil && (keep == 0 || o.run != keep) {
		o.run = 0
	}
}

// Nodes are the owners that live.
func (r *record) Nodes() []host.PeerID {
	var nodes []host.PeerID
	for _, id := range sorted(r.owners) {
		if r.owners[id].run != 0 {
			nodes = append(nodes, id)
		}
	}
	return nodes
}

// View names the values, so that an owner sees which of its own are missing.
func (r *record) View() []byte {
	msg := new(wire.RecordView)
	// any order: sorted below
	for id, o := range r.owners {
		// any order: sorted below
		for v := range o.values {
			msg.Hashes = append(msg.Hashes, recordHash(id, v))
		}
	}
	slices.Sort(msg.Hashes)
	return deterministic(msg)
}

// Empty lapses values, for the overlay asks it every few seconds.
func (r *record) Empty(now time.Time) bool {
	r.expire(now)
	return r.count() == 0
}

// Summary names the key and counts the values.
func (r *record) Summary() string {
	return fmt.Sprintf("record %s, %d values", strings.ToValidUTF8(r.name, "?"), r.count())
}

// expire drops the values whose time is over, and begins the time of those
// that came with the object. An owner that still lives stays until its lease
// lapses or it removes something.
func (r *record) expire(now time.Time) {
	// any order: each is treated for itself
	for id, o := range r.owners {
		// any order: each is treated for itself
		for v, x := range o.values {
			if x.renewed.IsZero() {
				x.renewed = now
			} else if now.Sub(x.renewed) > x.ttl {
				delete(o.values, v)
			}
		}
		if len(o.values) == 0 && o.run == 0 {
			delete(r.owners, id)
		}
	}
}

// trim drops the owners that have nothing.
func (r *record) trim(t *Turn) {
	// any order: each is dropped or not for itself
	for id, o := range r.owners {
		if len(o.values) == 0 {
			delete(r.owners, id)
			t.SubscribersChanged()
		}
	}
}

func (r *record) count() (n int) {
	// any order: a sum
	for _, o := range r.owners {
		n += len(o.values)
	}
	return n
}

// recordHash names a value of an owner.
func recordHash(owner host.PeerID, value string) uint64 {
	sum := sha256.Sum256([]byte(string(owner) + value))
	return binary.BigEndian.Uint64(sum[:])
}

// deterministic is the wire form of a message in one fixed order of bytes.
func deterministic(msg proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(msg)
	if err != nil {
		return nil // only of strings that are not UTF-8, which these have none of
	}
	return b
}
