package mapping

import (
	"cmp"
	"slices"
	"time"

	"ircbridge/mapping/wire"
	"ircbridge/overlay"

	"google.golang.org/protobuf/proto"
)

// line is a message that was lately said. Keepers and views hold the last few:
// when a keeper dies after some of its members' nodes saw a message, and
// others did not, they bring it back with the rest of the channel (promise
// P2).
type line struct {
	from   overlay.Stream
	number uint64
	stamp  overlay.Stamp
	at     int64
	msg    *wire.Message // nobody changes it; nil when it was redacted
	size   int           // about, in bytes
}

// Bounds of the tail of a channel.
const (
	maxLines     = 256
	maxLineBytes = 48 << 10
	lineLife     = 15 * 60_000 // ms; a split may last that long, and each side is shown what the other said
)

func newLine(from overlay.Stream, number uint64, stamp overlay.Stamp, at int64, msg *wire.Message) line {
	return line{from: from, number: number, stamp: stamp, at: at, msg: msg, size: proto.Size(msg) + 64}
}

func (l line) origin() origin { return origin{l.from, l.number} }

func (l line) entry() overlay.Entry {
	ev := encode(&wire.ChannelEvent{What: &wire.ChannelEvent_Message{Message: l.msg}})
	return overlay.Entry{Stamp: l.stamp, At: time.UnixMilli(l.at), From: l.from, Number: l.number, Event: ev}
}

// once is the entries of a log together with the messages of a tail, many of which are
// in both: each once, in the order of stamps.
func once(log []overlay.Entry, tail []line) []overlay.Entry {
	all := slices.Clone(log)
	for _, l := range tail {
		if l.msg == nil {
			continue
		}
		said := func(e overlay.Entry) bool { return e.From == l.from && e.Number == l.number }
		if !slices.ContainsFunc(log, said) {
			all = append(all, l.entry())
		}
	}
	slices.SortStableFunc(all, func(a, b overlay.Entry) int { return a.Stamp.Compare(b.Stamp) })
	return all
}

// addLines puts messages in their places. Of one message under two stamps, as
// two keepers gave them, the lower counts.
func (s *state) addLines(lines []line) {
	if len(lines) == 0 {
		return
	}
	n := len(s.tail)
	if len(lines) == 1 && (n == 0 || s.tail[n-1].stamp.Compare(lines[0].stamp) < 0) && !s.said(lines[0]) && !s.redacted(lines[0].origin()) {
		s.appendLine(lines[0])
		return
	}
	s.mergeLines(lines)
	s.trimTail()
}

// mergeLines puts messages in their places, wherever these are.
func (s *state) mergeLines(lines []line) {
	all := append(slices.Clone(s.tail), s.blanked(lines)...)
	slices.SortStableFunc(all, func(a, b line) int { return a.stamp.Compare(b.stamp) })
	blank := blankOf(all)
	seen := make(map[origin]bool, len(all))
	s.tail = slices.DeleteFunc(all, func(l line) bool {
		o := l.origin()
		defer func() { seen[o] = true }()
		return seen[o]
	})
	for i, l := range s.tail {
		if size, ok := blank[l.origin()]; ok {
			s.tail[i].msg, s.tail[i].size = nil, size
		}
	}
}

// blankOf is which of several copies of messages are without text in one of
// them, and what they weigh.
func blankOf(all []line) map[origin]int {
	blank := map[origin]int{}
	for _, l := range all {
		if l.msg == nil {
			blank[l.origin()] = 0
		}
	}
	if len(blank) > 0 {
		for _, l := range all {
			if size, ok := blank[l.origin()]; ok {
				blank[l.origin()] = max(size, l.size)
			}
		}
	}
	return blank
}

// lastSaid is the number of somebody's last message in the tail, or 0.
func (s *state) lastSaid(who overlay.Stream) uint64 {
	for i := len(s.tail) - 1; i >= 0; i-- {
		if s.tail[i].from == who && s.tail[i].msg != nil {
			return s.tail[i].number
		}
	}
	return 0
}

func (s *state) said(l line) bool {
	for i := range s.tail { // by index: each message of a channel comes here, and lines are large
		if o := &s.tail[i]; o.number == l.number && o.from == l.from {
			return true
		}
	}
	return false
}

// byTime orders messages by when they were said, of one instant by stamps.
func byTime(a, b line) int {
	if a.at != b.at {
		return cmp.Compare(a.at, b.at)
	}
	return a.stamp.Compare(b.stamp)
}

// measuredTail is what trimTail found: the tail that ended with last had n lines of so many bytes together, in
// the order of time. Lines are not changed in place, so it holds for that tail as long as it is the
// tail, and for one more line nothing is counted anew.
type measuredTail struct {
	last     *line
	n, bytes int
}

func (s *state) measured() bool {
	n := len(s.tail)
	return n > 0 && n == s.measure.n && &s.tail[n-1] == s.measure.last
}

// appendLine puts the newest message at the end.
func (s *state) appendLine(l line) {
	known := s.measured() && byTime(s.tail[len(s.tail)-1], l) <= 0
	s.tail = append(s.tail, l)
	if !known {
		s.trimTail()
		return
	}
	bytes, first := s.measure.bytes+l.size, 0
	for len(s.tail)-first > maxLines || first < len(s.tail) && (bytes > maxLineBytes || s.tail[first].at < l.at-lineLife) {
		bytes -= s.tail[first].size
		first++
	}
	s.tail = s.tail[first:]
	s.measureTail(bytes)
}

func (s *state) measureTail(bytes int) {
	s.measure = measuredTail{}
	if n := len(s.tail); n > 0 {
		s.measure = measuredTail{&s.tail[n-1], n, bytes}
	}
}

// trimTail drops the messages beyond the bounds that were said first. After a
// split they stand in another order than that of time: the stamps of one side all
// come before those of the other, and by them that side's last words would be dropped.
func (s *state) trimTail() {
	if len(s.tail) == 0 {
		return
	}
	old := s.tail
	sorted := slices.IsSortedFunc(old, byTime)
	if !sorted {
		old = slices.Clone(old)
		slices.SortStableFunc(old, byTime)
	}
	newest, first, bytes := old[len(old)-1].at, len(old), 0
	for first > 0 && len(old)-first < maxLines {
		l := &old[first-1]
		if bytes+l.size > maxLineBytes || l.at < newest-lineLife {
			break
		}
		bytes += l.size
		first--
	}
	switch {
	case sorted:
		s.tail = old[first:]
		s.measureTail(bytes)
	case first > 0:
		last := old[first-1] // that is dropped
		s.tail = slices.DeleteFunc(slices.Clone(s.tail), func(l line) bool { return byTime(l, last) <= 0 })
	}
}
