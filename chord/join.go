package chord

import (
	"errors"
	"fmt"
	"time"

	"ircbridge/chord/wire"
	"ircbridge/host"
)

// Join makes this node a member of the ring that one of peers belongs to,
// within d. It finds its successor, which must answer, and takes over its
// whole list (Zave, 3.2); only then is it a member. It returns when the
// successor has granted this node its place (or d is over, and it is at least a
// member). A node that is alone may join; for one with other members about it
// Join does nothing. The error tells what came of the last peer tried.
func (r *Ring) Join(peers []host.Peer, d time.Duration) error {
	start := r.h.Now()
	last := fmt.Errorf("no peer given: %w", ErrNoAnswer)
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		for _, p := range peers {
			left := d - r.h.Now().Sub(start)
			if left <= 0 {
				break
			}
			if done, err := r.joined(); done {
				return err
			}
			err := r.joinThrough(NewContact(p), left)
			if err == nil {
				r.Remember(p)
				err = r.awaitGrant(d - r.h.Now().Sub(start))
			}
			if err == nil {
				return nil
			}
			last = fmt.Errorf("join through %s: %w", p.ID, err)
			if errors.Is(err, host.ErrStopped) {
				return last
			}
		}
		left := d - r.h.Now().Sub(start)
		if len(peers) == 0 || left <= 0 {
			return last
		}
		if err := r.h.Sleep(min(r.jitter(pause), left)); err != nil {
			return fmt.Errorf("join: %w", err)
		}
	}
}

// awaitGrant stabilizes until this node is settled. It fails when all those
// it knew died before they let it in: then it is outside again.
func (r *Ring) awaitGrant(d time.Duration) error {
	start := r.h.Now()
	for pause := r.cfg.StabilizePeriod / 50; ; pause = min(2*pause, r.cfg.StabilizePeriod/4) {
		r.stabilize()
		r.mu.Lock()
		st, settled := r.state, r.settled
		r.mu.Unlock()
		switch {
		case st == left:
			return fmt.Errorf("join: %w", ErrLeft)
		case st == outside:
			return fmt.Errorf("all members that it knew died: %w", ErrNoAnswer)
		case settled || r.h.Now().Sub(start) >= d:
			return nil
		}
		if err := r.h.Sleep(r.jitter(pause)); err != nil {
			return err
		}
	}
}

// joined reports whether there is nothing to join for (any more).
func (r *Ring) joined() (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.state == left:
		return true, fmt.Errorf("join: %w", ErrLeft)
	case r.state == member && !r.aloneLocked():
		return true, nil
	}
	return false, nil
}

// joinThrough makes one attempt through one node.
func (r *Ring) joinThrough(via Contact, d time.Duration) error {
	if via.ID == r.id {
		return fmt.Errorf("that is this node itself: %w", ErrNoAnswer)
	}
	f, err := r.findPlace(via, d)
	if err != nil {
		return err
	}
	if f.outcome != wire.FindReply_FOUND {
		return fmt.Errorf("its ring did not find our place: %w", ErrNoAnswer)
	}
	succ := f.owner
	said, err := r.askNeighbours(succ, false)
	for n := 0; err == nil && n < maxDetours && said.pred != nil && Between(r.id, said.pred.ID, succ.ID); n++ {
		// Another one has joined between since the lookup.
		nearer, nerr := r.askNeighbours(*said.pred, false)
		if nerr != nil {
			break
		}
		succ, said = *said.pred, nearer
	}
	if err != nil {
		return fmt.Errorf("our successor %s: %w", succ, err)
	}
	if err := r.enter(succ, said); err != nil {
		return err
	}
	r.measureAll()
	return nil
}

// measureAll measures all members of a small ring, so that deadlines for them are short
// when they are needed, be it in a moment.
func (r *Ring) measureAll() {
	r.mu.Lock()
	var all []Contact
	if r.wholeLocked() {
		all = r.succs
	}
	r.mu.Unlock()
	for _, c := range all {
		r.measure(c)
	}
}

// findPlace asks via for the successor of this node.
func (r *Ring) findPlace(via Contact, d time.Duration) (found, error) {
	d = min(d, maxLookup)
	req, err := encodeFind(find{key: r.id, remaining: d - min(d/8, r.cfg.MinTimeout), join: true})
	if err != nil {
		return found{}, err
	}
	reply, err := r.watched(via, methodFind, req, d)
	if err != nil {
		return found{}, err
	}
	f, err := decodeFound(reply)
	switch {
	case err != nil:
		return found{}, err
	case f.outcome == wire.FindReply_OUTSIDE:
		return found{}, notMember(via)
	case f.outcome == wire.FindReply_FOUND && f.owner.ID == r.id:
		return found{}, fmt.Errorf("it takes this node itself for the owner of its place: %w", ErrNoAnswer)
	}
	return f, nil
}

// enter makes this node, outside or alone, a member behind its successor.
func (r *Ring) enter(succ Contact, said neighbours) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == left {
		return fmt.Errorf("join: %w", ErrLeft)
	}
	if r.state == member && !r.aloneLocked() {
		return nil // another node has come to this one meanwhile
	}
	list, _ := follow(r.id, succ, said.succs, r.cfg.SuccessorListLen)
	r.founded = r.state == member
	r.state = member
	r.entries++
	r.settled, r.unsettled = false, 0
	r.lost = false
	r.losePredLocked()
	r.open = false
	r.told = ID{}
	r.big = !said.whole || len(list) == r.cfg.SuccessorListLen
	r.fingers.restart()
	r.resetTableLocked(false)
	r.setSuccsLocked(list)
	r.log.Info("joining", "node", r.id, "successor", succ.ID)
	r.wake.Signal()
	r.poke.Signal()
	return nil
}

// relocate looks for the successor again: for a joiner that has not been
// accepted for some rounds.
func (r *Ring) relocate() {
	r.mu.Lock()
	via := r.succs
	ok := r.state == member && !r.settled && len(via) > 0
	r.mu.Unlock()
	if !ok {
		return
	}
	f, err := r.findPlace(via[0], 4*r.cfg.MaxTimeout)
	if err == nil && f.outcome == wire.FindReply_FOUND {
		r.mu.Lock()
		if r.state == member && len(r.succs) > 0 && Between(r.id, f.owner.ID, r.succs[0].ID) {
			r.hint = &f.owner
		}
		r.mu.Unlock()
		r.wake.Signal()
	}
}
