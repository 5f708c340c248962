package chattest

import (
	"cmp"
	"slices"
	"strings"

	"ircbridge/chat"
)

// Cut parts this node and the others named from all other nodes, for longer
// than anybody waits: each side's users get a Split, and see, hear and find
// only each other until Mend. There is one state all the same: a nick is taken
// for both sides, and what one side does to a channel the other one finds so,
// without an event.
func (s *Service) Cut(with ...*Service) {
	n := s.net
	n.mu.Lock()
	defer n.mu.Unlock()
	lost := map[*session][]*session{}
	all := n.allLocked()
	for _, se := range all {
		lost[se] = se.aroundLocked()
	}
	n.far = map[*Service]bool{}
	for _, node := range append(with, s) {
		n.far[node] = true
	}
	for _, se := range all {
		e := chat.Split{Here: se.home.node.Host, At: n.opt.Now()}
		for _, other := range lost[se] {
			if !se.meetsLocked(other) {
				e.Who = append(e.Who, other.self)
				e.There = cmp.Or(e.There, other.home.node.Host)
			}
		}
		if len(e.Who) > 0 {
			se.pushLocked(e)
		}
	}
	n.allPresentLocked()
}

// Mend ends what Cut began: each side's users get a Rejoined.
func (s *Service) Mend() {
	n := s.net
	n.mu.Lock()
	defer n.mu.Unlock()
	came := map[*session]chat.Rejoined{}
	all := n.allLocked()
	for _, se := range all {
		e := chat.Rejoined{Here: se.home.node.Host, At: n.opt.Now()}
		channels := slices.Clone(se.joined)
		slices.SortFunc(channels, func(a, b *channel) int { return strings.Compare(chat.Fold(a.name), chat.Fold(b.name)) })
		for _, c := range channels {
			for _, m := range c.sortedLocked() {
				if !se.meetsLocked(m) {
					e.Came = append(e.Came, chat.Arrival{Channel: c.name, Member: chat.Member{Profile: m.self, Status: c.members[m]}})
					e.There = cmp.Or(e.There, m.home.node.Host)
				}
			}
		}
		came[se] = e
	}
	n.far = nil
	for _, se := range all {
		if e := came[se]; len(e.Came) > 0 {
			se.pushLocked(e)
		}
	}
	n.allPresentLocked()
}

// meetsLocked reports whether two sessions are on one side of a cut, if there
// is one.
func (se *session) meetsLocked(other *session) bool {
	return other == nil || se.net.far[se.home] == se.net.far[other.home]
}

func (n *network) allLocked() []*session {
	var all []*session
	for _, se := range n.nicks {
		all = append(all, se)
	}
	sortSessions(all)
	return all
}
