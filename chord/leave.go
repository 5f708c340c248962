package chord

import (
	"time"

	"ircbridge/chord/wire"
	"ircbridge/host"
)

// Leave tells predecessor and successor that this node goes, and waits for
// their answers for at most d. It is called after the keys were handed over.
// From then on the ring answers nothing but "left". It cannot be taken back.
func (r *Ring) Leave(d time.Duration) {
	r.mu.Lock()
	was := r.state
	r.state = left
	pred, succs := r.pred, r.succs
	r.mu.Unlock()
	r.wake.Signal()
	r.poke.Signal()
	r.tableWake.Signal()
	if was != member {
		return
	}
	r.log.Info("leaving", "node", r.id)
	m := &wire.LeaveRequest{Successors: contactsToWire(succs)}
	if pred != nil {
		m.Predecessor = contactToWire(*pred)
	}
	req, err := encode(m)
	if err != nil {
		return
	}
	var to []Contact
	if len(succs) > 0 {
		to = append(to, succs[0])
	}
	if pred != nil && (len(to) == 0 || pred.ID != to[0].ID) {
		to = append(to, *pred)
	}
	r.each("chord leave", len(to), func(i int) {
		_, _ = r.h.Call(to[i].Peer, methodLeave, req, d)
	})
}

// handleLeave takes a leaving neighbour out (Chord, 6.2). As its successor this
// node takes the leaver's predecessor, if it answers; as its predecessor it
// goes on to the leaver's successors.
func (r *Ring) handleLeave(from host.Peer, req []byte) ([]byte, error) {
	pred, succs, err := decodeLeave(req)
	if err != nil {
		return nil, err
	}
	leaver := NewContact(from)
	r.mu.Lock()
	wasPred := r.state == member && r.pred != nil && r.pred.ID == leaver.ID
	r.goodbye = leaver.ID
	r.mu.Unlock()
	if wasPred && pred != nil && pred.ID != r.id && pred.ID != leaver.ID {
		said, err := r.askNeighbours(*pred, false)
		if err != nil || !expects(said, pred.ID, r.id, leaver.ID) {
			pred = nil
		}
	} else {
		pred = nil
	}
	r.part(leaver, pred, succs)
	return encode(&wire.LeaveReply{})
}

// expects reports whether the leaver's predecessor knows of nobody between it
// and self but the leaver.
func expects(said neighbours, pred, self, leaver ID) bool {
	for _, c := range said.succs {
		if c.ID != leaver {
			return c.ID == self || !Between(pred, c.ID, self)
		}
	}
	return len(said.succs) > 0
}

// part removes the leaver; newPred takes its place if it was predecessor.
func (r *Ring) part(leaver Contact, newPred *Contact, succs []Contact) {
	now := r.h.Now()
	r.mu.Lock()
	r.peers.setBad(leaver.ID, now.Add(r.badFor()))
	short := r.wholeLocked()
	wasSucc := indexOf(r.succs, leaver.ID)
	if wasSucc >= 0 {
		r.succs = without(r.succs, leaver.ID)
	}
	r.passOverLocked(leaver, wasSucc, succs)
	wasPred := r.pred != nil && r.pred.ID == leaver.ID
	r.dismissLocked(leaver.ID)
	if wasPred {
		before, wasOpen := r.pending, r.open
		r.losePredLocked()
		switch { // a leaver that was a joiner may not have come to own anything
		case len(before) > 0 && before[0].ID != r.id:
			r.pred, r.pending, r.open = &before[0], before[1:], false
			r.predSettled = len(before) == 1
		case newPred != nil && newPred.ID != r.id:
			r.pred, r.predSettled, r.open = newPred, true, wasOpen
			if wasOpen {
				r.claimLater(newPred.ID)
			}
		}
	}
	r.fingers.drop(leaver.ID)
	if r.state == member && len(r.succs) == 0 && (wasSucc >= 0 || wasPred) {
		r.lost = r.pred != nil || r.big || !r.founded
		if !r.lost { // the last other node has gone
			r.settled, r.open = true, false
		}
	}
	r.changedByLocked(wasPred)
	r.mu.Unlock()
	r.log.Info("node left", "node", r.id, "left", leaver.ID)
	r.wake.Signal()
	if short && wasSucc >= 0 {
		r.announce(nil, []host.PeerID{leaver.Peer.ID})
	}
}

// passOverLocked puts the first successor of a node that left, at position
// was of the list, into the list: nobody lies between the two. The rest of the
// leaver's list may be older than what this node knows.
func (r *Ring) passOverLocked(leaver Contact, was int, succs []Contact) {
	if was < 0 || len(succs) == 0 || r.peers.isBad(succs[0].ID, r.h.Now()) {
		return
	}
	if next := succs[0]; was >= len(r.succs) || Between(leaver.ID, next.ID, r.succs[was].ID) {
		r.succs = insert(r.id, r.succs, next, r.cfg.SuccessorListLen)
	}
}

// goneTo takes note of the first successor that c, which left, has named.
func (r *Ring) goneTo(c Contact, succs []Contact) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if was := indexOf(r.succs, c.ID); was >= 0 && len(succs) > 0 {
		before := r.succs
		r.succs = without(r.succs, c.ID)
		r.passOverLocked(c, was, succs)
		if len(r.succs) == 0 {
			r.succs = before
		}
		r.changedLocked()
	}
}
