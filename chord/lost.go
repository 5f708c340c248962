package chord

import (
	"slices"
	"time"

	"ircbridge/chord/wire"
)

// maxSeek is the number of contacts that a lost node asks at once.
const maxSeek = 8

// withoutSuccessor is the round of a node whose list is empty: one that is
// alone, or one whose whole list died. The latter goes on answering for
// (predecessor, self] if its predecessor lives, so that its predecessor need
// not lose it as well, and looks for any living member through all it knows.
func (r *Ring) withoutSuccessor() (again bool) {
	r.mu.Lock()
	if r.state != member || len(r.succs) > 0 {
		r.mu.Unlock()
		return false
	}
	alone, small, pred := r.aloneLocked(), !r.big, r.pred
	r.mu.Unlock()

	if alone {
		r.seekOthers()
		return false
	}
	if pred != nil && !r.check(*pred) {
		r.drop(*pred, ErrNoAnswer)
		pred = nil
	}
	if small && pred == nil { // the list was the whole ring: all are dead
		r.beAlone()
		return false
	}
	r.mu.Lock()
	r.lost = true
	r.mu.Unlock()
	living, named := r.seek(maxSeek, 2*r.cfg.MaxTimeout)
	if r.followNearest(living, named) {
		return true
	}
	if pred == nil {
		r.beAlone()
	}
	return false
}

// beAlone makes this node a ring of one: all others are out of reach, and
// its users go on. A joiner that was never let in is outside again.
func (r *Ring) beAlone() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != member || len(r.succs) > 0 || r.pred != nil {
		return
	}
	if !r.founded { // never let in anywhere: a joiner founds no ring
		r.state, r.lost = outside, false
		r.changedLocked()
		return
	}
	r.lost, r.settled, r.open = false, true, false
	r.setBigLocked(false)
	r.aloneTries = 0
	r.resetTableLocked(true)
	r.log.Info("alone: no other member answers", "node", r.id)
	r.changedLocked()
}

// seek asks up to n of the known contacts, at once, for the place of this
// node, and returns those that answered, and whomever they name.
func (r *Ring) seek(n int, d time.Duration) (living, named []Contact) {
	r.mu.Lock()
	asked := r.knownLocked()
	r.mu.Unlock()
	for i := range asked {
		j := i + int(r.h.Rand()%uint64(len(asked)-i))
		asked[i], asked[j] = asked[j], asked[i]
	}
	asked = asked[:min(n, len(asked))]
	answers := make([][]Contact, len(asked))
	answered := make([]bool, len(asked))
	r.each("chord seek", len(asked), func(i int) {
		f, err := r.findPlace(asked[i], d)
		switch {
		case err != nil:
		case f.outcome == wire.FindReply_FOUND:
			answers[i] = []Contact{f.owner}
		default:
			answers[i], answered[i] = f.better, true
		}
	})
	for i, a := range answers {
		named = append(named, a...)
		if answered[i] {
			living = append(living, asked[i])
		}
	}
	return living, named
}

// followNearest makes the nearest of those that answer the first successor of a
// lost node. Those that are named may be dead; those that live may be far, which
// is better than nobody: stabilization goes back from there.
func (r *Ring) followNearest(living, named []Contact) bool {
	now := r.h.Now()
	r.mu.Lock()
	usable := func(cs []Contact) (out []Contact) {
		for _, c := range cs {
			if c.ID != r.id && (r.pred == nil || c.ID != r.pred.ID) && !r.peers.isBad(c.ID, now) {
				out = append(out, c)
			}
		}
		return out
	}
	asked := append(nearestAfter(r.id, usable(living), maxBetter), nearestAfter(r.id, usable(named), maxBetter)...)
	if len(asked) == 0 && r.pred != nil {
		asked = []Contact{*r.pred}
	}
	r.mu.Unlock()
	asked = nearestAfter(r.id, asked, len(asked))
	answers := make([]neighbours, len(asked))
	answered := make([]bool, len(asked))
	r.each("chord follow", len(asked), func(i int) {
		said, err := r.askNeighbours(asked[i], false)
		answers[i], answered[i] = said, err == nil
	})
	at := slices.Index(answered, true)
	if at < 0 {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != member || len(r.succs) > 0 {
		return false
	}
	list, _ := follow(r.id, asked[at], answers[at].succs, r.cfg.SuccessorListLen)
	r.setSuccsLocked(list)
	r.log.Info("found the ring again", "node", r.id, "successor", asked[at].ID)
	return true
}

// seekOthers is the round of a node alone: it tries, in its first rounds and then in every
// fourth for ever, to join through a peer it remembers, one after the other.
func (r *Ring) seekOthers() {
	r.mu.Lock()
	n := len(r.remembered)
	tries := r.aloneTries
	r.aloneTries++
	if n == 0 || tries > 4 && tries%4 != 0 {
		r.mu.Unlock()
		return
	}
	if tries == 0 { // not all that are alone begin with the same one
		r.aloneNext = int(r.h.Rand() % uint64(n))
	}
	c := r.remembered[r.aloneNext%n]
	r.aloneNext++
	r.mu.Unlock()
	if err := r.joinThrough(c, 2*r.cfg.MaxTimeout); err != nil {
		r.log.Debug("still alone", "node", r.id, "tried", c.ID, "err", err)
	}
}
