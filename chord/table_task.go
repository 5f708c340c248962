package chord

import (
	"context"
	"errors"
	"slices"
	"time"

	"ircbridge/chord/wire"
	"ircbridge/host"
)

const (
	// comparePeriods is how many periods of stabilization pass between two
	// comparisons of the table with another node's.
	comparePeriods = 30
	// soonPeriods is the same after a join, and after a comparison in which
	// much was missing.
	soonPeriods = 3
	// calmPeriods is how long little must have happened before a table that
	// was thinned out is filled again.
	calmPeriods = 60
	// maxWaitPeriods is how long events may wait for the budget; beyond it
	// the table is thinned out.
	maxWaitPeriods = 30
	// maxStrangers bounds the members behind this node's predecessor that are
	// checked at once.
	maxStrangers = 8

	incarnationKey = "chord/incarnation"
)

// keeping is the state of the task that keeps the table. Guarded by Ring.mu.
type keeping struct {
	whole     bool // it was obtained from a node that had it
	loading   bool
	loads     int // that found no node with a whole table
	comparing bool
	compareAt time.Time
	partner   *Contact  // to compare with next
	sweepAt   time.Time // when strangers may be checked again
	thinned   time.Time // when the level was last changed, or much was spent
	returnAt  time.Time // when to tell of this node again, which is sampled again
}

// tableLoop keeps the table: it announces this node, obtains the table from a
// successor, passes news on, and compares with others.
func (r *Ring) tableLoop() {
	for {
		r.mu.Lock()
		st, ready := r.state, r.state == member && r.settled
		r.mu.Unlock()
		pause := host.Forever
		switch {
		case st == left:
			return
		case ready:
			pause = min(r.keepTable(), r.spread())
		}
		if err := r.tableWake.Wait(context.Background(), pause); err != nil && !errors.Is(err, host.ErrTimeout) {
			return
		}
	}
}

// keepTable starts what is due, and returns the time until the next is.
func (r *Ring) keepTable() time.Duration {
	now := r.h.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	k := &r.keeping
	if !r.gossip.announced {
		k.compareAt = now.Add(r.jitter(soonPeriods * r.cfg.StabilizePeriod))
		r.announceLocked(1)
	} else if !slices.Equal(r.gossip.addrs, r.h.Self().Addrs) || !k.returnAt.IsZero() && !now.Before(k.returnAt) {
		k.returnAt = time.Time{}
		r.announceLocked(1)
	}
	if r.gossip.stale {
		r.storeIncarnationLocked()
	}
	if !k.whole && !k.loading {
		k.loading = true
		r.h.Go("chord table", r.loadTable)
	}
	r.sweepLocked(now)
	r.levelLocked(now)
	pause := func() time.Duration {
		at := k.compareAt
		if now.Before(k.sweepAt) {
			at = minTime(at, k.sweepAt) // strangers may have come since the last sweep
		}
		return max(at.Sub(now), r.gossipDelay())
	}
	if now.Before(k.compareAt) || k.comparing {
		return pause()
	}
	k.compareAt = now.Add(r.jitter(comparePeriods * r.cfg.StabilizePeriod))
	if c, ok := r.partnerLocked(now); ok && r.meter.wait(now) == 0 {
		k.comparing = true
		r.h.Go("chord compare", func() { r.compareWith(c) })
	}
	return pause()
}

// loadIncarnation reads the last incarnation of earlier runs.
func (r *Ring) loadIncarnation() {
	var m wire.Incarnation
	value, err := r.h.Store().Get(incarnationKey)
	if err == nil {
		err = decode(value, &m)
	}
	if err != nil {
		r.log.Warn("cannot read the last incarnation", "err", err)
	}
	r.gossip.stored = min(m.Last, maxIncarnation/2)
}

func (r *Ring) storeIncarnationLocked() {
	r.gossip.stale = false
	value, err := encode(&wire.Incarnation{Last: r.gossip.stored})
	if err == nil {
		r.h.Go("chord incarnation", func() {
			if err := r.h.Store().Write(host.Change{Key: incarnationKey, Value: value}); err != nil {
				r.log.Warn("cannot store the incarnation", "err", err)
			}
		})
	}
}

// resetTableLocked forgets the table: this node joins a ring, or has made one
// of its own, where the table is whole from the beginning.
func (r *Ring) resetTableLocked(whole bool) {
	r.table.reset()
	r.gossip.waiting, r.gossip.recent, r.gossip.announced = nil, nil, false
	r.keeping = keeping{whole: whole, loading: r.keeping.loading, comparing: r.keeping.comparing}
	r.tableWake.Signal()
}

// behindLocked reports whether the place of id falls to this node.
func (r *Ring) behindLocked(id ID) bool {
	p := r.shownPredLocked()
	return p != nil && Between(p.ID, id, r.id)
}

