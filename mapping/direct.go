package mapping

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// letterKey is a sender and the nick (or node) he writes to: letters between
// the two are in order, and repeats are dropped by number.
type letterKey struct {
	from overlay.Stream
	to   string
}

// carryLetters brings a batch of letters to the node of the user they are for:
// where he was last found, and when he is not there any more, where the
// name's keeper says.
func (s *Service) carryLetters(l *lane, batch []*job, d time.Duration) ([]*wire.Result, error) {
	s.mu.Lock()
	msg := &wire.Letters{From: sessionToWire(l.stream)}
	if se := batch[0].send.se; se != nil {
		msg.Person = personToWire(se.me)
	}
	s.mu.Unlock()
	for _, j := range batch {
		msg.Items = append(msg.Items, j.lett)
	}
	deadline := s.h.Now().Add(d)
	if isNodeID(l.name) {
		return s.carryToNode(l.name, batch, msg, deadline)
	}
	msg.Nick = []byte(l.name)
	for try := 0; ; try++ {
		left := deadline.Sub(s.h.Now())
		if left <= 0 {
			return nil, fmt.Errorf("%s: %w", l.name, chat.ErrUnreachable)
		}
		who, err := s.find(l.name, try, left)
		if err != nil {
			return nil, err
		}
		results, reply, err := s.deliver(who.Node, batch, msg, min(left, s.cfg.GiveUp*3/4))
		switch {
		case err == nil && reply.Code == wire.Code_NOT_HERE && try >= 2:
			return refuseAll(batch, wire.Code_NO_SUCH_NICK), nil
		case err == nil && reply.Code != wire.Code_NOT_HERE:
			return results, nil
		}
		if try > 0 && s.h.Sleep(50*time.Millisecond<<min(try, 3)) != nil {
			return nil, chat.ErrUnreachable
		}
	}
}

// find is where a user is: where he was found last, at the first try, then where the name's
// keeper says.
func (s *Service) find(nick string, try int, d time.Duration) (who overlay.Stream, err error) {
	if try == 0 {
		who, _, err = s.locate(nick, false, d)
	} else {
		who, _, err = s.lookUp(nick, d)
	}
	return who, err
}

// findNode is the peer ID of a node, given its ID in hexadecimal digits. Errors:
// ErrNoSuchNode, ErrUnreachable.
func (s *Service) findNode(id string, d time.Duration) (host.PeerID, error) {
	raw, err := hex.DecodeString(id)
	if err != nil {
		return "", fmt.Errorf("%s: %w", id, chat.ErrNoSuchNode)
	}
	c, err := s.o.FindNode([20]byte(raw), d)
	if errors.Is(err, overlay.ErrNoNode) {
		return "", fmt.Errorf("%s: %w", id, chat.ErrNoSuchNode)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w (%v)", id, chat.ErrUnreachable, err)
	}
	return c.Peer.ID, nil
}

func refuseAll(batch []*job, code wire.Code) []*wire.Result {
	results := make([]*wire.Result, len(batch))
	for i := range results {
		results[i] = refuse(code)
	}
	return results
}

func (s *Service) carryToNode(id string, batch []*job, msg *wire.Letters, deadline time.Time) ([]*wire.Result, error) {
	node, err := s.findNode(id, deadline.Sub(s.h.Now()))
	if err != nil {
		return nil, err
	}
	results, _, err := s.deliver(node, batch, msg, deadline.Sub(s.h.Now()))
	return results, err
}

// deliver gives letters to a node and makes its reply into outcomes.
func (s *Service) deliver(node host.PeerID, batch []*job, msg *wire.Letters, d time.Duration) ([]*wire.Result, *wire.DirectReply, error) {
	raw, err := s.o.Direct(node, encode(&wire.Direct{What: &wire.Direct_Letters{Letters: msg}}), d)
	if err != nil {
		return nil, nil, fmt.Errorf("%w (%v)", chat.ErrUnreachable, err)
	}
	reply := new(wire.DirectReply)
	if err := decode(raw, reply); err != nil || len(reply.Away) > chat.MaxAway || !oneLine(string(reply.Away)) {
		return nil, nil, fmt.Errorf("%w: the node's reply is malformed", chat.ErrUnreachable)
	}
	results := letterResults(batch, reply)
	for i, j := range batch {
		if n := string(reply.Nick); chat.ValidNick(n) {
			results[i].Name = reply.Nick
		}
		if i < len(reply.AtMs) {
			results[i].AtMs = reply.AtMs[i]
		}
		j.away = string(reply.Away)
	}
	return results, reply, nil
}

// letterResults are the outcomes of letters by the code of their reply.
func letterResults(batch []*job, reply *wire.DirectReply) []*wire.Result {
	if reply.Code != wire.Code_NEED_ACCOUNT {
		return refuseAll(batch, reply.Code)
	}
	results := refuseAll(batch, wire.Code_CANNOT_SEND)
	for _, r := range results {
		r.Mode = "+R"
	}
	return results
}

// onDirect answers what another node, or this one, tells or asks directly.
func (s *Service) onDirect(from host.Peer, raw []byte) []byte {
	w := new(wire.Direct)
	if err := decode(raw, w); err != nil {
		s.log.Warn("a node sent a malformed message; ignored", "from", VisibleHost(from.ID), "err", err)
		return encode(&wire.DirectReply{Code: wire.Code_BAD_REQUEST})
	}
	reply := &wire.DirectReply{Code: wire.Code_BAD_REQUEST}
	switch w := w.What.(type) {
	case *wire.Direct_Letters:
		reply = s.onLetters(from.ID, w.Letters)
	case *wire.Direct_Whois:
		reply = s.onWhois(w.Whois)
	case *wire.Direct_Invited:
		reply = s.onInvited(from.ID, w.Invited)
	case *wire.Direct_Redact:
		reply = s.onRedact(from.ID, w.Redact)
	}
	return encode(reply)
}

