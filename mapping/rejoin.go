package mapping

import (
	"cmp"
	"slices"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/overlay"
)

// hidden is somebody who is in views again, or there with others who are, and
// has not yet been shown:
//
//   - because it is not sure that he is back: a keeper's view says so, and his
//     node has not yet answered;
//   - because others come back with him: they are shown together;
//   - because somebody in sight has the same nick (bearers.go): the names decide
//     who keeps it, and the other one is renamed in a moment; or he has given it
//     up, and his channel's keeper has not said so yet.
//
// As soon as he does something that is to be shown, he is shown before it: if
// there is another one with his nick, that one is hidden instead.
type hidden struct {
	who   overlay.Stream
	since time.Time
	sure  bool
	back  bool                // he, or others of his node, were out of sight
	in    map[string][]uint64 // by folded channel: the local sessions to be told
}

const (
	gatherReturn = time.Second      // others may take so long to come back with the first
	gatherDoubt  = 3 * time.Second  // and their nodes so long to answer
	lookPause    = time.Second / 4  // between two looks whether somebody can be shown
	doubtFor     = 25 * time.Second // then a keeper's word is enough
)

// comesLocked is told that somebody is in a view's state who was not there.
// sure: his node itself has said so to the keeper. It reports whether that is
// to be shown now, as an arrival of its own.
func (v *view) comesLocked(who overlay.Stream, at time.Time, sure bool) bool {
	if v.foundLocked(who, at) {
		return false
	}
	s := v.s
	l, lostHim := s.sight.lost.get(who)
	if lostHim && !l.till.IsZero() && l.till.Before(s.h.Now()) {
		s.sight.lost.drop(who)
		lostHim = false
	}
	_, lostNode := s.sight.lostNodes.get(who.Node)
	switch {
	case sure && !lostHim:
		s.sight.lostNodes.drop(who.Node)
		if !v.clashesLocked(who) {
			return true
		}
	case !lostHim && !lostNode && !v.clashesLocked(who):
		return true
	}
	v.hideLocked(who, sure || !lostHim && !lostNode, lostHim || lostNode)
	return false
}

// hideLocked keeps an arrival back.
func (v *view) hideLocked(who overlay.Stream, sure, back bool) {
	v.hideFromLocked(who, sortedKeys(v.locals), sure, back)
}

// hideFromLocked keeps an arrival back from some local sessions.
func (v *view) hideFromLocked(who overlay.Stream, from []uint64, sure, back bool) {
	s, id := v.s, sessionID(who)
	h := s.sight.hidden[id]
	if h == nil {
		h = &hidden{who: who, since: s.h.Now(), in: map[string][]uint64{}}
		s.sight.hidden[id] = h
	}
	h.sure, h.back = h.sure || sure, h.back || back
	for _, n := range from {
		if at, already := slices.BinarySearch(h.in[v.name], n); !already {
			h.in[v.name] = slices.Insert(h.in[v.name], at, n)
		}
	}
	if !h.sure && !s.sight.looking[who.Node] {
		s.sight.looking[who.Node] = true
		s.h.Go("mapping look for node", func() { s.lookFor(who.Node) })
	}
	if !s.sight.showing {
		s.sight.showing = true
		s.h.Go("mapping rejoin", s.showHidden)
	}
}

// unhideLocked forgets an arrival that has not been shown.
func (v *view) unhideLocked(who overlay.Stream) (was bool) {
	if len(v.s.sight.hidden) == 0 {
		return false
	}
	id := sessionID(who)
	h := v.s.sight.hidden[id]
	if h == nil {
		return false
	}
	_, was = h.in[v.name]
	if delete(h.in, v.name); len(h.in) == 0 {
		delete(v.s.sight.hidden, id)
	}
	return was
}

// isHiddenLocked reports whether a member of the view has not been shown to a
// local session.
func (v *view) isHiddenLocked(who overlay.Stream, to uint64) bool {
	if len(v.s.sight.hidden) == 0 {
		return false
	}
	h := v.s.sight.hidden[sessionID(who)]
	return h != nil && slices.Contains(h.in[v.name], to)
}

// hidesLocked reports whether a member of the view has not been shown to all.
func (v *view) hidesLocked(who overlay.Stream) bool {
	h := v.s.sight.hidden[sessionID(who)]
	return h != nil && h.in[v.name] != nil
}

