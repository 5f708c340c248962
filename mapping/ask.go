package mapping

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// Channel implements chat.Session.
func (se *session) Channel(ctx context.Context, channel string) (chat.Channel, error) {
	s := se.s
	s.mu.Lock()
	if err := se.beginLocked(ctx); err != nil {
		s.mu.Unlock()
		return chat.Channel{}, err
	}
	if ms := se.onLocked(channel); ms != nil {
		defer s.mu.Unlock()
		return ms.v.channelLocked(se), nil
	}
	s.mu.Unlock()
	fail := func(err error) (chat.Channel, error) {
		return chat.Channel{}, fmt.Errorf("channel %q: %w", chat.Cut(channel, 2*chat.MaxChannel), err)
	}
	if !chat.ValidChannel(channel) {
		return fail(chat.ErrNoSuchChannel)
	}
	a, _, err := s.askChannel(ctx, channel)
	switch {
	case err != nil:
		return fail(err)
	case !a.GetExists():
		return fail(chat.ErrNoSuchChannel)
	}
	st, err := stateFromWire(a.State)
	if err != nil || st.name == "" {
		return fail(fmt.Errorf("%w (the keeper's answer is malformed)", chat.ErrUnreachable))
	}
	c := st.channel(st.shown())
	c.Count, c.Secret = int(min(a.Count, maxMembers)), a.Secret
	if !a.Secret {
		c.Members = st.list()
	}
	return c, nil
}

// askChannel asks a channel's keeper about it, where it lies, within what ctx leaves.
func (s *Service) askChannel(ctx context.Context, channel string) (*wire.ChannelAnswer, host.PeerID, error) {
	s.mu.Lock()
	name := s.homeLocked(channel)
	s.mu.Unlock()
	a, keeper, err := s.askKeeper(ctx, name)
	if home := string(a.GetHome()); err == nil && chat.ValidChannel(home) {
		if there, by, err := s.askKeeper(ctx, chat.Fold(home)); err != nil || chat.SameName(string(there.GetState().GetGiven().GetName()), channel) {
			return there, by, err
		}
	}
	return a, keeper, err
}

// askKeeper asks the keeper of a folded name about its channel.
func (s *Service) askKeeper(ctx context.Context, name string) (*wire.ChannelAnswer, host.PeerID, error) {
	d := host.Budget(ctx, s.h.Now(), s.cfg.GiveUp)
	raw, found, keeper, err := s.o.Query(kindChannel, name, nil, d)
	if err != nil {
		if ctx.Err() != nil {
			return nil, "", ctx.Err()
		}
		return nil, "", fmt.Errorf("%w (%v)", chat.ErrUnreachable, err)
	}
	a := new(wire.ChannelAnswer)
	if found {
		if err := decode(raw, a); err != nil {
			return nil, "", fmt.Errorf("%w (%v)", chat.ErrUnreachable, err)
		}
	}
	return a, keeper.Peer.ID, nil
}

// Keeper implements chat.Session.
func (se *session) Keeper(ctx context.Context, channel string) (chat.Keeper, error) {
	s := se.s
	s.mu.Lock()
	err := se.beginLocked(ctx)
	s.mu.Unlock()
	if err != nil {
		return chat.Keeper{}, err
	}
	fail := func(err error) (chat.Keeper, error) {
		return chat.Keeper{}, fmt.Errorf("keeper of %q: %w", chat.Cut(channel, 2*chat.MaxChannel), err)
	}
	if !chat.ValidChannel(channel) {
		return fail(chat.ErrBadChannel)
	}
	a, keeper, err := s.askChannel(ctx, channel)
	if err != nil {
		return fail(err)
	}
	id := nodeID(keeper)
	return chat.Keeper{
		Node: fmt.Sprintf("%x", id), Host: VisibleHost(keeper), Self: keeper == s.self,
		Known: a.GetExists(), Count: int(min(a.GetCount(), maxMembers)),
	}, nil
}

