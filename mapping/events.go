package mapping

import (
	"context"
	"fmt"
	"slices"

	"ircbridge/chat"
)

// pushLocked puts an event at the end of the session's queue, and holds the
// bound (rule 4 of package chat): over MaxQueued the session has MaxStall to
// take something; over eight times that it is closed at once.
func (se *session) pushLocked(e chat.Event) { se.pushSizedLocked(e, eventBytes(e)) }

// pushSizedLocked is pushLocked of an event whose size is known.
func (se *session) pushSizedLocked(e chat.Event, size int) {
	if len(se.s.sight.missing)+len(se.s.sight.hidden) > 0 {
		se.precedeLocked(e)
	}
	if se.ended != nil {
		return
	}
	if se.queue == nil {
		se.array = se.s.arrays.getLocked()
		se.queue = se.array[:0]
	} else if len(se.queue) == cap(se.queue) {
		se.array = nil // it is left behind
	}
	se.queue = append(se.queue, queued{e, size})
	se.bytes += size
	if len(se.queue) == 1 {
		se.wakeLocked()
	}
	bound := se.s.cfg.MaxQueued
	switch {
	case se.bytes > 8*bound:
		se.closeSlowLocked()
	case se.bytes > bound && !se.stalled:
		se.stalled = true
		taken := se.taken
		se.s.h.Go("mapping stall", func() { se.watchStall(taken) })
	}
}

// queued is an event and about what it weighs.
type queued struct {
	e    chat.Event
	size int
}

// queueArray is room for the events that usually wait at most.
type queueArray [64]queued

// queueArrays are empty ones, of the service: most sessions have no events
// that wait.
type queueArrays []*queueArray

func (a *queueArrays) getLocked() *queueArray {
	n := len(*a)
	if n == 0 {
		return new(queueArray)
	}
	q := (*a)[n-1]
	(*a)[n-1] = nil
	*a = (*a)[:n-1]
	return q
}

func (a *queueArrays) putLocked(q *queueArray) {
	const most = 256 // 384 KiB
	if len(*a) < most {
		*a = append(*a, q)
	}
}

// wakeLocked wakes who takes the events: by Next, or by Notify.
func (se *session) wakeLocked() {
	if se.notify != nil {
		se.notify()
		return
	}
	se.next.Signal()
}

// takeLocked moves events out of the queue.
func (se *session) takeLocked(into []chat.Event) int {
	n := min(len(into), len(se.queue))
	for i, q := range se.queue[:n] {
		into[i] = q.e
		se.bytes -= q.size
	}
	clear(se.queue[:n])
	se.taken += uint64(n)
	if se.queue = se.queue[n:]; len(se.queue) == 0 {
		if se.array != nil {
			se.s.arrays.putLocked(se.array)
		}
		se.queue, se.array = nil, nil
	}
	return n
}

// Notify implements chat.Taker.
func (se *session) Notify(f func()) {
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	se.notify, se.next = f, nil
	if len(se.queue) > 0 || se.ended != nil {
		f()
	}
}

// Take implements chat.Taker.
func (se *session) Take(events []chat.Event) (int, error) {
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	if se.ended != nil {
		return 0, se.ended
	}
	return se.takeLocked(events), nil
}

// watchStall closes the session if it takes nothing for MaxStall while its
// queue is over the bound.
func (se *session) watchStall(taken uint64) {
	for se.s.h.Sleep(se.s.cfg.MaxStall) == nil {
		se.s.mu.Lock()
		over := se.ended == nil && se.bytes > se.s.cfg.MaxQueued
		if over && se.taken == taken {
			se.closeSlowLocked()
			over = false
		}
		taken = se.taken
		se.stalled = over
		se.s.mu.Unlock()
		if !over {
			return
		}
	}
}

func (se *session) closeSlowLocked() {
	se.closeLocked("Too slow to read", true, fmt.Errorf("%w: too slow: %d bytes of events were not read", chat.ErrClosed, se.bytes))
}

