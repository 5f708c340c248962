package chord

// Who owns what is decided by grants, so that a join never makes two owners of
// one key. A node that is settled owns (predecessor, self]. When it adopts a
// joiner J as predecessor, its part ends at J from that moment, and the answer
// grants J the rest: J's predecessor is the one this node had. J, settled
// now, owns (that one, J].
//
// When several join at once, J's predecessor may be a joiner J' itself that
// notified before it was granted anything. So a node keeps, in Ring.pending, what its
// unsettled predecessor is to be granted: first J's predecessor-to-be, behind
// it what that one in its turn is to be granted, if it is unsettled.
//
// A settled node whose predecessor died knows no such bound. It takes the first
// that notifies, and so does a joiner to which it grants its place.

// pendLocked keeps what the notifier, about to become predecessor, is to be
// granted. same: it is the predecessor already.
func (r *Ring) pendLocked(n notice, same bool) {
	switch {
	case n.settled:
		r.pending = nil
	case same:
	case r.settled && r.aloneLocked():
		r.pending = []Contact{{ID: r.id, Peer: r.h.Self()}}
	case r.pred != nil:
		r.pending = append([]Contact{*r.pred}, r.pending...)
	default:
		r.pending = nil
	}
}

// granted makes this node settled if head, which has it as predecessor,
// granted it its part.
func (r *Ring) granted(head Contact, answer notified) (again bool) {
	now := r.h.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.settled || r.state != member {
		return false
	}
	r.unsettled++
	// Where every node of a ring has only just joined, none is settled: then
	// the one behind whose place the IDs begin anew goes first.
	first := head.ID.Compare(r.id) < 0 && r.unsettled > 2
	if !answer.granted && !first {
		if r.unsettled%8 == 0 {
			r.h.Go("chord relocate", r.relocate)
		}
		return false
	}
	r.settled = true
	if g := answer.grant; len(g) > 0 && g[0].ID != r.id {
		r.takeGrantLocked(g)
		r.predHeard = now
	}
	r.log.Info("settled: the successor has granted this node its place", "node", r.id, "successor", head.ID)
	r.changedLocked()
	return true // tell it that this node is settled
}

// takeGrantLocked sets the predecessor that was granted, unless a nearer one
// has notified meanwhile: then that one is to be granted the rest.
func (r *Ring) takeGrantLocked(g []Contact) {
	switch {
	case r.pred == nil || !Between(g[0].ID, r.pred.ID, r.id):
		if r.pred == nil || r.pred.ID != g[0].ID {
			r.pred, r.predRun = &g[0], 0
		}
		r.predSettled, r.pending = len(g) == 1, g[1:]
	case r.predSettled:
		r.pending = nil
	default:
		var chain []Contact
		for _, c := range r.pending {
			if Between(g[0].ID, c.ID, r.id) {
				chain = append(chain, c)
			}
		}
		r.pending = append(chain, g...)
	}
}
