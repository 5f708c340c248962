package mapping

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// SetTopic implements chat.Session.
func (se *session) SetTopic(ctx context.Context, channel, topic string) error {
	_, err := se.command(ctx, channel, &wire.ChannelRequest{What: &wire.ChannelRequest_Topic{
		Topic: &wire.SetTopic{Text: []byte(cleanLine(topic, chat.MaxTopic))},
	}})
	if err != nil {
		return fmt.Errorf("topic of %q: %w", chat.Cut(channel, 2*chat.MaxChannel), err)
	}
	return nil
}

// command asks something of a channel that the session is on.
func (se *session) command(ctx context.Context, channel string, req *wire.ChannelRequest) (*wire.Result, error) {
	se.s.mu.Lock()
	err := se.beginLocked(ctx)
	if err == nil && se.onLocked(channel) == nil {
		err = chat.ErrNotOnChannel
	}
	se.s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	res, err := se.do(ctx, channel, req)
	if err == nil {
		err = errorOf(res)
	}
	return res, err
}

// Kick implements chat.Session.
func (se *session) Kick(ctx context.Context, channel, nick, reason string) error {
	fail := func(err error) error {
		return fmt.Errorf("kick %s from %q: %w", chat.Cut(nick, 2*chat.MaxNick), chat.Cut(channel, 2*chat.MaxChannel), err)
	}
	target, err := se.target(ctx, channel, nick)
	if err != nil {
		return fail(err)
	}
	_, err = se.command(ctx, channel, &wire.ChannelRequest{What: &wire.ChannelRequest_Kick{
		Kick: &wire.Kick{Target: sessionToWire(target), Reason: []byte(cleanLine(reason, chat.MaxReason))},
	}})
	if err != nil {
		return fail(err)
	}
	return nil
}

// target finds the member with a nick, for an operator or half operator. Who is not in the view may
// have come a moment ago: the keeper knows.
func (se *session) target(ctx context.Context, channel, nick string) (overlay.Stream, error) {
	se.s.mu.Lock()
	if err := se.beginLocked(ctx); err != nil {
		se.s.mu.Unlock()
		return overlay.Stream{}, err
	}
	ms := se.onLocked(channel)
	if ms == nil {
		se.s.mu.Unlock()
		return overlay.Stream{}, chat.ErrNotOnChannel
	}
	if m, ok := ms.v.state.members[se.stream]; ok && !m.status.AtLeast(chat.HalfOperator) {
		se.s.mu.Unlock()
		return overlay.Stream{}, chat.ErrNoPrivileges
	}
	who, ok := ms.v.memberLocked(nick, se.number)
	se.s.mu.Unlock()
	if ok {
		return who, nil
	}
	who, _, err := se.s.locate(nick, false, se.s.cfg.GiveUp)
	return who, err
}

// Invite implements chat.Session.
func (se *session) Invite(ctx context.Context, nick, channel string) (chat.Profile, error) {
	fail := func(err error) (chat.Profile, error) {
		return chat.Profile{}, fmt.Errorf("invite %s to %q: %w", chat.Cut(nick, 2*chat.MaxNick), chat.Cut(channel, 2*chat.MaxChannel), err)
	}
	s := se.s
	s.mu.Lock()
	ms := se.onLocked(channel)
	err := se.beginLocked(ctx)
	switch {
	case err != nil:
	case ms == nil:
		err = chat.ErrNotOnChannel
	case ms.v.state.is('i') && !ms.v.state.members[se.stream].status.AtLeast(chat.HalfOperator):
		err = chat.ErrNoPrivileges
	}
	s.mu.Unlock()
	if err != nil {
		return fail(err)
	}
	who, p, err := s.locate(nick, true, s.cfg.GiveUp)
	if err != nil {
		return fail(err)
	}
	res, err := se.command(ctx, channel, &wire.ChannelRequest{What: &wire.ChannelRequest_Invite{
		Invite: &wire.Invite{Target: sessionToWire(who), Person: personToWire(p)},
	}})
	if err != nil {
		return fail(err)
	}
	s.mu.Lock()
	me := se.me
	s.mu.Unlock()
	msg := encode(&wire.Direct{What: &wire.Direct_Invited{Invited: &wire.Invited{
		From: sessionToWire(se.stream), Person: personToWire(me), Target: sessionToWire(who), Channel: res.Name,
	}}})
	answer, err := s.o.Direct(who.Node, msg, host.Budget(ctx, s.h.Now(), time.Second))
	reply := new(wire.DirectReply)
	switch {
	case err != nil: // he may pass all the same
		s.log.Debug("an invited user's node was not told", "err", err)
	case decode(answer, reply) == nil && reply.Code == wire.Code_OK:
		p.away = string(reply.Away) // his claim may be older
	}
	return p.profile(who), nil
}

