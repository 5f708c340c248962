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
// him; and of who is not on the channel here, as when a keeper took him in of whom this view
// has not heard: what names him is on its way. What was shown counts as said,
// and nothing else, so that what could not be shown is when it comes again.

const (
	holdBack   = time.Second
	holdNobody = 5 * time.Second // where it is not known who says it
	maxHeld    = 1024            // messages of one sender
	maxWaiting = 1024            // senders
)

// waiting are the messages of one sender that wait, by number, and each until
// when. A task sees to them while there are any.
type waiting struct {
	list []heldMessage
	busy bool
}

type heldMessage struct {
	entry overlay.Entry
	until time.Time
}

// messageLocked takes the next message of the log, or one of another copy's
// last messages.
func (v *view) messageLocked(e overlay.Entry, w *wire.Message) {
	said, held := v.said[e.From], v.held[e.From]
	v.sentLocked(e, e.Number > said)
	if held == nil {
		held = new(waiting)
	}
	at, dup := slices.BinarySearchFunc(held.list, e.Number, func(h heldMessage, n uint64) int { return cmp.Compare(h.entry.Number, n) })
	if e.Number <= said || dup {
		return // came before, under another stamp
	}
	by, known := v.speakerLocked(e, w)
	if known && at == 0 && v.followsLocked(e.From, w) && !v.vouchedLocked(e.From) {
		v.giveLocked(e, w, by)
		v.giveNextLocked(e.From, v.showableLocked)
		return
	}
	patience := holdBack
	if !known && !v.leftLocked(e.From) {
		patience = holdNobody
	}
	if len(v.held) >= maxWaiting {
		patience = 0
	}
	held.list = slices.Insert(held.list, at, heldMessage{e, v.s.h.Now().Add(patience)})
	v.held[e.From] = held
	if !held.busy {
		held.busy = true
		v.s.h.Go("mapping hold back", func() { v.holdBack(e.From, held) })
	} else if len(held.list) > maxHeld {
		v.giveHeldLocked(e.From, 1)
	}
}

// followsLocked reports whether the view has all that a message's sender said
// before it, or has heard nothing of him yet.
func (v *view) followsLocked(who overlay.Stream, w *wire.Message) bool {
	said := v.said[who]
	return said == 0 || w.After <= said
}

// holdBack ends the patience with the messages of a sender that wait.
func (v *view) holdBack(who overlay.Stream, held *waiting) {
	for {
		v.s.mu.Lock()
		pause := v.patienceLocked(who, held)
		v.s.mu.Unlock()
		if pause == 0 || v.s.h.Sleep(pause) != nil {
			return
		}
	}
}

// patienceLocked gives what has waited long enough, and says how long the next
// still waits; 0: there is none.
func (v *view) patienceLocked(who overlay.Stream, held *waiting) (pause time.Duration) {
	now, due := v.s.h.Now(), 0
	for i, h := range held.list {
		if !h.until.After(now) {
			due = i + 1 // and those before it
		}
	}
	v.giveHeldLocked(who, due)
	v.giveNextLocked(who, v.showableLocked)
	for _, h := range held.list {
		if d := h.until.Sub(now); pause == 0 || d < pause {
			pause = d
		}
	}
	if pause == 0 {
		held.busy = false
		delete(v.held, who)
	}
	return pause
}

// giveHeldLocked gives the first n of a sender's messages that wait. Has he left,
// they are his last words. Those of whom nobody has said who he is are dropped; should
// they come again, they are new.
func (v *view) giveHeldLocked(who overlay.Stream, n int) {
	held := v.held[who]
	if held == nil || n == 0 {
		return
	}
	list := slices.Clone(held.list[:n])
	held.list = slices.Delete(held.list, 0, n)
	for _, h := range list {
		w := messageOf(h.entry)
		by, known := v.speakerLocked(h.entry, w)
		if !known {
			by, known = v.s.left.get(who)
		}
		if known {
			v.giveLocked(h.entry, w, by)
		}
	}
}

// giveNextLocked gives those that wait no more for the one before them, as long as
// they are ready otherwise.
func (v *view) giveNextLocked(who overlay.Stream, ready func(overlay.Entry, *wire.Message) bool) {
	for held := v.held[who]; held != nil && len(held.list) > 0; {
		e := held.list[0].entry
		if w := messageOf(e); !v.followsLocked(who, w) || !ready(e, w) {
			return
		}
		v.giveHeldLocked(who, 1)
	}
}

// showableLocked reports whether a message's sender is known, and has been shown.
func (v *view) showableLocked(e overlay.Entry, w *wire.Message) bool {
	return v.knowsSpeakerLocked(e, w) && !v.vouchedLocked(e.From)
}

// lastWordsLocked reports whether a message's sender has been shown and is known, or
// has left.
func (v *view) lastWordsLocked(e overlay.Entry, w *wire.Message) bool {
	return v.showableLocked(e, w) || !v.knowsSpeakerLocked(e, w) && v.leftLocked(e.From)
}

// leftLocked reports whether somebody went out of channels here.
func (v *view) leftLocked(who overlay.Stream) bool {
	_, left := v.s.left.get(who)
	return left
}

// giveAllLocked gives what is ready, of all that waits.
func (v *view) giveAllLocked(ready func(overlay.Entry, *wire.Message) bool) {
	for _, who := range sortedStreams(v.held) {
		v.giveNextLocked(who, ready)
	}
}

// missesSpeakerLocked has the view compared with its keeper's when somebody speaks
// who is no member here, and whom the keeper has: it says nothing of who he is. A node that
// does not answer may be gone for another channel's keeper, who took its users
// out of all views here.
func (v *view) missesSpeakerLocked(e overlay.Entry, w *wire.Message) {
	if _, on := v.state.members[e.From]; on || w == nil || w.Person != nil || v.s.views[v.name] != v {
		return
	}
	v.askLocked()
}

// askLocked has the view compared with its keeper's soon, but not again and again: what
// differs may take a moment to be settled.
func (v *view) askLocked() {
	if now := v.s.h.Now(); now.Sub(v.asked) >= holdBack {
		v.asked = now
		v.s.o.Hold(kindChannel, v.name)
	}
}

// messageOf is the message of an entry that was checked before.
func messageOf(e overlay.Entry) *wire.Message {
	ev := new(wire.ChannelEvent)
	_ = decode(e.Event, ev)
	return ev.GetMessage()
}

// giveLocked gives a message to the local sessions that were on the channel
// when it was said. Stamps say that only along one line of keepers: what was said
// with another keeper, on the other side of a split, has any place among them. It
// counts as later than a join that did not know of it.
func (v *view) giveLocked(e overlay.Entry, w *wire.Message, by person) {
	if !v.noteMessageLocked(e) {
		return
	}
	if v.crowdLocked().latest.Compare(e.Stamp) < 0 {
		v.spreadLocked(e, w, by, nil)
		return
	}
	v.spreadLocked(e, w, by, func(who overlay.Stream) bool {
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
// not had. The state that came with them names all who are on the channel: who is
// not named has left. Of whom this view has never known anything, it was not his channel
// then.
func (v *view) tailLocked(tail []line) {
	for _, l := range tail {
		e := l.entry()
		if l.msg == nil {
			v.sentLocked(e, false) // it was accepted all the same
			continue
		}
		if v.knowsSpeakerLocked(e, l.msg) || v.leftLocked(e.From) || v.held[e.From] != nil {
			v.messageLocked(e, l.msg)
			v.giveNextLocked(e.From, v.lastWordsLocked)
			continue
		}
		v.sentLocked(e, false)
		v.noteMessageLocked(e)
	}
}
