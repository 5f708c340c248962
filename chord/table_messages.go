package chord

import (
	"fmt"

	"ircbridge/chord/wire"
	"ircbridge/host"
)

// Limits on the table's messages. A message that breaks one is refused whole.
const (
	maxEvents   = 64
	maxChunk    = 128
	maxSegments = 8
	maxPlaces   = 256
	maxBits     = 12
)

var (
	methodNext    = host.Method{Number: 8, Name: "chord.next"}
	methodGossip  = host.Method{Number: 9, Name: "chord.gossip"}
	methodTable   = host.Method{Number: 10, Name: "chord.table", Bulk: true}
	methodCompare = host.Method{Number: 11, Name: "chord.compare"}
)

func (r *Ring) registerTable() {
	r.h.HandleCall(methodNext, r.handleNext)
	if r.cfg.TableBudget > 0 {
		r.h.HandleCall(methodGossip, r.handleGossip)
		r.h.HandleCall(methodTable, r.handleTable)
		r.h.HandleCall(methodCompare, r.handleCompare)
	}
}

// batch is events that go to one node, and to those behind it up to until.
type batch struct {
	events []*event
	on     bool // the receiver passes them on
	until  ID
}

func eventToWire(e *event) *wire.Event {
	w := &wire.Event{Peer: []byte(e.Peer.ID), Incarnation: e.incarnation, Gone: e.gone}
	if !e.gone {
		w.Addrs = contactToWire(e.Contact).Addrs
	}
	return w
}

func eventFromWire(w *wire.Event) (*event, error) {
	if w == nil || w.Incarnation == 0 || w.Incarnation > maxIncarnation {
		return nil, fmt.Errorf("%w: incarnation %d", errMalformed, w.GetIncarnation())
	}
	c, err := contactFromWire(&wire.Contact{Peer: w.Peer, Addrs: w.Addrs})
	if err != nil {
		return nil, err
	}
	if w.Gone {
		c.Peer.Addrs = nil
	}
	return &event{Contact: c, incarnation: w.Incarnation, gone: w.Gone}, nil
}

func eventsFromWire(ws []*wire.Event, most int) ([]*event, error) {
	if len(ws) > most {
		return nil, fmt.Errorf("%w: %d events, at most %d", errMalformed, len(ws), most)
	}
	es := make([]*event, 0, len(ws))
	for _, w := range ws {
		e, err := eventFromWire(w)
		if err != nil {
			return nil, err
		}
		es = append(es, e)
	}
	return es, nil
}

func idFromWire(b []byte) (ID, error) {
	if len(b) != len(ID{}) {
		return ID{}, fmt.Errorf("%w: ID of %d bytes", errMalformed, len(b))
	}
	return ID(b), nil
}

func encodeGossip(batches []batch) ([]byte, error) {
	m := &wire.GossipRequest{}
	for _, b := range batches {
		w := &wire.Batch{}
		if b.on {
			w.Until = b.until[:]
		}
		for _, e := range b.events {
			w.Events = append(w.Events, eventToWire(e))
		}
		m.Batches = append(m.Batches, w)
	}
	return encode(m)
}

func decodeGossip(b []byte) (batches []batch, doubts []host.PeerID, err error) {
	var m wire.GossipRequest
	if err := decode(b, &m); err != nil {
		return nil, nil, err
	}
	left := maxEvents
	if len(m.Batches) > maxEvents || len(m.Doubts) > maxEvents {
		return nil, nil, fmt.Errorf("%w: %d batches and %d doubts, at most %d", errMalformed, len(m.Batches), len(m.Doubts), maxEvents)
	}
	for _, w := range m.Batches {
		es, err := eventsFromWire(w.GetEvents(), left)
		if err != nil {
			return nil, nil, err
		}
		left -= len(es)
		x := batch{events: es}
		if len(w.GetUntil()) > 0 {
			if x.until, err = idFromWire(w.Until); err != nil {
				return nil, nil, err
			}
			x.on = true
		}
		batches = append(batches, x)
	}
	for _, raw := range m.Doubts {
		id := host.PeerID(raw)
		if !id.Valid() {
			return nil, nil, fmt.Errorf("%w: peer ID of %d bytes", errMalformed, len(raw))
		}
		doubts = append(doubts, id)
	}
	return batches, doubts, nil
}

