package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The Go runtime keeps as much room as is alive, and what a crowd needed to come in, for
// minutes after the last use. A node is mostly idle, on somebody's own machine: when little goes on, what is not
// alive is collected and given back. Under load it is not, and a small heap may grow more than is the runtime's rule, so
// that memory costs no speed.

// room is how much a small heap may grow before it is collected: with as much again as is alive, as is the
// runtime's rule, a node with some MiB would collect several times a second under load.
const room = 24 << 20

// growth is the runtime's GOGC for a heap of which so much is alive.
func growth(live uint64) int { return int(min(max(100, 100*room/max(live, 1)), 400)) }

// thriftPeriod is how often a node looks at its memory.
const thriftPeriod = time.Second

// thrift decides when memory is to be given back.
type thrift struct {
	samples   []metrics.Sample
	allocated uint64 // since the start, when it was last looked at
}

// heap is what counts of the runtime's memory, in bytes.
type heap struct {
	allocated uint64 // since the start
	live      uint64 // found by the last collection
	taken     uint64 // by objects, alive or not, and by room for more that the system does not have back
}

func newThrift() *thrift {
	return &thrift{samples: []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}}
}

func (t *thrift) read() heap {
	metrics.Read(t.samples)
	v := func(i int) uint64 { return t.samples[i].Value.Uint64() }
	return heap{allocated: v(0), live: v(1), taken: v(2) + v(3)}
}

// due reports whether more than a quarter of what is alive lies about (and some MiB, so that a small node need not collect
// often), and so little was allocated in the last period that it is worth while.
func (t *thrift) due(h heap) bool {
	fresh := h.allocated - t.allocated
	t.allocated = h.allocated
	return fresh < 1<<20+h.live/16 && h.taken > h.live+h.live/4+4<<20
}

// run gives memory back whenever it is due, until ctx is done, and lets the heap grow. Who has set GOGC has set that.
func (t *thrift) run(ctx context.Context) {
	tick := time.NewTicker(thriftPeriod)
	defer tick.Stop()
	grows := 100
	for {
		select {
		case <-tick.C:
			h := t.read()
			if t.due(h) {
				debug.FreeOSMemory()
			}
			if g := growth(h.live); os.Getenv("GOGC") == "" && (g > grows+grows/4 || g < grows-grows/4) {
				grows = g
				debug.SetGCPercent(g)
			}
		case <-ctx.Done():
			return
		}
	}
}
