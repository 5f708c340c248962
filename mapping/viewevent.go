package mapping

import (
	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// What each event of a channel does to a view, and what of it is shown.

// takeLocked takes the next event: makes it part of the state, and shows it
// unless it came before under another stamp.
func (v *view) takeLocked(e overlay.Entry, ev *wire.ChannelEvent) {
	st := stepOf(e)
	v.taking = e.Number
	if w := ev.GetMessage(); w != nil {
		v.state.apply(st, ev)
		v.messageLocked(e, w)
		return
	}
	defer v.disperseLocked()
	defer v.namedLocked()
	ready := v.knowsSpeakerLocked
	if ev.GetPerson() != nil {
		ready = v.showableLocked // who has not been shown is shown with his new nick, and so is what he said
	}
	v.giveNextLocked(e.From, ready)
	fresh := v.noteLocked(e)
	switch w := ev.What.(type) {
	case *wire.ChannelEvent_Joined:
		v.joinedLocked(st, e, ev)
	case *wire.ChannelEvent_Parted:
		m, was := v.state.members[e.From]
		v.state.apply(st, ev)
		if _, is := v.state.members[e.From]; was && !is {
			v.s.left.put(e.From, m.person)
			v.showGoneLocked(e.From, e.From, m.person.nick, chat.Parted{
				Channel: v.display(), Who: m.person.profile(e.From), Reason: string(w.Parted.GetReason()), At: e.At,
			})
		}
	case *wire.ChannelEvent_Kicked:
		v.kickedLocked(st, e, ev)
	case *wire.ChannelEvent_Quit:
		v.s.quitLocked(e.From, string(w.Quit.GetReason()), true, e.At)
		v.state.apply(st, ev)
	case *wire.ChannelEvent_Gone:
		v.goneLocked(st, e, ev)
	case *wire.ChannelEvent_Person:
		if p, err := personFromWire(w.Person); err == nil {
			v.s.personLocked(e.From, p, e.At)
		}
		v.state.apply(st, ev)
	case *wire.ChannelEvent_Topic:
		v.state.apply(st, ev)
		if fresh {
			v.showLocked(e.From, chat.TopicChanged{Channel: v.display(), Topic: v.state.topic.chat()})
		}
	case *wire.ChannelEvent_Renamed:
		old := v.display()
		v.state.apply(st, ev)
		v.renamedLocked(old, string(ev.By), string(w.Renamed.GetReason()), e.At)
	case *wire.ChannelEvent_Metadata:
		old := v.state.meta.chat()
		v.state.apply(st, ev)
		if fresh {
			v.showMetadataLocked(e.From, old, v.state.meta.chat(), e.At)
		}
	case *wire.ChannelEvent_Modes:
		v.state.apply(st, ev)
		if fresh {
			v.showLocked(e.From, chat.ModeChanged{
				Channel: v.display(), By: string(ev.By), At: e.At, Changes: v.s.modesFromWireLocked(v, w.Modes.GetChanges()),
			})
		}
	case *wire.ChannelEvent_Invited:
		v.state.apply(st, ev)
		if fresh {
			v.invitedLocked(e, w.Invited)
		}
	case *wire.ChannelEvent_Knocked:
		v.state.apply(st, ev)
		if fresh {
			v.knockedLocked(e, w.Knocked)
		}
	case *wire.ChannelEvent_Redacted:
		v.redactedLocked(st, e, ev)
	case *wire.ChannelEvent_Merged:
		part, err := stateFromWire(w.Merged)
		if err != nil {
			return // decodeEvent has checked it
		}
		v.redactionsLocked(part)
		now := v.state.clone()
		now.apply(st, ev)
		v.differLocked(v.adoptLocked(now, e.At), e.At)
		v.tailLocked(v.state.blanked(part.tail)) // the state may have no room for all of it
		v.giveAllLocked(v.showableLocked)
	default:
		v.state.apply(st, ev)
	}
}

func (v *view) joinedLocked(st step, e overlay.Entry, ev *wire.ChannelEvent) {
	w, who := ev.GetJoined(), e.From
	if w.Session != nil {
		if s, err := sessionFromWire(w.Session); err == nil {
			who = s
		}
	}
	if p, err := personFromWire(w.Person); err == nil {
		v.s.personLocked(who, p, e.At)
	}
	old, was := v.state.members[who]
	v.state.apply(st, ev)
	if _, over := v.s.quits.get(who); over {
		delete(v.state.members, who) // he came on the other side of a cut, and has been shown to quit
		return
	}
	v.s.mendLocked(who)
	m, is := v.state.members[who]
	if !is {
		return
	}
	v.s.bearsLocked(who, m.person.nick)
	if w.Session == nil && v.said[who] == 0 {
		v.boundLocked(v.said)
		v.said[who] = m.join // his first message here is to be waited for too
	}
	if !was && v.comesLocked(who, e.At, true) {
		v.showLocked(who, chat.Joined{Channel: v.display(), Who: m.person.profile(who), Status: m.status, At: e.At})
	}
	if changes := statusesBetween(old.status, m.status, m.person.nick); was && len(changes) > 0 && !v.hidesLocked(who) {
		// He had left meanwhile, out of sight: all that is shown of it is what he has lost.
		v.showLocked(who, chat.ModeChanged{Channel: v.display(), By: v.s.node.Host, Changes: changes, At: e.At})
	}
	v.admitLocked()
	v.giveNextLocked(who, v.showableLocked)
}

func (v *view) kickedLocked(st step, e overlay.Entry, ev *wire.ChannelEvent) {
	who, err := sessionFromWire(ev.GetKicked().GetTarget())
	if err != nil {
		return
	}
	m, was := v.state.members[who]
	name := v.display()
	v.state.apply(st, ev)
	if _, is := v.state.members[who]; !was || is {
		return
	}
	v.s.left.put(who, m.person)
	v.kickOutLocked(who, e.From, chat.Kicked{
		Channel: name, Who: m.person.profile(who), By: string(ev.By), Reason: string(ev.GetKicked().Reason), At: e.At,
	})
}

// kickOutLocked shows a kick; a local victim's membership is over.
func (v *view) kickOutLocked(who, by overlay.Stream, k chat.Kicked) {
	v.showGoneLocked(by, who, k.Who.Nick, k)
	if se := v.local(who); se != nil && v.locals[se.number] != nil {
		ms := v.locals[se.number]
		se.dropLocked(ms)
		if who != by {
			se.pushLocked(k)
		}
		v.releaseLocked()
	}
}

// invitedLocked tells the local operators, half operators too, of an invitation, but for who made it.
// The invited hears of it from the inviter's node.
func (v *view) invitedLocked(e overlay.Entry, w *wire.Invite) {
	target, err := sessionFromWire(w.GetTarget())
	p, err2 := personFromWire(w.GetPerson())
	by, known := v.s.knownLocked(e.From)
	if err != nil || err2 != nil || !known {
		return
	}
	inv := chat.Invited{Channel: v.display(), By: by.profile(e.From), Nick: p.nick, Target: p.profile(target), At: e.At}
	for _, n := range sortedKeys(v.locals) {
		se := v.s.sessions[n]
		if se == nil || se.stream == e.From || se.stream == target || !v.state.members[se.stream].status.AtLeast(chat.HalfOperator) {
			continue
		}
		se.pushLocked(inv)
	}
}

// goneLocked takes members out whose node is gone, in all views at once: when it
// did not answer they are out of sight, else they have quit. Sessions of this
// very node are not gone: they say so.
func (v *view) goneLocked(st step, e overlay.Entry, ev *wire.ChannelEvent) {
	renew := false
	for _, g := range ev.GetGone().GetSessions() {
		who, err := sessionFromWire(g)
		if err != nil {
			continue
		}
		if se := v.local(who); se != nil && v.locals[se.number] != nil {
			renew = true
			continue
		}
		if ev.GetGone().GetLost() {
			v.s.missLocked(who)
			continue
		}
		reason := string(ev.GetGone().GetReason())
		v.s.quitLocked(who, reason, reason == reasonRestarted, e.At)
	}
	v.state.apply(st, ev)
	if renew {
		v.s.o.Hold(kindChannel, v.name)
	}
}
