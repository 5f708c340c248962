package chord

// Change is what OnChange tells: the predecessor or the successor list is
// another one now.
type Change struct {
	// OldPred and Pred are the predecessor before and after; nil for none (or
	// none that this node may act on yet). Equal when only Succs changed. A
	// predecessor that restarted is told as lost and then as new.
	OldPred, Pred *Contact
	// PredLeft: the old predecessor left gracefully.
	PredLeft bool
	// Succs is the successor list now. It must not be changed.
	Succs []Contact
	// Alone: this node is a ring of one now, and owns every key.
	Alone bool
}

// maxChanges bounds what waits for a slow receiver; beyond it changes that
// follow each other become one.
const maxChanges = 64

// changeQueue holds what has not been told yet. Guarded by Ring.mu.
type changeQueue struct {
	tell    func(Change)
	waiting []Change
	telling bool
	pred    *Contact // as told (or waiting to be)
	succs   []Contact
	alone   bool
}

// OnChange registers the one receiver of changes, before Run. It is called in
// a task of its own, in order, with no lock held, and may block.
func (r *Ring) OnChange(f func(Change)) {
	r.mu.Lock()
	r.changes.tell = f
	r.mu.Unlock()
}

// changedLocked is called after every change of what this node knows about
// its place. It drops the cached reply, marks connections to keep, and queues
// what the layer above must learn.
func (r *Ring) changedLocked() { r.changedByLocked(false) }

func (r *Ring) changedByLocked(predLeft bool) {
	r.reply.valid = false
	q := &r.changes
	pred := r.shownPredLocked()
	alone := r.settled && r.aloneLocked()
	if sameID(q.pred, pred) && sameIDs(q.succs, r.succs) && q.alone == alone {
		return
	}
	r.tableWake.Signal()
	r.keepLocked(q.pred, pred, q.succs, r.succs)
	c := Change{OldPred: q.pred, Pred: pred, PredLeft: predLeft, Succs: r.succs, Alone: alone}
	q.pred, q.succs, q.alone = pred, r.succs, alone
	if q.tell == nil {
		return
	}
	if n := len(q.waiting); n >= maxChanges {
		last := &q.waiting[n-1]
		last.Pred, last.Succs, last.Alone = c.Pred, c.Succs, c.Alone
		last.PredLeft = last.PredLeft && sameID(c.OldPred, c.Pred)
	} else {
		q.waiting = append(q.waiting, c)
	}
	if !q.telling {
		q.telling = true
		r.h.Go("chord change", r.tellChanges)
	}
}

func (r *Ring) tellChanges() {
	for {
		r.mu.Lock()
		q := &r.changes
		if len(q.waiting) == 0 {
			q.telling = false
			q.waiting = nil
			r.mu.Unlock()
			return
		}
		c := q.waiting[0]
		q.waiting = q.waiting[1:]
		tell := q.tell
		r.mu.Unlock()
		tell(c)
	}
}

// keepLocked marks the connections to neighbours as ones to keep, and
// releases those of former ones. Host.Keep does not block.
func (r *Ring) keepLocked(oldPred, pred *Contact, oldSuccs, succs []Contact) {
	is := func(p *Contact, list []Contact, id ID) bool {
		return p != nil && p.ID == id || indexOf(list, id) >= 0
	}
	each := func(p *Contact, list []Contact, f func(Contact)) {
		if p != nil {
			f(*p)
		}
		for _, c := range list {
			f(c)
		}
	}
	each(oldPred, oldSuccs, func(c Contact) {
		if !is(pred, succs, c.ID) {
			r.h.Keep(c.Peer.ID, false)
		}
	})
	each(pred, succs, func(c Contact) {
		if !is(oldPred, oldSuccs, c.ID) {
			r.h.Keep(c.Peer.ID, true)
		}
	})
}
