package overlay

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Many requests to one object gather into batches, and lines that are
// forgotten never use a number again.
func TestOutboxNumbersNeverFallBack(t *testing.T) {
	w := newWorld(t, 5)
	w.run(func() {
		w.grow(1)
		n := w.nodes[0]
		running := 40
		for i := range running {
			w.Go("put", func() {
				if err := n.o.Put("key", fmt.Append(nil, i%8), hour, time.Second); err != nil {
					t.Error(err)
				}
				running--
			})
		}
		w.must("all put", func() bool { return running == 0 })
		if got := n.o.dict.box.settled("key"); got != 40 {
			t.Errorf("%d requests settled", got)
		}
		for i := range maxLines + 10 {
			_ = n.o.Remove(fmt.Sprint("other", i), []byte("v"), time.Second)
		}
		if got := len(n.o.dict.box.lines); got > maxLines {
			t.Errorf("%d lines", got)
		}
		if got := len(n.o.dict.box.idle); got > maxLines {
			t.Errorf("%d idle lines listed", got)
		}
		if n.o.dict.box.lines["key"] != nil {
			t.Error("the oldest line is not forgotten")
		}
		n.put(w, "key", "new")
		if got := n.o.dict.box.settled("key"); got != 41 {
			t.Errorf("number %d after 40 were used", got)
		}
		if got := n.got(w, "key"); !strings.Contains(got, "n0=new") {
			t.Errorf("%q", got)
		}
	})
}
