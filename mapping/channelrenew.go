package mapping

import (
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// What a keeper makes of what a node says it holds in a channel.

// renew compares what a node holds with what is here.
func (c *channelObject) renew(t turn, node host.PeerID, run uint64, payload []byte) bool {
	c.now = t.Now().UnixMilli()
	w := new(wire.ChannelRenewal)
	if decode(payload, w) != nil || len(w.Members) > maxMembers {
		return true // nothing that a view would mend
	}
	theirs, _, err := headsFromWire(w.Epochs)
	if err != nil {
		return true
	}
	b := birthFromWire(w.Birth)
	back := c.s.resting(c.now) && b == c.s.rest.birth // somebody who was believed gone
	if b != c.s.birth && !back || !c.s.knows(theirs) {
		return false // the node finds out who lacks what
	}
	// Who his node does not name is gone, whatever else differs: the node may know
	// of a quit that never came here, and its view, which leaves him out, then
	// differs until he is.
	known := back || !theirs.knowsAll(c.s.heads) || w.Digest == c.s.digest() || w.Digest == c.s.digestOf(earlyStatuses)
	named := map[overlay.Stream]bool{}
	for _, m := range w.Members {
		who := overlay.Stream{Node: node, Run: run, Session: m.GetSession()}
		named[who] = true
		known = c.renewMember(t, who, m) && known
	}
	c.gone(t, "gone", false, func(who overlay.Stream, m member) bool {
		return who.Node == node && !named[who] && (who.Run != run || theirs.covers(m.joined))
	})
	return known
}

func (c *channelObject) renewMember(t turn, who overlay.Stream, m *wire.Member) bool {
	have, ok := c.s.members[who]
	p, err := personFromWire(m.Person)
	if ok {
		if err == nil && have.join == m.Join {
			c.correct(t, who, have, p)
		}
		return have.join == m.Join
	}
	if err != nil || c.s.removals[who].join >= m.Join || len(c.s.members) >= maxMembers {
		return false
	}
	joined := &wire.Joined{Person: personToWire(p), Session: sessionToWire(who), Join: m.Join}
	status, _ := c.s.returning(who.Node, p.nick, c.now)
	joined.Status = uint32(status)
	if c.s.resting(c.now) {
		joined.Birth, joined.Name = birthToWire(c.s.rest.birth), []byte(c.s.rest.name)
	}
	t.SubscribersChanged()
	c.emit(t, &wire.ChannelEvent{What: &wire.ChannelEvent_Joined{Joined: joined}})
	return true
}

// correct takes what a member's own node says of his person, where this copy
// has an older version: the change came to a keeper from whose copy he was gone
// when another copy, which had not heard of it, brought him back.
func (c *channelObject) correct(t turn, who overlay.Stream, have member, p person) {
	if newer(have.person, p) == have.person {
		return
	}
	have.person = p
	part := newState()
	part.birth, part.name = c.s.birth, c.s.name
	part.members[who] = have
	c.emit(t, &wire.ChannelEvent{What: &wire.ChannelEvent_Merged{Merged: part.toWire()}})
}
