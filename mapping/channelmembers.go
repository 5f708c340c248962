package mapping

import (
	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// Who is on a channel: the keeper's rules for coming and going.

// join lets a session in. The first one founds the channel and is its
// operator. Who returns after he vanished gets his status back; on a channel that
// rests the first one is its operator only if no operator may return. Who left, without
// being heard, has nothing to return to.
func (c *channelObject) join(t turn, w *wire.Join) *wire.Result {
	p, err := personFromWire(w.GetPerson())
	name := string(w.GetName())
	if err != nil || !chat.ValidChannel(name) {
		return refuse(wire.Code_BAD_REQUEST)
	}
	if code := c.misnamed(name); code != wire.Code_OK {
		return refuse(code)
	}
	from := t.From()
	joined := &wire.Joined{Person: personToWire(p)}
	old, again := c.s.members[from]
	invitation, invited := c.s.invitations[from]
	invited = invited && !invitation.gone
	modes, lists := c.s.modes, c.s.lists
	status, returns := c.s.returning(from.Node, p.nick, c.now)
	var left formerID
	if w.Left {
		left = formerID{from.Node, chat.Fold(p.nick)}
		status, returns = 0, false
		if len(c.s.members) > 1 {
			old.status = 0
		}
	}
	_, operator := c.s.awaited(c.now, left)
	resting := c.s.resting(c.now)
	if resting {
		modes, lists = c.s.rest.modes, c.s.rest.lists
		joined.Birth, joined.Name = birthToWire(c.s.rest.birth), []byte(c.s.rest.name)
	}
	switch {
	case resting && !operator:
		// Of a birth of his own: should the channel have gone on elsewhere, it is
		// the older one, and he its operator no more.
		joined.Birth.AtMs, joined.Birth.Random = t.Now().UnixMilli(), t.Rand()
		joined.Status, joined.Inherits = uint32(chat.Operator), true
	case len(c.s.members) == 0 && !resting:
		joined.Birth = &wire.Birth{AtMs: t.Now().UnixMilli(), Random: t.Rand()}
		joined.Name = []byte(name)
		joined.Status = uint32(chat.Operator)
		c.s.alias = alias{} // what it led to is no more
	case again: // his leaving was lost on the way
		joined.Status = uint32(old.status)
	case lists.ban(p, from):
		return refuse(wire.Code_BANNED)
	case len(c.s.members) >= maxMembers:
		return refuse(wire.Code_CHANNEL_FULL)
	case returns && status.AtLeast(chat.HalfOperator): // above the rules that he may have made himself
		joined.Status = uint32(status)
	case modes['R'].on && accountOf(from) == "":
		return refuse(wire.Code_NEED_ACCOUNT)
	case modes['i'].on && !invited && !lists.of('I').match(false, p, from):
		return refuse(wire.Code_INVITE_ONLY)
	case modes['k'].on && modes['k'].key != string(w.Key):
		return refuse(wire.Code_BAD_KEY)
	case modes['l'].on && len(c.s.members) >= modes['l'].limit:
		return refuse(wire.Code_CHANNEL_FULL)
	default:
		joined.Invited, joined.Status = invited, uint32(status)
	}
	t.SubscribersChanged()
	return c.emit(t, &wire.ChannelEvent{What: &wire.ChannelEvent_Joined{Joined: joined}})
}

// leave is a part or a quit. It is remembered even if the session is not
// here: a copy that still has it may come.
func (c *channelObject) leave(t turn, reason []byte, ev *wire.ChannelEvent) *wire.Result {
	if len(reason) > chat.MaxReason || !oneLine(string(reason)) {
		return refuse(wire.Code_BAD_REQUEST)
	}
	if len(c.s.heads) == 0 && len(c.s.members) == 0 {
		return refuse(wire.Code_NOT_ON_CHANNEL)
	}
	t.SubscribersChanged()
	return c.emit(t, ev)
}

func (c *channelObject) kick(t turn, w *wire.Kick) *wire.Result {
	m, on := c.s.members[t.From()]
	target, err := sessionFromWire(w.GetTarget())
	victim, there := c.s.members[target]
	switch {
	case err != nil || len(w.GetReason()) > chat.MaxReason || !oneLine(string(w.GetReason())):
		return refuse(wire.Code_BAD_REQUEST)
	case !on:
		return refuse(wire.Code_NOT_ON_CHANNEL)
	case !m.status.AtLeast(chat.HalfOperator):
		return refuse(wire.Code_NO_PRIVILEGES)
	case !there:
		return refuse(wire.Code_NOT_IN_CHANNEL)
	case !m.status.Rules(victim.status):
		return refuse(wire.Code_NO_PRIVILEGES)
	}
	ev := &wire.ChannelEvent{
		By:   []byte(c.maskOf(t.From())),
		What: &wire.ChannelEvent_Kicked{Kicked: &wire.Kick{Target: w.Target, Reason: w.Reason, Join: victim.join}},
	}
	c.linger[target.Node] = c.now + lingerFor
	t.SubscribersChanged()
	return c.emit(t, ev)
}

// invite lets a session pass +i once. The inviter's node tells it; the event
// is for the operators, half operators too.
func (c *channelObject) invite(t turn, w *wire.Invite) *wire.Result {
	m, on := c.s.members[t.From()]
	target, err := sessionFromWire(w.GetTarget())
	_, there := c.s.members[target]
	if w.GetPerson() != nil && err == nil {
		_, err = personFromWire(w.Person)
	}
	switch {
	case err != nil:
		return refuse(wire.Code_BAD_REQUEST)
	case !on:
		return refuse(wire.Code_NOT_ON_CHANNEL)
	case c.s.is('i') && !m.status.AtLeast(chat.HalfOperator):
		return refuse(wire.Code_NO_PRIVILEGES)
	case there:
		return refuse(wire.Code_USER_ON_CHANNEL)
	}
	return c.emit(t, &wire.ChannelEvent{What: &wire.ChannelEvent_Invited{Invited: w}})
}

// lingerAll keeps telling all nodes that have members now.
func (c *channelObject) lingerAll() {
	for who := range c.s.members { // any order: each is set alike
		c.linger[who.Node] = c.now + lingerFor
	}
}

// reasonRestarted is why the members of an earlier run of a node are gone: they do not come back.
const reasonRestarted = "node restarted"

// nodeGone removes the members of a node that is gone, all runs but keep. It
// is no removal for good: should he come back, he is a member again.
func (c *channelObject) nodeGone(t turn, node host.PeerID, keep uint64) {
	c.now = t.Now().UnixMilli()
	if keep == 0 {
		delete(c.linger, node)
	}
	reason := "node does not answer"
	if keep != 0 {
		reason = reasonRestarted
	}
	c.gone(t, reason, keep == 0, func(who overlay.Stream, _ member) bool {
		return who.Node == node && (keep == 0 || who.Run != keep)
	})
}

// gone takes members out. lost: their node did not answer.
func (c *channelObject) gone(t turn, reason string, lost bool, which func(overlay.Stream, member) bool) {
	var list []*wire.Session
	for _, who := range c.s.sessions() {
		if which(who, c.s.members[who]) {
			list = append(list, sessionToWire(who))
		}
	}
	if len(list) == 0 {
		return
	}
	t.SubscribersChanged()
	c.emit(t, &wire.ChannelEvent{What: &wire.ChannelEvent_Gone{Gone: &wire.Gone{Sessions: list, Reason: []byte(reason), Lost: lost}}})
}
