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
	if wasSucc == 0 && len(r.succs) == 0 { // nobody else is known
		for _, c := range succs {
			if !r.peers.isBad(c.ID, now) {
				r.succs = insert(r.id, r.succs, c, r.cfg.SuccessorListLen)
			}
		}
	}
	wasPred := r.pred != nil && r.pred.ID == leaver.ID
	if wasPred {
		r.pred, r.predRun, r.predHeard = nil, 0, time.Time{}
		if len(r.pending) > 0 { // the leaver may not have come to own anything
			newPred, r.pending = &r.pending[0], r.pending[1:]
		}
		if newPred != nil && newPred.ID != r.id {
			r.pred = newPred
			r.predSettled = len(r.pending) == 0
		}
	}
	r.fingers.drop(leaver.ID)
	if r.state == member && len(r.succs) == 0 && (wasSucc >= 0 || wasPred) {
		r.lost = r.pred != nil || r.big
		r.settled = r.settled || !r.lost // the last other node has gone
	}
	r.changedByLocked(wasPred)
	r.mu.Unlock()
	r.log.Info("node left", "node", r.id, "left", leaver.ID)
	r.wake.Signal()
	if short && wasSucc >= 0 {
		r.announce(nil, []host.PeerID{leaver.Peer.ID})
	}
}
