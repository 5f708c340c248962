package mapping

import (
	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// step is where and when an event stands in the order of its channel, and
// whose request made it.
type step struct {
	stamp  overlay.Stamp
	at     int64 // Unix milliseconds by the keeper's clock
	from   overlay.Stream
	number uint64
}

func stepOf(e overlay.Entry) step {
	return step{stamp: e.Stamp, at: e.At.UnixMilli(), from: e.From, number: e.Number}
}

// apply makes an event part of the state. Keepers and views use the same
// function, so that equal logs give equal states. The event was checked by
// checkEvent, or made by the keeper itself.
func (s *state) apply(st step, ev *wire.ChannelEvent) {
	s.heads.add(st.stamp)
	switch w := ev.What.(type) {
	case *wire.ChannelEvent_Joined:
		s.applyJoined(st, w.Joined)
	case *wire.ChannelEvent_Parted:
		s.left(st, st.from)
		s.remove(st.from, removal{join: st.number, left: st.number, stamp: st.stamp, kind: byPart, at: st.at})
	case *wire.ChannelEvent_Message:
		if !w.Message.TagsOnly { // it would drive words out
			s.addLines([]line{newLine(st.from, st.number, st.stamp, st.at, w.Message)})
		}
	case *wire.ChannelEvent_Quit:
		r := removal{join: never, left: never, stamp: st.stamp, kind: byQuit, at: st.at}
		if w.Quit.GetVanished() {
			s.vanished(st, st.from)
			r.left = 0
		} else {
			s.left(st, st.from)
		}
		s.remove(st.from, r)
	case *wire.ChannelEvent_Kicked:
		if who, err := sessionFromWire(w.Kicked.Target); err == nil {
			s.left(st, who)
			s.remove(who, removal{
				join: w.Kicked.Join, left: w.Kicked.Join, stamp: st.stamp, kind: byKick, at: st.at,
				by: string(ev.By), reason: string(w.Kicked.Reason),
			})
		}
	case *wire.ChannelEvent_Gone:
		for _, g := range w.Gone.Sessions {
			if who, err := sessionFromWire(g); err == nil {
				s.vanished(st, who)
				delete(s.members, who)
			}
		}
	case *wire.ChannelEvent_Person:
		if m, ok := s.members[st.from]; ok {
			if p, err := personFromWire(w.Person); err == nil {
				m.person = newer(m.person, p)
				s.members[st.from] = m
			}
		}
	case *wire.ChannelEvent_Topic:
		s.topic = topic{text: string(w.Topic.Text), by: string(ev.By), at: st.at, stamp: st.stamp}
	case *wire.ChannelEvent_Modes:
		for _, c := range w.Modes.Changes {
			s.applyMode(st, string(ev.By), c)
		}
	case *wire.ChannelEvent_Invited:
		if who, err := sessionFromWire(w.Invited.Target); err == nil {
			s.invitations[who] = invitation{stamp: st.stamp}
		}
	case *wire.ChannelEvent_Metadata:
		s.applyMetadata(st, w.Metadata)
	case *wire.ChannelEvent_Renamed:
		s.applyRenamed(st, w.Renamed)
	case *wire.ChannelEvent_Knocked:
		s.applyKnock(st, w.Knocked)
	case *wire.ChannelEvent_Redacted:
		if author, err := sessionFromWire(w.Redacted.Author); err == nil {
			s.redact(origin{author, w.Redacted.Number}, redaction{
				by: string(ev.By), reason: string(w.Redacted.Reason), at: st.at, stamp: st.stamp,
				least: lowestOf(w.Redacted.LeastStatus),
			})
		}
	case *wire.ChannelEvent_Merged:
		if part, err := stateFromWire(w.Merged); err == nil {
			s.merge(part)
		}
	}
	if len(s.members) == 0 && !s.birth.none() {
		s.abandoned(st)
	}
}

func (s *state) applyJoined(st step, w *wire.Joined) {
	p, err := personFromWire(w.Person)
	if err != nil {
		return
	}
	who, join := st.from, st.number
	if w.Session != nil {
		if who, err = sessionFromWire(w.Session); err != nil {
			return
		}
		join = w.Join
	}
	if s.removals[who].join >= join {
		return
	}
	switch b := birthFromWire(w.Birth); {
	case b.none():
	case b == s.rest.birth:
		s.resume()
	case w.Inherits && !s.rest.birth.none():
		s.resume()
		s.birth = b
	default:
		s.found(b, string(w.Name), st.stamp)
	}
	s.returned(st, who.Node, p.nick)
	if old, ok := s.members[who]; ok {
		p = newer(old.person, p)
	}
	s.members[who] = member{join: join, person: p, status: statusFromWire(w.Status), joined: st.stamp, statusAt: st.stamp}
	if w.Invited {
		s.invitations[who] = invitation{gone: true, stamp: st.stamp}
	}
}

func (s *state) applyMode(st step, by string, c *wire.ModeChange) {
	letter, arg := byte(c.Letter), string(c.Arg)
	switch letter {
	case 'o', 'h', 'v':
		s.applyStatus(st, c, chat.StatusOf(letter))
	case 'b', 'e', 'I':
		s.lists.of(letter)[chat.Fold(arg)] = listed{mask: arg, by: by, at: st.at, gone: !c.Add, stamp: st.stamp}
	case 'k':
		m := mode{on: c.Add, stamp: st.stamp}
		if c.Add {
			m.key = arg
		}
		s.modes[letter] = m
	case 'l':
		m := mode{on: c.Add, stamp: st.stamp}
		if c.Add {
			m.limit, _ = parseLimit(arg)
		}
		s.modes[letter] = m
	default:
		if isFlag(letter) {
			s.modes[letter] = mode{on: c.Add, stamp: st.stamp}
		}
	}
}

func (s *state) applyStatus(st step, c *wire.ModeChange, bit chat.Status) {
	who, err := sessionFromWire(c.Target)
	m, ok := s.members[who]
	if err != nil || !ok {
		return
	}
	if m.status |= bit; !c.Add {
		m.status &^= bit
	}
	m.statusAt = st.stamp
	s.members[who] = m
}
