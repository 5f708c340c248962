package mapping

import (
	"cmp"
	"slices"
	"time"

	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// A message says which one of its sender's went before it. A view that has
// not had that one holds the message back for up to a second: after the
// keeper changed, the other may be on its way from somebody who saw it. So no
// sender's order is broken, and nothing that was accepted is skipped. So wait too
// the messages of who has just come back into sight, while others come back with
// him.

const (
	holdBack = time.Second
	maxHeld  = 1024 // messages of one sender
)

// messageLocked takes the next message of the log, or one of another copy's
// last messages.
func (v *view) messageLocked(e overlay.Entry, w *wire.Message) {
	said, held := v.said[e.From], v.held[e.From]
	v.sentLocked(e, e.Number > said)
	last := max(said, v.seen[e.From])
	at, dup := slices.BinarySearchFunc(held, e.Number, func(h overlay.Entry, n uint64) int { return cmp.Compare(h.Number, n) })
	switch {
	case e.Number <= said || dup:
		return // came before, under another stamp
	case v.vouchedLocked(e.From): // shown with those who come back
	case at == 0 && (last == 0 || w.After <= last):
		v.giveLocked(e, w)
		if len(held) > 0 && after(held[0]) <= e.Number {
			v.releaseHeldLocked(e.From)
		}
		return
	}
	v.held[e.From] = slices.Insert(held, at, e)
	if len(held) == 0 {
		v.s.h.Go("mapping hold back", func() { v.holdBack(e.From, e.Number) })
	} else if len(held) >= maxHeld {
		v.releaseHeldLocked(e.From)
	}
}

// after is the number of the message that goes before a held one.
func after(held overlay.Entry) uint64 {
	ev := new(wire.ChannelEvent)
	_ = decode(held.Event, ev) // it was decoded before
	return ev.GetMessage().GetAfter()
}

// holdBack ends the patience with a sender's first held message.
func (v *view) holdBack(who overlay.Stream, first uint64) {
	if v.s.h.Sleep(holdBack) != nil {
		return
	}
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	if h := v.held[who]; len(h) > 0 && h[0].Number <= first {
		v.releaseHeldLocked(who)
	}
}

// releaseHeldLocked gives what was held of a sender.
func (v *view) releaseHeldLocked(who overlay.Stream) {
	held := v.held[who]
	delete(v.held, who)
	for _, e := range held {
		if ev, err := decodeEvent(e.Event, v.name); err == nil {
			v.giveLocked(e, ev.GetMessage())
		}
	}
}

// giveLocked gives a message to the local sessions that were on the channel
// when it was said. Stamps say that only along one line of keepers: what was said
// with another keeper, on the other side of a split, has any place among them. It
// counts as later than a join that did not know of it.
func (v *view) giveLocked(e overlay.Entry, w *wire.Message) {
	if !v.noteMessageLocked(e) {
		return
	}
	if v.crowdLocked().latest.Compare(e.Stamp) < 0 {
		v.spreadLocked(e, w, nil)
		return
	}
	v.spreadLocked(e, w, func(who overlay.Stream) bool {
		m, ok := v.state.members[who]
		if !ok || m.joined.Compare(e.Stamp) < 0 {
			return true
		}
		ms := v.locals[who.Session]
		return ms != nil && !ms.knew.covers(e.Stamp)
	})
}

// tailBeforeLocked shows those of another copy's last messages that come before
// a stamp, and returns the others. One that was brought back from the time of an earlier
// keeper, and is in no log, has its place there too: else what follows it would be held
// back for it here, and shown later than what others said then. Whose sender is
// not known yet waits for the state that names him.
func (v *view) tailBeforeLocked(tail []line, at overlay.Stamp) []line {
	for len(tail) > 0 && tail[0].stamp.Compare(at) < 0 {
		if l := tail[0]; l.msg != nil && l.number > v.said[l.from] {
			if e := l.entry(); v.knowsSpeakerLocked(e, l.msg) {
				v.messageLocked(e, l.msg)
			}
		}
		tail = tail[1:]
	}
	return tail
}

// tailLocked shows those of another copy's last messages that this view has
// not had.
func (v *view) tailLocked(tail []line) {
	for _, l := range tail {
		if l.msg == nil {
			v.sentLocked(l.entry(), false) // it was accepted all the same
			continue
		}
		v.messageLocked(l.entry(), l.msg)
	}
}
