package overlay

import (
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

var allMethods = []host.Method{
	methodRequest, methodQuery, methodDeliver, methodView, methodRenew, methodAssert,
	methodOpenRange, methodHandOver, methodLogChunk, methodDirect, methodPing,
}

// Whatever another node sends, no handler panics, and afterwards the node
// still serves.
func FuzzHandlers(f *testing.F) {
	tea := refToWire(ref{"room", "tea"})
	stream := &wire.Stream{Node: []byte("x"), Run: 1, Session: 1}
	for i, m := range []proto.Message{
		&wire.Request{Ref: tea, Stream: stream, First: 1, Items: [][]byte{[]byte("join")}, Route: &wire.Route{BudgetMs: 10, Hops: 1}},
		&wire.Query{Ref: tea, Route: &wire.Route{BudgetMs: 1 << 31, Why: wire.Route_JOINING}},
		&wire.Deliver{Items: []*wire.Delivery{{Ref: tea, Epoch: &wire.Epoch{Counter: 9, Keeper: make([]byte, 20)}, Entries: []*wire.Entry{{Event: []byte("say x")}}}}},
		&wire.Deliver{Items: []*wire.Delivery{{Ref: tea, View: true, Number: 1 << 63, Epoch: &wire.Epoch{Keeper: []byte("short")}}}},
		&wire.Renew{Run: 1, Items: []*wire.Renewal{{Ref: tea}, nil}},
		&wire.Assert{Ref: tea, Snapshot: []byte("nonsense")},
		&wire.OpenRange{},
		&wire.HandOver{Ref: tea, Leaving: true, Cursors: []*wire.Cursor{nil, {Number: 1 << 63}}, Streams: []*wire.StreamState{nil}, Leases: []*wire.Lease{nil}, Entries: []*wire.Entry{nil}},
		&wire.LogChunk{Ref: tea, Entries: []*wire.Entry{{AtMs: -1 << 62}}},
		&wire.Direct{Body: []byte("hi")},
		&wire.Ping{},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(i), b)
	}
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		w := newWorld(t, 1)
		w.run(func() {
			w.grow(2)
			a, b := w.nodes[0], w.nodes[1]
			a.do(w, "tea", "join")
			m := allMethods[int(which)%len(allMethods)]
			_, _ = b.host.Call(a.host.Self(), m, body, time.Second)
			if got, err := b.o.Direct(a.host.Self().ID, []byte("hi"), time.Second); err != nil || string(got) != "got hi" {
				t.Errorf("after %s: %q, %v", m.Name, got, err)
			}
		})
	})
}