// SetMode implements chat.Session.
func (se *session) SetMode(ctx context.Context, channel string, changes []chat.ModeChange) ([]chat.ModeChange, error) {
	fail := func(err error) error {
		return fmt.Errorf("mode of %q: %w", chat.Cut(channel, 2*chat.MaxChannel), err)
	}
	s := se.s
	if !chat.ValidChannel(channel) {
		return nil, fail(chat.ErrNoSuchChannel)
	}
	s.mu.Lock()
	err := se.beginLocked(ctx)
	ms := se.onLocked(channel)
	if v := s.views[s.homeLocked(channel)]; err == nil && ms == nil && v != nil && !chat.SameName(v.display(), channel) {
		err = fail(chat.ErrNoSuchChannel) // it has another name
	}
	if err == nil && ms != nil {
		if m, ok := ms.v.state.members[se.stream]; ok && !m.status.AtLeast(chat.HalfOperator) {
			err = fail(chat.ErrNoPrivileges)
		}
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	asked := se.modesToWire(ctx, channel, changes)
	var done []chat.ModeChange
	for part := range slices.Chunk(asked.known(), maxChanges) {
		applied, err := se.askModes(ctx, channel, part)
		s.mu.Lock()
		done = append(done, s.modesFromWireLocked(s.views[s.homeLocked(channel)], applied)...)
		s.mu.Unlock()
		if err != nil {
			return done, fail(err)
		}
	}
	if err := asked.errors(); err != nil {
		return done, fail(err)
	}
	return done, nil
}

// askedMode is a change that a user asks for, and what came of it.
type askedMode struct {
	change chat.ModeChange
	wire   *wire.ModeChange
	err    error
}

type askedModes []*askedMode

// known are those that the keeper can be asked for.
func (l askedModes) known() askedModes {
	return slices.DeleteFunc(slices.Clone(l), func(m *askedMode) bool { return m.err != nil })
}

// errors is what is wrong with some, or nil.
func (l askedModes) errors() error {
	var all []error
	for _, m := range l {
		if m.err != nil {
			all = append(all, &chat.ModeError{Change: m.change, Err: m.err})
		}
	}
	return errors.Join(all...)
}

// askModes asks a channel's keeper for changes, and notes with each why it was not
// made. The error is about all.
func (se *session) askModes(ctx context.Context, channel string, list askedModes) (applied []*wire.ModeChange, err error) {
	w := new(wire.SetModes)
	for _, m := range list {
		w.Changes = append(w.Changes, m.wire)
	}
	res, err := se.do(ctx, channel, &wire.ChannelRequest{What: &wire.ChannelRequest_Modes{Modes: w}})
	if len(res.GetRefused()) == 0 && err == nil {
		err = errorOf(res)
	}
	for _, r := range res.GetRefused() {
		if i := int(r.GetIndex()); i < len(list) {
			list[i].err = sentinelOf(r.GetCode())
		}
	}
	return res.GetApplied(), err
}

// modesToWire finds the sessions of nicks.
func (se *session) modesToWire(ctx context.Context, channel string, changes []chat.ModeChange) (asked askedModes) {
	for _, c := range changes {
		m := &askedMode{change: c, wire: &wire.ModeChange{Add: c.Add, Letter: uint32(c.Mode)}}
		asked = append(asked, m)
		switch {
		case chat.StatusOf(c.Mode) == 0:
			m.wire.Arg = []byte(chat.Cut(c.Arg, 2*chat.MaxMask))
		case c.Arg == "":
			m.err = chat.ErrBadModeParam
		default:
			who, err := se.target(ctx, channel, c.Arg)
			if err != nil && se.isOn(channel) {
				m.err = err
			}
			m.wire.Target = sessionToWire(who)
		}
	}
	return asked
}

func (se *session) isOn(channel string) bool {
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	return se.onLocked(channel) != nil
}
