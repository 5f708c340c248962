package mapping

import (
	"slices"
	"time"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"

	"google.golang.org/protobuf/proto"
)

// When the keeper changes, or it and a view turn out to differ, the view is
// given whole. The keeper is right about all that it has seen (its state says
// of each epoch how far that goes); what the view has seen beyond, and this
// node's own members, the keeper lacks: it is kept, and sent to it.

// resetLocked makes the view what its keeper says and shows the difference.
func (v *view) resetLocked(st *state, recent []overlay.Entry) {
	v.redactionsLocked(st)
	tail := v.state.blanked(st.tail)
	for _, e := range recent {
		tail = v.tailBeforeLocked(tail, e.Stamp)
		if ev, err := decodeEvent(e.Event, v.name); err == nil {
			v.takeLocked(e, ev)
		}
	}
	v.s.buryLocked(st)
	delta := v.lacking(st)
	if delta != nil {
		st.merge(delta)
	}
	at := v.s.h.Now()
	v.differLocked(v.adoptLocked(st, at), at)
	v.admitLocked()
	v.giveAllLocked(v.lastWordsLocked)
	v.tailLocked(st.tail)
	if delta != nil && v.s.views[v.name] == v {
		v.tellLocked(delta)
	}
}

// lacking is what the view has and a keeper's state lacks, as a part of a
// state; nil: nothing.
func (v *view) lacking(st *state) *state {
	mine, d := v.state, newState()
	c := mine.birth.compare(st.birth)
	if c < 0 && st.knows(mine.heads) {
		c = 1 // the keeper saw that channel end, and a new one begin
	}
	d.birth, d.name = st.birth, st.name
	if c < 0 {
		d.birth, d.name = mine.birth, mine.name
	}
	news := func(s overlay.Stamp) bool { return s != overlay.Stamp{} && !st.heads.covers(s) }
	for who, m := range mine.members { // any order: each for itself
		theirs, there := st.members[who]
		local := v.local(who) != nil && v.locals[who.Session] != nil
		again := there && theirs.join < m.join // he left, and came again
		switch {
		case st.removals[who].join >= m.join:
			continue
		case again, c < 0 && (there || local), !there && (local || news(m.joined)):
		case c == 0 && there && theirs.join == m.join && news(m.statusAt):
		default:
			continue
		}
		if c > 0 {
			m.status, m.statusAt = 0, overlay.Stamp{}
		}
		d.members[who] = m
	}
	for n, ms := range v.locals { // any order: each for itself
		who := v.s.stream(n)
		if _, ok := mine.members[who]; !ok && st.removals[who].join < ms.number && st.members[who].join < ms.number {
			d.members[who] = member{join: ms.number, person: v.s.sessions[n].me}
		}
	}
	for who, r := range mine.removals { // any order: each for itself
		if news(r.stamp) {
			d.removals[who] = r
		}
	}
	if c <= 0 {
		v.lackingLists(d, func(s overlay.Stamp) bool { return c < 0 || news(s) })
	}
	for _, l := range mine.tail {
		if news(l.stamp) {
			d.tail = append(d.tail, l)
		}
	}
	for o, r := range mine.redactions { // any order: each for itself
		if news(r.stamp) {
			d.redactions[o] = r
		}
	}
	if len(d.tail)+len(d.redactions)+len(d.members)+len(d.removals)+len(d.modes)+d.lists.len()+len(d.invitations)+len(d.meta) == 0 && d.topic == (topic{}) && d.given == (given{}) {
		return nil
	}
	d.heads.addAll(mine.heads)
	return d
}

func (v *view) lackingLists(d *state, news func(overlay.Stamp) bool) {
	mine := v.state
	if mine.given != (given{}) && news(mine.given.stamp) {
		d.given = mine.given
	}
	if mine.topic != (topic{}) && news(mine.topic.stamp) {
		d.topic = mine.topic
	}
	for k, m := range mine.modes { // any order: each for itself
		if news(m.stamp) {
			d.modes[k] = m
		}
	}
	for k, m := range mine.meta { // any order: each for itself
		if news(m.stamp) {
			d.meta[k] = m
		}
	}
	for i, list := range mine.lists {
		for k, e := range list { // any order: each for itself
			if news(e.stamp) {
				d.lists[i][k] = e
			}
		}
	}
	for k, i := range mine.invitations { // any order: each for itself
		if news(i.stamp) {
			d.invitations[k] = i
		}
	}
}

// maxPart bounds the members of one part of a state in a request.
const maxPart = 100

// nodeLaneLocked is the lane of the node's own requests to a channel or a name.
func (s *Service) nodeLaneLocked(kind, name string) *lane {
	l := s.nodeLanes[name] // no nick is the name of a channel
	if l == nil {
		if len(s.nodeLanes) >= maxLanes*16 {
			for _, name := range sortedKeys(s.nodeLanes) {
				if !s.nodeLanes[name].busy && len(s.nodeLanes) >= maxLanes*14 {
					delete(s.nodeLanes, name)
				}
			}
		}
		l = &lane{s: s, kind: kind, name: name, stream: s.stream(0), last: &s.lastNode, unseen: map[uint64]*job{}, progress: s.h.NewEvent()}
		s.nodeLanes[name] = l
	}
	return l
}

// tellLocked sends the keeper what it lacks, in parts. Only the last says how
// far the view's knowledge goes: before that the keeper does not have it all.
func (v *view) tellLocked(d *state) {
	l := v.s.nodeLaneLocked(kindChannel, v.name)
	for _, part := range d.parts() {
		w := part.toWire()
		if proto.Size(w) > maxBatchBytes {
			v.s.log.Warn("a part of a channel is too large for its keeper; not told", "channel", v.name, "bytes", proto.Size(w))
			continue
		}
		l.addLocked(func(uint64) []byte {
			return encode(&wire.ChannelRequest{What: &wire.ChannelRequest_Merge{Merge: w}})
		}, nil)
	}
}

