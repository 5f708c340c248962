package chord

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"ircbridge/host"
)

// ID is a place on the ring: 160 bits, big endian, arithmetic modulo 2^160.
type ID [20]byte

// bits is the number of bits of an ID.
const bits = 160

// ErrBadID: the text or the bytes are no ID.
var ErrBadID = errors.New("bad ID")

// NodeID is the place of a node: the first 20 bytes of SHA-256 of its peer ID.
// Nobody chooses it, and it stays when the node's address changes.
func NodeID(p host.PeerID) ID {
	sum := sha256.Sum256([]byte(p))
	return ID(sum[:len(ID{})])
}

// ParseID reads 40 hexadecimal digits.
func ParseID(text string) (ID, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(ID{}) {
		return ID{}, fmt.Errorf("%w: %q is not 40 hexadecimal digits", ErrBadID, text)
	}
	return ID(raw), nil
}

// String is 40 hexadecimal digits.
func (a ID) String() string { return hex.EncodeToString(a[:]) }

// short is how logs name an ID.
func (a ID) short() string { return hex.EncodeToString(a[:4]) }

// Compare orders IDs as numbers: -1, 0, 1.
func (a ID) Compare(b ID) int { return bytes.Compare(a[:], b[:]) }

// Between reports whether x lies in the open interval (a, b), clockwise. When
// a == b the interval is the whole ring but a.
func Between(a, x, b ID) bool {
	ab := a.Compare(b)
	switch {
	case ab < 0:
		return a.Compare(x) < 0 && x.Compare(b) < 0
	case ab > 0:
		return a.Compare(x) < 0 || x.Compare(b) < 0
	}
	return x != a
}

// InRange reports whether x lies in (a, b], clockwise: whether key x belongs to
// node b whose predecessor is a. When a == b it is the whole ring.
func InRange(a, x, b ID) bool { return x == b || a == b || Between(a, x, b) }

// Distance is the way from a clockwise to b.
func Distance(a, b ID) ID {
	var d ID
	borrow := 0
	for i := len(d) - 1; i >= 0; i-- {
		v := int(b[i]) - int(a[i]) - borrow
		borrow = 0
		if v < 0 {
			v += 256
			borrow = 1
		}
		d[i] = byte(v)
	}
	return d
}

// nearer reports whether x comes before y on the way clockwise from a: whether
// Distance(a, x) < Distance(a, y), without the subtractions.
func nearer(a, x, y ID) bool {
	xWraps, yWraps := x.Compare(a) < 0, y.Compare(a) < 0
	if xWraps != yWraps {
		return yWraps
	}
	return x.Compare(y) < 0
}

// plusPower is a + 2^i: where finger i starts.
func (a ID) plusPower(i int) ID {
	at := len(a) - 1 - i/8
	sum := int(a[at]) + 1<<(i%8)
	a[at] = byte(sum)
	for carry := sum > 255; carry && at > 0; {
		at--
		a[at]++
		carry = a[at] == 0
	}
	return a
}