// vouchedLocked reports whether somebody hidden has said something in the
// channel, and is to be shown first. What brought that brought the others who are hidden
// there too: they are all in sight.
func (v *view) vouchedLocked(who overlay.Stream) bool {
	if len(v.s.sight.hidden) == 0 {
		return false
	}
	h := v.s.sight.hidden[sessionID(who)]
	if h == nil || h.in[v.name] == nil {
		return false
	}
	for _, o := range v.s.sight.hidden { // any order: each for itself
		_, here := o.in[v.name]
		o.sure = o.sure || here
	}
	m := v.state.members[who]
	return slices.ContainsFunc(h.in[v.name], func(n uint64) bool {
		se := v.s.sessions[n]
		return se != nil && !chat.SameName(se.me.nick, m.person.nick)
	})
}

// lookFor asks a node until it answers whether it is there.
func (s *Service) lookFor(node host.PeerID) {
	deadline := s.h.Now().Add(doubtFor)
	for {
		run, ok := s.o.Answers(node, time.Second)
		s.mu.Lock()
		doubt := false
		for _, h := range s.sight.hidden { // any order: each for itself
			if h.who.Node == node && !h.sure {
				h.sure = ok && h.who.Run == run || !s.h.Now().Before(deadline)
				doubt = doubt || !h.sure
			}
		}
		if !doubt {
			delete(s.sight.looking, node)
		}
		s.mu.Unlock()
		if !doubt || s.h.Sleep(time.Second) != nil {
			return
		}
	}
}

// showHidden shows who is back, together, as soon as it may be.
func (s *Service) showHidden() {
	for s.h.Sleep(lookPause) == nil {
		s.mu.Lock()
		now := s.h.Now()
		if s.returnDueLocked(now) {
			s.showHiddenLocked(nil, now)
		}
		s.sight.showing = len(s.sight.hidden) > 0
		again := s.sight.showing
		s.mu.Unlock()
		if !again {
			return
		}
	}
}

// nickFreedLocked shows at once who was hidden because another one had his nick, when that is over.
func (s *Service) nickFreedLocked(at time.Time) {
	if len(s.sight.hidden) > 0 && s.returnDueLocked(s.h.Now()) {
		s.showHiddenLocked(nil, at)
	}
}

// returnDueLocked reports whether somebody can be shown, and nobody who comes
// with him is still to be waited for.
func (s *Service) returnDueLocked(now time.Time) bool {
	due, doubt := false, false
	for _, h := range s.sight.hidden { // any order: each for itself
		age := now.Sub(h.since)
		due = due || h.sure && (!h.back || age >= gatherReturn) && !s.staysLocked(h)
		doubt = doubt || !h.sure && age < gatherDoubt
	}
	return due && !doubt
}

// showHiddenLocked shows those who can be shown, and one in any case.
func (s *Service) showHiddenLocked(one *hidden, now time.Time) {
	var list []*hidden
	for _, h := range s.sight.hidden { // any order: sorted below
		if h == one || h.sure {
			list = append(list, h)
		}
	}
	slices.SortFunc(list, func(a, b *hidden) int {
		return cmp.Or(cmp.Compare(boolInt(b == one), boolInt(a == one)), a.who.Compare(b.who))
	})
	came, split := map[uint64][]chat.Arrival{}, false
	for _, h := range list {
		in := h.in
		if s.comeOutLocked(h, h == one, came, now) {
			_, was := s.sight.lost.get(h.who)
			split = split || was
			s.backLocked(h.who, in, now)
		}
	}
	for _, n := range sortedKeys(came) {
		if se := s.sessions[n]; se != nil {
			s.showArrivalsLocked(se, came[n], split, now)
		}
	}
}

// comeOutLocked notes to whom somebody hidden is to be shown now, and goes on hiding him from the others: where a session has
// his nick, or another one is shown to it under that. If he must be shown, that one is hidden. It reports
// whether he is hidden from fewer than before.
func (s *Service) comeOutLocked(h *hidden, must bool, came map[uint64][]chat.Arrival, now time.Time) (out bool) {
	stay := map[string][]uint64{}
	for _, name := range sortedKeys(h.in) {
		v := s.views[name]
		for _, n := range h.in[name] {
			se := s.hiddenFromLocked(h, v, n)
			if se == nil {
				out = true
				continue
			}
			m := v.state.members[h.who]
			if chat.SameName(se.me.nick, m.person.nick) || !must && se.clashesLocked(h.who, m.person.nick) {
				stay[name] = append(stay[name], n)
				continue
			}
			se.loseBearerLocked(m.person.nick, h.who, now)
			out = true
			came[n] = append(came[n], chat.Arrival{
				Channel: v.display(), Member: chat.Member{Profile: m.person.profile(h.who), Status: m.status},
			})
		}
	}
	if len(stay) == 0 {
		delete(s.sight.hidden, sessionID(h.who))
		return true
	}
	h.in = stay
	return out
}

