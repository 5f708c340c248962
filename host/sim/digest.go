package sim

import (
	"encoding/binary"
	"math/bits"
)

// A digest is a running hash over the events of a world: fast, the same on
// every machine, and not meant to resist anybody.
type digest uint64

// Odd constants with about as many ones as zeros, for multiplication.
const (
	mixA = 0x9e3779b97f4a7c15
	mixB = 0xd6e8feb86659fd93
)

func (d *digest) add(v uint64) {
	hi, lo := bits.Mul64(uint64(*d)^v^mixA, mixB)
	*d = digest(hi ^ lo + mixA)
}

func (d *digest) addBytes(b []byte) {
	d.add(uint64(len(b)))
	for len(b) >= 8 {
		d.add(binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	if len(b) > 0 {
		var last [8]byte
		copy(last[:], b)
		d.add(binary.LittleEndian.Uint64(last[:]))
	}
}
