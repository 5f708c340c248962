package chord

import (
	"ircbridge/chord/wire"
	"ircbridge/host"
)

// notify tells c that this node believes to be its predecessor.
func (r *Ring) notify(c Contact) (notified, error) {
	r.mu.Lock()
	settled, bounded := r.settled, r.pred != nil && (r.predSettled || r.predBounded)
	var before []byte
	if r.before != (ID{}) {
		before = append(before, r.before[:]...)
	}
	r.mu.Unlock()
	req, err := encode(&wire.NotifyRequest{Self: contactToWire(r.Self()), Run: r.h.Run(), Settled: settled, Bounded: bounded, Before: before})
	if err != nil {
		return notified{}, err
	}
	// c may have to check its present predecessor, twice, before it answers.
	reply, err := r.watched(c, methodNotify, req, 4*r.cfg.MaxTimeout)
	if err != nil {
		return notified{}, err
	}
	answer, err := decodeNotified(reply, c)
	if err == nil && settled {
		r.mu.Lock()
		r.told = c.ID
		r.mu.Unlock()
	}
	return answer, err
}

// handleNotify rectifies (Zave, 3.3): the notifier becomes predecessor when it
// lies between the present one and this node, or when the present one does not
// answer.
func (r *Ring) handleNotify(from host.Peer, req []byte) ([]byte, error) {
	n, err := decodeNotify(req, from.ID)
	if err != nil {
		return nil, err
	}
	if n.from.ID == r.id {
		return nil, errMalformed // a second holder of this node's ID
	}
	r.heard(from)
	if rival := r.rectify(n); rival != nil && !r.checkRival(*rival, n) {
		r.drop(*rival, host.ErrTimeout)
		r.rectify(n)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	m := &wire.NotifyReply{State: r.state.toWire()}
	if r.pred != nil {
		m.Predecessor = contactToWire(*r.pred)
	}
	if r.pred != nil && r.pred.ID == n.from.ID {
		m.Granted = r.grantLocked(n)
		m.Grant = contactsToWire(r.pending)
	}
	return encode(m)
}

// checkRival checks the predecessor that the notifier would take the place of. If
// the notifier has found it dead before it went on to this node, once is enough.
func (r *Ring) checkRival(rival Contact, n notice) (alive bool) {
	if n.before == rival.ID {
		return r.pingOnce(rival, 2*r.timeout(rival))
	}
	return r.check(rival)
}

// rectify adopts the notifier as predecessor if the order allows it. Otherwise
// it returns the present predecessor, which must be checked.
func (r *Ring) rectify(n notice) (rival *Contact) {
	now := r.h.Now()
	r.mu.Lock()
	if r.state != member {
		r.mu.Unlock()
		return nil
	}
	old := r.pred
	same := old != nil && old.ID == n.from.ID
	if !same && old != nil && !Between(old.ID, n.from.ID, r.id) {
		r.mu.Unlock()
		return old
	}
	if same && (n.run != r.predRun && r.predRun != 0 || r.predSettled && !n.settled) {
		r.losePredLocked() // it died and came back before anybody noticed
		r.changedLocked()
	}
	r.pendLocked(n, same)
	c := n.from
	r.pred, r.predRun, r.predHeard = &c, n.run, now
	r.predSettled, r.predBounded = n.settled, n.bounded
	r.reply.valid = false
	short, second := r.wholeLocked(), len(r.succs) == 0
	if short || second { // a ring of one gets its second node here
		r.succs = insert(r.id, r.succs, c, r.cfg.SuccessorListLen)
		r.lost = false
	}
	r.refreshLocked(c)
	r.changedLocked()
	r.mu.Unlock()

	if !same {
		r.log.Info("new predecessor", "node", r.id, "predecessor", c.ID)
		r.measure(c)
		if old != nil {
			r.sendHint(*old, c)
		}
		if short {
			r.announce([]Contact{c}, nil)
		}
		if short || second {
			r.wake.Signal() // it waits for its predecessor, perhaps this node
		}
	}
	return nil
}

// sendHint tells the old predecessor of the nearer one. A lost hint costs one
// period.
func (r *Ring) sendHint(to, candidate Contact) {
	if msg, err := encode(&wire.SuccessorHint{Candidate: contactToWire(candidate)}); err == nil {
		_ = r.h.Send(to.Peer, methodHint, msg)
	}
}

func (r *Ring) handleHint(from host.Peer, msg []byte) {
	c, err := decodeHint(msg)
	if err != nil || c.ID == r.id {
		r.log.Warn("bad successor hint", "from", from.ID, "err", err)
		return
	}
	r.heard(from)
	now := r.h.Now()
	r.mu.Lock()
	ok := r.state == member && len(r.succs) > 0 && Between(r.id, c.ID, r.succs[0].ID)
	if ok && now.Before(r.meetings.wary) {
		r.mu.Unlock()
		r.verify(c)
		return
	}
	if ok {
		r.hintLocked(c)
	} else if len(r.succs) > 0 {
		ok = c.ID == r.succs[0].ID // it has much to tell
	}
	r.mu.Unlock()
	if ok {
		r.wake.Signal()
	}
}