// Lookup implements chat.Session.
func (se *session) Lookup(ctx context.Context, nick string) (chat.Whois, error) {
	fail := func(err error) (chat.Whois, error) {
		return chat.Whois{}, fmt.Errorf("lookup %q: %w", chat.Cut(nick, 2*chat.MaxNick), err)
	}
	s := se.s
	s.mu.Lock()
	err := se.beginLocked(ctx)
	s.mu.Unlock()
	if err != nil {
		return chat.Whois{}, err
	}
	if !chat.ValidNick(nick) {
		return fail(chat.ErrNoSuchNick)
	}
	deadline := s.h.Now().Add(host.Budget(ctx, s.h.Now(), s.cfg.GiveUp))
	ask := encode(&wire.Direct{What: &wire.Direct_Whois{Whois: &wire.WhoisAsk{
		Nick: []byte(chat.Fold(nick)), Asker: sessionToWire(se.stream),
	}}})
	for try := 0; ; try++ {
		if err := ctx.Err(); err != nil {
			return chat.Whois{}, err
		}
		left := deadline.Sub(s.h.Now())
		if left <= 0 {
			return fail(chat.ErrUnreachable)
		}
		var who overlay.Stream
		if try == 0 {
			who, _, err = s.locate(nick, false, left)
		} else {
			who, _, err = s.lookUp(nick, left)
		}
		if err != nil {
			return fail(err)
		}
		reply := new(wire.DirectReply)
		raw, err := s.o.Direct(who.Node, ask, min(left, s.cfg.GiveUp/2))
		switch {
		case err != nil || decode(raw, reply) != nil: // the deadline ends it
		case reply.Whois != nil:
			return whoisFromWire(reply.Whois, who.Node, nick)
		case try >= 2:
			return fail(chat.ErrNoSuchNick)
		}
		if try > 0 && s.h.Sleep(50*time.Millisecond<<min(try, 3)) != nil {
			return fail(chat.ErrUnreachable)
		}
	}
}

// whoisFromWire reads what a user's node says of him.
func whoisFromWire(w *wire.WhoisReply, node host.PeerID, nick string) (chat.Whois, error) {
	who, err := sessionFromWire(w.Session)
	p, err2 := personFromWire(w.Person)
	if err != nil || err2 != nil || who.Node != node || !chat.SameName(p.nick, nick) || len(w.Channels) > 2*chat.MaxChannels {
		return chat.Whois{}, fmt.Errorf("lookup %s: %w (the node's answer is malformed)", nick, chat.ErrUnreachable)
	}
	id := nodeID(node)
	out := chat.Whois{
		Profile: p.profile(who), Node: fmt.Sprintf("%x", id), SignOn: time.UnixMilli(w.SignOnMs),
		Idle: time.Duration(min(max(0, w.IdleMs), 1<<40)) * time.Millisecond,
	}
	for _, c := range w.Channels {
		if name := string(c); chat.ValidChannel(strings.TrimLeft(name, chat.StatusSigns)) {
			out.Channels = append(out.Channels, name)
		}
	}
	return out, nil
}

// List implements chat.Session.
func (se *session) List(ctx context.Context) ([]chat.Listed, error) {
	s := se.s
	s.mu.Lock()
	if err := se.beginLocked(ctx); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	found := map[string]chat.Listed{}
	for name, v := range s.views { // any order: sorted below
		if v.state == nil || v.state.birth.none() {
			continue
		}
		if ms := se.memberships[name]; v.state.is('s') && (ms == nil || !ms.in) {
			continue
		}
		c := v.state.channel(v.display())
		l := chat.Listed{Name: c.Name, Topic: c.Topic.Text, Created: c.Created, Count: c.Count}
		if l.Topic != "" {
			l.TopicAt = c.Topic.At
		}
		found[chat.Fold(l.Name)] = l
	}
	s.mu.Unlock()
	listed, err := s.directory(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range listed {
		if _, ok := found[chat.Fold(l.Name)]; !ok {
			found[chat.Fold(l.Name)] = l
		}
	}
	var list []chat.Listed
	for _, name := range sortedKeys(found) {
		list = append(list, found[name])
	}
	slices.SortStableFunc(list, func(a, b chat.Listed) int { return cmp.Compare(chat.Fold(a.Name), chat.Fold(b.Name)) })
	return list, nil
}
