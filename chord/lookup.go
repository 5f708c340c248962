package chord

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"ircbridge/chord/wire"
	"ircbridge/host"
)

const (
	// maxLookup bounds the time that a node spends on another's lookup.
	maxLookup = 30 * time.Second
	// maxAsked bounds the contacts that one node tries for one lookup.
	maxAsked = 12
	// maxDetours bounds the hints that one node follows for one lookup.
	maxDetours = 8
)

// Found is the answer to a Lookup.
type Found struct {
	// Owner is the node that confirmed to own the key.
	Owner Contact
	// Hops is how often the request was passed on; 0: this node is the owner.
	Hops int
}

// Lookup finds the node that key belongs to, within about d. The owner has
// confirmed that the key lies between it and its predecessor and that the
// predecessor lives. While the place is being repaired Lookup tries again. The
// error wraps ErrNoAnswer.
func (r *Ring) Lookup(key ID, d time.Duration) (Found, error) {
	start := r.h.Now()
	pause := 10 * time.Millisecond
	for {
		left := d - r.h.Now().Sub(start)
		f := r.find(find{key: key, remaining: left})
		switch f.outcome {
		case wire.FindReply_FOUND:
			return Found{Owner: f.owner, Hops: f.hops}, nil
		case wire.FindReply_OUTSIDE:
			return Found{}, fmt.Errorf("lookup of %s: %w: %w", key, ErrNoAnswer, ErrNotMember)
		}
		if left = d - r.h.Now().Sub(start); left <= 0 {
			return Found{}, fmt.Errorf("lookup of %s within %v: %w", key, d, ErrNoAnswer)
		}
		if err := r.h.Sleep(min(r.jitter(pause), left)); err != nil {
			return Found{}, fmt.Errorf("lookup of %s: %w: %w", key, ErrNoAnswer, err)
		}
		pause = min(2*pause, r.cfg.StabilizePeriod/4)
	}
}

func (r *Ring) handleFind(from host.Peer, req []byte) ([]byte, error) {
	q, err := decodeFind(req, maxLookup)
	if err != nil {
		return nil, err
	}
	r.heard(from)
	return encodeFound(r.find(q))
}

// find answers a lookup: by itself when this node owns the key, otherwise, if
// it may, by passing it on (Chord, 4.3; recursive).
func (r *Ring) find(q find) found {
	verdict, inRange := r.confirm(q)
	if q.final || verdict.outcome == wire.FindReply_FOUND || verdict.outcome == wire.FindReply_OUTSIDE || inRange {
		return verdict
	}
	if q.hops >= r.cfg.MaxHops {
		return found{outcome: wire.FindReply_NO_ANSWER}
	}
	return r.pass(q)
}

// confirm decides whether this node owns the key. It answers FOUND only after
// a sign of life of the predecessor. inRange: nobody else can own the key, as
// far as this node knows.
func (r *Ring) confirm(q find) (f found, inRange bool) {
	now := r.h.Now()
	r.mu.Lock()
	self := Contact{ID: r.id, Peer: r.h.Self()}
	yes := found{outcome: wire.FindReply_FOUND, owner: self, hops: q.hops}
	pred, heard := r.pred, r.predHeard
	switch {
	case r.state != member:
		f = found{outcome: wire.FindReply_OUTSIDE, better: r.succs[:min(len(r.succs), maxBetter)]}
	case !r.settled:
		f = found{outcome: wire.FindReply_NOT_MINE, better: r.succs[:min(len(r.succs), 1)]}
	case pred == nil && r.aloneLocked():
		f = yes
	case pred == nil || r.open:
		f = found{outcome: wire.FindReply_NO_ANSWER}
	case q.join && q.key == pred.ID:
		f = yes // the joiner was this node's predecessor in an earlier run
	case !InRange(pred.ID, q.key, r.id):
		f = found{outcome: wire.FindReply_NOT_MINE, better: []Contact{*pred}}
	case now.Sub(heard) <= r.freshFor() && !r.drowsyLocked(now):
		f, inRange = yes, true
	default:
		r.mu.Unlock()
		return r.confirmWith(*pred, q, yes), true
	}
	r.mu.Unlock()
	return f, inRange
}

// confirmWith asks the predecessor, silent for a while, whether it still
// takes this node for its successor.
func (r *Ring) confirmWith(pred Contact, q find, yes found) found {
	no := found{outcome: wire.FindReply_NO_ANSWER}
	said, err := r.askNeighbours(pred, false)
	if err != nil {
		r.startCheck(pred, false)
		return no
	}
	if len(said.succs) > 0 && r.isApart(pred.ID) {
		return r.confirmApart(pred, said, q, yes)
	}
	now := r.h.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != member || r.pred == nil || r.pred.ID != pred.ID || len(said.succs) == 0 {
		return no
	}
	switch x := said.succs[0]; {
	case x.ID == r.id:
		r.predHeard = now
		return yes
	case !Between(pred.ID, x.ID, r.id):
		return no // it takes this node for dead; stabilization will tell it
	case InRange(x.ID, q.key, r.id):
		return yes // whether x lives or not
	default:
		return found{outcome: wire.FindReply_NOT_MINE, better: []Contact{x}}
	}
}

// pass forwards a lookup to the best contact, or the next best ones while
// those do not answer.
func (r *Ring) pass(q find) found {
	p := &passing{ring: r, q: q, asked: map[ID]bool{r.id: true}}
	if q.join {
		p.asked[q.key] = true
	}
	if apart := p.refill(); apart != nil {
		return r.race(p, *apart)
	}
	return p.run()
}

