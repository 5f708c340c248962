package main

import (
	"runtime"
	"testing"
)

func TestMemoryIsGivenBackInCalmOnly(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct {
		what string
		heap heap
		due  bool
	}{
		{"much lies about, and little is done", heap{allocated: 1000 * mib, live: 100 * mib, taken: 200 * mib}, true},
		{"much is done", heap{allocated: 1010 * mib, live: 100 * mib, taken: 200 * mib}, false},
		{"little lies about", heap{allocated: 1000 * mib, live: 100 * mib, taken: 125 * mib}, false},
		{"a small node is not worth it", heap{allocated: 1000 * mib, live: 6 * mib, taken: 11 * mib}, false},
	} {
		if got := (&thrift{allocated: 999 * mib}).due(test.heap); got != test.due {
			t.Errorf("%s: due is %v", test.what, got)
		}
	}
	if th := newThrift(); th.due(heap{allocated: 50 * mib, taken: 50 * mib}) {
		t.Error("what was allocated at the start counts as calm")
	}
}

func TestMemoryIsRead(t *testing.T) {
	runtime.GC()
	h := newThrift().read()
	if h.allocated == 0 || h.live == 0 || h.taken == 0 || h.live > h.allocated {
		t.Errorf("the runtime says %+v", h)
	}
}

func TestASmallHeapMayGrowMore(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 6 << 20: 400, 12 << 20: 200, 24 << 20: 100, 100 << 20: 100} {
		if got := growth(live); got != want {
			t.Errorf("of %d MiB alive it is %d, want %d", live>>20, got, want)
		}
	}
}
