package mapping

import (
	"time"

	"ircbridge/chat"
	"ircbridge/overlay"
)

// What belongs to a session and not to a channel (nick, away, quit) arrives
// through every channel that is shared. The first copy counts for all views
// and is shown once to each local user; later copies find nothing to do.

// aroundLocked lists the local sessions that see somebody in a channel, or did
// and have not been told that he is gone, without himself, in order.
func (s *Service) aroundLocked(who overlay.Stream) []*session {
	near := map[uint64]bool{}
	if x := s.sight.missing[who]; x != nil {
		for _, n := range s.witnessesLocked(x) {
			near[n] = true
		}
	}
	for _, name := range sortedKeys(s.views) {
		v := s.views[name]
		if v.state == nil {
			continue
		}
		if _, ok := v.state.members[who]; !ok {
			continue
		}
		for n := range v.locals { // any order: sorted below
			if !v.isHiddenLocked(who, n) {
				near[n] = true
			}
		}
	}
	var list []*session
	for _, n := range sortedKeys(near) {
		if se := s.sessions[n]; se != nil && se.stream != who {
			list = append(list, se)
		}
	}
	return list
}

// knownLocked is what the views know of somebody: the latest version.
func (s *Service) knownLocked(who overlay.Stream) (p person, ok bool) {
	for _, v := range s.views { // any order: a maximum
		if v.state == nil {
			continue
		}
		if m, here := v.state.members[who]; here {
			if !ok {
				p = m.person
			}
			p, ok = newer(p, m.person), true
		}
	}
	return p, ok
}

// mendLocked brings what an old copy of a state says of somebody up to date
// with what the views know. That was shown when it came.
func (s *Service) mendLocked(who overlay.Stream) {
	p, ok := s.knownLocked(who)
	for _, v := range s.views { // any order: each for itself
		if !ok || v.state == nil {
			continue
		}
		if m, here := v.state.members[who]; here {
			m.person = p
			v.state.members[who] = m
		}
	}
}

// personLocked takes what somebody says of a person. If it is newer than what
// any view knows, it goes into all views and is shown; so it is called before a
// state with news becomes a view's own.
func (s *Service) personLocked(who overlay.Stream, p person, at time.Time) {
	if w := s.watches[chat.Fold(p.nick)]; w != nil {
		defer w.learnLocked(who, p, at) // the others who watch him
	}
	old, ok := s.knownLocked(who)
	x := s.sight.missing[who]
	if x != nil { // as he is shown still
		old, ok = newer(old, x.person), true
	}
	if !ok || newer(old, p) == old {
		return
	}
	if x != nil && old.nick != p.nick {
		// Before he has it himself: the one who goes under that nick is another one. All who are missing
		// go with that one, he may be among them.
		s.wantedLocked(p.nick)
		defer func() { x.person = p }()
	} else if x != nil {
		x.person = p
	}
	for _, v := range s.views { // any order: each for itself
		if v.state == nil {
			continue
		}
		if m, here := v.state.members[who]; here {
			m.person = p
			v.state.members[who] = m
		}
	}
	s.bearsLocked(who, p.nick)
	for _, se := range s.aroundLocked(who) {
		switch {
		case old.nick == p.nick:
		case chat.SameName(old.nick, p.nick) && chat.SameName(p.nick, se.me.nick):
		case !chat.SameName(old.nick, p.nick) && se.clashesLocked(who, p.nick):
			se.loseLocked(who, old, at) // he comes back when there is nobody else with that nick
			continue
		case chat.SameName(old.nick, se.me.nick):
			se.showNamesakeLocked(who, p, at)
		default:
			se.pushLocked(chat.Renamed{Who: old.profile(who), Nick: p.nick, At: at})
		}
		se.showPersonLocked(who, old, p, false, at)
	}
	if old.nick != p.nick {
		s.nickFreedLocked(at)
	}
}

// showNamesakeLocked shows a new nick of somebody who was still shown with the nick that
// this session has now: as if he came, since a change of its own nick is
// what a client would take it for.
func (se *session) showNamesakeLocked(who overlay.Stream, p person, at time.Time) {
	for _, ms := range se.joined {
		if m, ok := ms.v.state.members[who]; ok && !ms.v.isHiddenLocked(who, se.number) {
			se.pushLocked(chat.Joined{Channel: ms.v.display(), Who: p.profile(who), Status: m.status, At: at})
		}
	}
}

// showPersonLocked shows one user what is new of another, but for the nick.
func (se *session) showPersonLocked(who overlay.Stream, old, p person, watched bool, at time.Time) {
	if a, b := old.profile(who), p.profile(who); a.Username != b.Username || a.Realname != b.Realname || old.flags != p.flags {
		a.Nick, a.Away, a.Meta = b.Nick, b.Away, b.Meta
		se.pushLocked(chat.ProfileChanged{Old: a, New: b, Watched: watched, At: at})
	}
	if old.away != p.away {
		se.pushLocked(chat.AwayChanged{Who: p.profile(who), Watched: watched, At: at})
	}
	if changes := old.meta.Changes(p.meta); len(changes) > 0 {
		se.pushLocked(chat.MetadataChanged{Who: p.profile(who), Changes: changes, Watched: watched, At: at})
	}
}

// quitLocked takes a session that is over, or that its node does not have any
// more, out of all views, and shows it once.
func (s *Service) quitLocked(who overlay.Stream, reason string, over bool, at time.Time) {
	p, ok := s.knownLocked(who)
	if x := s.sight.missing[who]; x != nil {
		p, ok = newer(p, x.person), true
	}
	if !ok {
		return
	}
	if over {
		s.quits.put(who, p)
	}
	around := s.aroundLocked(who)
	if len(around) > 0 {
		s.left.put(who, p)
	}
	for _, name := range sortedKeys(s.views) {
		if v := s.views[name]; v.state != nil {
			delete(v.state.members, who)
			v.unhideLocked(who)
		}
	}
	delete(s.sight.missing, who)
	s.sight.lost.drop(who)
	for _, se := range around {
		if chat.SameName(p.nick, se.me.nick) {
			continue // who has the nick now has not quit
		}
		se.pushLocked(chat.Quit{Who: p.profile(who), Reason: reason, At: at})
	}
	s.nickFreedLocked(at)
}

// buryLocked takes those out of a keeper's state whose quit was shown already,
// and has not yet come to that keeper.
func (s *Service) buryLocked(st *state) {
	for who := range st.members { // any order: each for itself
		if _, over := s.quits.get(who); over {
			delete(st.members, who)
		}
	}
}
