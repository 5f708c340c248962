package mapping

import (
	"slices"
	"time"

	"ircbridge/chat"
	"ircbridge/overlay"
)

// A client has one entry for a nick: of two people whom it was shown under one, it takes what happens to one of
// them for what happens to the other. So no session is shown two, be it in different channels, whose
// keepers tell of a nick that goes from one to another at different times, or on both sides of a cut. Whoever would be
// the second is hidden from it (rejoin.go), or shown to leave and then hidden, until the other one has quit or
// has another nick.

// bearers says who is in views, or was, under a folded nick. Whether he still is, the views say.
type bearers struct {
	of    map[string][]overlay.Stream
	total int
	most  int // then those who are not any more are forgotten
}

// fewBearers are not worth looking for some to forget.
const fewBearers = 256

// bearsLocked notes the nick of somebody who is in a view.
func (s *Service) bearsLocked(who overlay.Stream, nick string) {
	b, name := &s.bearers, chat.Fold(nick)
	if slices.Contains(b.of[name], who) {
		return
	}
	if b.total >= b.most {
		*b = bearers{of: map[string][]overlay.Stream{}}
		for _, v := range s.views { // any order: each for itself
			if v.state == nil {
				continue
			}
			for who, m := range v.state.members { // any order: each for itself
				b.add(who, chat.Fold(m.person.nick))
			}
		}
		b.most = max(fewBearers, 2*b.total)
	}
	b.add(who, name)
}

func (b *bearers) add(who overlay.Stream, name string) {
	if !slices.Contains(b.of[name], who) {
		b.of[name] = append(b.of[name], who)
		b.total++
	}
}

// bearerLocked is who is shown to a session under a nick, other than itself and one more.
func (se *session) bearerLocked(nick string, but overlay.Stream) (who overlay.Stream, ok bool) {
	for _, o := range se.s.bearers.of[chat.Fold(nick)] {
		if o != but && o != se.stream && (!ok || o.Compare(who) < 0) && se.seesLocked(o, nick) {
			who, ok = o, true
		}
	}
	return who, ok
}

// seesLocked reports whether somebody is shown to a session in a channel, and has a nick.
func (se *session) seesLocked(who overlay.Stream, nick string) bool {
	for _, ms := range se.joined {
		if m, ok := ms.v.memberOfLocked(who); ok && chat.SameName(m.person.nick, nick) && !ms.v.isHiddenLocked(who, se.number) {
			return true
		}
	}
	return false
}

func (v *view) memberOfLocked(who overlay.Stream) (m member, ok bool) {
	if v.state != nil {
		m, ok = v.state.members[who]
	}
	return m, ok
}

// clashesLocked reports whether a session may not be shown somebody under a nick, as it has that itself, or another one
// is shown to it under that.
func (se *session) clashesLocked(who overlay.Stream, nick string) bool {
	if se.stream == who {
		return false
	}
	_, taken := se.bearerLocked(nick, who)
	return taken || chat.SameName(se.me.nick, nick)
}

// clashesLocked reports whether that is so of a member of a view and one of its local sessions.
func (v *view) clashesLocked(who overlay.Stream) bool {
	m, ok := v.memberOfLocked(who)
	if !ok {
		return false
	}
	for n := range v.locals { // any order: one is enough
		if se := v.s.sessions[n]; se != nil && se.clashesLocked(who, m.person.nick) {
			return true
		}
	}
	return false
}

// loseLocked shows a session that somebody leaves whom it may not be shown any more, and hides him. as is how he was
// shown.
func (se *session) loseLocked(who overlay.Stream, as person, at time.Time) {
	var from []*view
	for _, ms := range slices.Clone(se.joined) {
		_, ok := ms.v.memberOfLocked(who)
		shown := ok && !ms.v.isHiddenLocked(who, se.number)
		if se.s.forgetMissingLocked(who, ms.v.name, se.number) || shown {
			se.pushLocked(chat.Parted{Channel: ms.v.display(), Who: as.profile(who), Reason: lostReason, At: at})
		}
		if shown {
			from = append(from, ms.v)
		}
	}
	for _, v := range from {
		v.hideFromLocked(who, []uint64{se.number}, true, false)
	}
}

// loseBearerLocked does that with who is shown under a nick, other than one who is about to be.
func (se *session) loseBearerLocked(nick string, but overlay.Stream, at time.Time) {
	for {
		who, ok := se.bearerLocked(nick, but)
		if !ok {
			return
		}
		p, _ := se.s.knownLocked(who)
		se.loseLocked(who, p, at)
	}
}

// meetLocked hides from a session that has just come to a channel who may not be shown to it there. Of two who are there
// under one nick that is the one who is hidden from others too.
func (se *session) meetLocked(v *view) {
	list := v.state.sessions()
	slices.SortStableFunc(list, func(a, b overlay.Stream) int { return boolInt(v.hidesLocked(b)) - boolInt(v.hidesLocked(a)) })
	for _, who := range list {
		if se.clashesLocked(who, v.state.members[who].person.nick) {
			v.hideFromLocked(who, []uint64{se.number}, true, false)
		}
	}
}
