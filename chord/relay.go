package chord

import (
	"errors"
	"fmt"
	"time"

	"ircbridge/chord/wire"
	"ircbridge/host"
)

// A node puts a request to a third one for a neighbour that does not reach it:
// to find out whether it lives (inquire), and, while it is apart, for whatever has
// to be asked of it (relayed).

// errSilent: a neighbour that was asked did not reach the peer either.
var errSilent = errors.New("does not answer a neighbour either")

// relayThrough puts a request to c through the neighbour h.
func (r *Ring) relayThrough(h, c Contact, m host.Method, body []byte, d time.Duration) ([]byte, error) {
	req, err := encode(&wire.RelayRequest{
		To: contactToWire(c), Method: m.Number, Body: body,
		Remaining: uint64(max(d, 0) / time.Microsecond),
	})
	if err != nil {
		return nil, err
	}
	reply, err := r.h.Call(h.Peer, methodRelay, req, d+r.timeout(h))
	if err != nil {
		return nil, err
	}
	var a wire.RelayReply
	if err := decode(reply, &a); err != nil {
		return nil, err
	}
	switch a.Outcome {
	case wire.RelayReply_ANSWERED:
		return a.Body, nil
	case wire.RelayReply_SILENT:
		return nil, errSilent
	}
	return nil, host.ErrBusy
}

// relayed puts a request to a peer that is apart, through one neighbour.
func (r *Ring) relayed(c Contact, m host.Method, body []byte, d time.Duration) ([]byte, error) {
	hs := r.helpers(c, 1)
	if len(hs) == 0 {
		return nil, host.ErrUnreachable
	}
	return r.relayThrough(hs[0], c, m, body, d)
}

// handleRelay puts a neighbour's request to a peer that it does not reach. Only
// what says nothing about the asker is put.
func (r *Ring) handleRelay(from host.Peer, req []byte) ([]byte, error) {
	q, err := decodeRelay(req)
	if err != nil {
		return nil, err
	}
	to := q.to
	r.heard(from)
	r.mu.Lock()
	ok := r.state == member && to.ID != r.id && r.relays < maxRelays
	if ok {
		r.relays++
	}
	r.mu.Unlock()
	if !ok {
		return encode(&wire.RelayReply{Outcome: wire.RelayReply_DECLINED})
	}
	defer func() {
		r.mu.Lock()
		r.relays--
		r.mu.Unlock()
	}()
	tries := time.Duration(1)
	if q.method == methodPing {
		tries = 2 // one lost packet is no silence
	}
	var reply []byte
	for range tries {
		if reply, err = r.h.Call(to.Peer, q.method, q.body, q.remaining/tries); !errors.Is(err, host.ErrTimeout) {
			break
		}
	}
	switch {
	case err == nil:
		return encode(&wire.RelayReply{Outcome: wire.RelayReply_ANSWERED, Body: reply})
	case errors.Is(err, host.ErrBusy), errors.Is(err, host.ErrStopped):
		return encode(&wire.RelayReply{Outcome: wire.RelayReply_DECLINED})
	}
	r.mu.Lock()
	wasPred := r.pred != nil && r.pred.ID == to.ID
	r.mu.Unlock()
	if wasPred { // the asker is about to come in its place
		r.startCheck(to, false)
	}
	return encode(&wire.RelayReply{Outcome: wire.RelayReply_SILENT})
}

// relay is a request for a third node, checked.
type relay struct {
	to        Contact
	method    host.Method
	body      []byte
	remaining time.Duration
}

func decodeRelay(b []byte) (relay, error) {
	var m wire.RelayRequest
	if err := decode(b, &m); err != nil {
		return relay{}, err
	}
	to, err := contactFromWire(m.To)
	if err != nil {
		return relay{}, err
	}
	q := relay{to: to, body: m.Body, remaining: time.Duration(min(m.Remaining, uint64(maxLookup/time.Microsecond))) * time.Microsecond}
	switch m.Method {
	case methodPing.Number:
		q.method = methodPing
	case methodFind.Number:
		q.method = methodFind
	case methodNeighbours.Number:
		q.method = methodNeighbours
		var n wire.NeighboursRequest
		if err := decode(m.Body, &n); err != nil {
			return relay{}, err
		}
		if n.Successor {
			return relay{}, fmt.Errorf("%w: a claim to be a predecessor, through another", errMalformed)
		}
	default:
		return relay{}, fmt.Errorf("%w: method %d is not for relaying", errMalformed, m.Method)
	}
	return q, nil
}
