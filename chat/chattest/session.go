package chattest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ircbridge/chat"
)

// session is one user. The network's mutex guards all but the channels.
type session struct {
	net    *network
	home   *Service
	wake   chan struct{} // has room for one; says that the queue changed
	notify func()        // instead of wake, for who uses Take

	self     chat.Profile
	signOn   time.Time
	active   time.Time           // last Send
	only     bool                // private messages from users with an account only
	joined   []*channel          // in the order of joining
	watching map[string]*watched // by folded nick
	ended    error               // why Next ends; nil while the session lasts

	queue []chat.Event
	bytes int         // of queue
	taken uint64      // events that Next has handed out
	stall *time.Timer // set while the queue is over its bound

	sent     uint64        // number of the last Send
	unsent   int           // sends without outcome
	settled  chan struct{} // closed and replaced whenever unsent gets less
	lastDone uint64        // number of the last outcome
}

// begin locks the network for a method of a session that lasts. The caller
// unlocks when it got no error.
func (se *session) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	se.net.mu.Lock()
	if se.ended != nil {
		defer se.net.mu.Unlock()
		return se.ended
	}
	return nil
}

// Self implements chat.Session.
func (se *session) Self() chat.Profile {
	se.net.mu.Lock()
	defer se.net.mu.Unlock()
	return se.self
}

// SetNick implements chat.Session.
func (se *session) SetNick(ctx context.Context, nick string) error {
	if err := se.begin(ctx); err != nil {
		return err
	}
	defer se.net.mu.Unlock()
	if err := se.net.checkNickLocked(nick, se); err != nil {
		return err
	}
	if err := se.net.failLocked("SetNick", nick); err != nil {
		return err
	}
	if nick != se.self.Nick {
		se.net.settleLocked(se)
		se.renameLocked(nick, "")
	}
	return nil
}

// renameLocked gives the session a new nick, and tells all who share a
// channel; with why, which means that the network did it, him too.
func (se *session) renameLocked(nick, why string) {
	n := se.net
	e := chat.Renamed{Who: se.self, Nick: nick, Why: why, At: n.opt.Now()}
	around := se.aroundLocked()
	if !chat.SameName(se.self.Nick, nick) {
		se.pastLocked()
	}
	was := se.self.Nick
	delete(n.nicks, chat.Fold(was))
	n.nicks[chat.Fold(nick)] = se
	se.self.Nick = nick
	if why != "" {
		se.pushLocked(e)
	} else {
		se.pushLocked(chat.Effected{})
	}
	e.Why = ""
	for _, other := range around {
		other.pushLocked(e)
	}
	n.presenceLocked(was)
	n.presenceLocked(nick)
}

// aroundLocked lists the other sessions that share a channel, each once.
func (se *session) aroundLocked() []*session {
	seen := map[*session]bool{se: true}
	var list []*session
	for _, c := range se.joined {
		for m := range c.members {
			if !seen[m] && se.meetsLocked(m) {
				seen[m] = true
				list = append(list, m)
			}
		}
	}
	sortSessions(list)
	return list
}

// SetAway implements chat.Session.
func (se *session) SetAway(ctx context.Context, text string) error {
	if err := se.begin(ctx); err != nil {
		return err
	}
	defer se.net.mu.Unlock()
	text = chat.Cut(text, chat.MaxAway)
	if text == se.self.Away {
		return nil
	}
	se.self.Away = text
	e := chat.AwayChanged{Who: se.self, At: se.net.opt.Now()}
	for _, other := range se.aroundLocked() {
		other.pushLocked(e)
	}
	e.Watched = true
	for _, other := range se.watchersLocked() {
		other.pushLocked(e)
	}
	return nil
}

// SetRealname implements chat.Session.
func (se *session) SetRealname(ctx context.Context, realname string) error {
	if err := se.begin(ctx); err != nil {
		return err
	}
	defer se.net.mu.Unlock()
	now := se.self
	now.Realname = chat.Cut(realname, chat.MaxRealname)
	se.changeLocked(now)
	return nil
}

// SetBot implements chat.Session.
func (se *session) SetBot(ctx context.Context, bot bool) error {
	if err := se.begin(ctx); err != nil {
		return err
	}
	defer se.net.mu.Unlock()
	now := se.self
	now.Bot = bot
	se.changeLocked(now)
	return nil
}

// SetAccountsOnly implements chat.Session.
func (se *session) SetAccountsOnly(ctx context.Context, only bool) error {
	if err := se.begin(ctx); err != nil {
		return err
	}
	defer se.net.mu.Unlock()
	se.net.settleLocked(nil)
	se.only = only
	return nil
}

// shutsOutLocked reports whether the session takes no private messages from another.
func (se *session) shutsOutLocked(from *session) bool {
	return se.only && from != se && from.self.Account == ""
}

