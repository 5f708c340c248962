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
		{"little lies about", heap{allocated: 1000 * mib, live: 100 * mib, taken: 114 * mib}, false},
		{"a small node is not worth it", heap{allocated: 1000 * mib, live: 8 * mib, taken: 11 * mib}, false},
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
