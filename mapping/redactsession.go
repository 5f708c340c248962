package mapping

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// What a node remembers of messages beyond a channel's last ones, so that they
// can be redacted: of each session those it sent to channels and those it was sent privately,
// of each channel those of tags only.
const (
	maxSentIDs     = 256
	maxReceivedIDs = 128
	maxTaggedIDs   = 64
)

// sentID is a message that a session sent to a channel.
type sentID struct {
	name   string // folded, of the channel
	number uint64
	at     time.Time
}

// sentLocked remembers a message that was accepted.
func (se *session) sentLocked(l *lane, number uint64, id string, at time.Time) {
	if se.sentIDs == nil {
		se.sentIDs = newCache[string, sentID](maxSentIDs)
	}
	se.sentIDs.put(id, sentID{l.name, number, at})
}

// receivedLocked remembers a private message.
func (se *session) receivedLocked(id string, from overlay.Stream) {
	if se.received == nil {
		se.received = newCache[string, overlay.Stream](maxReceivedIDs)
	}
	se.received.put(id, from)
}

// taggedLocked remembers a message of tags only, which no copy does.
func (v *view) taggedLocked(id string, o origin) {
	if v.tagged == nil {
		v.tagged = newCache[string, origin](maxTaggedIDs)
	}
	v.tagged.put(id, o)
}

// Redact implements chat.Session.
func (se *session) Redact(ctx context.Context, target, id, reason string) (chat.Redacted, error) {
	r := chat.Redacted{Target: target, ID: id, Reason: cleanLine(reason, chat.MaxReason)}
	var err error
	se.s.mu.Lock()
	r.By = se.me.mask(se.stream)
	err = se.beginLocked(ctx)
	se.s.mu.Unlock()
	channel := chat.ValidChannel(target)
	switch {
	case err != nil:
		return chat.Redacted{}, err
	case !channel && !chat.ValidNick(target) && !isNodeID(target):
		err = chat.ErrBadTarget
	case !chat.ValidMessageID(id):
		err = chat.ErrUnknownMessage
	case channel:
		err = se.redactInChannel(ctx, &r)
	default:
		err = se.redactLetter(ctx, &r)
	}
	if err != nil {
		return chat.Redacted{}, fmt.Errorf("redact a message to %q: %w", chat.Cut(target, 2*chat.MaxChannel), err)
	}
	return r, nil
}

func (se *session) redactInChannel(ctx context.Context, r *chat.Redacted) error {
	se.s.mu.Lock()
	w, err := se.redactOfLocked(se.s.homeLocked(r.Target), r.ID)
	se.s.mu.Unlock()
	if err != nil {
		return err
	}
	w.Reason = []byte(r.Reason)
	res, err := se.do(ctx, r.Target, &wire.ChannelRequest{What: &wire.ChannelRequest_Redact{Redact: w}})
	if err == nil {
		err = errorOf(res)
	}
	if err != nil {
		return err
	}
	r.At = time.UnixMilli(res.AtMs)
	if n := string(res.Name); chat.ValidChannel(n) {
		r.Target = n
	}
	return nil
}

// redactOfLocked is the request to redact a message to a channel, with all that
// is known here of the message.
func (se *session) redactOfLocked(name, id string) (*wire.Redact, error) {
	w := &wire.Redact{Id: []byte(id), Person: personToWire(se.me)}
	if se.sentIDs != nil {
		if sent, ok := se.sentIDs.get(id); ok && sent.name == name {
			if sent.at.Before(se.s.h.Now().Add(-chat.RedactWindow)) {
				return nil, chat.ErrMessageTooOld
			}
			w.Author, w.Number = sessionToWire(se.stream), sent.number
			return w, nil
		}
	}
	v := se.s.views[name]
	if v == nil || v.state == nil {
		return w, nil
	}
	if v.tagged != nil {
		if o, ok := v.tagged.get(id); ok {
			w.Author, w.Number = sessionToWire(o.from), o.number
			return w, nil
		}
	}
	for _, l := range v.state.tail {
		if l.from.Node == se.s.self && messageID(l.from, l.number, v.key) == id {
			w.Own = se.wasLocked(l.from)
			break
		}
	}
	return w, nil
}

