package chord

import "time"

// A finger is the first node at or after self + 2^index (Chord, 4.3). Only
// those beyond the successor list are kept.
type finger struct {
	index   int
	contact Contact
}

// fingers is the finger table. Guarded by Ring.mu.
type fingers struct {
	list  []finger // highest index first
	next  int      // the next index to look up is below this one; 0: begin anew
	swept bool     // all were looked up once
	torn  bool     // one was dropped since
}

func (f *fingers) restart() { *f = fingers{} }

func (f *fingers) set(index int, c Contact) {
	for i := range f.list {
		if f.list[i].index == index {
			f.list[i].contact = c
			return
		}
	}
	f.list = append(f.list, finger{index, c})
	for i := len(f.list) - 1; i > 0 && f.list[i].index > f.list[i-1].index; i-- {
		f.list[i], f.list[i-1] = f.list[i-1], f.list[i]
	}
}

// drop removes every finger that points to id.
func (f *fingers) drop(id ID) (was bool) {
	return f.keep(func(g finger) bool { return g.contact.ID != id })
}

// keep removes the fingers that keep refuses.
func (f *fingers) keep(keep func(finger) bool) (removed bool) {
	var list []finger
	for _, g := range f.list {
		if keep(g) {
			list = append(list, g)
		} else {
			removed, f.torn = true, true
		}
	}
	f.list = list
	return removed
}

func (f *fingers) refresh(c Contact) {
	for i := range f.list {
		if f.list[i].contact.ID == c.ID && len(c.Peer.Addrs) > 0 {
			f.list[i].contact = c
		}
	}
}

// fingerLoop looks up one finger after the other, highest first: quickly after
// a join or a loss, then one in each period.
func (r *Ring) fingerLoop() {
	for {
		r.fixFinger()
		r.rememberSome()
		r.mu.Lock()
		st, pause := r.state, r.cfg.FixFingersPeriod
		if st == member && r.big && (!r.fingers.swept || r.fingers.torn) {
			pause = min(pause, r.cfg.StabilizePeriod/4)
		}
		r.mu.Unlock()
		if st == left || !r.pause(r.poke, pause) {
			return
		}
	}
}

// fixFinger looks up the next finger that lies beyond the successor list.
func (r *Ring) fixFinger() {
	r.mu.Lock()
	f := &r.fingers
	if r.state != member || !r.big || len(r.succs) < r.cfg.SuccessorListLen {
		r.mu.Unlock()
		return
	}
	if f.next <= 0 {
		f.next = bits
		f.torn = false
	}
	f.next--
	i, start := f.next, r.id.plusPower(f.next)
	if last := r.succs[len(r.succs)-1]; InRange(r.id, start, last.ID) {
		f.next, f.swept = 0, true
		f.list = f.list[:len(f.list):len(f.list)]
		for n := len(f.list); n > 0 && f.list[n-1].index <= i; n-- {
			f.list = f.list[:n-1]
		}
		r.mu.Unlock()
		return
	}
	r.mu.Unlock()

	found, err := r.Lookup(start, 2*time.Second)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || found.Owner.ID == r.id {
		f.keep(func(g finger) bool { return g.index != i })
		return
	}
	f.set(i, found.Owner)
}
