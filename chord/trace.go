package chord

import (
	"errors"
	"fmt"
	"time"

	"ircbridge/chord/wire"
	"ircbridge/host"
)

// replicas is the number of the owner's successors that a trace names: those
// that keep copies of its objects.
const replicas = 2

// Hop is one node that Trace asked.
type Hop struct {
	Contact
	RTT    time.Duration // until its answer, or until it was given up
	Err    error         // why there was no answer; nil if there was one
	Answer string        // what it said, for a person
}

// Route is what Trace found.
type Route struct {
	Owner    Contact
	Replicas []Contact // the owner's first two successors, as it names them
	Hops     int       // nodes asked that answered; 0: this node is the owner
}

// Trace looks key up for diagnosis, within about d: where a lookup is passed on
// from node to node, Trace asks each node itself whom it would ask, one after
// the other, and calls step with each answer. It may take another way than a
// lookup at the same time, which goes on by each node's own connections. While no node
// owns the key, because its place on the ring is being repaired, it begins again, with
// growing pauses. The error wraps ErrNoAnswer when no node confirmed to own the key.
func (r *Ring) Trace(key ID, d time.Duration, step func(Hop)) (Route, error) {
	end := r.h.Now().Add(d)
	asked := 0
	for pause := r.cfg.MinTimeout; ; pause = min(2*pause, r.cfg.StabilizePeriod) {
		route, err := r.traceOnce(key, end, step)
		asked += route.Hops
		if !errors.Is(err, ErrNoAnswer) {
			if route.Hops > 0 {
				route.Hops = asked
			}
			return route, err
		}
		if end.Sub(r.h.Now()) <= pause || r.h.Sleep(pause) != nil {
			return Route{Hops: asked}, fmt.Errorf("trace of %s: %d nodes answered within %v: %w", key, asked, d, ErrNoAnswer)
		}
	}
}

// traceOnce asks until a node owns the key or nobody else is to be asked.
func (r *Ring) traceOnce(key ID, end time.Time, step func(Hop)) (Route, error) {
	f, _ := r.confirm(find{key: key, remaining: end.Sub(r.h.Now())})
	switch f.outcome {
	case wire.FindReply_FOUND:
		succs := r.Successors()
		return Route{Owner: r.Self(), Replicas: succs[:min(len(succs), replicas)]}, nil
	case wire.FindReply_OUTSIDE:
		return Route{}, fmt.Errorf("trace of %s: %w", key, ErrNotMember)
	}
	p := passing{ring: r, q: find{key: key}, asked: map[ID]bool{r.id: true}}
	p.refillInOrder()
	route := Route{}
	for range r.cfg.MaxHops {
		left := end.Sub(r.h.Now())
		if len(p.next) == 0 || left <= 0 {
			break
		}
		c := p.next[0]
		p.next = p.next[1:]
		p.asked[c.ID] = true
		hop, said := r.askNext(c, key, left)
		step(hop)
		if errors.Is(hop.Err, host.ErrStopped) {
			break
		}
		if hop.Err != nil {
			r.Suspect(c.Peer.ID)
			continue
		}
		route.Hops++
		if said.outcome == wire.FindReply_FOUND {
			route.Owner, route.Replicas = c, said.replicas
			return route, nil
		}
		var better []Contact
		for _, b := range said.contacts {
			if !p.asked[b.ID] {
				better = append(better, b)
			}
		}
		p.next = append(better, p.next...)
	}
	return route, ErrNoAnswer
}

// askNext asks c whether it owns the key, and whom it would ask.
func (r *Ring) askNext(c Contact, key ID, d time.Duration) (Hop, next) {
	hop := Hop{Contact: c}
	var said next
	req, err := encode(&wire.NextRequest{Key: key[:]})
	start := r.h.Now()
	if err == nil {
		var reply []byte
		// The owner may have to ask its predecessor before it confirms.
		if reply, err = r.watched(c, methodNext, req, min(d, 2*r.cfg.MaxTimeout)); err == nil {
			said, err = decodeNext(reply)
		}
	}
	hop.RTT, hop.Err = r.h.Now().Sub(start), err
	switch {
	case err != nil:
		hop.Answer = "no answer"
	case said.outcome == wire.FindReply_FOUND:
		hop.Answer = "owns the key"
	case said.outcome == wire.FindReply_OUTSIDE:
		hop.Answer = "is not a member of the ring"
	case len(said.contacts) == 0:
		hop.Answer = "knows nobody nearer; the place is being repaired"
	default:
		hop.Answer = "would ask " + said.contacts[0].String()
	}
	return hop, said
}

// refillInOrder lists the contacts to try one after the other.
func (p *passing) refillInOrder() {
	if apart := p.refill(); apart != nil {
		p.next = append([]Contact{*apart}, without(p.next, apart.ID)...)
	}
}

func (r *Ring) handleNext(from host.Peer, req []byte) ([]byte, error) {
	key, err := decodeKey(req)
	if err != nil {
		return nil, err
	}
	r.heard(from)
	f, _ := r.confirm(find{key: key, remaining: r.cfg.MaxTimeout})
	m := &wire.NextReply{Outcome: f.outcome}
	if f.outcome == wire.FindReply_FOUND {
		succs := r.Successors()
		m.Replicas = contactsToWire(succs[:min(len(succs), replicas)])
		return encode(m)
	}
	p := passing{ring: r, q: find{key: key}, asked: map[ID]bool{r.id: true, NodeID(from.ID): true}}
	p.refillInOrder()
	var better []Contact
	if !Between(NodeID(from.ID), r.id, key) {
		better = f.better // this node stands behind the key, and its predecessor nearer to it
	}
	for _, c := range p.next {
		if indexOf(better, c.ID) < 0 {
			better = append(better[:len(better):len(better)], c)
		}
	}
	m.Next = contactsToWire(better[:min(len(better), maxBetter)])
	return encode(m)
}
