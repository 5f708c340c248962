package sim

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"
)

// record adds an event to the digest.
func (w *World) record(h *Host, kind string, detail uint64, payload []byte) {
	w.digest.add(uint64(w.now))
	at := uint64(0)
	if h != nil {
		at = h.node.index + 1
	}
	w.digest.add(at<<32 ^ uint64(kind[0])<<8 ^ uint64(kind[1]) ^ detail<<16)
	if payload != nil {
		w.digest.addBytes(payload)
	}
}

// trace writes one line about an event. Callers check Config.Trace first.
func (w *World) trace(h *Host, format string, args ...any) {
	node := "-"
	if h != nil {
		node = h.node.name
	}
	fmt.Fprintf(w.cfg.Trace, "%12.6f %-8s %s\n", w.Elapsed().Seconds(), node, fmt.Sprintf(format, args...))
}

// hungAfter is how long one event may take in real time.
const hungAfter = 20 * time.Second

// A watch notices that one event never ends: a lock held over a blocking
// call, or an endless loop. Then nothing can go on, so it ends the process
// with all stacks.
type watch struct {
	count atomic.Uint64
	timer *time.Timer
	depth int
}

func (x *watch) beat(n uint64) { x.count.Store(n) }

func (w *World) enterRun() {
	if w.closed {
		panic("sim: the world is closed")
	}
	if w.cur != nil {
		panic(w.where(w.cur) + ": a task runs the world; use Sleep or Eventually")
	}
	w.watch.depth++
	if w.watch.depth > 1 {
		panic("sim: Run inside Run")
	}
	seen, seed := w.watch.count.Load(), w.seed
	x := &w.watch
	x.timer = time.AfterFunc(hungAfter, func() {
		if n := x.count.Load(); n != seen {
			seen = n
			x.timer.Reset(hungAfter)
			return
		}
		all := make([]byte, 1<<20)
		all = all[:runtime.Stack(all, true)]
		fmt.Fprintf(os.Stderr, "%s\n", all)
		panic(fmt.Sprintf("sim: seed %d: one event has run for %v: a lock held over a blocking call, or a loop without end (stacks above)", seed, hungAfter))
	})
}

func (w *World) leaveRun() {
	w.watch.depth--
	w.watch.timer.Stop()
}
