package mapping

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// past is one who held a name before: a claim that came to its end.
type past struct {
	owner  overlay.Stream
	number uint64 // of the claim
	person person // with the nick as he wrote it, without away text
	until  int64  // when it ended, Unix milliseconds by the keeper's clock
}

// maxPast and pastLife (ms) bound what a name remembers of its holders.
const (
	maxPast  = 10
	pastLife = 24 * 3600 * 1000
)

func (p past) compare(q past) int {
	return cmp.Or(cmp.Compare(p.until, q.until), p.owner.Compare(q.owner), cmp.Compare(p.number, q.number),
		cmp.Compare(p.person.version, q.person.version), cmp.Compare(p.person.order(), q.person.order()))
}

// pasts are the former holders of one name, the latest first, each claim once.
// To add is to unite: the later end of one claim counts, and of all the
// latest ones stay, so it does not matter in which order copies meet.
type pasts []past

func (l pasts) add(p past) pasts {
	i := slices.IndexFunc(l, func(q past) bool { return q.owner == p.owner && q.number == p.number })
	switch {
	case i < 0:
		l = append(slices.Clone(l), p)
	case p.compare(l[i]) <= 0:
		return l
	default:
		l = slices.Clone(l)
		l[i] = p
	}
	slices.SortFunc(l, func(a, b past) int { return b.compare(a) })
	return l[:min(len(l), maxPast)]
}

// after drops those that ended at a time or before.
func (l pasts) after(at int64) pasts {
	n := len(l)
	for n > 0 && l[n-1].until <= at {
		n--
	}
	return l[:n]
}

func (l pasts) toWire() []*wire.Past {
	var ws []*wire.Past
	for _, p := range l {
		ws = append(ws, &wire.Past{Owner: sessionToWire(p.owner), Number: p.number, Person: personToWire(p.person), UntilMs: p.until})
	}
	return ws
}

// pastsFromWire reads the former holders of a name.
func pastsFromWire(ws []*wire.Past, name string) (pasts, error) {
	if len(ws) > 4*maxPast {
		return nil, fmt.Errorf("%w: %d former holders", errWire, len(ws))
	}
	var l pasts
	for _, w := range ws {
		owner, err := sessionFromWire(w.GetOwner())
		if err != nil {
			return nil, err
		}
		p, err := personFromWire(w.GetPerson())
		if err != nil {
			return nil, err
		}
		if chat.Fold(p.nick) != name {
			return nil, fmt.Errorf("%w: %q once held the name %q", errWire, chat.Cut(p.nick, 60), chat.Cut(name, 60))
		}
		p.away, p.meta = "", ""
		l = l.add(past{owner: owner, number: w.GetNumber(), person: p, until: w.GetUntilMs()})
	}
	return l, nil
}

// history bounds what one node remembers of the former holders of all names
// that it keeps: beyond max of them it forgets those who gave up first, a part
// at a time. Names that nobody holds live on for their history, so this also
// bounds how many of them a flood of nicks leaves behind. It is safe for use
// by many tasks.
type history struct {
	max int

	mu      sync.Mutex
	ends    map[string][]int64 // of holdings that are remembered, by name
	total   int                // of them
	horizon int64              // what ended then or before is to be forgotten
}

func newHistory(max int) *history { return &history{max: max, ends: map[string][]int64{}} }

// maxHistory is what a node keeps in all.
const maxHistory = 2048

// note hears what a name remembers now. A name that was handed on stays counted
// until its turn to be forgotten.
func (h *history) note(name string, l pasts) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.total += len(l) - len(h.ends[name])
	delete(h.ends, name)
	for _, p := range l {
		h.ends[name] = append(h.ends[name], p.until)
	}
	if h.total <= h.max {
		return
	}
	var all []int64
	for _, ends := range h.ends { // any order: sorted below
		all = append(all, ends...)
	}
	slices.Sort(all)
	h.horizon = max(h.horizon, all[len(all)-1-h.max*7/8])
	for name, ends := range h.ends { // any order: each for itself
		kept := slices.DeleteFunc(ends, func(end int64) bool { return end <= h.horizon })
		h.total -= len(ends) - len(kept)
		if h.ends[name] = kept; len(kept) == 0 {
			delete(h.ends, name)
		}
	}
}

// forgets is the time up to which holdings that ended are to be forgotten.
func (h *history) forgets() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.horizon
}