// Next implements chat.Session.
func (se *session) Next(ctx context.Context) (chat.Event, error) {
	for {
		se.s.mu.Lock()
		if se.ended != nil {
			defer se.s.mu.Unlock()
			return nil, se.ended
		}
		var e [1]chat.Event
		if se.takeLocked(e[:]) > 0 {
			se.s.mu.Unlock()
			return e[0], nil
		}
		se.s.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := se.next.Wait(ctx, foreverWait); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, fmt.Errorf("%w: %w", chat.ErrClosed, err)
		}
	}
}

// forgetLocked drops what is queued of a channel that the session has left:
// no event of a membership follows after Part (rule 2). Outcomes stay. What was queued before the
// channel had its present name goes by the one before.
func (se *session) forgetLocked(channel string) {
	me := sessionID(se.stream)
	var kept []queued
	for _, q := range slices.Backward(se.queue) {
		was, keep := q.size, !chat.SameName(channelOf(q.e, me), channel)
		switch e := q.e.(type) {
		case chat.Rejoined:
			e, keep = e.Without(channel)
			q = queued{e, eventBytes(e)}
		case chat.ChannelRenamed:
			if !keep {
				channel = e.Old
			}
		}
		if keep {
			kept = append(kept, q)
			was -= q.size
		}
		se.bytes -= was
	}
	slices.Reverse(kept)
	se.queue, se.array = kept, nil
}

// channelOf is the channel whose membership an event belongs to, or "".
func channelOf(e chat.Event, of chat.SessionID) string {
	switch e := e.(type) {
	case chat.Joined:
		return e.Channel
	case chat.Parted:
		return e.Channel
	case chat.Kicked:
		return e.Channel
	case chat.ChannelRenamed:
		return e.New
	case chat.MetadataChanged:
		return e.Channel
	case chat.TopicChanged:
		return e.Channel
	case chat.ModeChanged:
		return e.Channel
	case chat.ViewChanged:
		return e.Channel
	case chat.Invited:
		if e.Target.Session != of { // told as an operator
			return e.Channel
		}
	case chat.Knocked:
		return e.Channel
	case chat.Redacted:
		return e.Target
	case chat.Message:
		return e.Target // a nick is never the name of a channel
	}
	return ""
}

// eventBytes is about what an event weighs in memory.
func eventBytes(e chat.Event) int {
	const base = 200
	switch e := e.(type) {
	case chat.Parted:
		return base + len(e.Reason)
	case chat.Quit:
		return base + len(e.Reason)
	case chat.Split:
		return base * (1 + len(e.Who))
	case chat.Rejoined:
		return base * (1 + len(e.Came))
	case chat.Kicked:
		return base + len(e.Reason)
	case chat.ChannelRenamed:
		return base + len(e.Reason)
	case chat.Knocked:
		return base + len(e.Text)
	case chat.AwayChanged:
		return base + len(e.Who.Away)
	case chat.ProfileChanged:
		return base + len(e.Old.Realname) + len(e.New.Realname)
	case chat.MetadataChanged:
		return base + metaBytes(e.Changes)
	case chat.TopicChanged:
		return base + len(e.Topic.Text)
	case chat.ModeChanged:
		return base + changeBytes(e.Changes)
	case chat.Message:
		return base + len(e.Text) + lineBytes(e.More) + tagBytes(e.Tags)
	case chat.Redacted:
		return base + len(e.Reason)
	case chat.Sent:
		return base + len(e.Message.Text) + lineBytes(e.Message.More) + tagBytes(e.Message.Tags)
	case chat.ViewChanged:
		return base*(1+len(e.Left)+len(e.Came)) + changeBytes(e.Modes)
	case chat.Notice:
		return base + len(e.Text)
	}
	return base
}

func metaBytes(changes []chat.MetaItem) int {
	size := 0
	for _, c := range changes {
		size += 32 + len(c.Key) + len(c.Value)
	}
	return size
}

func changeBytes(changes []chat.ModeChange) int {
	size := 0
	for _, c := range changes {
		size += 32 + len(c.Arg)
	}
	return size
}

func lineBytes(lines []chat.Line) int {
	size := 0
	for _, l := range lines {
		size += 32 + len(l.Text)
	}
	return size
}

func tagBytes(tags map[string]string) int {
	size := 0
	for k, v := range tags { // any order: a sum
		size += 32 + len(k) + len(v)
	}
	return size
}