// chunk is a part of a table, checked.
type chunk struct {
	members     []*event
	done, whole bool
}

func decodeTable(b []byte, after ID) (chunk, error) {
	var m wire.TableReply
	if err := decode(b, &m); err != nil {
		return chunk{}, err
	}
	es, err := eventsFromWire(m.Members, maxChunk)
	if err != nil {
		return chunk{}, err
	}
	for i, e := range es {
		if e.gone || e.ID.Compare(after) <= 0 && (i > 0 || after != ID{}) {
			return chunk{}, fmt.Errorf("%w: chunk of a table out of order", errMalformed)
		}
		after = e.ID
	}
	if len(es) == 0 && !m.Done {
		return chunk{}, fmt.Errorf("%w: empty chunk of a table", errMalformed)
	}
	return chunk{es, m.Done, m.Whole}, nil
}

func decodeTableRequest(b []byte) (after ID, level int, err error) {
	var m wire.TableRequest
	if err := decode(b, &m); err != nil {
		return ID{}, 0, err
	}
	if len(m.After) > 0 {
		if after, err = idFromWire(m.After); err != nil {
			return ID{}, 0, err
		}
	}
	return after, int(min(m.Level, maxLevel)), nil
}

func decodeCompare(b []byte) (*wire.CompareRequest, error) {
	m := &wire.CompareRequest{}
	if err := decode(b, m); err != nil {
		return nil, err
	}
	if m.Level > maxLevel || m.Bits > maxBits || len(m.Segments) > maxSegments {
		return nil, fmt.Errorf("%w: comparison of %d segments of 2^%d at level %d", errMalformed, len(m.Segments), m.Bits, m.Level)
	}
	for _, s := range m.Segments {
		if s == nil || s.Index >= 1<<m.Bits || len(s.Places) > maxPlaces || len(s.Places) != len(s.Incarnations) {
			return nil, fmt.Errorf("%w: segment of a table", errMalformed)
		}
	}
	return m, nil
}

// compared is the answer to a comparison, checked.
type compared struct {
	same   bool
	level  int
	bits   int
	sums   []uint32
	events []*event
	wanted []uint64
}

func decodeCompared(b []byte) (compared, error) {
	var m wire.CompareReply
	if err := decode(b, &m); err != nil {
		return compared{}, err
	}
	if m.Level > maxLevel || m.Bits > maxBits || len(m.Sums) > 0 && len(m.Sums) != 1<<m.Bits || len(m.Wanted) > maxChunk {
		return compared{}, fmt.Errorf("%w: %d sums of 2^%d segments, %d wanted", errMalformed, len(m.Sums), m.Bits, len(m.Wanted))
	}
	es, err := eventsFromWire(m.Events, maxChunk)
	if err != nil {
		return compared{}, err
	}
	return compared{m.Same, int(m.Level), int(m.Bits), m.Sums, es, m.Wanted}, nil
}

func decodeKey(b []byte) (ID, error) {
	var m wire.NextRequest
	if err := decode(b, &m); err != nil {
		return ID{}, err
	}
	return idFromWire(m.Key)
}

// next is one step of an iterative lookup, checked.
type next struct {
	outcome  wire.FindReply_Outcome
	contacts []Contact
	replicas []Contact
}

func decodeNext(b []byte) (next, error) {
	var m wire.NextReply
	if err := decode(b, &m); err != nil {
		return next{}, err
	}
	switch m.Outcome {
	case wire.FindReply_FOUND, wire.FindReply_NOT_MINE, wire.FindReply_NO_ANSWER, wire.FindReply_OUTSIDE:
	default:
		return next{}, fmt.Errorf("%w: outcome %d", errMalformed, m.Outcome)
	}
	cs, err := contactsFromWire(m.Next, maxBetter)
	if err != nil {
		return next{}, err
	}
	rs, err := contactsFromWire(m.Replicas, replicas)
	return next{m.Outcome, cs, rs}, err
}
