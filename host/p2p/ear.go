package p2p

import (
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// ear is a stream that knows when something last came on it, and how much was
// sent on it since. Only reads of the network count, not those of a buffer behind it.
type ear struct {
	network.Stream
	heard atomic.Int64 // as sinceStart tells it
	sent  atomic.Int64 // bytes
}

func newEar(s network.Stream) *ear {
	e := &ear{Stream: s}
	e.heard.Store(int64(sinceStart()))
	return e
}

// Read implements io.Reader.
func (e *ear) Read(b []byte) (int, error) {
	n, err := e.Stream.Read(b)
	if n > 0 {
		e.heard.Store(int64(sinceStart()))
		e.sent.Store(0)
	}
	return n, err
}

// Write implements io.Writer.
func (e *ear) Write(b []byte) (int, error) {
	n, err := e.Stream.Write(b)
	e.sent.Add(int64(n))
	return n, err
}

var processStart = time.Now()

// sinceStart is a time that no change of the machine's clock moves.
func sinceStart() time.Duration { return time.Since(processStart) }