// run asks one contact after the other.
func (p *passing) run() found {
	r := p.ring
	start := r.h.Now()
	for n := 0; n < maxAsked && len(p.next) > 0; n++ {
		c := p.next[0]
		p.next = p.next[1:]
		left := p.q.remaining - r.h.Now().Sub(start)
		if left <= 0 {
			break
		}
		p.asked[c.ID] = true
		if f, done := p.ask(c, left); done {
			return f
		}
	}
	return p.nobody()
}

// passing is one lookup on its way through this node.
type passing struct {
	ring    *Ring
	q       find
	asked   map[ID]bool
	next    []Contact
	detours int
	after   []Contact // followers of the key that others named
}

// refill lists the contacts to try, best first. apart is one to ask at the same
// time as these.
func (p *passing) refill() (apart *Contact) {
	r := p.ring
	now := r.h.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	usable := func(c Contact) bool { return !p.asked[c.ID] && !r.peers.isBad(c.ID, now) }
	p.next = candidates(r.id, p.q.key, r.succs, r.fingers.list, r.pred, usable)
	if n := len(r.succs); n > 0 && !InRange(r.id, p.q.key, r.succs[n-1].ID) {
		p.next, apart = r.routesLocked(p.q, p.next, usable)
	}
	return apart
}

// candidates orders contacts for a lookup of key: the node of the list that
// should own it, then those before the key, nearest first (Chord, 4.3,
// closest_preceding_node), then the rest of the list behind the key.
func candidates(self, key ID, succs []Contact, fingers []finger, pred *Contact, usable func(Contact) bool) []Contact {
	const most = maxAsked / 2
	before := make([]Contact, 0, most+1) // nearest to the key first
	add := func(c Contact) {
		if c.ID != key && !Between(self, c.ID, key) {
			return
		}
		at := len(before)
		for at > 0 && nearer(self, before[at-1].ID, c.ID) {
			at--
		}
		if at < most && (at == 0 || before[at-1].ID != c.ID) && usable(c) {
			before = slices.Insert(before, at, c)
			before = before[:min(len(before), most)]
		}
	}
	owner := len(succs)
	for i := len(succs) - 1; i >= 0 && InRange(self, key, succs[i].ID); i-- {
		owner = i
	}
	for i := owner - 1; i >= max(0, owner-most); i-- {
		add(succs[i])
	}
	for _, f := range fingers {
		add(f.contact)
	}
	if pred != nil {
		add(*pred)
	}
	var out []Contact
	for _, c := range succs[owner:] {
		if usable(c) {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return before
	}
	return slices.Concat(out[:1], before, out[1:])
}

// ask passes the lookup to c and decides what its answer means; done ends the
// lookup at this node.
func (p *passing) ask(c Contact, left time.Duration) (f found, done bool) {
	r := p.ring
	sub := p.q
	sub.hops += 1 + p.detours
	sub.final = c.ID == sub.key || !Between(r.id, c.ID, sub.key)
	// What is left when the answer comes must be enough to try another one.
	sub.remaining = left - min(left/8, r.cfg.MinTimeout)
	req, err := encodeFind(sub)
	if err != nil {
		return found{outcome: wire.FindReply_NO_ANSWER}, true
	}
	reply, err := r.watched(c, methodFind, req, left)
	if err == nil {
		f, err = decodeFound(reply)
	}
	switch {
	case errors.Is(err, host.ErrStopped):
		return found{outcome: wire.FindReply_NO_ANSWER}, true
	case err != nil:
		r.Suspect(c.Peer.ID)
		return f, false
	case f.outcome == wire.FindReply_FOUND:
		return f, true
	case f.outcome == wire.FindReply_NO_ANSWER:
		p.after = append(p.after, f.better...)
		return p.nobody(), true
	case f.outcome == wire.FindReply_OUTSIDE:
		r.markBad(c)
		r.Suspect(c.Peer.ID)
	}
	if f.outcome == wire.FindReply_NOT_MINE && len(f.better) > 0 && sub.final {
		if _, known := r.Contact(f.better[0].ID); !known {
			r.compareSoon(c)
		}
	}
	for _, b := range f.better {
		if p.detours < maxDetours && !p.asked[b.ID] && indexOf(p.next, b.ID) < 0 && !Between(r.id, b.ID, p.q.key) {
			p.detours++
			p.next = append([]Contact{b}, p.next...)
		}
	}
	return f, false
}

// nobody is the answer when nobody confirmed, with the nearest followers of
// the key that are known: a node whose whole list died goes on from there.
func (p *passing) nobody() found {
	r := p.ring
	now := r.h.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	after := p.after
	for _, c := range r.knownLocked() {
		if c.ID != p.q.key && !r.peers.isBad(c.ID, now) {
			after = append(after, c)
		}
	}
	return found{outcome: wire.FindReply_NO_ANSWER, better: nearestAfter(p.q.key, after, maxBetter)}
}

// nearestAfter is the n contacts that follow key first, each once.
func nearestAfter(key ID, cs []Contact, n int) []Contact {
	cs = slices.Clone(cs)
	slices.SortStableFunc(cs, func(a, b Contact) int {
		switch {
		case a.ID == b.ID:
			return 0
		case nearer(key, a.ID, b.ID):
			return -1
		}
		return 1
	})
	cs = slices.CompactFunc(cs, func(a, b Contact) bool { return a.ID == b.ID })
	return cs[:min(len(cs), n)]
}