// parts are parts of a state that are small enough for a request, in the order in
// which a keeper must hear of them.
func (s *state) parts() (list []*state) {
	part := s.emptyPart()
	next := func() {
		list = append(list, part)
		part = s.emptyPart()
	}
	for _, who := range s.sessions() {
		if len(part.members) >= maxPart {
			next()
		}
		part.members[who] = s.members[who]
	}
	for _, who := range sortedStreams(s.removals) {
		if len(part.members)+len(part.removals) >= maxPart {
			next()
		}
		part.removals[who] = s.removals[who]
	}
	if len(part.members)+len(part.removals) > 0 {
		next()
	}
	for i := range s.lists {
		for _, k := range sortedKeys(s.lists[i]) {
			if part.lists.len() >= maxPart {
				next()
			}
			part.lists[i][k] = s.lists[i][k]
		}
	}
	if part.lists.len() > 0 {
		next()
	}
	for some := range slices.Chunk(sortedOrigins(s.redactions), maxPart) { // before texts that they are about
		for _, o := range some {
			part.redactions[o] = s.redactions[o]
		}
		next()
	}
	if len(s.tail) > 0 {
		part.tail = s.tail
		next()
	}
	last := s.clone()
	last.members, last.removals, last.tail, last.redactions, last.lists = nil, nil, nil, nil, lists{}
	return append(list, last)
}

// emptyPart is a state of the same channel with nothing in it.
func (s *state) emptyPart() *state {
	p := newState()
	p.birth, p.name = s.birth, s.name
	return p
}

// fewChanges is how many differences are shown one by one.
const fewChanges = 5

// differLocked shows what is different from what was shown before.
func (v *view) differLocked(old *state, at time.Time) {
	by := v.s.node.Host
	if old.name != "" && v.state.name != "" {
		v.renamedLocked(old.shown(), by, "", at)
	}
	var left []overlay.Stream
	for _, who := range old.sessions() {
		if _, ok := v.state.members[who]; ok {
			continue
		}
		v.s.left.put(who, old.members[who].person)
		r := v.state.removals[who]
		switch se := v.local(who); {
		case r.kind == byQuit:
			v.state.members[who] = old.members[who] // for a moment: he quits from all views
			v.s.quitLocked(who, "", true, at)
		case se != nil && v.locals[se.number] != nil && r.join < v.locals[se.number].number:
			// Still here: the keeper is being told.
		case r.kind == byKick || se != nil && v.locals[se.number] != nil:
			k := chat.Kicked{Channel: v.display(), Who: old.members[who].person.profile(who), By: r.by, Reason: r.reason, At: at}
			if r.by == "" {
				k.By, k.Reason = by, "no longer a member"
			}
			v.kickOutLocked(who, overlay.Stream{}, k)
		case r.kind == 0:
			v.missedLocked(who, old.members[who])
		case v.hidesLocked(who):
			p := old.members[who].person
			v.showGoneLocked(overlay.Stream{}, who, p.nick, chat.Parted{Channel: v.display(), Who: p.profile(who), At: at})
		default:
			left = append(left, who)
		}
	}
	var came []chat.Member
	for _, who := range v.state.sessions() {
		if _, ok := old.members[who]; ok {
			continue
		}
		if v.local(who) != nil {
			v.foundLocked(who, at) // he has left, and a keeper that is told of it had lost him
			continue
		}
		if m := v.state.members[who]; v.comesLocked(who, at, false) {
			came = append(came, chat.Member{Profile: m.person.profile(who), Status: m.status})
		}
	}
	v.showDifference(old, left, came, by, at)
}

func (v *view) showDifference(old *state, left []overlay.Stream, came []chat.Member, by string, at time.Time) {
	e := chat.ViewChanged{Channel: v.display(), By: by, Came: came, Modes: changesBetween(old, v.state), At: at}
	if hidden := v.s.hiddenUnderLocked(e.Modes); len(hidden) > 0 {
		e.Modes = slices.DeleteFunc(e.Modes, func(c chat.ModeChange) bool { // shown with them
			return len(v.s.hiddenUnderLocked([]chat.ModeChange{c})) > 0
		})
	}
	for _, who := range left {
		e.Left = append(e.Left, old.members[who].person.profile(who))
	}
	defer func() { v.showMetadataLocked(overlay.Stream{}, old.meta.chat(), v.state.meta.chat(), at) }()
	if a, b := old.topic, v.state.topic; a.text != b.text || a.by != b.by {
		t := b.chat()
		e.Topic = &t
	}
	if len(e.Left)+len(e.Came)+len(e.Modes) > fewChanges {
		v.showLocked(overlay.Stream{}, e)
		return
	}
	for _, p := range e.Left {
		v.showLocked(overlay.Stream{}, chat.Parted{Channel: e.Channel, Who: p, At: at})
	}
	for _, m := range e.Came {
		v.showLocked(overlay.Stream{}, chat.Joined{Channel: e.Channel, Who: m.Profile, Status: m.Status, At: at})
	}
	if len(e.Modes) > 0 {
		v.showLocked(overlay.Stream{}, chat.ModeChanged{Channel: e.Channel, By: by, Changes: e.Modes, At: at})
	}
	if e.Topic != nil {
		v.showLocked(overlay.Stream{}, chat.TopicChanged{Channel: e.Channel, Topic: *e.Topic})
	}
}
