package overlay

import (
	"errors"
	"fmt"
	"time"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/overlay/wire"
)

// RouteHandler takes a message that was routed to a key of this node and
// answers it. It owns msg, runs in a task of its own and may block through the
// host.
type RouteHandler func(from host.PeerID, key chord.ID, msg []byte) (reply []byte)

// MaxRouted is how many bytes a routed message may have.
const MaxRouted = 64 << 10

var methodRoute = host.Method{Number: 28, Name: "overlay route"}

// HandleRoute registers who takes messages to this node's keys, before Run.
func (o *Overlay) HandleRoute(f RouteHandler) {
	o.routed = f
	serve(o, methodRoute, func() *wire.Routed { return new(wire.Routed) }, o.onRouted)
}

// Route sends a message to the node that owns a key now, and returns what its
// handler replied, within d. It looks the owner up again until one takes it,
// so the handler must know repeats: a reply may have been lost. Nothing is
// kept; what shall survive its owner is an object. Errors: ErrNotRegistered,
// ErrBadMessage, ErrNoKeeper, host.ErrStopped.
func (o *Overlay) Route(key chord.ID, msg []byte, d time.Duration) (reply []byte, err error) {
	if o.routed == nil {
		return nil, fmt.Errorf("route: %w (HandleRoute)", ErrNotRegistered)
	}
	if len(msg) > MaxRouted {
		return nil, fmt.Errorf("route to %v: %w: %d bytes, at most %d", key, ErrBadMessage, len(msg), MaxRouted)
	}
	deadline := o.h.Now().Add(d)
	for try := 0; ; try++ {
		left := deadline.Sub(o.h.Now())
		if left <= 0 {
			return nil, fmt.Errorf("route to %v: %w in %v (%v)", key, ErrNoKeeper, d, err)
		}
		var found chord.Found
		if found, err = o.ring.Lookup(key, left); err == nil {
			r := new(wire.RoutedReply)
			w := &wire.Routed{Key: key[:], Body: msg}
			if err = o.call(found.Owner.Peer, methodRoute, w, r, min(left, o.cfg.TryTimeout)); err == nil {
				if r.Status == wire.Status_OK {
					return r.Body, nil
				}
				err = fmt.Errorf("%v by %v", r.Status, found.Owner.ID)
			} else if found.Owner.ID != o.self {
				o.ring.Suspect(found.Owner.Peer.ID)
			}
		}
		if errors.Is(err, host.ErrStopped) {
			return nil, fmt.Errorf("route to %v: %w", key, err)
		}
		if stopped := o.pause(try, deadline); stopped != nil {
			return nil, fmt.Errorf("route to %v: %w", key, stopped)
		}
	}
}

// onRouted takes a message if its key is ours and our range is open.
func (o *Overlay) onRouted(from host.Peer, msg *wire.Routed) *wire.RoutedReply {
	if len(msg.Key) != len(chord.ID{}) || len(msg.Body) > MaxRouted {
		return &wire.RoutedReply{Status: wire.Status_BAD}
	}
	key := chord.ID(msg.Key)
	o.mu.Lock()
	open, gone := o.open, o.leaving || o.left
	o.mu.Unlock()
	switch {
	case gone || !o.ring.Owns(key):
		return &wire.RoutedReply{Status: wire.Status_NOT_MINE}
	case !open:
		return &wire.RoutedReply{Status: wire.Status_RETRY}
	}
	return &wire.RoutedReply{Status: wire.Status_OK, Body: o.routed(from.ID, key, msg.Body)}
}
