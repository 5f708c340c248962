package overlay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

// Bounds of one batch of requests.
const (
	MaxBatch      = 64
	MaxBatchBytes = 64 << 10
)

// Errors of the asking side.
var (
	// ErrNoKeeper: nobody acknowledged in time.
	ErrNoKeeper = errors.New("the keeper did not answer")
	// ErrNoNode: no living node has that ID.
	ErrNoNode = errors.New("no such node")
	// ErrRejected: the keeper calls the request malformed.
	ErrRejected = errors.New("the keeper rejected the request")
)

// answered is what every would-be keeper's reply has.
type answered interface {
	proto.Message
	GetStatus() wire.Status
	GetHint() *wire.Node
}

// ask repeats a question to whoever keeps r until somebody answers it with OK,
// ABSENT or BAD, at most d. send makes one try at a node; assert answers
// NEED_STATE (nil: such an answer is final too).
func (o *Overlay) ask(r ref, d time.Duration, send func(to chord.Contact, left time.Duration) (answered, error), assert func(to chord.Contact, left time.Duration)) (answered, chord.Contact, error) {
	deadline := o.h.Now().Add(d)
	key := r.key()
	var last error
	for try := 0; ; try++ {
		left := deadline.Sub(o.h.Now())
		if left <= 0 {
			break
		}
		to, err := o.keeper(r, key, min(left, o.cfg.TryTimeout))
		if err != nil {
			last = err
			if errors.Is(err, host.ErrStopped) || o.pause(try, deadline) != nil {
				break
			}
			continue
		}
		reply, err := send(to, min(left, o.cfg.TryTimeout))
		if err != nil {
			last = err
			o.forgetKeeper(r)
			if errors.Is(err, host.ErrStopped) {
				break
			}
			if to.Peer.ID != o.h.Self().ID {
				o.ring.Suspect(to.Peer.ID)
			}
			if o.pause(try, deadline) != nil {
				break
			}
			continue
		}
		switch reply.GetStatus() {
		case wire.Status_OK, wire.Status_ABSENT, wire.Status_NOT_KNOWN:
			return reply, to, nil
		case wire.Status_NEED_STATE:
			if assert == nil {
				return reply, to, nil
			}
			assert(to, min(deadline.Sub(o.h.Now()), o.cfg.TryTimeout))
		case wire.Status_NOT_MINE:
			o.forgetKeeper(r)
			if hint, ok := contactFromWire(reply.GetHint()); ok && try%4 == 0 {
				o.setKeeper(r, hint)
				continue
			}
			err = o.pause(try, deadline)
		case wire.Status_RETRY:
			err = o.pause(try, deadline)
		default:
			return reply, to, fmt.Errorf("%s %s: %w", r.kind, r.name, ErrRejected)
		}
		last = fmt.Errorf("%v by %v", reply.GetStatus(), to.ID)
		if err != nil {
			break
		}
	}
	return nil, chord.Contact{}, fmt.Errorf("%s %s: %w in %v (%v)", r.kind, r.name, ErrNoKeeper, d, last)
}

// pause waits before another try: 10 ms at first, then more, up to 250 ms,
// with jitter; never beyond the deadline.
func (o *Overlay) pause(try int, deadline time.Time) error {
	d := min(10*time.Millisecond<<min(try, 8), 250*time.Millisecond)
	d = d/2 + time.Duration(o.h.Rand()%uint64(d))
	return o.h.Sleep(max(0, min(d, deadline.Sub(o.h.Now()))))
}

// keeper is who keeps r as far as known, or as the ring says.
func (o *Overlay) keeper(r ref, key chord.ID, d time.Duration) (chord.Contact, error) {
	o.mu.Lock()
	if o.objects[r] != nil {
		o.mu.Unlock()
		return o.ring.Self(), nil
	}
	c, ok := o.keepers.get(r)
	o.mu.Unlock()
	if ok {
		return c, nil
	}
	found, err := o.ring.Lookup(key, d)
	if err != nil {
		return chord.Contact{}, err
	}
	o.setKeeper(r, found.Owner)
	return found.Owner, nil
}

func (o *Overlay) setKeeper(r ref, c chord.Contact) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keepers.put(r, c)
}

func (o *Overlay) forgetKeeper(r ref) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keepers.drop(r)
}

// Request sends the numbered requests first, first+1, … of one stream to one
// object as a batch, and repeats it until the keeper acknowledged, at most d.
// results[i] answers items[i]. The caller keeps one batch of a stream and
// object in flight at a time and numbers them without gaps, except after a
// batch that it gave up. At most MaxBatch items of MaxBatchBytes together.
// Errors: ErrNoKeeper, ErrRejected.
func (o *Overlay) Request(kind, name string, stream Stream, first uint64, items [][]byte, d time.Duration) (results [][]byte, err error) {
	r := ref{kind, name}
	o.mu.Lock()
	holds := o.holds[r] != nil
	o.mu.Unlock()
	reply, keeper, err := o.ask(r, d, func(to chord.Contact, left time.Duration) (answered, error) {
		msg := &wire.Request{
			Ref: refToWire(r), Route: &wire.Route{BudgetMs: uint32(left.Milliseconds())},
			Stream: streamToWire(stream), First: first, Items: items, Holds: holds,
		}
		if to.Peer.ID == o.h.Self().ID {
			return o.onRequest(to.Peer, msg), nil
		}
		reply := new(wire.RequestReply)
		return reply, o.call(to.Peer, methodRequest, msg, reply, left)
	}, func(to chord.Contact, left time.Duration) {
		_, holds = o.assert(r, to, left)
	})
	if err != nil {
		return nil, err
	}
	rr := reply.(*wire.RequestReply)
	if len(rr.Results) != len(items) {
		return nil, fmt.Errorf("%s %s: %w: %d results for %d requests", kind, name, ErrRejected, len(rr.Results), len(items))
	}
	o.learnKeeper(r, keeper, rr.Keeper)
	return rr.Results, nil
}

// learnKeeper remembers who really answered a request that was forwarded.
func (o *Overlay) learnKeeper(r ref, asked chord.Contact, by *wire.Node) chord.Contact {
	c, ok := contactFromWire(by)
	if !ok || c.ID == asked.ID {
		return asked
	}
	o.setKeeper(r, c)
	return c
}

// Query reads an object; found is false when its keeper has none. It may be
// asked more than once. Errors: ErrNoKeeper, ErrRejected.
func (o *Overlay) Query(kind, name string, q []byte, d time.Duration) (answer []byte, found bool, keeper chord.Contact, err error) {
	r := ref{kind, name}
	reply, keeper, err := o.ask(r, d, func(to chord.Contact, left time.Duration) (answered, error) {
		msg := &wire.Query{Ref: refToWire(r), Route: &wire.Route{BudgetMs: uint32(left.Milliseconds())}, Query: q}
		if to.Peer.ID == o.h.Self().ID {
			return o.onQuery(to.Peer, msg), nil
		}
		reply := new(wire.QueryReply)
		return reply, o.call(to.Peer, methodQuery, msg, reply, left)
	}, nil)
	if err != nil {
		return nil, false, chord.Contact{}, err
	}
	qr := reply.(*wire.QueryReply)
	keeper = o.learnKeeper(r, keeper, qr.Keeper)
	return qr.Answer, qr.Status == wire.Status_OK, keeper, nil
}

// wait is Event.Wait for protocol code, which has durations and no contexts.
func (o *Overlay) wait(e host.Event, d time.Duration) error {
	return e.Wait(context.Background(), d)
}
