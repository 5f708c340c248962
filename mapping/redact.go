package mapping

import (
	"cmp"
	"slices"
	"time"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// A message that was redacted is shown to nobody any more. Its text leaves the
// last messages of every copy; its place stays, so that all copies drop the same
// ones of them. That it was redacted is remembered by itself, since other copies, from
// behind a cut, may bring the text.

// origin names a message: whose request it was.
type origin struct {
	from   overlay.Stream
	number uint64
}

func (o origin) compare(p origin) int {
	return cmp.Or(o.from.Compare(p.from), cmp.Compare(o.number, p.number))
}

// redaction is how a message was redacted.
type redaction struct {
	by     string // mask
	reason string
	at     int64       // Unix milliseconds, by the keeper's clock
	least  chat.Status // of those who were shown the message
	stamp  overlay.Stamp
}

// maxRedactions bounds those that a channel remembers.
const maxRedactions = 128

func laterRedaction(a, b redaction) bool {
	return cmp.Or(a.stamp.Compare(b.stamp), cmp.Compare(a.at, b.at), cmp.Compare(a.by, b.by), cmp.Compare(a.reason, b.reason),
		a.least.Compare(b.least)) > 0
}

// redact notes a redaction, and takes the text out of the last messages.
func (s *state) redact(o origin, r redaction) {
	if old, ok := s.redactions[o]; ok && !laterRedaction(r, old) {
		return
	}
	s.redactions[o] = r
	s.tail = s.blanked(s.tail)
}

func (s *state) redacted(o origin) bool {
	_, ok := s.redactions[o]
	return ok
}

// blanked is messages without the texts of those that were redacted, or have an
// empty place here. The argument is not changed.
func (s *state) blanked(lines []line) []line {
	gone := map[origin]bool{}
	for _, l := range s.tail {
		if l.msg == nil {
			gone[l.origin()] = true
		}
	}
	if len(s.redactions)+len(gone) == 0 {
		return lines
	}
	var out []line
	for i, l := range lines {
		if l.msg == nil || !s.redacted(l.origin()) && !gone[l.origin()] {
			continue
		}
		if out == nil {
			out = slices.Clone(lines)
		}
		out[i].msg = nil
	}
	if out == nil {
		return lines
	}
	return out
}

// mergeRedactions unites what two copies remember.
func (s *state) mergeRedactions(o *state) {
	for _, k := range sortedOrigins(o.redactions) {
		s.redact(k, o.redactions[k])
	}
}

func (s *state) pruneRedactions(now int64) {
	for k, r := range s.redactions { // any order: each for itself
		if r.at < now-chat.RedactWindow.Milliseconds() {
			delete(s.redactions, k)
		}
	}
	if over := len(s.redactions) - maxRedactions; over > 0 {
		list := sortedOrigins(s.redactions)
		slices.SortStableFunc(list, func(a, b origin) int { return cmp.Compare(s.redactions[a].at, s.redactions[b].at) })
		for _, k := range list[:over] {
			delete(s.redactions, k)
		}
	}
}

func sortedOrigins[V any](m map[origin]V) []origin {
	list := make([]origin, 0, len(m))
	for k := range m { // any order: sorted below
		list = append(list, k)
	}
	slices.SortFunc(list, origin.compare)
	return list
}

func (s *state) redactionsToWire(t *tables) (ws []*wire.Redaction) {
	for _, k := range sortedOrigins(s.redactions) {
		r := s.redactions[k]
		ws = append(ws, &wire.Redaction{
			Node: t.node(k.from), Session: k.from.Session, Number: k.number,
			Stamp: t.stamp(r.stamp), AtMs: r.at, By: []byte(r.by), Reason: []byte(r.reason), LeastStatus: bitsFrom(r.least),
		})
	}
	return ws
}

func (s *state) redactionsFromWire(r *reader, ws []*wire.Redaction) {
	for _, w := range ws {
		s.redact(origin{r.session(w.GetNode(), w.GetSession()), w.GetNumber()}, redaction{
			by: r.text(w.GetBy(), maxBy), reason: r.text(w.GetReason(), chat.MaxReason), at: w.GetAtMs(), stamp: r.stamp(w.GetStamp()),
			least: lowestOf(w.GetLeastStatus()),
		})
	}
}

// redact makes a message be shown no more: for who said it, and for operators.
func (c *channelObject) redact(t turn, w *wire.Redact) *wire.Result {
	from := t.From()
	m, on := c.s.members[from]
	o, l, known := c.find(w)
	own := known && (o.from == from || w.GetOwn() && o.from.Node == from.Node)
	switch {
	case len(w.GetReason()) > chat.MaxReason || !oneLine(string(w.GetReason())):
		return refuse(wire.Code_BAD_REQUEST)
	case len(c.s.members) == 0:
		return refuse(wire.Code_NO_SUCH_CHANNEL)
	case !on && !own:
		return refuse(wire.Code_NOT_ON_CHANNEL)
	case !known || c.s.redacted(o):
		return refuse(wire.Code_UNKNOWN_MESSAGE)
	case !own && m.status&chat.Operator == 0:
		return refuse(wire.Code_NOT_YOUR_MESSAGE)
	case l.at != 0 && l.at < c.now-chat.RedactWindow.Milliseconds():
		return refuse(wire.Code_MESSAGE_TOO_OLD)
	}
	ev := &wire.ChannelEvent{What: &wire.ChannelEvent_Redacted{Redacted: &wire.Redacted{
		Author: sessionToWire(o.from), Number: o.number, LeastStatus: bitsFrom(leastOf(l.msg)),
	}}}
	if !on {
		p, err := personFromWire(w.GetPerson())
		if err != nil {
			return refuse(wire.Code_BAD_REQUEST)
		}
		m.person = p
	}
	ev.By = []byte(m.person.mask(from))
	if c.muted(from, m, true, on) == "" { // else it would be a way to speak
		ev.GetRedacted().Reason = w.GetReason()
	}
	return c.emit(t, ev)
}

// find is the message that a request names: one of the last, or one whose ID is made
// of what the request says.
func (c *channelObject) find(w *wire.Redact) (o origin, l line, ok bool) {
	id, key := string(w.GetId()), overlay.Key(kindChannel, c.name)
	for _, l := range c.s.tail {
		if messageID(l.from, l.number, key) == id {
			return l.origin(), l, true
		}
	}
	author, err := sessionFromWire(w.GetAuthor())
	if err != nil || messageID(author, w.GetNumber(), key) != id {
		return origin{}, line{}, false
	}
	return origin{author, w.GetNumber()}, line{}, true
}

// redactedLocked takes the event of a redaction.
func (v *view) redactedLocked(st step, e overlay.Entry, ev *wire.ChannelEvent) {
	author, err := sessionFromWire(ev.GetRedacted().GetAuthor())
	if err != nil {
		return // decodeEvent has checked it
	}
	o := origin{author, ev.GetRedacted().GetNumber()}
	known := v.state.redacted(o)
	v.state.apply(st, ev)
	if !known {
		v.showRedactedLocked(e.From, o, v.state.redactions[o])
	}
}

// redactionsLocked takes what another copy remembers, and shows what is new.
func (v *view) redactionsLocked(other *state) {
	for _, o := range sortedOrigins(other.redactions) {
		if !v.state.redacted(o) {
			v.state.redact(o, other.redactions[o])
			v.showRedactedLocked(overlay.Stream{}, o, other.redactions[o])
		}
	}
}

// showRedactedLocked tells of a redaction, unless the message was not shown.
func (v *view) showRedactedLocked(but overlay.Stream, o origin, r redaction) {
	if v.said[o.from] < o.number {
		return
	}
	var e chat.Event = chat.Redacted{
		Target: v.display(), ID: messageID(o.from, o.number, v.key), By: r.by, Reason: r.reason, At: time.UnixMilli(r.at),
	}
	for _, se := range v.crowdLocked().sessions {
		// Its author was shown it whatever his status.
		if se.stream != but && (r.least == 0 || se.stream == o.from || v.state.members[se.stream].status.AtLeast(r.least)) {
			se.pushLocked(e)
		}
	}
}
