package mapping

import (
	"cmp"
	"maps"
	"slices"

	"ircbridge/overlay"
)

// The rules by which two states of one channel become one (docs/objects.md,
// "State, and how two become one"):
//
//   - the older birth keeps its name, modes, topic, lists and statuses; the
//     younger brings its members, without status;
//   - within one birth the higher stamp wins for each item;
//   - members are united; a removal removes the joins that it names, whatever
//     copy still has them.
//
// merge is commutative, associative and idempotent: every item is a maximum
// under a total order, and what belongs to the younger birth is dropped, which
// no later merge would ask for again, as births only get older.

// merge unites other into s. other is not changed.
func (s *state) merge(other *state) {
	o := other.clone()
	switch c := s.birth.compare(o.birth); {
	case c < 0:
		o.disown()
	case c > 0:
		s.disown()
		s.birth, s.name = o.birth, o.name
	default:
		s.name = max(s.name, o.name)
	}
	s.heads.addAll(o.heads)
	for k, r := range o.removals { // any order: maximum
		if old, ok := s.removals[k]; ok {
			r = uniteRemovals(old, r)
		}
		s.removals[k] = r
	}
	for k, m := range o.members { // any order: each for itself
		if old, ok := s.members[k]; ok {
			m = mergeMember(old, m)
		}
		s.members[k] = m
	}
	for k, m := range s.members { // any order: each for itself
		if r, ok := s.removals[k]; ok && m.join <= r.join {
			delete(s.members, k)
		}
	}
	if laterGiven(o.given, s.given) {
		s.given = o.given
	}
	if laterAlias(o.alias, s.alias) {
		s.alias = o.alias
	}
	if laterTopic(o.topic, s.topic) {
		s.topic = o.topic
	}
	for k, m := range o.modes { // any order: maximum
		if old, ok := s.modes[k]; !ok || laterMode(m, old) {
			s.modes[k] = m
		}
	}
	s.lists.merge(o.lists)
	s.meta.merge(o.meta)
	s.knocks.merge(o.knocks)
	s.mergeRedactions(o)
	s.addLines(o.tail)
	s.mergeFormer(o)
	for k, i := range o.invitations { // any order: maximum
		old, ok := s.invitations[k]
		if !ok || i.stamp.Compare(old.stamp) > 0 || i.stamp == old.stamp && i.gone {
			s.invitations[k] = i
		}
	}
}

// disown drops what the younger of two births may not bring along.
func (s *state) disown() {
	tail := s.tail
	s.end()
	s.tail = tail
	for k, m := range s.members { // any order: each for itself
		m.status, m.statusAt = 0, overlay.Stamp{}
		s.members[k] = m
	}
}

func (s *state) clone() *state {
	c := *s
	c.heads = slices.Clone(s.heads)
	c.members = maps.Clone(s.members)
	c.removals = maps.Clone(s.removals)
	c.modes = maps.Clone(s.modes)
	c.lists = s.lists.clone()
	c.meta = s.meta.clone()
	c.invitations = maps.Clone(s.invitations)
	c.knocks = maps.Clone(s.knocks)
	c.tail = slices.Clone(s.tail)
	c.former = maps.Clone(s.former)
	c.redactions = maps.Clone(s.redactions)
	return &c
}

// mergeMember unites two copies of one member: the later join, and within one
// join the later status.
func mergeMember(a, b member) member {
	switch {
	case a.join > b.join:
		return a
	case a.join < b.join:
		return b
	}
	if c := b.statusAt.Compare(a.statusAt); c > 0 || c == 0 && b.status.Compare(a.status) < 0 {
		a.status, a.statusAt = b.status, b.statusAt
	}
	if b.joined.Compare(a.joined) > 0 {
		a.joined = b.joined
	}
	a.person = newer(a.person, b.person)
	return a
}

// uniteRemovals is the later of two removals of one session, with what is known of his
// leaving by either.
func uniteRemovals(a, b removal) removal {
	left := max(a.left, b.left)
	if cmp.Or(cmp.Compare(a.join, b.join), a.stamp.Compare(b.stamp), cmp.Compare(a.kind, b.kind),
		cmp.Compare(a.at, b.at), cmp.Compare(a.by, b.by), cmp.Compare(a.reason, b.reason)) < 0 {
		a = b
	}
	a.left = left
	return a
}

func laterTopic(a, b topic) bool {
	return cmp.Or(a.stamp.Compare(b.stamp), cmp.Compare(a.at, b.at), cmp.Compare(a.text, b.text), cmp.Compare(a.by, b.by)) > 0
}

func laterMode(a, b mode) bool {
	return cmp.Or(a.stamp.Compare(b.stamp), cmp.Compare(boolInt(a.on), boolInt(b.on)),
		cmp.Compare(a.key, b.key), cmp.Compare(a.limit, b.limit)) > 0
}