// changeLocked gives the session another profile, and tells of it if it is one.
func (se *session) changeLocked(now chat.Profile) {
	if now == se.self {
		return
	}
	e := chat.ProfileChanged{Old: se.self, At: se.net.opt.Now()}
	se.self = now
	e.New = se.self
	for _, other := range se.aroundLocked() {
		other.pushLocked(e)
	}
	e.Watched = true
	for _, other := range se.watchersLocked() {
		other.pushLocked(e)
	}
}

// Join implements chat.Session.
func (se *session) Join(ctx context.Context, name, key string) (chat.Channel, error) {
	if err := se.begin(ctx); err != nil {
		return chat.Channel{}, err
	}
	n := se.net
	defer n.mu.Unlock()
	fail := func(err error) (chat.Channel, error) {
		return chat.Channel{}, fmt.Errorf("join %q: %w", chat.Cut(name, 2*chat.MaxChannel), err)
	}
	if !chat.ValidChannel(name) {
		return fail(chat.ErrBadChannel)
	}
	c := n.channelLocked(name)
	if c != nil && slices.Contains(se.joined, c) {
		if !chat.SameName(c.name, name) {
			return fail(&chat.ChannelRenamedError{Name: c.name})
		}
		return fail(chat.ErrAlreadyJoined)
	}
	if len(se.joined) >= chat.MaxChannels {
		return fail(chat.ErrTooManyChannels)
	}
	if err := n.failLocked("Join", name); err != nil {
		return chat.Channel{}, err
	}
	n.settleLocked(se)
	c, status, err := n.enterLocked(c, se, name, key)
	if err != nil {
		return fail(err)
	}
	delete(c.invited, se)
	c.members[se] = status
	se.joined = append(se.joined, c)
	c.tellLocked(chat.Joined{Channel: c.name, Who: se.self, Status: status, At: n.opt.Now()}, se)
	return c.viewLocked(se), nil
}

// Part implements chat.Session.
func (se *session) Part(ctx context.Context, name, reason string) error {
	c, err := se.beginOn(ctx, name)
	if err != nil {
		return fmt.Errorf("part %q: %w", chat.Cut(name, 2*chat.MaxChannel), err)
	}
	n := se.net
	defer n.mu.Unlock()
	n.settleLocked(se)
	n.removeLocked(c, se)
	se.forgetLocked(c.name)
	c.tellLocked(chat.Parted{Channel: c.name, Who: se.self, Reason: chat.Cut(reason, chat.MaxReason), At: n.opt.Now()}, se)
	return nil
}

// beginOn is begin for a method on a channel that the session is on.
func (se *session) beginOn(ctx context.Context, name string) (*channel, error) {
	if err := se.begin(ctx); err != nil {
		return nil, err
	}
	if c := se.net.channelLocked(name); c != nil && slices.Contains(se.joined, c) && chat.SameName(c.name, name) {
		return c, nil
	}
	defer se.net.mu.Unlock()
	return nil, chat.ErrNotOnChannel
}

// Kick implements chat.Session.
func (se *session) Kick(ctx context.Context, name, nick, reason string) error {
	fail := func(err error) error {
		return fmt.Errorf("kick %s from %q: %w", chat.Cut(nick, 2*chat.MaxNick), chat.Cut(name, 2*chat.MaxChannel), err)
	}
	c, err := se.beginOn(ctx, name)
	if err != nil {
		return fail(err)
	}
	n := se.net
	defer n.mu.Unlock()
	if !c.members[se].AtLeast(chat.HalfOperator) {
		return fail(chat.ErrNoPrivileges)
	}
	who, err := n.nickLocked(se, nick)
	if err != nil {
		return fail(err)
	}
	status, on := c.members[who]
	switch {
	case !on:
		return fail(chat.ErrNotInChannel)
	case !c.members[se].Rules(status):
		return fail(chat.ErrNoPrivileges)
	}
	if err := n.failLocked("Kick", name); err != nil {
		return err
	}
	n.settleLocked(se)
	e := chat.Kicked{Channel: c.name, Who: who.self, By: se.self.Mask(), Reason: chat.Cut(reason, chat.MaxReason), At: n.opt.Now()}
	c.tellLocked(e, se)
	se.pushLocked(chat.Effected{Kicked: who.self.Nick})
	n.removeLocked(c, who)
	if who == se {
		se.forgetLocked(c.name)
	}
	return nil
}

// Invite implements chat.Session.
func (se *session) Invite(ctx context.Context, nick, name string) (chat.Profile, error) {
	fail := func(err error) (chat.Profile, error) {
		return chat.Profile{}, fmt.Errorf("invite %s to %q: %w", chat.Cut(nick, 2*chat.MaxNick), chat.Cut(name, 2*chat.MaxChannel), err)
	}
	c, err := se.beginOn(ctx, name)
	if err != nil {
		return fail(err)
	}
	n := se.net
	defer n.mu.Unlock()
	if c.modes.InviteOnly && !c.members[se].AtLeast(chat.HalfOperator) {
		return fail(chat.ErrNoPrivileges)
	}
	who, err := n.nickLocked(se, nick)
	if err != nil {
		return fail(err)
	}
	if _, on := c.members[who]; on {
		return fail(chat.ErrUserOnChannel)
	}
	if err := n.failLocked("Invite", name); err != nil {
		return chat.Profile{}, err
	}
	n.settleLocked(se)
	c.invited[who] = true
	e := chat.Invited{Channel: c.name, By: se.self, Nick: who.self.Nick, Target: who.self, At: n.opt.Now()}
	who.pushLocked(e)
	for _, m := range c.sortedLocked() {
		if m != se && c.members[m].AtLeast(chat.HalfOperator) && se.meetsLocked(m) {
			m.pushLocked(e)
		}
	}
	return who.self, nil
}

