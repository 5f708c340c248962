package chord

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ircbridge/host/sim"
)

// wholeRing is the size up to which the whole ring is checked after every
// event that changed any list; above it the changed nodes are, and the whole
// ring once in each virtual second.
const wholeRing = 32

// watcher checks the invariants of FAILURES.md ("The ring") while a
// simulation runs, and keeps who owned what when.
type watcher struct {
	n     *testNet
	on    bool
	based bool // r+1 principals since the last fault
	seen  map[*testNode]seen
	whole time.Duration // when the whole ring was checked last

	spans    []span // of ownership, all nodes
	open     map[*testNode]int
	overlaps int // checks that found two living owners of one key
	checks   int
	before   map[*testNode][]Contact
	changed  *testNode
	crashed  time.Duration // when the last node crashed
	faulty   bool          // lost messages, pauses, partitions: overlaps may happen
}

type seen struct {
	succs *Contact
	n     int
	pred  *Contact
	state state
	owns  bool
	up    bool
}

// span is the time in which a node owned its own place.
type span struct {
	x        *testNode
	id       ID
	from, to time.Duration
}

func (n *testNet) watch() *watcher {
	c := &watcher{n: n, on: true, seen: make(map[*testNode]seen), before: make(map[*testNode][]Contact), open: make(map[*testNode]int)}
	n.w.AfterEvent(func(h *sim.Host) {
		if x := n.by[h]; x != nil && c.on {
			c.after(x)
		}
	})
	return c
}

func (c *watcher) after(x *testNode) {
	now := seen{n: len(x.r.succs), pred: x.r.pred, state: x.r.state, up: x.up()}
	if now.n > 0 {
		now.succs = &x.r.succs[0]
	}
	if !x.up() {
		c.crashed = c.n.w.Elapsed()
	}
	now.owns = now.up && x.r.ownsLocked(x.r.id)
	if now == c.seen[x] {
		c.everySecond()
		return
	}
	was := c.seen[x]
	c.seen[x] = now
	c.span(x, was.owns, now.owns)
	c.checks++
	defer func() { c.before[x] = x.r.succs }()
	c.changed = x
	if now.up && now.state == member {
		c.one(x)
	}
	if len(c.n.nodes) <= wholeRing {
		c.all()
	} else {
		c.everySecond()
	}
}

func (c *watcher) everySecond() {
	if at := c.n.w.Elapsed(); at >= c.whole+time.Second {
		c.whole = at
		c.all()
	}
}

func (c *watcher) span(x *testNode, was, is bool) {
	at := c.n.w.Elapsed()
	if i, ok := c.open[x]; ok && !is {
		c.spans[i].to = at
		delete(c.open, x)
	} else if !ok && is {
		c.open[x] = len(c.spans)
		c.spans = append(c.spans, span{x, x.r.id, at, -1})
	}
}

// one checks the node's own list and that it has a living successor.
func (c *watcher) one(x *testNode) {
	if err := c.n.ordered(x); err != nil {
		c.n.fatalf("%v\n%s", err, c.n.dump())
	}
}

func (n *testNet) ordered(x *testNode) error {
	r := x.r
	if len(r.succs) > n.cfg.SuccessorListLen {
		return fmt.Errorf("%s: list of %d", x.name, len(r.succs))
	}
	before := r.id
	for i, s := range r.succs {
		if s.ID == r.id || i > 0 && !nearer(r.id, before, s.ID) {
			return fmt.Errorf("%s: list wraps or is out of order at %d", x.name, i)
		}
		before = s.ID
	}
	return nil
}

// all checks the whole ring.
func (c *watcher) all() {
	ms := c.n.members()
	if err := c.n.invariant(ms, &c.based); err != nil {
		was := ""
		for _, s := range c.before[c.changed] {
			was += c.n.name(s.ID) + " "
		}
		c.n.fatalf("%v\nafter a change of %s, whose list was %s\n%s%s", err, c.changed.name, was, c.n.skips(ms), c.n.dump())
	}
	if o := overlap(ms); o != "" {
		// The range of a joiner whose successor died just after granting it is
		// known to nobody else until it has told the next one.
		c.overlaps++
		if !c.faulty && c.n.w.Elapsed() > c.crashed+2*time.Second {
			c.n.fatalf("%s\n%s", o, c.n.dump())
		}
	}
}

// invariant is Zave's: every living member has a living successor, and r+1
// members are skipped by nobody's extended successor list (principals). A
// ring that has not had r+1 of them since the last fault is a small one: its
// lists connect all living members. So is one of fewer than 4(r+1) members:
// Zave's steps are atomic, while here an answer is a latency old when it is
// used, so that of several nodes that join at once one may skip another for a
// moment, and in a ring of hardly more than r members every principal counts.
func (n *testNet) invariant(ms []*testNode, based *bool) error {
	at := make(map[ID]int, len(ms))
	for i, x := range ms {
		at[x.r.id] = i
	}
	settled := 0
	for _, x := range ms {
		if x.r.settled {
			settled++
		}
	}
	for _, x := range ms {
		if settled > 1 && len(x.r.succs) > 0 && !slices.ContainsFunc(x.r.succs, func(s Contact) bool { _, ok := at[s.ID]; return ok }) {
			return fmt.Errorf("%s has no living successor", x.name)
		}
	}
	if principals(ms) >= n.cfg.SuccessorListLen+1 {
		*based = true
		return nil
	}
	if *based && settled >= 4*(n.cfg.SuccessorListLen+1) {
		return fmt.Errorf("only %d principals of %d members, r = %d", principals(ms), settled, n.cfg.SuccessorListLen)
	}
	*based = false
	if !connected(slices.DeleteFunc(slices.Clone(ms), func(x *testNode) bool { return !x.r.settled })) {
		return fmt.Errorf("the lists of %d members do not connect them", len(ms))
	}
	return nil
}

