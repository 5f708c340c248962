package chord

import (
	"errors"
	"fmt"

	"ircbridge/chord/wire"
	"ircbridge/host"
)

// Contact is a node of the ring: its place, its identity and its addresses as
// of the newest source. ID is always NodeID(Peer.ID). A Contact's addresses
// are shared and never changed in place.
type Contact struct {
	ID   ID
	Peer host.Peer
}

// NewContact is the contact of a peer.
func NewContact(p host.Peer) Contact { return Contact{ID: NodeID(p.ID), Peer: p} }

// String names the contact in logs.
func (c Contact) String() string { return c.ID.short() }

// Limits on what a contact or a list may carry on the wire. A message that
// breaks one is refused whole.
const (
	maxAddrs    = 8
	maxAddrLen  = 256
	maxContacts = 64
	maxBetter   = 8
	maxGrant    = 8
)

// errMalformed: a message breaks the wire format's limits.
var errMalformed = errors.New("malformed message")

// contactToWire keeps the first maxAddrs addresses that fit; the host's own
// may be more.
func contactToWire(c Contact) *wire.Contact {
	w := &wire.Contact{Peer: []byte(c.Peer.ID)}
	for _, a := range c.Peer.Addrs {
		if len(a) <= maxAddrLen && len(w.Addrs) < maxAddrs {
			w.Addrs = append(w.Addrs, a)
		}
	}
	return w
}

func contactsToWire(cs []Contact) []*wire.Contact {
	ws := make([]*wire.Contact, len(cs))
	for i, c := range cs {
		ws[i] = contactToWire(c)
	}
	return ws
}

func contactFromWire(w *wire.Contact) (Contact, error) {
	if w == nil {
		return Contact{}, fmt.Errorf("%w: contact missing", errMalformed)
	}
	p := host.Peer{ID: host.PeerID(w.Peer), Addrs: w.Addrs}
	if !p.ID.Valid() {
		return Contact{}, fmt.Errorf("%w: peer ID of %d bytes", errMalformed, len(w.Peer))
	}
	if len(w.Addrs) > maxAddrs {
		return Contact{}, fmt.Errorf("%w: %d addresses, at most %d", errMalformed, len(w.Addrs), maxAddrs)
	}
	for _, a := range w.Addrs {
		if a == "" || len(a) > maxAddrLen {
			return Contact{}, fmt.Errorf("%w: address of %d bytes", errMalformed, len(a))
		}
	}
	return NewContact(p), nil
}

// optionalFromWire is contactFromWire for a field that may be absent (nil).
func optionalFromWire(w *wire.Contact) (*Contact, error) {
	if w == nil {
		return nil, nil
	}
	c, err := contactFromWire(w)
	if err != nil {
		return nil, err
	}
	return &c, nil
}

func contactsFromWire(ws []*wire.Contact, most int) ([]Contact, error) {
	if len(ws) > most {
		return nil, fmt.Errorf("%w: %d contacts, at most %d", errMalformed, len(ws), most)
	}
	cs := make([]Contact, 0, len(ws))
	for _, w := range ws {
		c, err := contactFromWire(w)
		if err != nil {
			return nil, err
		}
		cs = append(cs, c)
	}
	return cs, nil
}

// sameIDs reports whether two lists name the same nodes in the same order.
func sameIDs(a, b []Contact) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].ID != b[i].ID {
			return false
		}
	}
	return true
}

func sameID(a, b *Contact) bool {
	return a == b || a != nil && b != nil && a.ID == b.ID
}

// indexOf is the position of id in cs, or -1.
func indexOf(cs []Contact, id ID) int {
	for i := range cs {
		if cs[i].ID == id {
			return i
		}
	}
	return -1
}

// without is cs less id, in a new slice when id is in it.
func without(cs []Contact, id ID) []Contact {
	i := indexOf(cs, id)
	if i < 0 {
		return cs
	}
	out := make([]Contact, 0, len(cs)-1)
	out = append(out, cs[:i]...)
	return append(out, cs[i+1:]...)
}
