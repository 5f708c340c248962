// Package ringcheck says what must hold of a Chord ring whose nodes can all be
// looked at in one moment, as in a simulation. It knows nothing of how the ring
// is made: who checks translates what nodes have into [Node].
//
// What must hold, after every step that leaves the ring as many living nodes as
// it needs ([Watch.Check]):
//
//   - a list is in the order of the ring, and never reaches round to its owner;
//   - every member has a successor that lives;
//   - r+1 members are skipped by nobody's list (principals), where r is the
//     length of lists; in a ring that is small for that, or that has
//     not had them since the last fault, the lists connect all living members.
//
// After quiet it is the one ideal ring ([Ring.Ideal]).
//
// It is for tests and simulations, and imports the standard library only.
//
// Source: P. Zave, "Reasoning about identifier spaces: how to make Chord
// correct" (IEEE Transactions on Software Engineering 43, 2017), section 5.
package ringcheck

import (
	"bytes"
	"fmt"
	"slices"
)

// ID is a place on the ring, big endian.
type ID = [20]byte

// A Node is what one living member has.
type Node struct {
	Name    string // for people
	ID      ID
	Succs   []ID
	Pred    *ID  // nil for none
	Settled bool // its join has ended
	Alone   bool // it takes itself for a ring of one
	Owns    bool // it answers for its own ID
}

// A Ring is all living members, in the order of their IDs.
type Ring []Node

