package mapping

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// What a channel is to others: to who asks, to replicas and the next keeper, and to those that
// bring what they have of it.

// mergePart takes what a node's view knows and this copy lacks.
func (c *channelObject) mergePart(t turn, w *wire.ChannelState) *wire.Result {
	part, err := stateFromWire(w)
	if err != nil || part.name != "" && chat.Fold(part.name) != c.name || t.From().Session != 0 {
		return refuse(wire.Code_BAD_REQUEST)
	}
	before := encode(c.s.toWire())
	trial := c.s.clone()
	trial.merge(part)
	if string(encode(trial.toWire())) == string(before) {
		return &wire.Result{}
	}
	c.lingerAll()
	t.SubscribersChanged()
	return c.emit(t, &wire.ChannelEvent{What: &wire.ChannelEvent_Merged{Merged: w}})
}

func (c *channelObject) Query(_ host.PeerID, q []byte) []byte {
	if decode(q, new(wire.ChannelQuery)) != nil {
		return nil
	}
	a := &wire.ChannelAnswer{Exists: len(c.s.members) > 0, Count: uint32(len(c.s.members)), Secret: c.s.is('s')}
	if !a.Exists {
		a.Home = []byte(c.elsewhere())
		return encode(a)
	}
	show := c.s.clone()
	show.alias = alias{}
	show.removals, show.invitations, show.knocks, show.heads, show.tail, show.redactions = nil, nil, nil, nil, nil, nil
	for _, list := range show.lists {
		maps.DeleteFunc(list, func(_ string, e listed) bool { return e.gone })
	}
	if a.Secret {
		show.members, show.lists, show.topic, show.meta = nil, lists{}, topic{}, nil
	}
	if k := show.modes['k']; k.on {
		k.key = "*"
		show.modes['k'] = k
	}
	a.State = show.toWire()
	return encode(a)
}

func (c *channelObject) Snapshot() []byte { return encode(c.s.toWire()) }

func (c *channelObject) View() []byte { return c.Snapshot() }

func (c *channelObject) Merge(snapshot []byte) error {
	other, err := decodeState(snapshot, c.name)
	if err != nil {
		return fmt.Errorf("merge channel %s: %w", c.name, err)
	}
	c.lingerAll()
	c.s.merge(other)
	c.s.prune(c.now)
	return nil
}

// Revive implements overlay.Reviver: what a node's database has of a channel
// adds to what lives of the same birth, but brings no members, who say themselves
// where they are. It is nothing to a channel of another birth, and to one that saw
// it end.
func (c *channelObject) Revive(snapshot []byte) error {
	other, err := decodeState(snapshot, c.name)
	if err != nil {
		return fmt.Errorf("revive channel %s: %w", c.name, err)
	}
	switch {
	case c.s.birth.none():
		if c.s.knows(other.heads) {
			return nil
		}
	case other.birth == c.s.birth:
		other.members = map[overlay.Stream]member{}
	case other.birth.none() && other.rest.birth == c.s.birth:
	default:
		return nil
	}
	c.lingerAll()
	c.s.merge(other)
	c.s.prune(c.now)
	return nil
}

func (c *channelObject) Nodes() []host.PeerID {
	nodes := map[host.PeerID]bool{}
	for who := range c.s.members { // any order: sorted below
		nodes[who.Node] = true
	}
	for n, until := range c.linger { // any order: sorted below
		if until > c.now {
			nodes[n] = true
		} else {
			delete(c.linger, n)
		}
	}
	list := make([]host.PeerID, 0, len(nodes))
	for n := range nodes { // any order: sorted below
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

// Empty reports whether nobody is here or may return, and nobody has been for a
// while: until then a copy that comes late must not revive who left.
func (c *channelObject) Empty(now time.Time) bool {
	if len(c.s.members) > 0 || c.s.resting(now.UnixMilli()) || c.s.alias.until > now.UnixMilli() {
		return false
	}
	for _, r := range c.s.removals { // any order: one is enough
		if r.at > now.UnixMilli()-emptyFor {
			return false
		}
	}
	return true
}

func (c *channelObject) Summary() string {
	switch {
	case c.elsewhere() != "":
		return "channel " + c.name + ", which is " + c.elsewhere()
	case c.s.name == "" && c.s.resting(c.now):
		return "channel " + c.name + ", at rest"
	case c.s.name == "":
		return "channel " + c.name + ", without members"
	}
	return fmt.Sprintf("channel %s, %d members", c.s.shown(), len(c.s.members))
}
