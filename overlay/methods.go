package overlay

import (
	"time"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

// The overlay's methods; 16 to 31, 48 to 51, 62 and 63 are its own.
var (
	methodRequest   = host.Method{Number: 16, Name: "overlay request"}
	methodQuery     = host.Method{Number: 17, Name: "overlay query"}
	methodDeliver   = host.Method{Number: 18, Name: "overlay deliver"}
	methodView      = host.Method{Number: 19, Name: "overlay view", Bulk: true}
	methodRenew     = host.Method{Number: 20, Name: "overlay renew"}
	methodAssert    = host.Method{Number: 21, Name: "overlay assert", Bulk: true}
	methodOpenRange = host.Method{Number: 22, Name: "overlay open range", Bulk: true}
	methodHandOver  = host.Method{Number: 23, Name: "overlay hand over", Bulk: true}
	methodLogChunk  = host.Method{Number: 24, Name: "overlay log chunk", Bulk: true}
	methodDirect    = host.Method{Number: 25, Name: "overlay direct"}
	methodPing      = host.Method{Number: 26, Name: "overlay ping"}
	methodReplicate = host.Method{Number: 29, Name: "overlay replicate"}
	methodCopy      = host.Method{Number: 30, Name: "overlay copy", Bulk: true}
	methodFetch     = host.Method{Number: 31, Name: "overlay fetch", Bulk: true}
)

func (o *Overlay) handle() {
	o.h.HandleCall(methodRelay, o.onRelay)
	o.h.HandleCall(methodRelayBulk, o.onRelay)
	serve(o, methodRequest, func() *wire.Request { return new(wire.Request) }, o.onRequest)
	serve(o, methodQuery, func() *wire.Query { return new(wire.Query) }, o.onQuery)
	serve(o, methodDeliver, func() *wire.Deliver { return new(wire.Deliver) }, o.onDeliver)
	serve(o, methodView, func() *wire.Deliver { return new(wire.Deliver) }, o.onDeliver)
	serve(o, methodFan, func() *wire.Fan { return new(wire.Fan) }, o.onFan)
	serve(o, methodBatch, func() *wire.Batch { return new(wire.Batch) }, o.onBatch)
	serve(o, methodRenew, func() *wire.Renew { return new(wire.Renew) }, o.onRenew)
	serve(o, methodAssert, func() *wire.Assert { return new(wire.Assert) }, o.onAssert)
	serve(o, methodOpenRange, func() *wire.OpenRange { return new(wire.OpenRange) },
		func(from host.Peer, _ *wire.OpenRange) *wire.OpenRangeReply { return o.onOpenRange(from) })
	serve(o, methodHandOver, func() *wire.HandOver { return new(wire.HandOver) }, o.onHandOver)
	serve(o, methodLogChunk, func() *wire.LogChunk { return new(wire.LogChunk) }, o.onLogChunk)
	serve(o, methodReplicate, func() *wire.Replicate { return new(wire.Replicate) }, o.onReplicate)
	serve(o, methodCopy, func() *wire.Copy { return new(wire.Copy) }, o.onCopy)
	serve(o, methodFetch, func() *wire.Fetch { return new(wire.Fetch) }, o.onFetch)
	serve(o, methodDirect, func() *wire.Direct { return new(wire.Direct) },
		func(from host.Peer, msg *wire.Direct) *wire.Direct {
			return &wire.Direct{Body: o.direct(from, msg.Body)}
		})
	serve(o, methodPing, func() *wire.Ping { return new(wire.Ping) },
		func(host.Peer, *wire.Ping) *wire.Pong { return &wire.Pong{Run: o.h.Run()} })
}

// serve registers a handler that takes and gives messages.
func serve[M, R proto.Message](o *Overlay, m host.Method, empty func() M, f func(from host.Peer, msg M) R) {
	handle := func(from host.Peer, req []byte) ([]byte, error) {
		msg := empty()
		if err := proto.Unmarshal(req, msg); err != nil {
			return nil, err
		}
		return proto.Marshal(f(from, msg))
	}
	o.served[m.Number] = served{m, handle}
	o.h.HandleCall(m, handle)
}

// call makes one call with messages.
func (o *Overlay) call(to host.Peer, m host.Method, msg, reply proto.Message, d time.Duration) error {
	b, err := proto.Marshal(msg)
	if err != nil {
		return err
	}
	b, err = o.callPeer(to, m, b, d)
	if err != nil {
		return err
	}
	return proto.Unmarshal(b, reply)
}

// peer is how to reach a node: over the open connection, or as the ring says.
func (o *Overlay) peer(id host.PeerID) (host.Peer, error) {
	if _, ok := o.h.PeerRun(id); ok {
		return host.Peer{ID: id}, nil
	}
	c, err := o.FindNode(chord.NodeID(id), o.cfg.TryTimeout)
	return c.Peer, err
}

// stopped reports that the host stops, and tasks should end.
func (o *Overlay) stopped() bool { return o.h.Sleep(0) != nil }

// jitter is d less up to a tenth, so that nodes do not move in step.
func (o *Overlay) jitter(d time.Duration) time.Duration {
	return d - time.Duration(o.h.Rand()%uint64(d/10+1))
}

// Limits of names on the wire, in bytes.
const (
	maxKindName   = 16
	maxObjectName = 64
)

// refFromWire reads the name of an object of a kind that is known here.
func (o *Overlay) refFromWire(w *wire.Ref) (ref, bool) {
	r := ref{w.GetKind(), w.GetName()}
	_, known := o.kinds[r.kind]
	return r, known && len(r.kind) <= maxKindName && r.name != "" && len(r.name) <= maxObjectName
}

func refToWire(r ref) *wire.Ref { return &wire.Ref{Kind: r.kind, Name: r.name} }

func nodeToWire(p host.Peer) *wire.Node { return &wire.Node{Peer: []byte(p.ID), Addrs: p.Addrs} }

func (o *Overlay) selfNode() *wire.Node { return nodeToWire(o.h.Self()) }

func contact(p host.Peer) chord.Contact { return chord.Contact{ID: chord.NodeID(p.ID), Peer: p} }

func contactFromWire(w *wire.Node) (chord.Contact, bool) {
	p := host.Peer{ID: host.PeerID(w.GetPeer()), Addrs: w.GetAddrs()}
	return contact(p), p.ID.Valid() && len(p.Addrs) <= 16
}
