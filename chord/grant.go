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
// A settled node whose predecessor died is open: it does not know where its
// part begins, and owns nothing, until a settled node notifies it. A joiner in
// between is granted its place by an open node when it has itself been
// notified by a settled one, or by a joiner of which this holds in its turn.

// losePredLocked forgets the predecessor.
func (r *Ring) losePredLocked() {
	if r.settled && r.pred != nil && !r.open {
		r.lostPred = r.pred.ID
	}
	r.pred, r.predRun = nil, 0
	r.predSettled, r.predBounded = false, false
	r.pending = nil
	r.open = r.settled
}

// grantLocked decides whether the predecessor that notified, a joiner, may
// begin to own what Ring.pending says.
func (r *Ring) grantLocked(n notice) bool {
	if n.settled || !r.settled || len(r.pending) > maxGrant {
		return false
	}
	if r.open && n.bounded {
		r.open = false
		r.changedLocked()
	}
	return !r.open
}

// claimLater lets an open node own what lies behind its new predecessor one
// period later, if no nearer one has notified by then. It is for the case that
// several nodes died: those in between that live have lost their successor and
// look for this node now.
func (r *Ring) claimLater(pred ID) {
	r.h.Go("chord claim", func() {
		if r.h.Sleep(r.cfg.StabilizePeriod) != nil {
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.open && r.pred != nil && r.pred.ID == pred && r.predSettled {
			r.open = false
			r.changedLocked()
		}
	})
}

// nobodyBetweenLocked reports whether this node knows that no member lives
// between from, a member too, and itself: in a ring whose members all know each other.
func (r *Ring) nobodyBetweenLocked(from ID) bool {
	if !r.wholeLocked() || indexOf(r.succs, from) < 0 {
		return false
	}
	for _, s := range r.succs {
		if Between(from, s.ID, r.id) {
			return false
		}
	}
	return true
}

// claimLocked lets an open node own what lies behind its new predecessor as soon
// as it knows that all in between are dead.
func (r *Ring) claimLocked() {
	if r.open && r.pred != nil && r.predSettled && r.nobodyBetweenLocked(r.pred.ID) {
		r.open = false
	}
}

// pendLocked keeps what the notifier, about to become predecessor, is to be
// granted. same: it is the predecessor already.
func (r *Ring) pendLocked(n notice, same bool) {
	switch {
	case n.settled:
		r.pending = nil
		if r.open && n.before != r.lostPred && n.before != r.id && !r.nobodyBetweenLocked(n.from.ID) {
			r.claimLater(n.from.ID)
		} else {
			r.open = false
		}
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
	r.settled, r.founded = true, true
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