// principals counts the members that no extended successor list skips. A
// joiner counts, either way, from when it is settled: here a join, atomic with Zave, ends.
func principals(all []*testNode) int {
	var ms []*testNode
	for _, x := range all {
		if x.r.settled {
			ms = append(ms, x)
		}
	}
	skipped := make([]bool, len(ms))
	for i, x := range ms {
		next := (i + 1) % len(ms) // first member behind the entry before
		for _, s := range x.r.succs {
			for next != i && Between(x.r.id, ms[next].r.id, s.ID) {
				skipped[next] = true
				next = (next + 1) % len(ms)
			}
			if next != i && ms[next].r.id == s.ID {
				next = (next + 1) % len(ms)
			}
		}
	}
	count := 0
	for _, s := range skipped {
		if !s {
			count++
		}
	}
	return count
}

// connected reports whether the lists join all members into one graph.
func connected(ms []*testNode) bool {
	if len(ms) == 0 {
		return true
	}
	at := make(map[ID]int, len(ms))
	for i, x := range ms {
		at[x.r.id] = i
	}
	group := make([]int, len(ms))
	for i := range group {
		group[i] = i
	}
	var find func(i int) int
	find = func(i int) int {
		if group[i] != i {
			group[i] = find(group[i])
		}
		return group[i]
	}
	for i, x := range ms {
		for _, s := range x.r.succs {
			if k, ok := at[s.ID]; ok {
				group[find(i)] = find(k)
			}
		}
	}
	for i := range ms {
		if find(i) != find(0) {
			return false
		}
	}
	return true
}

// overlap names two living nodes that own one key, if there are any.
func overlap(ms []*testNode) string {
	for i, x := range ms {
		if !x.r.ownsLocked(x.r.id) || len(ms) == 1 {
			continue
		}
		from := x.r.id
		if x.r.pred != nil {
			from = x.r.pred.ID
		}
		for k := (i + len(ms) - 1) % len(ms); k != i; k = (k + len(ms) - 1) % len(ms) {
			y := ms[k]
			if x.r.pred != nil && !Between(from, y.r.id, x.r.id) {
				break
			}
			if y.r.ownsLocked(y.r.id) {
				return fmt.Sprintf("%s and %s both own %s", x.name, y.name, y.r.id.short())
			}
		}
	}
	return ""
}

// allows reports whether the fault schedule may take x away now: what is left
// must have a living successor each and keep the invariant.
func (n *testNet) allows(x *testNode) bool {
	var rest []*testNode
	for _, m := range n.members() {
		if m != x {
			rest = append(rest, m)
		}
	}
	at := make(map[ID]int, len(rest))
	for i, m := range rest {
		at[m.r.id] = i
	}
	if len(rest) == 0 {
		return false
	}
	if !slices.ContainsFunc(rest, func(m *testNode) bool { return m.r.settled && m.r.shownPredLocked() != nil || m.r.aloneLocked() }) && len(rest) > 0 && !(len(rest) == 1 && rest[0].r.settled) {
		return false // only joiners would be left
	}
	for _, m := range rest {
		// The last entry does not count: an answer that is under way may push it
		// out.
		sure := m.r.succs[:min(len(m.r.succs), n.cfg.SuccessorListLen-1)]
		if len(rest) > 1 && !slices.ContainsFunc(sure, func(s Contact) bool { _, ok := at[s.ID]; return ok }) {
			return false
		}
	}
	return principals(rest) > n.cfg.SuccessorListLen || connected(rest)
}

// wasOwner reports whether x was, at some instant from start to end, the
// first node at or after key that owned its place.
func (c *watcher) wasOwner(id, key ID, start, end time.Duration) bool {
	instants := []time.Duration{start, end}
	for _, s := range c.spans {
		for _, at := range []time.Duration{s.from, s.to} {
			if at >= start && at <= end {
				instants = append(instants, at)
			}
		}
	}
	for _, at := range instants {
		held, nearerOne := false, false
		for _, s := range c.spans {
			if s.from > at || s.to >= 0 && s.to < at {
				continue
			}
			held = held || s.id == id
			// Those whose time ends or begins at this very instant may or
			// may not count.
			if s.from < at && (s.to < 0 || s.to > at) && s.id != id && (s.id == key || Between(key, s.id, id)) && key != id {
				nearerOne = true
			}
		}
		if held && !nearerOne {
			return true
		}
	}
	return false
}

// held reports whether x owned its own place at some instant from start to end.
func (c *watcher) held(id ID, start, end time.Duration) bool {
	return slices.ContainsFunc(c.spans, func(s span) bool {
		return s.id == id && s.from <= end && (s.to < 0 || s.to >= start)
	})
}

// skips tells who skips whom, for people.
func (n *testNet) skips(ms []*testNode) string {
	var b strings.Builder
	for _, y := range ms {
		by := ""
		for _, x := range ms {
			before := x.r.id
			for _, s := range x.r.succs {
				if x != y && Between(before, y.r.id, s.ID) {
					by += " " + x.name
				}
				before = s.ID
			}
		}
		if by != "" {
			fmt.Fprintf(&b, "%s is skipped by%s\n", y.name, by)
		}
	}
	return b.String()
}
