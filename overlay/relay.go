package overlay

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

// Two nodes that do not reach each other, while others reach both, speak
// through a third one. When a call fails that should not, some neighbours on the
// ring are asked in the background whether they reach the node; if one does, later
// calls go through it, until the node answers directly again. What goes
// through is signed by who asks and by who answers, so the third one can drop or
// repeat it and no more; whatever the overlay asks may be repeated.

var (
	methodRelay     = host.Method{Number: 48, Name: "overlay relay"}
	methodRelayBulk = host.Method{Number: 49, Name: "overlay relay bulk", Bulk: true}
)

const (
	maxPaths     = 64              // nodes that are out of reach at a time
	maxRelays    = 64              // requests that are put through for others at a time
	pathHelpers  = 3               // neighbours that are asked for a way
	pathCheck    = 5 * time.Second // between two looks whether the node is reached directly
	silentPause  = 2 * time.Second // in which no way is looked for again
	relayContext = "ircbridge/1 relay\x00"
)

var errRelay = errors.New("no answer through a third node")

// served is a method that this node answers.
type served struct {
	method host.Method
	handle host.CallHandler
}

// path is the way to a node that is not reached directly. Owned by Overlay.mu.
type path struct {
	via   host.Peer // no ID: none is known
	until time.Time // of such a one, when it is forgotten
}

// callPeer makes one call, directly or on the way that is known to be open.
func (o *Overlay) callPeer(to host.Peer, m host.Method, body []byte, d time.Duration) ([]byte, error) {
	o.mu.Lock()
	p := o.paths[to.ID]
	var via host.Peer
	if p != nil {
		via = p.via
	}
	o.mu.Unlock()
	if via.ID != "" {
		return o.callThrough(via, to, m, body, d)
	}
	reply, err := o.h.Call(to, m, body, d)
	if errors.Is(err, host.ErrUnreachable) || errors.Is(err, host.ErrTimeout) {
		o.missed(to)
	}
	return reply, err
}

// missed hears that a call failed, and has a way looked for.
func (o *Overlay) missed(to host.Peer) {
	now := o.h.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if p := o.paths[to.ID]; p != nil && (p.until.IsZero() || now.Before(p.until)) || p == nil && len(o.paths) >= maxPaths || o.left || to.ID == o.h.Self().ID {
		return
	}
	p := new(path)
	o.paths[to.ID] = p
	o.h.Go("overlay path", func() { o.keepPath(to, p) })
}

// keepPath finds a way to a node, and keeps it until it is not needed. A node
// that answers a ping is reached: it was the call that took too long.
func (o *Overlay) keepPath(to host.Peer, p *path) {
	if o.answersDirectly(to) {
		o.mu.Lock()
		delete(o.paths, to.ID)
		o.mu.Unlock()
		return
	}
	for found := false; ; {
		via, ok := o.findVia(to)
		o.mu.Lock()
		p.via = via
		if !ok {
			p.until = o.h.Now().Add(silentPause)
		}
		o.mu.Unlock()
		if !ok {
			break
		}
		if !found {
			found = true
			o.log.Info("a node is not reached directly; what it is asked goes through another", "node", chord.NodeID(to.ID), "through", chord.NodeID(via.ID))
		}
		for ok {
			if o.h.Sleep(pathCheck) != nil {
				return
			}
			if o.answersDirectly(to) {
				o.log.Info("a node is reached directly again", "node", chord.NodeID(to.ID))
				o.mu.Lock()
				delete(o.paths, to.ID)
				o.mu.Unlock()
				return
			}
			ok = o.answersThrough(via, to)
		}
	}
	if o.h.Sleep(silentPause) != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.paths[to.ID] == p {
		delete(o.paths, to.ID)
	}
}

func (o *Overlay) answersDirectly(to host.Peer) bool {
	body, _ := proto.Marshal(new(wire.Ping))
	_, err := o.h.Call(to, methodPing, body, o.cfg.TryTimeout)
	return err == nil
}

func (o *Overlay) answersThrough(via, to host.Peer) bool {
	body, _ := proto.Marshal(new(wire.Ping))
	_, err := o.callThrough(via, to, methodPing, body, o.cfg.TryTimeout)
	return err == nil
}

// findVia asks some neighbours at once whether they reach a node, and takes
// the first that does.
func (o *Overlay) findVia(to host.Peer) (via host.Peer, ok bool) {
	helpers := o.helpers(to.ID)
	left := len(helpers)
	if left == 0 {
		return host.Peer{}, false
	}
	done := o.h.NewEvent()
	for _, h := range helpers {
		o.h.Go("overlay seek path", func() {
			reached := o.answersThrough(h, to)
			o.mu.Lock()
			defer o.mu.Unlock()
			if left--; reached && !ok {
				via, ok = h, true
			}
			if ok || left == 0 {
				done.Signal()
			}
		})
	}
	_ = o.wait(done, 3*o.cfg.TryTimeout)
	o.mu.Lock()
	defer o.mu.Unlock()
	return via, ok
}

