package mapping

import (
	"slices"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// What a view shows to the sessions that are on its channel, and who said it.

// sentLocked gives a message of this node its outcome. fresh: the view has
// nothing after it of its sender.
func (v *view) sentLocked(e overlay.Entry, fresh bool) {
	if l := v.laneLocked(e.From); l != nil {
		_, joined := v.state.members[e.From]
		l.seenLocked(e.Number, messageID(e.From, e.Number, v.key), e.At, v.display(), joined, fresh)
	}
}

// spreadLocked gives a message to those local sessions on the channel that were
// there (nil: all) and have the status it is for, but not to its sender. The message
// is made once for all.
func (v *view) spreadLocked(e overlay.Entry, w *wire.Message, by person, there func(overlay.Stream) bool) {
	if v.state.redacted(origin{e.From, e.Number}) {
		return
	}
	id := messageID(e.From, e.Number, v.key)
	if w.TagsOnly {
		v.taggedLocked(id, origin{e.From, e.Number})
	}
	var msg chat.Event = chat.Message{
		ID: id, At: e.At, From: by.profile(e.From), Target: v.display(),
		Notice: w.Notice, Text: string(w.Text), Tags: tagsFromWire(w.Tags), TagsOnly: w.TagsOnly, Least: leastOf(w),
		More: linesFromWire(w.More),
	}
	least := leastOf(w)
	size := eventBytes(msg)
	for _, se := range v.crowdLocked().sessions {
		if se.number == e.From.Session && se.stream == e.From || there != nil && !there(se.stream) {
			continue
		}
		if least == 0 || v.state.members[se.stream].status.AtLeast(least) {
			se.pushSizedLocked(msg, size)
		}
	}
}

func (v *view) knowsSpeakerLocked(e overlay.Entry, w *wire.Message) bool {
	_, ok := v.speakerLocked(e, w)
	return ok
}

// speakerLocked is who said a message, as far as anything here knows him.
func (v *view) speakerLocked(e overlay.Entry, w *wire.Message) (person, bool) {
	if m, ok := v.state.members[e.From]; ok {
		return m.person, true
	}
	if p, err := personFromWire(w.Person); err == nil {
		return p, true
	}
	if se := v.local(e.From); se != nil {
		return se.me, true // a keeper forgot him, and takes him in again in a moment
	}
	if p, ok := v.s.knownLocked(e.From); ok {
		return p, true
	}
	if x := v.s.sight.missing[e.From]; x != nil {
		return x.person, true // users here still believe him
	}
	return v.s.quits.get(e.From) // his quit came through another channel first
}

// showLocked gives an event to all local sessions on the channel but one, whose own doing it
// was: he is shown the place.
func (v *view) showLocked(but overlay.Stream, e chat.Event) {
	size := eventBytes(e)
	for _, se := range v.crowdLocked().sessions {
		if se.stream != but {
			se.pushSizedLocked(e, size)
		} else if se.takeForsakenLocked(v.name, v.taking) {
			se.pushSizedLocked(e, size)
		} else {
			se.pushLocked(chat.Effected{})
		}
	}
}

// channelLocked is the channel as one of its members sees it.
func (v *view) channelLocked(se *session) chat.Channel {
	c := v.state.channel(v.display())
	c.Members = v.state.list()
	if _, ok := v.state.members[se.stream]; !ok { // the keeper forgot him, for a moment
		c.Members = append(c.Members, chat.Member{Profile: se.me.profile(se.stream)})
		sortMembers(c.Members)
		c.Count++
	}
	if len(v.s.sight.hidden) > 0 {
		c.Members = slices.DeleteFunc(c.Members, func(m chat.Member) bool { // they are shown to come
			h := v.s.sight.hidden[m.Session]
			return h != nil && slices.Contains(h.in[v.name], se.number)
		})
	}
	return c
}

// showGoneLocked shows that somebody has left, or was made to, as showLocked does, to those who see him: not to those from whom
// he is hidden, nor to a namesake, whose client would take it for its own leaving.
func (v *view) showGoneLocked(by, who overlay.Stream, nick string, e chat.Event) {
	var hidden []uint64
	if h := v.s.sight.hidden[sessionID(who)]; h != nil {
		hidden = h.in[v.name]
	}
	v.unhideLocked(who)
	size := eventBytes(e)
	for _, se := range v.crowdLocked().sessions {
		switch {
		case se.stream == by:
			if se.takeForsakenLocked(v.name, v.taking) {
				se.pushSizedLocked(e, size)
			} else {
				kick, _ := e.(chat.Kicked)
				se.pushLocked(chat.Effected{Kicked: kick.Who.Nick})
			}
		case se.stream != who && chat.SameName(se.me.nick, nick), slices.Contains(hidden, se.number):
		default:
			se.pushSizedLocked(e, size)
		}
	}
}
