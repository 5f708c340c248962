package mapping

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// Bounds of the sends of one session that have no outcome yet.
const (
	maxUnsent      = 4096
	maxUnsentBytes = 4 << 20
)

// Send implements chat.Session.
func (se *session) Send(m chat.Outgoing) (uint64, error) {
	s := se.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if se.ended != nil {
		return 0, se.ended
	}
	channel := chat.ValidChannel(m.Target)
	if !channel && !chat.ValidNick(m.Target) && !isNodeID(m.Target) {
		return 0, fmt.Errorf("send to %q: %w", chat.Cut(m.Target, 2*chat.MaxChannel), chat.ErrBadTarget)
	}
	size := sentBytes(m)
	if len(se.outstanding) >= maxUnsent || se.unsentBytes+size > maxUnsentBytes {
		return 0, fmt.Errorf("send to %s: %w", m.Target, chat.ErrQueueFull)
	}
	m.Tags = maps.Clone(m.Tags) // the caller may go on with his own
	if m.TagsOnly {
		m.Text, m.More, m.Notice = "", nil, false
	}
	m.More = slices.Clone(m.More)
	if !channel {
		m.Least = 0
	}
	se.active = s.h.Now()
	se.sent++
	if se.outstanding == nil {
		se.outstanding = map[uint64]bool{}
	}
	se.outstanding[se.sent] = true
	se.unsentBytes += size
	out := &sending{se: se, number: se.sent, msg: m}
	if err := checkOutgoing(m); err != nil {
		se.settleLocked(out, chat.Sent{Err: fmt.Errorf("send to %s: %w", m.Target, err)})
		return out.number, nil
	}
	if channel {
		se.sendToChannelLocked(out)
	} else {
		se.sendLetterLocked(out)
	}
	return out.number, nil
}

// sentBytes is about what a message weighs that has no outcome yet.
func sentBytes(m chat.Outgoing) int { return len(m.Text) + lineBytes(m.More) + tagBytes(m.Tags) + 200 }

// checkOutgoing refuses what no keeper would take.
func checkOutgoing(m chat.Outgoing) error {
	err := checkMessage(wordsOf(m))
	if err != nil {
		return fmt.Errorf("%w (%v)", chat.ErrCannotSend, err)
	}
	return nil
}

// wordsOf is a message as it goes to a channel's keeper.
func wordsOf(m chat.Outgoing) *wire.Message {
	w := &wire.Message{Notice: m.Notice, Text: []byte(m.Text), Tags: tagsToWire(m.Tags), TagsOnly: m.TagsOnly, More: linesToWire(m.More)}
	w.LeastStatus, w.HalfOperators = leastToWire(m.Least)
	return w
}

// isNodeID reports whether target is the ID of a node, which is too long for a
// nick.
func isNodeID(target string) bool {
	_, err := hex.DecodeString(target)
	return len(target) == 40 && err == nil
}

func (se *session) sendToChannelLocked(out *sending) {
	se.postLocked(se.s.homeLocked(out.msg.Target), out, se.s.h.Now())
}

// postLocked puts a message into the lane of a channel.
func (se *session) postLocked(name string, out *sending, queued time.Time) {
	w := wordsOf(out.msg)
	if ms := se.memberships[name]; ms == nil || !ms.in {
		w.Person = personToWire(se.me)
	}
	l := se.laneLocked(kindChannel, name)
	*l.last++
	j := &job{
		lane: l, number: *l.last, queued: queued, send: out,
		req: encode(&wire.ChannelRequest{What: &wire.ChannelRequest_Message{Message: w}}), words: w,
	}
	l.unseen[j.number] = j
	j.open = func() bool { return l.unseen[j.number] == j }
	l.pushLocked(j)
}

// answeredLocked hears a keeper's answer to a message, or that there is none.
// When the sender is on the channel the outcome waits for the message's place
// in the view (lane.watch): only what a view has seen outlives its keeper.
func (j *job) answeredLocked() {
	l, out := j.lane, j.send
	if out.settled {
		return
	}
	if l.kind == kindLetters {
		out.se.settleLocked(out, j.letterSentLocked())
		return
	}
	if j.forwardLocked() {
		return
	}
	v := l.s.views[l.name]
	if j.failed() == nil && j.res.Member && v != nil && v.state != nil {
		return
	}
	j.settleFromResultLocked()
}

// settleFromResultLocked gives the outcome that the keeper's answer alone
// tells.
func (j *job) settleFromResultLocked() {
	delete(j.lane.unseen, j.number)
	sent := chat.Sent{Message: j.send.msg}
	if err := j.failed(); err != nil {
		sent.Err = fmt.Errorf("send to %s: %w", j.send.msg.Target, err)
		if j.err != nil && !j.send.msg.TagsOnly {
			j.lane.reportedLocked(j.number, j.send.msg.Text)
		}
	} else {
		sent.At = time.UnixMilli(j.res.AtMs)
		sent.ID = messageID(j.lane.stream, j.number, overlay.Key(kindChannel, j.lane.name))
		sent.Joined = j.res.Member
		j.confirmedLocked()
		j.send.se.sentLocked(j.lane, j.number, sent.ID, sent.At)
		if n := string(j.res.Name); chat.ValidChannel(n) {
			sent.Message.Target = n
		}
	}
	j.send.se.settleLocked(j.send, sent)
}

