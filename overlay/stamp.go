package overlay

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/overlay/wire"
)

// Key is where an object lies on the ring: the first 20 bytes of
// SHA-256("ircbridge/1" 0x00 kind 0x00 folded name).
func Key(kind, name string) chord.ID {
	sum := sha256.Sum256([]byte("ircbridge/1\x00" + kind + "\x00" + name))
	return chord.ID(sum[:len(chord.ID{})])
}

// Epoch says who orders an object: while it lasts, one keeper in one run.
type Epoch struct {
	Counter uint64
	Keeper  chord.ID
	Run     uint64
}

// Compare orders epochs by counter, then keeper, then run.
func (e Epoch) Compare(f Epoch) int {
	if c := cmp.Compare(e.Counter, f.Counter); c != 0 {
		return c
	}
	if c := bytes.Compare(e.Keeper[:], f.Keeper[:]); c != 0 {
		return c
	}
	return cmp.Compare(e.Run, f.Run)
}

// Stamp is the place of an event in its object's order. Numbers go on through
// a change of epoch when the object was handed over, and may fall back when it
// had to be rebuilt; the epoch decides.
type Stamp struct {
	Epoch  Epoch
	Number uint64
}

// Compare orders stamps by epoch, then number.
func (s Stamp) Compare(t Stamp) int {
	if c := s.Epoch.Compare(t.Epoch); c != 0 {
		return c
	}
	return cmp.Compare(s.Number, t.Number)
}

// Stream is an origin of numbered requests: one session of one run of a node.
type Stream struct {
	Node    host.PeerID
	Run     uint64
	Session uint64
}

// Compare orders streams by node, run, session.
func (s Stream) Compare(t Stream) int {
	return cmp.Or(cmp.Compare(s.Node, t.Node), cmp.Compare(s.Run, t.Run), cmp.Compare(s.Session, t.Session))
}

// Entry is one event of an object's log. Nobody changes it.
type Entry struct {
	Stamp  Stamp
	At     time.Time // by the keeper's hybrid clock: to show, never to decide by
	From   Stream    // whose request made it; zero when the keeper itself did
	Number uint64    // of that request in its stream
	Event  []byte
}

func (e Entry) size() int { return len(e.Event) + 200 }

// errWire: a message that came in breaks its form.
var errWire = errors.New("malformed overlay message")

// StampToWire is the wire form of a stamp.
func StampToWire(s Stamp) *wire.Stamp {
	return &wire.Stamp{Epoch: epochToWire(s.Epoch), Number: s.Number}
}

// StampFromWire reads a stamp; nil is the zero stamp.
func StampFromWire(w *wire.Stamp) (Stamp, error) {
	e, err := epochFromWire(w.GetEpoch())
	return Stamp{Epoch: e, Number: w.GetNumber()}, err
}

func epochToWire(e Epoch) *wire.Epoch {
	return &wire.Epoch{Counter: e.Counter, Keeper: e.Keeper[:], Run: e.Run}
}

func epochFromWire(w *wire.Epoch) (Epoch, error) {
	if w == nil {
		return Epoch{}, nil
	}
	if len(w.Keeper) != len(chord.ID{}) {
		return Epoch{}, fmt.Errorf("%w: keeper of %d bytes", errWire, len(w.Keeper))
	}
	return Epoch{Counter: w.Counter, Keeper: chord.ID(w.Keeper), Run: w.Run}, nil
}

func streamToWire(s Stream) *wire.Stream {
	if s == (Stream{}) {
		return nil
	}
	return &wire.Stream{Node: []byte(s.Node), Run: s.Run, Session: s.Session}
}

func streamFromWire(w *wire.Stream) (Stream, error) {
	if w == nil {
		return Stream{}, nil
	}
	id := host.PeerID(w.Node)
	if !id.Valid() {
		return Stream{}, fmt.Errorf("%w: stream of a bad peer ID", errWire)
	}
	return Stream{Node: id, Run: w.Run, Session: w.Session}, nil
}

func entryToWire(e Entry) *wire.Entry {
	return &wire.Entry{
		Stamp: StampToWire(e.Stamp), AtMs: e.At.UnixMilli(),
		From: streamToWire(e.From), Number: e.Number, Event: e.Event,
	}
}

func entryFromWire(w *wire.Entry) (Entry, error) {
	at, err := StampFromWire(w.GetStamp())
	if err != nil {
		return Entry{}, err
	}
	from, err := streamFromWire(w.GetFrom())
	if err != nil {
		return Entry{}, err
	}
	return Entry{Stamp: at, At: time.UnixMilli(w.GetAtMs()), From: from, Number: w.GetNumber(), Event: w.GetEvent()}, nil
}

func entriesToWire(es []Entry) []*wire.Entry {
	out := make([]*wire.Entry, len(es))
	for i, e := range es {
		out[i] = entryToWire(e)
	}
	return out
}

func entriesFromWire(ws []*wire.Entry) ([]Entry, error) {
	out := make([]Entry, len(ws))
	for i, w := range ws {
		e, err := entryFromWire(w)
		if err != nil {
			return nil, err
		}
		out[i] = e
	}
	return out, nil
}
