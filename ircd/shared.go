package ircd

import (
	"maps"
	"sync/atomic"

	"ircbridge/chat"
)

// sharedLines keeps the lines of the messages to channels that were written
// last. A message goes to many clients one after the other: its line is made
// once for all that have the same capabilities, and copied. Nothing is locked:
// a place has a whole line or another one.
type sharedLines struct {
	shelves [64]struct {
		places [4]atomic.Pointer[sharedLine]
		next   atomic.Uint32 // which one is overwritten next
	}
}

// sharedLine is a message and its line. Nobody changes it.
type sharedLine struct {
	caps capSet // of those that show in the line
	msg  chat.Message
	line []byte
}

// of is the line of a message for a client with these capabilities. The caller
// must not change it.
func (s *sharedLines) of(caps capSet, e *chat.Message) []byte {
	caps &= capServerTime | capMessageTags | capAccountTag
	at := uint32(caps)
	for i := max(0, len(e.ID)-4); i < len(e.ID); i++ {
		at = at*31 + uint32(e.ID[i])
	}
	shelf := &s.shelves[at%uint32(len(s.shelves))]
	for i := range shelf.places {
		if l := shelf.places[i].Load(); l != nil && l.caps == caps && sameMessage(&l.msg, e) {
			return l.line
		}
	}
	l := newSharedLine(caps, e)
	shelf.places[shelf.next.Add(1)%uint32(len(shelf.places))].Store(l)
	return l.line
}

func newSharedLine(caps capSet, e *chat.Message) *sharedLine {
	tags := encodeTagsOf(caps, e.At, &e.From, e.ID, e.Tags)
	l := new(sharedLine)
	l.caps, l.msg = caps, *e // not in one: the writer's stack is small
	l.line = appendLine(make([]byte, 0, len(tags)+len(e.Text)+150), tags, e.From.Mask(), commandOf(e), []string{e.Address()}, e.Text, !e.TagsOnly)
	return l
}

// sameMessage reports whether two messages are the same in all that shows. Copies of
// one message share their texts, so that this takes no time.
func sameMessage(a, b *chat.Message) bool {
	return a.ID == b.ID && a.Text == b.Text && a.Target == b.Target && a.Least == b.Least && a.Notice == b.Notice && a.TagsOnly == b.TagsOnly && a.At.Equal(b.At) &&
		a.From.Nick == b.From.Nick && a.From.Username == b.From.Username && a.From.Host == b.From.Host && a.From.Account == b.From.Account && a.From.Bot == b.From.Bot &&
		len(a.Tags) == len(b.Tags) && (len(a.Tags) == 0 || maps.Equal(a.Tags, b.Tags))
}
