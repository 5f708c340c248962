package ordeal

import (
	"slices"
	"sync"
	"time"

	"ircbridge/nodes"
)

// watch measures: the echoes of all messages, and those of one round.
type watch struct {
	mu     sync.Mutex
	echoes []time.Duration               // of users on nodes that were not struck
	struck map[*nodes.Node]time.Duration // until when each was lately
	round  *round
}

// round is what is measured from one fault on.
type round struct {
	channel string
	struck  []*nodes.Node
	from    time.Duration           // the fault
	after   time.Duration           // messages sent earlier do not count
	first   map[*user]time.Duration // when each user had a message accepted that was sent since
	awaited map[*user]bool          // who is waited for
	any     chan struct{}           // closed when the first is there
	all     chan struct{}           // closed when all awaited are
}

// strike begins a round. Nothing counts before it is told that the fault is done.
func (w *watch) strike(channel string, struck []*nodes.Node, from time.Duration, awaited map[*user]bool) *round {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.round = &round{
		channel: channel, struck: struck, from: from, after: 1 << 62, first: map[*user]time.Duration{}, awaited: awaited,
		any: make(chan struct{}), all: make(chan struct{}),
	}
	return w.round
}

// now says that the fault is only just beginning.
func (w *watch) now(at time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.round.from = at
}

// done says that the fault is complete: what is sent from now on was sent after it.
func (w *watch) done(at time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.round.after = at
}

// over ends the round.
func (w *watch) over(at time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.struck == nil {
		w.struck = map[*nodes.Node]time.Duration{}
	}
	for _, n := range w.round.struck {
		w.struck[n] = at
	}
	w.round = nil
}

// accepted is told of each echo.
func (w *watch) accepted(u *user, s sent, at time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.round
	if (r == nil || !slices.Contains(r.struck, u.node)) && s.at >= w.struck[u.node] {
		w.echoes = append(w.echoes, at-s.at)
	}
	if r == nil || s.channel != r.channel || s.at < r.after || !r.awaited[u] {
		return
	}
	if _, ok := r.first[u]; ok {
		return
	}
	r.first[u] = at
	if len(r.first) == 1 {
		close(r.any)
	}
	if len(r.first) == len(r.awaited) {
		close(r.all)
	}
}

// began is when the round's fault began.
func (w *watch) began(r *round) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return r.from
}

// times are how long it took until the first user had a message accepted, and the last of those
// who were waited for.
func (w *watch) times(r *round) (first, last time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first = 1 << 62
	for _, at := range r.first {
		first, last = min(first, at-r.from), max(last, at-r.from)
	}
	return first, last
}

// reset forgets the echoes so far and returns them.
func (w *watch) reset() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.echoes
	w.echoes = nil
	return e
}
