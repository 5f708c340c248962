package load

import (
	"bytes"
	"context"
	"math/bits"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Counts is what became of numbered messages.
type Counts struct {
	Sent, Lost, Doubled, Reordered, Altered int
}

func (c *Counts) add(d Counts) {
	c.Sent += d.Sent
	c.Lost += d.Lost
	c.Doubled += d.Doubled
	c.Reordered += d.Reordered
	c.Altered += d.Altered
}

// Clean: everything came once, in order and whole.
func (c Counts) Clean() bool {
	return c.Lost == 0 && c.Doubled == 0 && c.Reordered == 0 && c.Altered == 0
}

// tally counts the numbers 0 to n-1 as they come.
type tally struct {
	n                           int
	seen                        []uint64 // a bit for each number
	next                        int      // one above the highest number that came
	doubled, reordered, altered int
}

func newTally(n int) tally { return tally{n: n, seen: make([]uint64, (n+63)/64)} }

// add counts one arrival and reports whether it is the number's first. A
// number after which a higher one has come already is out of order.
func (t *tally) add(number int) (first bool) {
	if number < 0 || number >= t.n {
		t.altered++
		return false
	}
	word, bit := &t.seen[number/64], uint64(1)<<(number%64)
	if *word&bit != 0 {
		t.doubled++
		return false
	}
	*word |= bit
	if number < t.next {
		t.reordered++
	} else {
		t.next = number + 1
	}
	return true
}

// counts are final when nothing more can come. sent is how many of the
// numbers were sent.
func (t *tally) counts(sent int) Counts {
	got := 0
	for _, w := range t.seen {
		got += bits.OnesCount64(w)
	}
	return Counts{Sent: sent, Lost: sent - got, Doubled: t.doubled, Reordered: t.reordered, Altered: t.altered}
}

// flow is a stream of numbered messages, as one receiver sees it. tally and
// times belong to the receiver's goroutine until it has ended.
type flow struct {
	mark    string // what its texts begin with
	size    int
	pad     []byte // what fills the texts up, at its longest
	tally   tally
	times   []time.Duration // of each message that came, nil when they are not wanted
	arrived atomic.Int64    // how many numbers have come
	newest  atomic.Int64    // one above the highest of them
	more    chan struct{}   // told after each arrival; may be nil
}

func newFlow(run, name string, n, size int) *flow {
	return &flow{
		mark: "load " + run + " " + name + " ", size: size, pad: bytes.Repeat([]byte("x"), max(size, 1)), tally: newTally(n),
		times: make([]time.Duration, 0, n), more: make(chan struct{}, 1),
	}
}

// line is the message of that number with the time from which it counts.
func (f *flow) line(target string, number int, at time.Duration) string {
	text := f.mark + strconv.Itoa(number) + " " + strconv.FormatInt(int64(at), 10) + " "
	text += strings.Repeat("x", max(f.size-len(text), 1))
	return "PRIVMSG " + target + " :" + text + "\r\n"
}

// take counts a message if it is of this flow. sent is the time in it.
func (f *flow) take(text []byte, at time.Duration) (number int, sent time.Duration, ok bool) {
	if !bytes.HasPrefix(text, []byte(f.mark)) {
		return 0, 0, false
	}
	number, sent, pad, ok := parseNumbers(text[len(f.mark):])
	if !ok || len(pad) != max(f.size-(len(text)-len(pad)), 1) || !bytes.Equal(pad, f.pad[:len(pad)]) {
		f.tally.altered++
		return 0, 0, false
	}
	if !f.tally.add(number) {
		return 0, 0, false
	}
	if f.times != nil {
		f.times = append(f.times, at-sent)
	}
	return number, sent, true
}

// told lets a sender know of an arrival.
func (f *flow) told() {
	f.newest.Store(int64(f.tally.next))
	f.arrived.Add(1)
	select {
	case f.more <- struct{}{}:
	default:
	}
}

// parseNumbers reads "NUMBER TIME " and returns what follows. It is in the way
// of every message, so it makes no strings.
func parseNumbers(b []byte) (number int, sent time.Duration, pad []byte, ok bool) {
	var v [2]int64
	for i := range v {
		j := 0
		for ; j < len(b) && j < 18 && '0' <= b[j] && b[j] <= '9'; j++ {
			v[i] = v[i]*10 + int64(b[j]-'0')
		}
		if j == 0 || j == len(b) || b[j] != ' ' {
			return 0, 0, nil, false
		}
		b = b[j+1:]
	}
	return int(v[0]), time.Duration(v[1]), b, true
}

// until waits until n numbers have come, or nothing came for d.
func (f *flow) until(ctx context.Context, n int, d time.Duration) error {
	return f.awaitCount(ctx, &f.arrived, n, d)
}

// untilNumber waits until that number or a higher one has come, or nothing
// came for d: what was lost before is not waited for again.
func (f *flow) untilNumber(ctx context.Context, number int, d time.Duration) error {
	return f.awaitCount(ctx, &f.newest, number+1, d)
}

func (f *flow) awaitCount(ctx context.Context, count *atomic.Int64, n int, d time.Duration) error {
	late := time.NewTimer(d)
	defer late.Stop()
	for count.Load() < int64(n) {
		select {
		case <-f.more:
			late.Reset(d)
		case <-late.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