// seenLocked is told that a message of this lane came in the view, which it does
// when a replica has it. joined: its sender is on the channel. fresh: the view has
// none after it of his.
func (l *lane) seenLocked(number uint64, id string, at time.Time, target string, joined, fresh bool) {
	j := l.unseen[number]
	if j == nil {
		if fresh {
			l.afterAllLocked(number, target)
		}
		return
	}
	delete(l.unseen, number)
	j.confirmedLocked()
	j.send.se.sentLocked(l, number, id, at)
	l.progress.Signal()
	msg := j.send.msg
	msg.Target = target
	j.send.se.settleLocked(j.send, chat.Sent{ID: id, At: at, Message: msg, Joined: joined})
}

// confirmedLocked notes that somebody has seen a message. One without text is
// not counted: nobody brings it back to who lacks it and would wait for it.
func (j *job) confirmedLocked() {
	if !j.send.msg.TagsOnly {
		j.lane.confirmed = max(j.lane.confirmed, j.number)
	}
}

// settleAllLocked settles what was accepted, when the view is closed.
func (l *lane) settleAllLocked() {
	for _, n := range sortedKeys(l.unseen) {
		if j := l.unseen[n]; j.done {
			j.settleFromResultLocked()
		}
	}
}

// settleLocked gives a Send its outcome.
func (se *session) settleLocked(out *sending, sent chat.Sent) {
	if out.settled {
		return
	}
	out.settled = true
	sent.Number = out.number
	if sent.Message.Target == "" {
		sent.Message = out.msg
	}
	delete(se.outstanding, out.number)
	se.unsentBytes -= sentBytes(out.msg)
	se.pushLocked(sent)
	se.flushedLocked()
}

// flush is somebody who waits for the outcomes of all sends up to a number.
type flush struct {
	upTo  uint64
	event host.Event
}

// flushedLocked wakes those who have what they waited for.
func (se *session) flushedLocked() {
	for se.lowest <= se.sent && !se.outstanding[se.lowest] {
		se.lowest++
	}
	se.flushes = slices.DeleteFunc(se.flushes, func(f flush) bool {
		if se.ended == nil && f.upTo >= se.lowest {
			return false
		}
		f.event.Signal()
		return true
	})
}

// Flush implements chat.Session.
func (se *session) Flush(ctx context.Context) error {
	s := se.s
	s.mu.Lock()
	if err := se.beginLocked(ctx); err != nil {
		s.mu.Unlock()
		return err
	}
	f := flush{upTo: se.sent, event: s.h.NewEvent()}
	if f.upTo >= se.lowest {
		se.flushes = append(se.flushes, f)
	} else {
		f.event.Signal()
	}
	s.mu.Unlock()
	err := f.event.Wait(ctx, foreverWait)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		se.flushes = slices.DeleteFunc(se.flushes, func(x flush) bool { return x.event == f.event })
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return se.ended
}

// sendLetterLocked sends to one user, or to all of a node.
func (se *session) sendLetterLocked(out *sending) {
	l := se.laneLocked(kindLetters, strings.ToLower(out.msg.Target))
	*l.last++
	lett := &wire.Letter{
		Number: *l.last, Notice: out.msg.Notice, Text: []byte(out.msg.Text), Tags: tagsToWire(out.msg.Tags), TagsOnly: out.msg.TagsOnly,
		More: linesToWire(out.msg.More),
	}
	j := &job{lane: l, number: *l.last, queued: se.s.h.Now(), send: out, lett: lett, req: encode(lett)}
	l.pushLocked(j)
}

// letterSentLocked is the outcome of a letter.
func (j *job) letterSentLocked() chat.Sent {
	sent := chat.Sent{Message: j.send.msg}
	if err := j.failed(); err != nil {
		sent.Err = fmt.Errorf("send to %s: %w", j.send.msg.Target, err)
		return sent
	}
	sent.ID = letterID(j.lane.stream, j.number, j.lane.name)
	sent.At = time.UnixMilli(j.res.AtMs)
	sent.Away = j.away
	if n := string(j.res.Name); n != "" {
		sent.Message.Target = n
	}
	return sent
}

// letterID is the message ID of a letter: its key is that of the nick, or the
// node's ID.
func letterID(from overlay.Stream, number uint64, name string) string {
	if isNodeID(name) {
		var id [20]byte
		if raw, err := hex.DecodeString(name); err == nil {
			copy(id[:], raw)
		}
		return messageID(from, number, id)
	}
	return messageID(from, number, overlay.Key(kindNick, name))
}

// maxReported bounds the messages of a lane that were given up and may still
// turn up.
const maxReported = 64

// reportedLocked notes that a message was given up, and its sender told so.
func (l *lane) reportedLocked(number uint64, text string) {
	if l.reported == nil {
		l.reported = map[uint64]string{}
	}
	l.reported[number] = chat.Beginning(text)
	for old := range l.reported { // any order: each for itself
		if old+maxReported <= number {
			delete(l.reported, old)
		}
	}
}

// afterAllLocked is told that a message came in the view which waits for no
// outcome. Was it given up, as when its keeper hung and woke again, its sender
// is told that it has arrived. After a later one of his nobody is shown it.
func (l *lane) afterAllLocked(number uint64, channel string) {
	text, was := l.reported[number]
	se := l.s.sessions[l.stream.Session]
	if !was || se == nil {
		return
	}
	delete(l.reported, number)
	se.pushLocked(chat.Notice{Text: fmt.Sprintf(arrived, channel, text), At: l.s.h.Now()})
}

// arrived is what a sender is told of a message that was given up and arrived.
const arrived = "What you said in %s has arrived after all: %s"
