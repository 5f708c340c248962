package overlay

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"ircbridge/host"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

// Errors of Put, Get and Remove.
var (
	// ErrBadValue: the value has no byte or more than MaxValue.
	ErrBadValue = errors.New("value has no byte or too many")
	// ErrBadTTL: the time to live lies outside MinTTL and MaxTTL.
	ErrBadTTL = errors.New("time to live out of bounds")
	// ErrKeyFull: there are MaxValues values under the key.
	ErrKeyFull = errors.New("the key has as many values as it takes")
	// ErrQuota: this node has MaxOwnerValues values under the key.
	ErrQuota = errors.New("this node has as many values under the key as an owner may")
)

// Value is one value under a key.
type Value struct {
	Owner host.PeerID   // the node that put it
	Data  []byte        // the caller of Get owns it
	TTL   time.Duration // how long it stays after its owner is gone
}

// RegisterRecords makes this node take part in Put, Get and Remove, before
// Run. A node that did not refuses to keep records, so all nodes of an overlay
// register them, or none does.
func (o *Overlay) RegisterRecords() {
	o.dict = &dictionary{
		o: o, box: newOutbox(o, recordKind, sessionRecords), own: make(map[string]map[string]*ownValue),
	}
	o.Register(Kind{Name: recordKind, New: newRecord, Views: o.dict})
}

// Put adds a value of this node to those under a key (1 to 64 bytes of UTF-8,
// taken as it is), within d. Many nodes may put values under one key, and the
// same bytes too. While this node runs it renews the value, and brings it back
// when its keeper crashed; once the node is gone the value stays for ttl,
// counted from the last renewal (30 s apart), or from the last time that
// another keeper took the key over; it is gone at most 5 s after that. Putting
// a value again sets its ttl.
//
// After an error the value may be there or not; it is not renewed. Errors:
// ErrNotRegistered, ErrBadName, ErrBadValue, ErrBadTTL, ErrKeyFull, ErrQuota,
// ErrTooMany, ErrNoKeeper, ErrRejected.
func (o *Overlay) Put(key string, value []byte, ttl, d time.Duration) error {
	if err := o.checkRecord(key, value); err != nil {
		return err
	}
	if ttl < MinTTL || ttl > MaxTTL {
		return fmt.Errorf("put under %q: %w: %v is not in %v to %v", key, ErrBadTTL, ttl, MinTTL, MaxTTL)
	}
	code, err := o.dict.box.ask(key, d, func(done func(uint64, wire.Outcome_Code, error)) error {
		o.dict.mu.Lock()
		defer o.dict.mu.Unlock()
		return o.dict.putLocked(key, string(value), ttl, d, done)
	})
	if err != nil {
		return fmt.Errorf("put: %w", err)
	}
	switch code {
	case wire.Outcome_FULL:
		err = ErrKeyFull
	case wire.Outcome_QUOTA:
		err = ErrQuota
	case wire.Outcome_MALFORMED:
		err = ErrRejected
	default:
		return nil
	}
	return fmt.Errorf("put under %q: %w", key, err)
}

// Get lists the values under a key, of all owners, by owner and value; none is
// no error. It asks the keeper, within d. Errors: ErrNotRegistered, ErrBadName,
// ErrNoKeeper, ErrRejected.
func (o *Overlay) Get(key string, d time.Duration) ([]Value, error) {
	if err := o.checkRecord(key, []byte{0}); err != nil {
		return nil, err
	}
	answer, found, _, err := o.Query(recordKind, key, nil, d)
	if err != nil || !found {
		return nil, err
	}
	msg := new(wire.RecordState)
	err = proto.Unmarshal(answer, msg)
	if err != nil {
		return nil, fmt.Errorf("get %q: %w: %w", key, ErrRejected, err)
	}
	r, err := recordFromWire(key, msg)
	if err != nil {
		return nil, fmt.Errorf("get %q: %w: %w", key, ErrRejected, err)
	}
	var values []Value
	for _, id := range sorted(r.owners) {
		for _, v := range sorted(r.owners[id].values) {
			values = append(values, Value{Owner: id, Data: []byte(v), TTL: r.owners[id].values[v].ttl})
		}
	}
	return values, nil
}

// Remove takes this node's value from a key, within d; that of another owner,
// with the same bytes, stays. A value that is not there is no error. After an
// error the value is renewed no more, and the next renewal of another value
// under the key takes it away, or else its ttl. Errors: ErrNotRegistered,
// ErrBadName, ErrBadValue, ErrTooMany, ErrNoKeeper, ErrRejected.
func (o *Overlay) Remove(key string, value []byte, d time.Duration) error {
	if err := o.checkRecord(key, value); err != nil {
		return err
	}
	_, err := o.dict.box.ask(key, d, func(done func(uint64, wire.Outcome_Code, error)) error {
		o.dict.mu.Lock()
		defer o.dict.mu.Unlock()
		return o.dict.removeLocked(key, string(value), d, done)
	})
	if err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	return nil
}

func (o *Overlay) checkRecord(key string, value []byte) error {
	switch {
	case o.dict == nil:
		return fmt.Errorf("records: %w (RegisterRecords)", ErrNotRegistered)
	case !goodName(key):
		return fmt.Errorf("key %q: %w", key, ErrBadName)
	case len(value) == 0 || len(value) > MaxValue:
		return fmt.Errorf("key %q: %w: %d bytes, at most %d", key, ErrBadValue, len(value), MaxValue)
	}
	return nil
}