// SetAccountsOnly implements chat.Session.
func (se *session) SetAccountsOnly(ctx context.Context, only bool) error {
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	if err := se.beginLocked(ctx); err != nil {
		return err
	}
	se.only = only
	return nil
}

// shutsOut reports whether the session takes no private messages from another.
func (se *session) shutsOut(from overlay.Stream) bool {
	return se.only && from != se.stream && accountOf(from) == ""
}

// receiversLocked are the sessions here that letters to a folded nick are for: whose it is, or
// all for "". nil: nobody here has the nick.
func (s *Service) receiversLocked(nick string) []*session {
	if nick != "" {
		se := s.nicks[nick]
		if se == nil || se.opening || chat.Fold(se.me.nick) != nick {
			return nil
		}
		return []*session{se}
	}
	all := []*session{}
	for _, n := range sortedKeys(s.sessions) {
		all = append(all, s.sessions[n])
	}
	return all
}

// onLetters gives letters to whom they are for, if he is here and so named.
func (s *Service) onLetters(from host.PeerID, w *wire.Letters) *wire.DirectReply {
	bad := &wire.DirectReply{Code: wire.Code_BAD_REQUEST}
	who, err := sessionFromWire(w.GetFrom())
	p, err2 := personFromWire(w.GetPerson())
	if err != nil || err2 != nil || who.Node != from || len(w.Items) > maxBatch {
		return bad
	}
	for _, l := range w.Items {
		if checkLetter(l) != nil {
			return bad
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	reply, to := &wire.DirectReply{}, string(w.Nick)
	receivers := s.receiversLocked(to)
	switch {
	case receivers == nil:
		return &wire.DirectReply{Code: wire.Code_NOT_HERE}
	case to != "" && receivers[0].shutsOut(who):
		return &wire.DirectReply{Code: wire.Code_NEED_ACCOUNT}
	case to == "":
		to = s.node.ID
	default:
		reply.Nick, reply.Away = []byte(receivers[0].me.nick), []byte(receivers[0].me.away)
	}
	now := s.h.Now()
	s.personLocked(who, p, now)
	key := letterKey{who, to}
	last, _ := s.letters.get(key)
	for _, l := range w.Items {
		reply.AtMs = append(reply.AtMs, now.UnixMilli())
		if l.Number <= last {
			continue
		}
		last = l.Number
		for _, se := range receivers {
			if se.stream == who && len(w.Nick) == 0 || se.shutsOut(who) {
				continue // what one sends to oneself by nick comes back
			}
			id := letterID(who, l.Number, to)
			se.receivedLocked(id, who)
			se.pushLocked(chat.Message{
				ID: id, At: time.UnixMilli(now.UnixMilli()), From: p.profile(who), Target: se.me.nick,
				Notice: l.Notice, Text: string(l.Text), Tags: tagsFromWire(l.Tags), TagsOnly: l.TagsOnly, More: linesFromWire(l.More),
			})
		}
	}
	s.letters.put(key, last)
	return reply
}

func (s *Service) onInvited(from host.PeerID, w *wire.Invited) *wire.DirectReply {
	who, err := sessionFromWire(w.GetFrom())
	target, err2 := sessionFromWire(w.GetTarget())
	p, err3 := personFromWire(w.GetPerson())
	channel := string(w.GetChannel())
	if err != nil || err2 != nil || err3 != nil || who.Node != from || !chat.ValidChannel(channel) {
		return &wire.DirectReply{Code: wire.Code_BAD_REQUEST}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	se := s.sessions[target.Session]
	if se == nil || se.stream != target {
		return &wire.DirectReply{Code: wire.Code_NOT_HERE}
	}
	se.pushLocked(chat.Invited{Channel: channel, By: p.profile(who), Nick: se.me.nick, Target: se.me.profile(se.stream), At: s.h.Now()})
	return &wire.DirectReply{Nick: []byte(se.me.nick), Away: []byte(se.me.away)}
}

// onWhois tells of a user here what everybody may know, and of his channels
// those that are not secret, or that the asker is on.
func (s *Service) onWhois(w *wire.WhoisAsk) *wire.DirectReply {
	asker, err := sessionFromWire(w.GetAsker())
	if err != nil {
		return &wire.DirectReply{Code: wire.Code_BAD_REQUEST}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	se := s.nicks[string(w.Nick)]
	if se == nil || se.opening || chat.Fold(se.me.nick) != string(w.Nick) {
		return &wire.DirectReply{Code: wire.Code_NOT_HERE}
	}
	reply := &wire.WhoisReply{
		Session: sessionToWire(se.stream), Person: personToWire(se.me),
		SignOnMs: se.signOn.UnixMilli(), IdleMs: s.h.Now().Sub(se.active).Milliseconds(),
	}
	for _, name := range sortedKeys(se.memberships) {
		ms := se.memberships[name]
		if !ms.in {
			continue
		}
		st := ms.v.state
		if _, on := st.members[asker]; on || !st.is('s') {
			reply.Channels = append(reply.Channels, []byte(st.members[se.stream].status.Sign()+ms.v.display()))
		}
	}
	return &wire.DirectReply{Whois: reply}
}
