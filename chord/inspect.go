package chord

// Inspection is what a node has of its ring at one moment, for those who look
// at all nodes of a ring at once (package ringcheck says what must hold).
type Inspection struct {
	ID      ID
	Member  bool
	Settled bool      // its place was granted to it
	Alone   bool      // it is a ring of one
	Owns    bool      // it answers for its own ID
	Pred    *Contact  // nil for none; as the ring has it, acted on or not
	Succs   []Contact // must not be changed
}

// Inspect gives all that a check of the ring needs. Lists are never changed, but
// replaced: two inspections with the same first entry and length have equal ones.
func (r *Ring) Inspect() Inspection {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Inspection{
		ID: r.id, Member: r.state == member, Settled: r.settled, Alone: r.aloneLocked(), Owns: r.ownsLocked(r.id),
		Pred: r.pred, Succs: r.succs[:len(r.succs):len(r.succs)],
	}
}

// Entries counts how often this node has entered a ring of others: Join gives no
// error either when it did not, since others had come to this one.
func (r *Ring) Entries() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.entries
}
