package ircsim

import (
	"context"
	"fmt"
	"slices"

	"ircbridge/chat"
	"ircbridge/mapping"
)

// network is a node's service, for goroutines. What neither waits nor tells other nodes is asked of the
// service itself: the world stands still while goroutines run.
type network struct {
	*mapping.Service
	net *Network
}

// Open implements chat.Service.
func (s *network) Open(ctx context.Context, u chat.User) (opened chat.Session, err error) {
	s.net.call("open "+u.Nick, func() {
		var se chat.Session
		if se, err = s.Service.Open(ctx, u); err == nil {
			s.net.sessions++
			opened = &session{se.(chat.Taker), s.net, fmt.Sprintf("session %06d ", s.net.sessions)}
		}
	})
	return opened, err
}

// session is a session of a node, for goroutines.
type session struct {
	of  chat.Taker
	net *Network
	key string
}

func (s *session) call(f func()) { s.net.call(s.key, f) }

// Self implements chat.Session.
func (s *session) Self() chat.Profile { return s.of.Self() }

// Joined implements chat.Session.
func (s *session) Joined() []string { return s.of.Joined() }

// Take implements chat.Taker.
func (s *session) Take(events []chat.Event) (int, error) { return s.of.Take(events) }

// Next implements chat.Session.
func (s *session) Next(ctx context.Context) (e chat.Event, err error) {
	s.call(func() { e, err = s.of.Next(ctx) })
	return e, err
}

// Notify implements chat.Taker.
func (s *session) Notify(f func()) {
	s.call(func() { s.of.Notify(func() { s.net.wake(f) }) })
}

func (s *session) SetNick(ctx context.Context, nick string) (err error) {
	s.call(func() { err = s.of.SetNick(ctx, nick) })
	return err
}

func (s *session) SetAway(ctx context.Context, text string) (err error) {
	s.call(func() { err = s.of.SetAway(ctx, text) })
	return err
}

func (s *session) SetRealname(ctx context.Context, realname string) (err error) {
	s.call(func() { err = s.of.SetRealname(ctx, realname) })
	return err
}

func (s *session) SetBot(ctx context.Context, bot bool) (err error) {
	s.call(func() { err = s.of.SetBot(ctx, bot) })
	return err
}

func (s *session) SetAccountsOnly(ctx context.Context, only bool) (err error) {
	s.call(func() { err = s.of.SetAccountsOnly(ctx, only) })
	return err
}

func (s *session) SetMetadata(ctx context.Context, channel string, changes []chat.MetaItem) (err error) {
	s.call(func() { err = s.of.SetMetadata(ctx, channel, changes) })
	return err
}

func (s *session) Join(ctx context.Context, channel, key string) (c chat.Channel, err error) {
	s.call(func() { c, err = s.of.Join(ctx, channel, key) })
	return c, err
}

func (s *session) Part(ctx context.Context, channel, reason string) (err error) {
	s.call(func() { err = s.of.Part(ctx, channel, reason) })
	return err
}

func (s *session) Kick(ctx context.Context, channel, nick, reason string) (err error) {
	s.call(func() { err = s.of.Kick(ctx, channel, nick, reason) })
	return err
}

func (s *session) Invite(ctx context.Context, nick, channel string) (p chat.Profile, err error) {
	s.call(func() { p, err = s.of.Invite(ctx, nick, channel) })
	return p, err
}

func (s *session) Knock(ctx context.Context, channel, text string) (err error) {
	s.call(func() { err = s.of.Knock(ctx, channel, text) })
	return err
}

func (s *session) RenameChannel(ctx context.Context, channel, name, reason string) (err error) {
	s.call(func() { err = s.of.RenameChannel(ctx, channel, name, reason) })
	return err
}

func (s *session) SetTopic(ctx context.Context, channel, topic string) (err error) {
	s.call(func() { err = s.of.SetTopic(ctx, channel, topic) })
	return err
}

func (s *session) SetMode(ctx context.Context, channel string, changes []chat.ModeChange) (made []chat.ModeChange, err error) {
	s.call(func() { made, err = s.of.SetMode(ctx, channel, changes) })
	return made, err
}

// Channel implements chat.Session. Of a channel that the user is on it waits for nobody, and may be asked by who holds
// a lock: then the driver would wait for ever for those who want it.
func (s *session) Channel(ctx context.Context, channel string) (c chat.Channel, err error) {
	if slices.ContainsFunc(s.Joined(), func(on string) bool { return chat.SameName(on, channel) }) {
		return s.of.Channel(ctx, channel)
	}
	s.call(func() { c, err = s.of.Channel(ctx, channel) })
	return c, err
}

func (s *session) List(ctx context.Context) (list []chat.Listed, err error) {
	s.call(func() { list, err = s.of.List(ctx) })
	return list, err
}

func (s *session) Send(m chat.Outgoing) (number uint64, err error) {
	s.call(func() { number, err = s.of.Send(m) })
	return number, err
}

func (s *session) Redact(ctx context.Context, target, id, reason string) (r chat.Redacted, err error) {
	s.call(func() { r, err = s.of.Redact(ctx, target, id, reason) })
	return r, err
}

func (s *session) Flush(ctx context.Context) (err error) {
	s.call(func() { err = s.of.Flush(ctx) })
	return err
}

// Lookup implements chat.Session. A client asks for several at the same time.
func (s *session) Lookup(ctx context.Context, nick string) (w chat.Whois, err error) {
	s.net.call(s.key+nick, func() { w, err = s.of.Lookup(ctx, nick) })
	return w, err
}

func (s *session) Whowas(ctx context.Context, nick string, max int) (list []chat.Past, err error) {
	s.call(func() { list, err = s.of.Whowas(ctx, nick, max) })
	return list, err
}

func (s *session) Watch(ctx context.Context, nicks []string) (list []chat.Presence, err error) {
	s.call(func() { list, err = s.of.Watch(ctx, nicks) })
	return list, err
}

func (s *session) Unwatch(nicks []string) {
	s.call(func() { s.of.Unwatch(nicks) })
}

func (s *session) Keeper(ctx context.Context, channel string) (k chat.Keeper, err error) {
	s.call(func() { k, err = s.of.Keeper(ctx, channel) })
	return k, err
}

func (s *session) Close(reason string) {
	s.call(func() { s.of.Close(reason) })
}

func (s *session) Vanish(reason string) {
	s.call(func() { s.of.Vanish(reason) })
}
