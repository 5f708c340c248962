package chord

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ircbridge/chord/ringcheck"
	"ircbridge/host/sim"
)

// wholeRing is the size up to which the whole ring is checked after every
// event that changed any list; above it the changed nodes are, and the whole
// ring once in each virtual second.
const wholeRing = 32

// watcher checks the invariants (package ringcheck) while a
// simulation runs, and keeps who owned what when.
type watcher struct {
	n     *testNet
	on    bool
	ring  ringcheck.Watch
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
	c := &watcher{n: n, on: true, ring: ringcheck.Watch{ListLen: n.cfg.SuccessorListLen}, seen: make(map[*testNode]seen), before: make(map[*testNode][]Contact), open: make(map[*testNode]int)}
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

// ordered checks the list of one node.
func (n *testNet) ordered(x *testNode) error {
	return n.look([]*testNode{x})[0].Ordered(n.cfg.SuccessorListLen)
}

// look is what package ringcheck looks at.
func (n *testNet) look(ms []*testNode) ringcheck.Ring {
	ring := make(ringcheck.Ring, len(ms))
	for i, x := range ms {
		r := x.r
		ring[i] = ringcheck.Node{Name: x.name, ID: r.id, Settled: r.settled, Alone: r.aloneLocked(), Owns: r.ownsLocked(r.id)}
		for _, s := range r.succs {
			ring[i].Succs = append(ring[i].Succs, s.ID)
		}
		if r.pred != nil {
			id := ID(r.pred.ID)
			ring[i].Pred = (*ringcheck.ID)(&id)
		}
	}
	return ringcheck.Sort(ring)
}

// all checks the whole ring.
func (c *watcher) all() {
	ms := c.n.members()
	ring := c.n.look(ms)
	if err := c.ring.Check(ring); err != nil {
		was := ""
		for _, s := range c.before[c.changed] {
			was += c.n.name(s.ID) + " "
		}
		c.n.fatalf("%v\nafter a change of %s, whose list was %s\n%s%s", err, c.changed.name, was, c.n.skips(ms), c.n.dump())
	}
	if o := ring.Overlap(); o != "" {
		// The range of a joiner whose successor died just after granting it is
		// known to nobody else until it has told the next one.
		c.overlaps++
		if !c.faulty && c.n.w.Elapsed() > c.crashed+2*time.Second {
			c.n.fatalf("%s\n%s", o, c.n.dump())
		}
	}
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
	ring := n.look(rest)
	return n.leavesSuccessors(x) && (ring.Principals() > n.cfg.SuccessorListLen || ring.Connected())
}

// leavesSuccessors reports whether each member but x would have a living successor
// also if its list were already the r nodes that follow it, those counted that
// ended lately: an answer that is under way may make it so, where several joined
// just before.
func (n *testNet) leavesSuccessors(x *testNode) bool {
	late := func(m *testNode) bool { return m.ended > 0 && n.w.Elapsed() < m.ended+2*time.Second }
	all := slices.DeleteFunc(slices.Clone(n.nodes), func(m *testNode) bool { return !m.member() && !late(m) })
	slices.SortFunc(all, func(a, b *testNode) int { return a.r.id.Compare(b.r.id) })
	lives := func(m *testNode) bool { return m != x && m.ended == 0 }
	for i, m := range all {
		ok := !lives(m) || len(all) < 3
		for k := range min(n.cfg.SuccessorListLen, len(all)-1) {
			ok = ok || lives(all[(i+1+k)%len(all)])
		}
		if !ok {
			return false
		}
	}
	return true
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
