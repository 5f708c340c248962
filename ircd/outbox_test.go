package ircd

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// carrying is an outbox whose writer does nothing but write to nc.
func carrying(nc net.Conn) *outbox {
	o := new(outbox)
	o.writer = func() {
		for {
			b, ok := o.next()
			if !ok {
				return
			}
			if b != nil && o.write(nc, b, time.Minute) != nil {
				o.fail()
				return
			}
		}
	}
	return o
}

func (o *outbox) idle() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.running && o.buf == nil
}

func TestASilentOutboxHasNoWriterAndNoBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		o := carrying(far)
		for range 3 {
			if !o.idle() {
				t.Fatal("there is a writer and nothing to write")
			}
			if err := o.put([]byte("line\r\n")); err != nil {
				t.Fatal(err)
			}
			o.kick()
			if _, err := io.ReadFull(near, make([]byte, 6)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		o.close([]byte("last"))
		got := make([]byte, 4)
		if _, err := io.ReadFull(near, got); err != nil || string(got) != "last" {
			t.Errorf("%q, %v", got, err)
		}
		o.wait()
		if err := o.put([]byte("x")); !errors.Is(err, errOutboxClosed) {
			t.Error("takes lines after its end:", err)
		}
	})
}

func TestAFullOutboxLetsOnlyTheWriterAdd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		o := carrying(far)
		line := []byte(strings.Repeat("x", 1<<10))
		waits := true
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 3 * maxOutbox >> 10 {
				o.put(line)
			}
			waits = false
		})
		synctest.Wait() // the first lines are being written to nobody
		if size := o.size(); !waits || size < maxOutbox || size > maxOutbox+len(line) {
			t.Fatalf("%d bytes are waiting; who puts waits: %v", size, waits)
		}
		before := o.size()
		o.add(&buffer{slices.Clone(line)})
		if o.size() != before+len(line) {
			t.Error("the writer cannot add")
		}
		wg.Go(func() { io.Copy(io.Discard, near) })
		synctest.Wait()
		if waits {
			t.Error("there is room, and who puts still waits")
		}
		o.close(nil)
		o.wait()
		far.Close()
		wg.Wait()
	})
}

func TestAnOutboxThatCannotBeWrittenKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, far := net.Pipe()
		o := carrying(far)
		start := time.Now()
		for o.put([]byte(strings.Repeat("x", 1<<10))) == nil {
		}
		if took := time.Since(start); took < time.Minute || took > 2*time.Minute {
			t.Errorf("gave up after %v", took)
		}
		o.close([]byte("x"))
		o.wait()
	})
}