// hiddenFromLocked is the local session from which somebody is hidden in a view; nil: it is there no more, or he.
func (s *Service) hiddenFromLocked(h *hidden, v *view, n uint64) *session {
	if v == nil || v.locals[n] == nil {
		return nil
	}
	if _, ok := v.memberOfLocked(h.who); !ok {
		return nil
	}
	return s.sessions[n]
}

// staysLocked reports whether somebody hidden can be shown to nobody yet.
func (s *Service) staysLocked(h *hidden) bool {
	for name, from := range h.in { // any order: one is enough
		for _, n := range from {
			v := s.views[name]
			se := s.hiddenFromLocked(h, v, n)
			if se == nil || !se.clashesLocked(h.who, v.state.members[h.who].person.nick) {
				return false
			}
		}
	}
	return true
}

// showArrivalsLocked shows arrivals to one session: as what ends a split, or
// one by one.
func (s *Service) showArrivalsLocked(se *session, came []chat.Arrival, split bool, now time.Time) {
	slices.SortStableFunc(came, func(a, b chat.Arrival) int {
		return cmp.Or(cmp.Compare(chat.Fold(a.Channel), chat.Fold(b.Channel)), cmp.Compare(chat.Fold(a.Nick), chat.Fold(b.Nick)))
	})
	if split {
		se.pushLocked(chat.Rejoined{Here: s.node.Host, There: s.sight.there, Came: came, At: now})
		return
	}
	for _, a := range came {
		se.pushLocked(chat.Joined{Channel: a.Channel, Who: a.Profile, Status: a.Status, At: now})
	}
}

// backLocked notes that somebody has been shown again, in some channels.
func (s *Service) backLocked(who overlay.Stream, in map[string][]uint64, now time.Time) {
	s.sight.lostNodes.drop(who.Node)
	l, ok := s.sight.lost.get(who)
	if !ok {
		return
	}
	for name := range in { // any order: each for itself
		delete(l.from, name)
	}
	if l.till = now.Add(oneSplit); len(l.from) == 0 {
		s.sight.lost.drop(who)
	}
}

// clashLocked reports whether somebody hidden would be shown to anybody under a nick that
// another one has.
func (s *Service) clashLocked(h *hidden) bool {
	for name, from := range h.in { // any order: one is enough
		for _, n := range from {
			v := s.views[name]
			if se := s.hiddenFromLocked(h, v, n); se != nil && se.clashesLocked(h.who, v.state.members[h.who].person.nick) {
				return true
			}
		}
	}
	return false
}

// precedeLocked shows what must be shown before an event: a hidden one whom it
// is about, and a missing one whose nick it gives to another.
func (se *session) precedeLocked(e chat.Event) {
	s := se.s
	if len(s.sight.missing) > 0 {
		for _, nick := range nicksTaken(e) {
			s.wantedLocked(nick)
		}
	}
	if len(s.sight.hidden) == 0 {
		return
	}
	for _, id := range actors(e) {
		if h := s.sight.hidden[id]; h != nil {
			s.showHiddenLocked(h, s.h.Now())
		}
	}
	if e, ok := e.(chat.ModeChanged); ok {
		for _, h := range s.hiddenUnderLocked(e.Changes) {
			s.showHiddenLocked(h, s.h.Now())
		}
	}
}

// hiddenUnderLocked are the hidden ones whose statuses change: not those who are hidden because another one has their nick, who
// is meant then.
func (s *Service) hiddenUnderLocked(changes []chat.ModeChange) (list []*hidden) {
	for _, c := range changes {
		if chat.StatusOf(c.Mode) == 0 {
			continue
		}
		for _, id := range sortedKeys(s.sight.hidden) {
			h := s.sight.hidden[id]
			if p, ok := s.knownLocked(h.who); ok && chat.SameName(p.nick, c.Arg) && !s.clashLocked(h) {
				list = append(list, h)
			}
		}
	}
	return list
}

// nicksTaken are the nicks that others have from an event on.
func nicksTaken(e chat.Event) []string {
	switch e := e.(type) {
	case chat.Joined:
		return []string{e.Who.Nick}
	case chat.Renamed:
		return []string{e.Nick}
	case chat.ViewChanged:
		nicks := make([]string, len(e.Came))
		for i, m := range e.Came {
			nicks[i] = m.Nick
		}
		return nicks
	case chat.Rejoined:
		nicks := make([]string, len(e.Came))
		for i, a := range e.Came {
			nicks[i] = a.Nick
		}
		return nicks
	}
	return nil
}

// actors are those whom an event shows doing something. Who goes is not among them: to those from whom he is hidden
// nothing is shown of it.
func actors(e chat.Event) []chat.SessionID {
	switch e := e.(type) {
	case chat.Message:
		return []chat.SessionID{e.From.Session}
	case chat.Invited:
		return []chat.SessionID{e.By.Session}
	}
	return nil
}
