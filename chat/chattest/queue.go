package chattest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ircbridge/chat"
)

// pushLocked puts an event at the end of the session's queue, and holds the
// bound (rule 4 of package chat): over MaxQueued the session has MaxStall to
// take something; over twice that it is closed at once.
func (se *session) pushLocked(e chat.Event) {
	if se.ended != nil {
		return
	}
	se.queue = append(se.queue, e)
	se.bytes += eventBytes(e)
	if len(se.queue) == 1 {
		se.wakeLocked()
	}
	bound := se.net.opt.MaxQueued
	switch {
	case se.bytes > 2*bound:
		se.closeSlowLocked()
	case se.bytes > bound && se.stall == nil:
		se.watchLocked()
	}
}

// watchLocked looks again after MaxStall whether anything was taken.
func (se *session) watchLocked() {
	taken := se.taken
	se.stall = time.AfterFunc(se.net.opt.MaxStall, func() {
		se.net.mu.Lock()
		defer se.net.mu.Unlock()
		switch {
		case se.ended != nil || se.bytes <= se.net.opt.MaxQueued:
			se.stall = nil
		case se.taken == taken:
			se.closeSlowLocked()
		default:
			se.watchLocked()
		}
	})
}

func (se *session) closeSlowLocked() {
	const reason = "Too slow to read"
	se.closeLocked(reason, true, fmt.Errorf("%w: too slow: %d bytes of events were not read", chat.ErrClosed, se.bytes))
}

func (se *session) wakeLocked() {
	if se.notify != nil {
		se.notify()
		return
	}
	select {
	case se.wake <- struct{}{}:
	default:
	}
}

// Next implements chat.Session.
func (se *session) Next(ctx context.Context) (chat.Event, error) {
	for {
		if e, err := se.take(); e != nil || err != nil {
			return e, err
		}
		select {
		case <-se.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (se *session) take() (chat.Event, error) {
	se.net.mu.Lock()
	defer se.net.mu.Unlock()
	if se.ended != nil {
		se.wakeLocked() // for the next call
		return nil, se.ended
	}
	var e [1]chat.Event
	se.takeLocked(e[:])
	return e[0], nil
}

// takeLocked moves events out of the queue.
func (se *session) takeLocked(into []chat.Event) int {
	n := copy(into, se.queue)
	for _, e := range into[:n] {
		se.bytes -= eventBytes(e)
	}
	clear(se.queue[:n])
	if n == len(se.queue) {
		se.queue = se.queue[:0] // with its room
	} else {
		se.queue = se.queue[n:]
	}
	se.taken += uint64(n)
	return n
}

// Notify implements chat.Taker.
func (se *session) Notify(f func()) {
	se.net.mu.Lock()
	defer se.net.mu.Unlock()
	se.notify = f
	if len(se.queue) > 0 || se.ended != nil {
		f()
	}
}

// Take implements chat.Taker.
func (se *session) Take(events []chat.Event) (int, error) {
	se.net.mu.Lock()
	defer se.net.mu.Unlock()
	if se.ended != nil {
		return 0, se.ended
	}
	return se.takeLocked(events), nil
}

// forgetLocked drops what is queued of a channel that the session has left:
// after Part returned, no event of that membership follows (rule 2). Outcomes
// of what it sent stay.
func (se *session) forgetLocked(name string) {
	kept := se.queue[:0:0]
	for _, e := range slices.Backward(se.queue) {
		se.bytes -= eventBytes(e)
		keep := !chat.SameName(channelOf(e, se.self.Session), name)
		switch r := e.(type) {
		case chat.Rejoined:
			e, keep = r.Without(name)
		case chat.ChannelRenamed:
			if !keep { // what was queued before it goes by the other name
				name = r.Old
			}
		}
		if keep {
			kept = append(kept, e)
			se.bytes += eventBytes(e)
		}
	}
	slices.Reverse(kept)
	se.queue = kept
}

// channelOf is the channel whose membership an event belongs to, "" for none.
func channelOf(e chat.Event, of chat.SessionID) string {
	switch e := e.(type) {
	case chat.Joined:
		return e.Channel
	case chat.Parted:
		return e.Channel
	case chat.Kicked:
		return e.Channel
	case chat.MetadataChanged:
		return e.Channel
	case chat.ChannelRenamed:
		return e.New
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
	size := base
	switch e := e.(type) {
	case chat.Parted:
		size += len(e.Reason)
	case chat.Quit:
		size += len(e.Reason)
	case chat.Split:
		size += base * len(e.Who)
	case chat.Rejoined:
		size += base * len(e.Came)
	case chat.Kicked:
		size += len(e.Reason)
	case chat.Knocked:
		size += len(e.Text)
	case chat.AwayChanged:
		size += len(e.Who.Away)
	case chat.ProfileChanged:
		size += len(e.Old.Realname) + len(e.New.Realname)
	case chat.MetadataChanged:
		for _, c := range e.Changes {
			size += 32 + len(c.Key) + len(c.Value)
		}
	case chat.TopicChanged:
		size += len(e.Topic.Text)
	case chat.ModeChanged:
		size += changeBytes(e.Changes)
	case chat.Message:
		size += len(e.Text) + lineBytes(e.More) + tagBytes(e.Tags)
	case chat.Redacted:
		size += len(e.Reason)
	case chat.Sent:
		size += len(e.Message.Text) + lineBytes(e.Message.More) + tagBytes(e.Message.Tags)
	case chat.ViewChanged:
		size += base*(len(e.Left)+len(e.Came)) + changeBytes(e.Modes)
	case chat.Notice:
		size += len(e.Text)
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
	for k, v := range tags {
		size += 32 + len(k) + len(v)
	}
	return size
}