// sweepLocked holds the table to the ring: what it has between the predecessor
// and this node is no member, or is about to notify. Each is checked, and told
// to be gone if it does not answer. To the predecessor, if others were told
// that it is gone, this node says so, and it refutes it.
func (r *Ring) sweepLocked(now time.Time) {
	p := r.shownPredLocked()
	if p == nil || now.Before(r.keeping.sweepAt) {
		return
	}
	n := 0
	r.table.before(r.id, func(e *event) bool {
		if !Between(p.ID, e.ID, r.id) || n >= maxStrangers {
			return false
		}
		n++
		c := e.Contact
		r.h.Go("chord stranger", func() { r.startCheck(c, false) })
		return true
	})
	if g, ok := r.table.graves[place(p.ID)]; ok && r.predSettled && r.table.samples(p.ID) && r.table.get(p.ID) == nil {
		n++
		l := &letter{to: *p, batches: []batch{{events: []*event{g.event}}}}
		r.h.Go("chord gossip", func() { r.post(l) })
	}
	if n > 0 {
		r.keeping.sweepAt = now.Add(2 * r.cfg.StabilizePeriod)
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// levelLocked thins the table out when news wait too long for the budget, and
// fills it again after a calm time.
func (r *Ring) levelLocked(now time.Time) {
	k, period := &r.keeping, r.cfg.StabilizePeriod
	if w := r.gossip.waiting; len(w) > 0 && now.Sub(w[0].at) > maxWaitPeriods*period {
		r.thinLocked(now)
	}
	if r.table.level == 0 {
		return
	}
	if 4*r.meter.rate(now) > float64(r.cfg.TableBudget) {
		k.thinned = now
	}
	if now.Sub(k.thinned) < calmPeriods*period {
		return
	}
	k.thinned = now
	level := r.table.level - 1
	r.table.setLevel(level)
	r.log.Info("the table of contacts is filled again", "node", r.id, "level", level)
	if inSample(r.id, level) && !inSample(r.id, level+1) {
		// As many as are in the table now return: within a time in which the
		// budget has room for them.
		spread := time.Duration(len(r.table.members)+8) * 128 * time.Second / time.Duration(r.cfg.TableBudget)
		k.returnAt = now.Add(time.Duration(r.h.Rand() % uint64(spread)))
	}
}

// thinLocked drops half of the contacts, the same ones at all nodes, and the
// news of them.
func (r *Ring) thinLocked(now time.Time) {
	k := &r.keeping
	if r.table.level >= maxLevel || now.Sub(k.thinned) < maxWaitPeriods*r.cfg.StabilizePeriod/2 && r.table.level > 0 {
		return
	}
	k.thinned = now
	r.table.setLevel(r.table.level + 1)
	g := &r.gossip
	g.waiting = slices.DeleteFunc(g.waiting, func(p pending) bool { return !r.table.samples(p.ID) })
	for i := range g.waiting {
		g.waiting[i].at = now
	}
	r.log.Info("too much news for the budget: the table of contacts is thinned out", "node", r.id, "level", r.table.level)
}

// loadTable obtains the table from the first successor that has it, in chunks
// with pauses between. After some attempts it goes on with what it has: where
// many join at once nobody has it all, and comparisons give the rest.
func (r *Ring) loadTable() {
	r.mu.Lock()
	from := r.succs[:min(len(r.succs), 4)]
	r.mu.Unlock()
	whole := len(from) == 0
	for _, c := range from {
		if whole = r.loadFrom(c); whole {
			break
		}
	}
	if !whole && r.h.Sleep(r.jitter(r.cfg.StabilizePeriod)) != nil {
		return
	}
	r.mu.Lock()
	k := &r.keeping
	k.loading = false
	k.loads++
	k.whole = whole || k.loads >= 4
	r.mu.Unlock()
	r.tableWake.Signal()
}

// loadFrom reads the table of c; it reports whether that was a whole one.
func (r *Ring) loadFrom(c Contact) bool {
	m := &wire.TableRequest{}
	var after ID
	for {
		r.mu.Lock()
		m.Level = uint32(r.table.level)
		r.mu.Unlock()
		req, err := encode(m)
		if err != nil {
			return false
		}
		reply, err := r.h.Call(c.Peer, methodTable, req, r.timeout(c)+r.cfg.MaxTimeout)
		if err != nil {
			return false
		}
		part, err := decodeTable(reply, after)
		if err != nil {
			r.log.Warn("bad table of contacts", "from", c.Peer.ID, "err", err)
			return false
		}
		now := r.h.Now()
		r.mu.Lock()
		for _, e := range part.members {
			r.believeLocked(e, now)
		}
		r.mu.Unlock()
		if part.done {
			return part.whole
		}
		after = part.members[len(part.members)-1].ID
		m.After = after[:]
		if r.h.Sleep(r.gossipDelay()) != nil {
			return false
		}
	}
}

func (r *Ring) handleTable(from host.Peer, req []byte) ([]byte, error) {
	after, level, err := decodeTableRequest(req)
	if err != nil {
		return nil, err
	}
	r.heard(from)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != member {
		return nil, notMember(r.Self())
	}
	m := &wire.TableReply{Done: true, Whole: r.keeping.whole}
	at, at1 := r.table.search(after)
	if at1 {
		at++
	}
	for _, e := range r.table.members[at:] {
		if !inSample(e.ID, level) {
			continue
		}
		if len(m.Members) == maxChunk {
			m.Done = false
			break
		}
		m.Members = append(m.Members, eventToWire(e))
	}
	return encode(m)
}
