package mapping

import (
	"fmt"

	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// Nodes that watch a name, as its keeper has them: they are told who has it, from
// when to when, and what is new of him. A node that watches is a stake as a
// claim is: it is renewed, lapses, and ends with the node's run. It is not signed and
// nobody's right, so a copy that still has one which was given up does no harm: the
// node refuses what it is told, and the lease ends.

// maxWatchers bounds the nodes that watch one name.
const maxWatchers = 1024

// watch takes a node in, or out. When there is no room it is told how the name is now, and
// again with each renewal.
func (n *nickObject) watch(t turn, w *wire.Watch) *wire.Result {
	from, res := t.From(), &wire.Result{}
	switch {
	case from.Session != 0:
		return refuse(wire.Code_BAD_REQUEST)
	case w.GetOff():
		n.unwatched(t, from)
	case !n.watched(t, from):
		res.Code = wire.Code_LIST_FULL
	}
	if h := n.holder(); h != nil {
		res.Holder = h.toWire(nil)
	}
	return res
}

// watched takes a run of a node in. It reports whether it is in.
func (n *nickObject) watched(t turn, who overlay.Stream) bool {
	if n.watchers[who] {
		return true
	}
	if len(n.watchers) >= maxWatchers {
		return false
	}
	n.takeWatcher(who)
	t.SubscribersChanged()
	return true
}

func (n *nickObject) takeWatcher(who overlay.Stream) {
	if n.watchers == nil {
		n.watchers = map[overlay.Stream]bool{}
	}
	n.watchers[who] = true
}

func (n *nickObject) unwatched(t turn, who overlay.Stream) {
	if n.watchers[who] {
		delete(n.watchers, who)
		t.SubscribersChanged()
	}
}

// watchersGone drops those of a node's runs, all but keep.
func (n *nickObject) watchersGone(node host.PeerID, keep uint64) {
	for who := range n.watchers { // any order: each for itself
		if who.Node == node && (keep == 0 || who.Run != keep) {
			delete(n.watchers, who)
		}
	}
}

// boundWatchers keeps the first ones, so that it does not matter in which order
// copies meet.
func (n *nickObject) boundWatchers() {
	if len(n.watchers) <= maxWatchers {
		return
	}
	for _, who := range sortedStreams(n.watchers)[maxWatchers:] {
		delete(n.watchers, who)
	}
}

// tell is an event with who has the name, or ev, for all nodes but when there is one
// only: then it is his own.
func (n *nickObject) tell(t turn, ev []byte) {
	n.heads.add(t.Stamp())
	if ev == nil && (len(n.Nodes()) > 1 || len(n.watchers) > 0) {
		w := n.toWire()
		w.Released = nil
		ev = encode(w)
	}
	t.Emit(ev)
}

// learn takes what is new of who has the name, and tells who watches it.
func (n *nickObject) learn(t turn, c *claim, p person) {
	old := c.person
	if c.learn(p); c.person != old && len(n.watchers) > 0 {
		n.tell(t, nil)
	}
}

func watchersToWire(m map[overlay.Stream]bool) []*wire.Session {
	var ws []*wire.Session
	for _, who := range sortedStreams(m) {
		ws = append(ws, sessionToWire(who))
	}
	return ws
}

func watchersFromWire(ws []*wire.Session) (map[overlay.Stream]bool, error) {
	if len(ws) > maxWatchers {
		return nil, fmt.Errorf("%w: %d watchers of a name", errWire, len(ws))
	}
	if len(ws) == 0 {
		return nil, nil
	}
	m := make(map[overlay.Stream]bool, len(ws))
	for _, w := range ws {
		who, err := sessionFromWire(w)
		if err != nil {
			return nil, err
		}
		m[overlay.Stream{Node: who.Node, Run: who.Run}] = true
	}
	return m, nil
}