// Sort orders nodes as a Ring must be.
func Sort(nodes []Node) Ring {
	slices.SortFunc(nodes, func(a, b Node) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return nodes
}

// between reports whether x lies strictly between a and b, clockwise; between a
// and itself lies everything else.
func between(a, x, b ID) bool {
	ax, xb, ab := bytes.Compare(a[:], x[:]) < 0, bytes.Compare(x[:], b[:]) < 0, bytes.Compare(a[:], b[:])
	switch {
	case ab < 0:
		return ax && xb
	case ab > 0:
		return ax || xb
	}
	return x != a
}

// index gives the place of each ID in the ring.
func (r Ring) index() map[ID]int {
	at := make(map[ID]int, len(r))
	for i, n := range r {
		at[n.ID] = i
	}
	return at
}

// Ordered finds what is wrong with a node's own list, of at most so many.
func (n Node) Ordered(most int) error {
	if len(n.Succs) > most {
		return fmt.Errorf("%s: list of %d", n.Name, len(n.Succs))
	}
	before := n.ID
	for i, s := range n.Succs {
		if s == n.ID || i > 0 && !between(before, s, n.ID) {
			return fmt.Errorf("%s: list wraps or is out of order at %d", n.Name, i)
		}
		before = s
	}
	return nil
}

// Settled are the nodes whose join has ended.
func (r Ring) Settled() Ring {
	var s Ring
	for _, n := range r {
		if n.Settled {
			s = append(s, n)
		}
	}
	return s
}

// Principals counts the members that no list skips, of those whose join has
// ended: here a join, atomic with Zave, ends.
func (r Ring) Principals() int {
	ms := r.Settled()
	skipped := make([]bool, len(ms))
	for i, x := range ms {
		next := (i + 1) % len(ms) // first member behind the entry before
		for _, s := range x.Succs {
			for next != i && between(x.ID, ms[next].ID, s) {
				skipped[next] = true
				next = (next + 1) % len(ms)
			}
			if next != i && ms[next].ID == s {
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

// Connected reports whether the lists join all members into one graph.
func (r Ring) Connected() bool { return r.connect(func(Node) bool { return true }) }

// ConnectedSettled is Connected for those whose join has ended: the lists of all
// members, theirs and others', join them.
func (r Ring) ConnectedSettled() bool { return r.connect(func(n Node) bool { return n.Settled }) }

// connect reports whether the lists of all members join those that count.
func (r Ring) connect(counts func(Node) bool) bool {
	at := r.index()
	group := make([]int, len(r))
	for i := range group {
		group[i] = i
	}
	find := func(i int) int {
		for group[i] != i {
			group[i] = group[group[i]]
			i = group[i]
		}
		return i
	}
	for i, n := range r {
		for _, s := range n.Succs {
			if k, ok := at[s]; ok {
				group[find(i)] = find(k)
			}
		}
	}
	first := slices.IndexFunc(r, counts)
	for i, n := range r {
		if counts(n) && find(i) != find(first) {
			return false
		}
	}
	return true
}

// LivingSuccessors finds a member that has none of them in its list.
func (r Ring) LivingSuccessors() error {
	at := r.index()
	if len(r.Settled()) < 2 {
		return nil
	}
	for _, n := range r {
		if len(n.Succs) > 0 && !slices.ContainsFunc(n.Succs, func(s ID) bool { _, ok := at[s]; return ok }) {
			return fmt.Errorf("%s has no living successor", n.Name)
		}
	}
	return nil
}

// A Watch checks a ring again and again.
type Watch struct {
	ListLen int  // r, the length of lists
	based   bool // there were r+1 principals since the last fault
}

// Fault says that nodes were taken away, so that principals may have gone with
// them.
func (w *Watch) Fault() { w.based = false }

// Check finds what breaks the invariant of the whole ring. Zave's steps are
// atomic, while here an answer is a latency old when it is used, so that of
// several nodes that join at once one may skip another for a moment, and in a
// ring of hardly more than r members every principal counts. So rings of fewer
// than 4(r+1) are treated as those that have too few principals: the lists must
// connect those whose join has ended.
func (w *Watch) Check(r Ring) error {
	if err := r.LivingSuccessors(); err != nil {
		return err
	}
	settled := r.Settled()
	principals := r.Principals()
	if principals > w.ListLen {
		w.based = true
		return nil
	}
	if w.based && len(settled) >= 4*(w.ListLen+1) {
		return fmt.Errorf("only %d principals of %d members, r = %d", principals, len(settled), w.ListLen)
	}
	w.based = false
	if !r.ConnectedSettled() {
		return fmt.Errorf("the lists of %d members do not connect them", len(r))
	}
	return nil
}

// Overlap names two members that both answer for one key, or is "".
func (r Ring) Overlap() string {
	for i, x := range r {
		if !x.Owns || len(r) == 1 {
			continue
		}
		from := x.ID
		if x.Pred != nil {
			from = *x.Pred
		}
		for k := (i + len(r) - 1) % len(r); k != i; k = (k + len(r) - 1) % len(r) {
			y := r[k]
			if x.Pred != nil && !between(from, y.ID, x.ID) {
				break
			}
			if y.Owns {
				return fmt.Sprintf("%s and %s both own the place of %s", x.Name, y.Name, y.Name)
			}
		}
	}
	return ""
}

// Ideal finds what keeps the ring from being the ideal one: each list the next r
// members, each predecessor right, everybody settled.
func (r Ring) Ideal(listLen int) error {
	for i, n := range r {
		if len(n.Succs) != min(listLen, len(r)-1) {
			return fmt.Errorf("%s has a list of %d, in a ring of %d", n.Name, len(n.Succs), len(r))
		}
		for k, s := range n.Succs {
			if want := r[(i+1+k)%len(r)]; s != want.ID {
				return fmt.Errorf("successor %d of %s is not %s", k, n.Name, want.Name)
			}
		}
		switch before := r[(i+len(r)-1)%len(r)]; {
		case !n.Settled:
			return fmt.Errorf("%s is not settled", n.Name)
		case len(r) == 1 && !n.Alone:
			return fmt.Errorf("%s, the only member, is not alone", n.Name)
		case len(r) > 1 && (n.Pred == nil || *n.Pred != before.ID):
			return fmt.Errorf("the predecessor of %s is not %s", n.Name, before.Name)
		}
	}
	return nil
}

// Owner is the member to which a key belongs.
func (r Ring) Owner(key ID) Node {
	return r[r.place(key)]
}

// Keepers are the member to which a key belongs and those that follow it, in all
// at most n.
func (r Ring) Keepers(key ID, n int) []Node {
	var k []Node
	at := r.place(key)
	for i := range min(n, len(r)) {
		k = append(k, r[(at+i)%len(r)])
	}
	return k
}

func (r Ring) place(key ID) int {
	for i, n := range r {
		if bytes.Compare(key[:], n.ID[:]) <= 0 {
			return i
		}
	}
	return 0
}