// SetTopic implements chat.Session.
func (se *session) SetTopic(ctx context.Context, name, topic string) error {
	c, err := se.beginOn(ctx, name)
	if err != nil {
		return fmt.Errorf("topic of %q: %w", chat.Cut(name, 2*chat.MaxChannel), err)
	}
	n := se.net
	defer n.mu.Unlock()
	if c.modes.TopicLock && !c.members[se].AtLeast(chat.HalfOperator) {
		return fmt.Errorf("topic of %s: %w", c.name, chat.ErrNoPrivileges)
	}
	if err := n.failLocked("SetTopic", name); err != nil {
		return err
	}
	n.settleLocked(se)
	c.topic = chat.Topic{Text: chat.Cut(topic, chat.MaxTopic), By: se.self.Mask(), At: n.opt.Now()}
	c.tellLocked(chat.TopicChanged{Channel: c.name, Topic: c.topic}, se)
	se.pushLocked(chat.Effected{})
	return nil
}

// SetMode implements chat.Session.
func (se *session) SetMode(ctx context.Context, name string, changes []chat.ModeChange) ([]chat.ModeChange, error) {
	if err := se.begin(ctx); err != nil {
		return nil, err
	}
	n := se.net
	defer n.mu.Unlock()
	c := n.channelLocked(name)
	if c == nil || !chat.SameName(c.name, name) {
		return nil, fmt.Errorf("mode of %q: %w", chat.Cut(name, 2*chat.MaxChannel), chat.ErrNoSuchChannel)
	}
	status := c.members[se]
	if !status.AtLeast(chat.HalfOperator) {
		return nil, fmt.Errorf("mode of %s: %w", c.name, chat.ErrNoPrivileges)
	}
	if err := n.failLocked("SetMode", name); err != nil {
		return nil, err
	}
	n.settleLocked(se)
	var done []chat.ModeChange
	var wrong []error
	for _, m := range changes {
		as, changed, err := n.changeLocked(c, se, status, m)
		if err != nil {
			wrong = append(wrong, &chat.ModeError{Change: m, Err: err})
		}
		if changed {
			done = append(done, as)
		}
	}
	if len(done) > 0 {
		e := chat.ModeChanged{Channel: c.name, By: se.self.Mask(), Changes: slices.Clone(done), At: n.opt.Now()}
		c.tellLocked(e, se)
		se.pushLocked(chat.Effected{})
	}
	if err := errors.Join(wrong...); err != nil {
		return done, fmt.Errorf("mode of %s: %w", c.name, err)
	}
	return done, nil
}

// Close implements chat.Session.
func (se *session) Close(reason string) {
	se.net.mu.Lock()
	defer se.net.mu.Unlock()
	se.net.settleLocked(se)
	se.closeLocked(reason, false, fmt.Errorf("%w: %s", chat.ErrClosed, chat.Cut(reason, chat.MaxReason)))
}

// Vanish implements chat.Session.
func (se *session) Vanish(reason string) {
	se.net.mu.Lock()
	defer se.net.mu.Unlock()
	se.net.settleLocked(se)
	se.closeLocked(reason, true, fmt.Errorf("%w: %s", chat.ErrClosed, chat.Cut(reason, chat.MaxReason)))
}

// closeLocked ends the session: its user quits, and Next says why.
func (se *session) closeLocked(reason string, vanished bool, why error) {
	if se.ended != nil {
		return
	}
	n := se.net
	se.ended = why
	e := chat.Quit{Who: se.self, Reason: chat.Cut(reason, chat.MaxReason), At: n.opt.Now()}
	around := se.aroundLocked()
	for _, c := range slices.Clone(se.joined) {
		if vanished {
			c.former[former{se.home, chat.Fold(se.self.Nick)}] = c.members[se]
		}
		n.removeLocked(c, se)
	}
	for _, c := range n.channels {
		delete(c.invited, se)
	}
	se.pastLocked()
	delete(n.nicks, chat.Fold(se.self.Nick))
	n.waiting = slices.DeleteFunc(n.waiting, func(p pending) bool { return p.from == se })
	se.queue, se.bytes = nil, 0
	if se.stall != nil {
		se.stall.Stop()
		se.stall = nil
	}
	close(se.settled)
	se.settled = make(chan struct{})
	se.wakeLocked()
	for _, other := range around {
		other.pushLocked(e)
	}
	n.presenceLocked(se.self.Nick)
}