// helpers are neighbours on the ring that may reach a node, in a random order.
func (o *Overlay) helpers(to host.PeerID) []host.Peer {
	near := o.ring.Successors()
	near = slices.Clone(near[:min(len(near), 2*pathHelpers)])
	if pred, ok := o.ring.Predecessor(); ok {
		near = append(near, pred)
	}
	var hs []host.Peer
	for len(near) > 0 && len(hs) < pathHelpers {
		i := int(o.h.Rand() % uint64(len(near)))
		p := near[i].Peer
		near = slices.Delete(near, i, i+1)
		o.mu.Lock()
		apart := o.paths[p.ID] != nil
		o.mu.Unlock()
		if p.ID != to && !apart && !slices.ContainsFunc(hs, func(h host.Peer) bool { return h.ID == p.ID }) {
			hs = append(hs, p)
		}
	}
	return hs
}

// relayBytes is what the origin of a relayed request signs.
func relayBytes(w *wire.Relay) []byte {
	b := []byte(relayContext + "ask\x00")
	b = append(b, w.GetTo().GetPeer()...)
	b = append(b, w.Origin...)
	b = binary.BigEndian.AppendUint32(b, w.Method)
	b = binary.BigEndian.AppendUint64(b, w.Nonce)
	return append(b, w.Body...)
}

// relayedBytes is what the node that was asked signs.
func relayedBytes(nonce uint64, body []byte) []byte {
	return append(binary.BigEndian.AppendUint64([]byte(relayContext+"answer\x00"), nonce), body...)
}

// relayMethod carries a method's requests and replies.
func relayMethod(m host.Method) host.Method {
	if m.Bulk {
		return methodRelayBulk
	}
	return methodRelay
}

// callThrough makes one call through a third node.
func (o *Overlay) callThrough(via, to host.Peer, m host.Method, body []byte, d time.Duration) ([]byte, error) {
	w := &wire.Relay{
		To: nodeToWire(to), Method: m.Number, Body: body, Origin: []byte(o.h.Self().ID),
		Nonce: o.h.Rand(), BudgetMs: uint32(d.Milliseconds()),
	}
	w.Signature = o.h.Sign(relayBytes(w))
	req, err := proto.Marshal(w)
	if err != nil {
		return nil, err
	}
	b, err := o.h.Call(via, relayMethod(m), req, d)
	if err != nil {
		return nil, err
	}
	reply := new(wire.Relayed)
	if err := proto.Unmarshal(b, reply); err != nil {
		return nil, err
	}
	if reply.Outcome != wire.Relayed_ANSWERED || !to.ID.Verify(relayedBytes(w.Nonce, reply.Body), reply.Signature) {
		return nil, errRelay
	}
	return reply.Body, nil
}

// onRelay answers a request that came through a third node, or puts one through.
func (o *Overlay) onRelay(from host.Peer, req []byte) ([]byte, error) {
	declined := &wire.Relayed{Outcome: wire.Relayed_DECLINED}
	w := new(wire.Relay)
	if err := proto.Unmarshal(req, w); err != nil {
		return nil, err
	}
	to, ok := contactFromWire(w.GetTo())
	served, known := o.served[w.Method]
	origin := host.PeerID(w.Origin)
	switch {
	case !ok || !known || !origin.Valid():
		return proto.Marshal(declined)
	case to.ID == o.self:
		if !origin.Verify(relayBytes(w), w.Signature) {
			return proto.Marshal(declined)
		}
		body, err := served.handle(host.Peer{ID: origin}, w.Body)
		if err != nil {
			return nil, err
		}
		return proto.Marshal(&wire.Relayed{Outcome: wire.Relayed_ANSWERED, Body: body, Signature: o.h.Sign(relayedBytes(w.Nonce, body))})
	case from.ID != origin: // only who asks itself is helped
		return proto.Marshal(declined)
	}
	o.mu.Lock()
	busy := o.relays >= maxRelays
	if !busy {
		o.relays++
	}
	o.mu.Unlock()
	if busy {
		return proto.Marshal(declined)
	}
	reply, err := o.h.Call(to.Peer, relayMethod(served.method), req, budget(&wire.Route{BudgetMs: w.BudgetMs})*7/8)
	o.mu.Lock()
	o.relays--
	o.mu.Unlock()
	if err != nil {
		return proto.Marshal(&wire.Relayed{Outcome: wire.Relayed_SILENT})
	}
	return reply, nil
}
