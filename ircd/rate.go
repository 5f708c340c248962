package ircd

import (
	"context"
	"time"
)

// bucket limits a rate: so many things at once, and then rate a second.
type bucket struct {
	rate   float64
	burst  float64
	tokens float64
	last   time.Time
}

func newBucket(rate float64, burst int) *bucket {
	return &bucket{rate: rate, burst: float64(burst), tokens: float64(burst), last: time.Now()}
}

// fill adds what has come since the last time.
func (b *bucket) fill() {
	now := time.Now()
	b.tokens = min(b.burst, b.tokens+now.Sub(b.last).Seconds()*b.rate)
	b.last = now
}

// until is how long it takes until there are no fewer than so many tokens.
func (b *bucket) until(tokens float64) time.Duration {
	return time.Duration((tokens - b.tokens) / b.rate * float64(time.Second))
}

// try takes one token if there is one; otherwise it says how long it takes
// until there is.
func (b *bucket) try() time.Duration {
	b.fill()
	if b.tokens < 1 {
		return b.until(1)
	}
	b.tokens--
	return 0
}

// take takes one token, waiting for it if it must; false when ctx ends first.
func (b *bucket) take(ctx context.Context) bool {
	b.fill()
	b.tokens--
	if b.tokens >= 0 {
		return true
	}
	timer := time.NewTimer(b.until(0))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
