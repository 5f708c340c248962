package overlay

import (
	"errors"
	"fmt"
	"time"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/overlay/wire"
)

// HandleDirect registers who takes Direct messages. f runs in a task of its
// own and may block through the host. It is called before Run.
func (o *Overlay) HandleDirect(f func(from host.Peer, msg []byte) (reply []byte)) {
	o.direct = f
}

// Direct sends one message to a node and returns what its handler replied. It
// tries again for as long as d allows, so the receiver must know repeats.
// Errors: ErrNoNode, or the last of the host's errors.
func (o *Overlay) Direct(to host.PeerID, msg []byte, d time.Duration) ([]byte, error) {
	if to == o.h.Self().ID {
		return o.direct(o.h.Self(), msg), nil
	}
	deadline := o.h.Now().Add(d)
	peer := host.Peer{ID: to}
	_, known := o.h.PeerRun(to)
	var last error
	for try := 0; ; try++ {
		left := deadline.Sub(o.h.Now())
		if left <= 0 {
			return nil, fmt.Errorf("message to node %v: %w", chord.NodeID(to), last)
		}
		if !known {
			c, err := o.FindNode(chord.NodeID(to), left)
			if err != nil {
				return nil, err
			}
			peer, known = c.Peer, true
		}
		reply := new(wire.Direct)
		err := o.call(peer, methodDirect, &wire.Direct{Body: msg}, reply, min(left, o.cfg.TryTimeout))
		if err == nil {
			return reply.Body, nil
		}
		last, known = err, false
		if errors.Is(err, host.ErrStopped) || errors.Is(err, host.ErrTooLarge) {
			return nil, fmt.Errorf("message to node %v: %w", chord.NodeID(to), err)
		}
		o.ring.Suspect(to)
		if err := o.pause(try, deadline); err != nil {
			return nil, err
		}
	}
}

// Answers asks a node, once, whether it is there. It waits at most about d, and
// returns the run that the node answers in.
func (o *Overlay) Answers(node host.PeerID, d time.Duration) (run uint64, ok bool) {
	if node == o.h.Self().ID {
		return o.h.Run(), true
	}
	peer, err := o.peer(node)
	if err != nil {
		return 0, false
	}
	pong := new(wire.Pong)
	if err := o.call(peer, methodPing, new(wire.Ping), pong, d); err != nil {
		return 0, false
	}
	return pong.Run, true
}

// FindNode finds the living node of an ID. Errors: ErrNoNode.
func (o *Overlay) FindNode(id chord.ID, d time.Duration) (chord.Contact, error) {
	if id == o.self {
		return o.ring.Self(), nil
	}
	found, err := o.ring.Lookup(id, d)
	if err != nil {
		return chord.Contact{}, err
	}
	if found.Owner.ID != id {
		return chord.Contact{}, fmt.Errorf("%w: %v", ErrNoNode, id)
	}
	return found.Owner, nil
}