// wasLocked reports whether an earlier session of this node, which is over, was of the
// same user: it had his nick and his account.
func (se *session) wasLocked(earlier overlay.Stream) bool {
	p, over := se.s.over.get(earlier)
	return over && chat.SameName(p.nick, se.me.nick) &&
		p.profile(earlier).Account == se.me.profile(se.stream).Account
}

// redactLetter asks the node of the user that a letter was for, or the node
// whose users it was for.
func (se *session) redactLetter(ctx context.Context, r *chat.Redacted) error {
	s, to := se.s, strings.ToLower(r.Target)
	s.mu.Lock()
	if se.received != nil {
		if from, ok := se.received.get(r.ID); ok && from != se.stream {
			defer s.mu.Unlock()
			return chat.ErrNotYourMessage // it was sent to him
		}
	}
	w := &wire.LetterRedact{From: sessionToWire(se.stream), Person: personToWire(se.me), Id: []byte(r.ID), Reason: []byte(r.Reason)}
	s.mu.Unlock()
	deadline := s.h.Now().Add(host.Budget(ctx, s.h.Now(), s.cfg.GiveUp))
	if isNodeID(to) {
		node, err := s.findNode(to, deadline.Sub(s.h.Now()))
		if err != nil {
			return err
		}
		return s.askRedact(node, w, r, deadline)
	}
	w.Nick = []byte(chat.Fold(to))
	for try := 0; ; try++ {
		left := deadline.Sub(s.h.Now())
		if left <= 0 {
			return chat.ErrUnreachable
		}
		who, err := s.find(string(w.Nick), try, left)
		if err != nil {
			return err
		}
		if err = s.askRedact(who.Node, w, r, deadline); try >= 2 || !errors.Is(err, chat.ErrNoSuchNick) {
			return err
		}
		if s.h.Sleep(50*time.Millisecond<<try) != nil {
			return chat.ErrUnreachable
		}
	}
}

// askRedact asks one node, and completes r.
func (s *Service) askRedact(node host.PeerID, w *wire.LetterRedact, r *chat.Redacted, deadline time.Time) error {
	raw, err := s.o.Direct(node, encode(&wire.Direct{What: &wire.Direct_Redact{Redact: w}}), deadline.Sub(s.h.Now()))
	if err != nil {
		return fmt.Errorf("%w (%v)", chat.ErrUnreachable, err)
	}
	reply := new(wire.DirectReply)
	if err := decode(raw, reply); err != nil || len(reply.AtMs) > 1 {
		return fmt.Errorf("%w: the node's reply is malformed", chat.ErrUnreachable)
	}
	if err := errorOf(&wire.Result{Code: reply.Code}); err != nil {
		return err
	}
	if len(reply.AtMs) == 1 {
		r.At = time.UnixMilli(reply.AtMs[0])
	}
	if n := string(reply.Nick); chat.ValidNick(n) {
		r.Target = n
	}
	return nil
}

// onRedact tells of a redaction those here whom the letter was given.
func (s *Service) onRedact(from host.PeerID, w *wire.LetterRedact) *wire.DirectReply {
	who, err := sessionFromWire(w.GetFrom())
	p, err2 := personFromWire(w.GetPerson())
	id := string(w.GetId())
	if err != nil || err2 != nil || who.Node != from || !chat.ValidMessageID(id) ||
		len(w.GetReason()) > chat.MaxReason || !oneLine(string(w.GetReason())) {
		return &wire.DirectReply{Code: wire.Code_BAD_REQUEST}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.UnixMilli(s.h.Now().UnixMilli())
	reply, receivers := &wire.DirectReply{Code: wire.Code_UNKNOWN_MESSAGE, AtMs: []int64{now.UnixMilli()}}, s.receiversLocked(string(w.GetNick()))
	switch {
	case receivers == nil:
		return &wire.DirectReply{Code: wire.Code_NOT_HERE}
	case len(w.GetNick()) > 0:
		reply.Nick = []byte(receivers[0].me.nick)
	}
	for _, se := range receivers {
		if se.received == nil {
			continue
		}
		switch author, ok := se.received.get(id); {
		case ok && author == who:
			se.received.drop(id)
			reply.Code = wire.Code_OK
			if se.stream != who {
				se.pushLocked(chat.Redacted{Target: se.me.nick, ID: id, By: p.mask(who), Reason: string(w.Reason), At: now})
			}
		case ok && reply.Code != wire.Code_OK:
			reply.Code = wire.Code_NOT_YOUR_MESSAGE
		}
	}
	return reply
}
