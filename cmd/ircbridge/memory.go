package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The Go runtime keeps as much room as is alive, and what a crowd needed to come in, for
// minutes after the last use. A node is mostly idle, on somebody's own machine: when little goes on, what is not
// alive is collected and given back. Under load nothing changes, so that it costs no speed.

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

// due reports whether more than an eighth of what is alive lies about (and 2 MiB, so that a small node need not collect
// often), and so little was allocated in the last period that it is worth while.
func (t *thrift) due(h heap) bool {
	fresh := h.allocated - t.allocated
	t.allocated = h.allocated
	return fresh < 1<<20+h.live/16 && h.taken > h.live+h.live/8+2<<20
}

// run gives memory back whenever it is due, until ctx is done.
func (t *thrift) run(ctx context.Context) {
	tick := time.NewTicker(thriftPeriod)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if t.due(t.read()) {
				debug.FreeOSMemory()
			}
		case <-ctx.Done():
			return
		}
	}
}