// goodName: it can be the name of an object, on the wire too.
func goodName(name string) bool {
	return name != "" && len(name) <= maxObjectName && utf8.ValidString(name)
}

// dictionary is the owner's side of records: the values that this node put.
// They are its stake in the object: named in renewals, asserted where the
// object was lost, put again where a view lacks them.
type dictionary struct {
	o   *Overlay
	box *outbox

	// mu owns own. It is taken before the outbox's and the overlay's, and held
	// over no call to a peer. That a key is held exactly while own has it is so
	// because both change under it.
	mu  sync.Mutex
	own map[string]map[string]*ownValue // by key and value
}

// ownValue is a value that this node put, or is putting.
type ownValue struct {
	ttl     time.Duration
	number  uint64 // of the request that put it
	there   bool   // a keeper acknowledged it
	pending int    // requests on their way that put it
}

// putLocked queues a put. The value is this node's stake once acknowledged;
// the hold begins before, so that the keeper's view finds it.
func (c *dictionary) putLocked(key, value string, ttl, d time.Duration, done func(uint64, wire.Outcome_Code, error)) error {
	values := c.own[key]
	if values == nil {
		values = make(map[string]*ownValue)
		c.own[key] = values
		c.o.Hold(recordKind, key)
	}
	x := values[value]
	if x == nil {
		x = &ownValue{ttl: ttl}
		values[value] = x
	}
	x.pending++
	req := &wire.RecordRequest{What: &wire.RecordRequest_Put{Put: &wire.RecordPut{
		Value: []byte(value), TtlMs: uint64(ttl.Milliseconds()),
	}}}
	err := c.box.put(key, req, d, func(number uint64, code wire.Outcome_Code, err error) {
		c.mu.Lock()
		x.pending--
		if err == nil && (code == wire.Outcome_DONE || code == wire.Outcome_UNKNOWN) {
			x.there, x.number, x.ttl = true, number, ttl
		}
		c.tidyLocked(key, value)
		c.mu.Unlock()
		done(number, code, err)
	})
	if err != nil {
		x.pending--
		c.tidyLocked(key, value)
	}
	return err
}

// removeLocked queues a removal. The value is no stake any more from now on.
func (c *dictionary) removeLocked(key, value string, d time.Duration, done func(uint64, wire.Outcome_Code, error)) error {
	c.forgetLocked(key, value, ^uint64(0))
	req := &wire.RecordRequest{What: &wire.RecordRequest_Remove{Remove: []byte(value)}}
	return c.box.put(key, req, d, func(number uint64, code wire.Outcome_Code, err error) {
		c.mu.Lock()
		c.forgetLocked(key, value, number) // a put before it may have been acknowledged meanwhile
		c.mu.Unlock()
		done(number, code, err)
	})
}

// forgetLocked: a value that was put before a number is no stake any more.
func (c *dictionary) forgetLocked(key, value string, before uint64) {
	if x := c.own[key][value]; x != nil && x.number < before {
		x.there = false
		c.tidyLocked(key, value)
	}
}

// tidyLocked drops a value that is neither there nor on its way, and with the
// last one the stake in the key.
func (c *dictionary) tidyLocked(key, value string) {
	if x := c.own[key][value]; x != nil && !x.there && x.pending == 0 {
		delete(c.own[key], value)
	}
	if values, ok := c.own[key]; ok && len(values) == 0 {
		delete(c.own, key)
		c.o.Release(recordKind, key)
	}
}

// Event comes never: records emit none.
func (c *dictionary) Event(string, Entry) {}

// Reset puts again what a keeper lacks.
func (c *dictionary) Reset(key string, _ Stamp, state []byte, _ []Entry) {
	msg := new(wire.RecordView)
	if proto.Unmarshal(state, msg) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	self := c.o.h.Self().ID
	for _, value := range sorted(c.own[key]) {
		x := c.own[key][value]
		if !x.there || x.pending > 0 || slices.Contains(msg.Hashes, recordHash(self, value)) {
			continue
		}
		// If it fails, the next renewal shows it missing again.
		_ = c.putLocked(key, value, x.ttl, c.o.cfg.GiveUp, func(uint64, wire.Outcome_Code, error) {})
	}
}

// Assert is this node's own values.
func (c *dictionary) Assert(key string) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	run := c.o.h.Run()
	w := &wire.RecordOwner{Node: []byte(c.o.h.Self().ID), Run: run}
	for _, value := range sorted(c.own[key]) {
		if x := c.own[key][value]; x.there {
			w.Values = append(w.Values, &wire.RecordValue{
				Value: bytes.Clone([]byte(value)), TtlMs: uint64(x.ttl.Milliseconds()), Run: run, Number: x.number,
			})
		}
	}
	return deterministic(&wire.RecordState{Owners: []*wire.RecordOwner{w}}), len(w.Values) > 0
}

// Renewal names this node's own values. What is settled is read first: a value
// that is put meanwhile is named, and one that is removed may be missed.
func (c *dictionary) Renewal(key string) ([]byte, bool) {
	msg := &wire.RecordRenewal{Settled: c.box.settled(key)}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, value := range sorted(c.own[key]) {
		if c.own[key][value].there {
			msg.Held = append(msg.Held, recordHash(c.o.h.Self().ID, value))
		}
	}
	slices.Sort(msg.Held)
	// Always a payload, so that only tidyLocked releases: else a put that
	// begins between this answer and the release would lose its hold.
	return deterministic(msg), true
}
