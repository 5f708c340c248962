package overlay

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"

	"ircbridge/host"
	"ircbridge/overlay/wire"
)

// heap is what is in use, after a collection.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// dontSave makes a kind one that is not kept on disk, so that no virtual time passes.
func (o *Overlay) dontSave(kind string) {
	k := o.kinds[kind]
	k.Volatile = true
	o.kinds[kind] = k
}

// One node asks for a million names: it gets as many as are one's share, the memory that they take
// is bounded, and others are served.
func TestAMillionPutsOfOneNode(t *testing.T) {
	million := 1_000_000
	if testing.Short() {
		million = 100_000
	}
	w := newWorld(t, 1)
	w.run(func() {
		w.grow(1)
		o := w.nodes[0].o
		o.dontSave("room")
		before := heap()
		flood := func(from host.PeerID, prefix string, n int) (taken int) {
			stream := Stream{from, 1, 1}
			for i := range n {
				reply := o.onRequest(host.Peer{ID: from}, &wire.Request{
					Ref: &wire.Ref{Kind: "room", Name: fmt.Sprint(prefix, i)}, Route: &wire.Route{BudgetMs: 1000},
					Stream: streamToWire(stream), First: 1, Items: [][]byte{[]byte("join")},
				})
				if reply.Status == wire.Status_OK {
					taken++
				}
			}
			return taken
		}
		if got := flood(peer(1), "a", million); got != o.cfg.MaxSole {
			t.Errorf("%d of a million were taken, want %d", got, o.cfg.MaxSole)
		}
		used := heap() - before
		t.Logf("%d objects take %d MiB", len(o.objects), used>>20)
		if used > 100<<20 {
			t.Errorf("%d bytes are in use", used)
		}
		if got := flood(peer(2), "b", 100); got != 100 {
			t.Errorf("of another node %d of 100 were taken", got)
		}
		o.lapse() // counts anew
		if got := flood(peer(1), "c", 100) + flood(peer(2), "d", 100); got != 100 {
			t.Errorf("after the count %d of 200 were taken, want the other node's 100", got)
		}
		for i := range 12 {
			flood(peer(10+i), fmt.Sprint("e", i, "."), million/100)
		}
		if len(o.objects) > o.cfg.MaxObjects {
			t.Errorf("%d objects, with a bound of %d", len(o.objects), o.cfg.MaxObjects)
		}
	})
}

// Long lines in very many objects: their logs have a bound together.
func TestLogsHaveABoundTogether(t *testing.T) {
	w := newWorld(t, 1)
	w.cfg.MaxLogs = 4 << 20
	w.run(func() {
		w.grow(1)
		o := w.nodes[0].o
		o.dontSave("room")
		line := append([]byte("say "), bytes.Repeat([]byte("x"), 4000)...)
		for i := range 200 {
			var items [][]byte
			items = append(items, []byte("join"))
			for range 12 {
				items = append(items, line)
			}
			o.onRequest(host.Peer{ID: peer(1)}, &wire.Request{
				Ref: &wire.Ref{Kind: "room", Name: fmt.Sprint("room", i)}, Route: &wire.Route{BudgetMs: 1000},
				Stream: streamToWire(Stream{peer(1), 1, 1}), First: 1, Items: items,
			})
		}
		sum := func() (n int) {
			for _, ob := range o.objects {
				n += ob.logBytes
			}
			return n
		}
		if sum() < 8<<20 {
			t.Fatalf("%d bytes only", sum())
		}
		o.lapse()
		if sum() > 4<<20 {
			t.Errorf("%d bytes are left", sum())
		}
	})
}
