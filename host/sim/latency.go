package sim

import (
	"math/rand/v2"
	"time"
)

// Latency draws the time that one message needs from one node to another,
// named by their names. It must take all randomness from r.
type Latency func(r *rand.Rand, from, to string) time.Duration

// Uniform is base plus up to jitter, the same for all links.
func Uniform(base, jitter time.Duration) Latency {
	return func(r *rand.Rand, _, _ string) time.Duration {
		if jitter <= 0 {
			return base
		}
		return base + time.Duration(r.Uint64N(uint64(jitter)))
	}
}

// LAN is the default: 1 ms and up to 0.5 ms more.
func LAN() Latency { return Uniform(time.Millisecond, time.Millisecond/2) }

// WAN gives each pair of nodes a distance of its own, 10 to 120 ms one way
// and the same both ways, and each message up to a tenth more.
func WAN() Latency {
	return func(r *rand.Rand, from, to string) time.Duration {
		a, b := min(from, to), max(from, to)
		var d digest
		d.addBytes([]byte(a))
		d.addBytes([]byte(b))
		base := 10*time.Millisecond + time.Duration(uint64(d)%uint64(110*time.Millisecond))
		return base + time.Duration(r.Uint64N(uint64(base/10)))
	}
}
