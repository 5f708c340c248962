package mapping

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// session is one user of this node; a chat.Session. Service.mu guards all of
// it.
type session struct {
	s      *Service
	number uint64
	stream overlay.Stream
	me     person
	signOn time.Time
	active time.Time // last Send
	ended  error     // why Next ends; nil while the session lasts

	opening bool              // Open still waits for the first claim
	claims  map[string]*claim // by folded nick: held or asked for

	memberships map[string]*membership // by folded channel
	joined      []*membership          // in the order of joining
	lanes       map[string]*lane
	counters    map[string]uint64 // last numbers of lanes that were dropped
	lastLetter  uint64

	queue   []chat.Event
	bytes   int    // of queue
	taken   uint64 // events that Next has handed out
	stalled bool   // a task watches the queue
	next    host.Event

	sent        uint64          // number of the last Send
	outstanding map[uint64]bool // sends without outcome
	unsentBytes int             // of these
	lowest      uint64          // every send below it has its outcome
	flushes     []flush
}

// membership is a session's place in a channel, from asking to leaving.
type membership struct {
	v      *view
	number uint64 // of the join
	in     bool   // the view has it
	first  chat.Channel
	event  host.Event // signalled when in, or over
	over   bool       // refused, or gone again before it was in
	orphan bool       // whoever asked went away
}

// beginLocked says why a method cannot be served.
func (se *session) beginLocked(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return se.ended
}

// Self implements chat.Session.
func (se *session) Self() chat.Profile {
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	return se.me.profile(se.stream)
}

// Joined implements chat.Session.
func (se *session) Joined() []string {
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	var names []string
	for _, ms := range se.joined {
		names = append(names, ms.v.display())
	}
	return names
}

// Join implements chat.Session.
func (se *session) Join(ctx context.Context, channel, key string) (chat.Channel, error) {
	fail := func(err error) (chat.Channel, error) {
		return chat.Channel{}, fmt.Errorf("join %q: %w", cut(channel, 2*chat.MaxChannel), err)
	}
	s := se.s
	s.mu.Lock()
	if err := se.beginLocked(ctx); err != nil {
		s.mu.Unlock()
		return chat.Channel{}, err
	}
	name := chat.Fold(channel)
	switch {
	case !chat.ValidChannel(channel):
		s.mu.Unlock()
		return fail(chat.ErrBadChannel)
	case se.memberships[name] != nil:
		s.mu.Unlock()
		return fail(chat.ErrAlreadyJoined)
	case len(se.memberships) >= chat.MaxChannels:
		s.mu.Unlock()
		return fail(chat.ErrTooManyChannels)
	}
	ms := se.askJoinLocked(name, channel, key)
	j := ms.v.joining[ms]
	s.mu.Unlock()

	deadline := s.h.Now().Add(2 * s.cfg.GiveUp)
	err := j.wait(ctx, 2*s.cfg.GiveUp)
	for err == nil {
		s.mu.Lock()
		switch {
		case ms.in:
			defer s.mu.Unlock()
			return ms.first, nil
		case j.done && j.failed() != nil:
			defer s.mu.Unlock()
			return fail(j.failed())
		case se.ended != nil:
			defer s.mu.Unlock()
			return chat.Channel{}, se.ended
		case ms.over:
			defer s.mu.Unlock()
			return fail(fmt.Errorf("removed at once: %w", chat.ErrUnreachable))
		}
		left := deadline.Sub(s.h.Now())
		if left <= 0 {
			se.leaveLocked(ms, reqPartOf("")) // nobody would know that he is in
			s.mu.Unlock()
			return fail(chat.ErrUnreachable)
		}
		s.mu.Unlock()
		if err = ms.event.Wait(ctx, left); err != nil && ctx.Err() == nil {
			err = nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !ms.in {
		ms.orphan = true
	} else if se.memberships[name] == ms {
		se.leaveLocked(ms, reqPartOf(""))
	}
	return chat.Channel{}, err
}

// askJoinLocked asks for a join, and follows the channel from now on.
func (se *session) askJoinLocked(name, channel, key string) *membership {
	v := se.s.viewLocked(name)
	ms := &membership{v: v, event: se.s.h.NewEvent()}
	se.memberships[name] = ms
	j := se.laneLocked(kindChannel, name).addLocked(func(uint64) []byte {
		return encode(&wire.ChannelRequest{What: &wire.ChannelRequest_Join{Join: &wire.Join{
			Name: []byte(channel), Key: []byte(cut(key, chat.MaxKey+1)), Person: personToWire(se.me),
		}}})
	}, func(j *job) { se.joinDoneLocked(ms, j) })
	ms.number = j.number
	j.open = func() bool { return !ms.in && !ms.over && se.memberships[name] == ms }
	v.joining[ms] = j
	return ms
}

// joinDoneLocked hears how a join went. An abandoned one may have happened: it
// is taken back.
func (se *session) joinDoneLocked(ms *membership, j *job) {
	delete(ms.v.joining, ms)
	current := se.memberships[ms.v.name] == ms
	switch {
	case j.err != nil && current:
		se.leaveLocked(ms, reqPartOf(""))
	case j.err == nil && j.res.Code != wire.Code_OK && current:
		delete(se.memberships, ms.v.name)
		ms.over = true
		ms.v.releaseLocked()
	}
}

func reqPartOf(reason string) *wire.ChannelRequest {
	return &wire.ChannelRequest{What: &wire.ChannelRequest_Part{Part: &wire.Part{Reason: []byte(reason)}}}
}

// Part implements chat.Session.
func (se *session) Part(ctx context.Context, channel, reason string) error {
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	if err := se.beginLocked(ctx); err != nil {
		return err
	}
	ms := se.onLocked(channel)
	if ms == nil {
		return fmt.Errorf("part %q: %w", cut(channel, 2*chat.MaxChannel), chat.ErrNotOnChannel)
	}
	se.leaveLocked(ms, reqPartOf(cleanLine(reason, chat.MaxReason)))
	return nil
}

// onLocked is the session's membership of a channel that it is on, or nil.
func (se *session) onLocked(channel string) *membership {
	if ms := se.memberships[chat.Fold(channel)]; ms != nil && ms.in {
		return ms
	}
	return nil
}

// leaveLocked ends a membership here at once, and tells the keeper.
func (se *session) leaveLocked(ms *membership, req *wire.ChannelRequest) {
	se.dropLocked(ms)
	v := ms.v
	v.leaving[se.stream]++
	se.laneLocked(kindChannel, v.name).addLocked(func(uint64) []byte { return encode(req) }, func(*job) {
		if v.leaving[se.stream]--; v.leaving[se.stream] == 0 {
			delete(v.leaving, se.stream)
		}
		v.releaseLocked()
	})
}

// dropLocked ends a membership here; its hold of the view goes on until
// releaseLocked.
func (se *session) dropLocked(ms *membership) {
	name := ms.v.name
	if se.memberships[name] == ms {
		delete(se.memberships, name)
	}
	se.joined = slices.DeleteFunc(se.joined, func(x *membership) bool { return x == ms })
	if ms.v.locals[se.number] == ms {
		delete(ms.v.locals, se.number)
	}
	ms.over = true
	ms.event.Signal()
	se.forgetLocked(name)
}

// Close implements chat.Session.
func (se *session) Close(reason string) {
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	reason = cleanLine(reason, chat.MaxReason)
	se.closeLocked(reason, fmt.Errorf("%w: %s", chat.ErrClosed, reason))
}

// closeLocked ends the session: its user quits, and Next says why. What waits
// in its lanes is still sent.
func (se *session) closeLocked(reason string, why error) {
	if se.ended != nil {
		return
	}
	se.ended = why
	for _, name := range sortedKeys(se.memberships) {
		se.leaveLocked(se.memberships[name], &wire.ChannelRequest{
			What: &wire.ChannelRequest_Quit{Quit: &wire.Quit{Reason: []byte(reason)}},
		})
	}
	delete(se.s.sessions, se.number)
	for _, name := range sortedKeys(se.claims) {
		se.releaseNickLocked(name)
	}
	for _, name := range sortedKeys(se.s.nicks) {
		if se.s.nicks[name] == se {
			delete(se.s.nicks, name)
		}
	}
	se.queue, se.bytes = nil, 0
	se.next.Signal()
	se.flushedLocked()
}

// SetTopic implements chat.Session.
func (se *session) SetTopic(ctx context.Context, channel, topic string) error {
	_, err := se.command(ctx, channel, &wire.ChannelRequest{What: &wire.ChannelRequest_Topic{
		Topic: &wire.SetTopic{Text: []byte(cleanLine(topic, chat.MaxTopic))},
	}})
	if err != nil {
		return fmt.Errorf("topic of %q: %w", cut(channel, 2*chat.MaxChannel), err)
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
	res, err := se.do(ctx, chat.Fold(channel), req)
	if err == nil {
		err = errorOf(res)
	}
	return res, err
}

// Kick implements chat.Session.
func (se *session) Kick(ctx context.Context, channel, nick, reason string) error {
	fail := func(err error) error {
		return fmt.Errorf("kick %s from %q: %w", cut(nick, 2*chat.MaxNick), cut(channel, 2*chat.MaxChannel), err)
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

// target finds the member with a nick, for an operator.
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
	if m, ok := ms.v.state.members[se.stream]; ok && m.status&chat.Operator == 0 {
		se.s.mu.Unlock()
		return overlay.Stream{}, chat.ErrNoPrivileges
	}
	who, ok := ms.v.memberLocked(nick)
	se.s.mu.Unlock()
	if ok {
		return who, nil
	}
	if _, _, err := se.s.locate(nick, false, se.s.cfg.GiveUp); err != nil {
		return overlay.Stream{}, err
	}
	return overlay.Stream{}, chat.ErrNotInChannel
}

// Invite implements chat.Session.
func (se *session) Invite(ctx context.Context, nick, channel string) (chat.Profile, error) {
	fail := func(err error) (chat.Profile, error) {
		return chat.Profile{}, fmt.Errorf("invite %s to %q: %w", cut(nick, 2*chat.MaxNick), cut(channel, 2*chat.MaxChannel), err)
	}
	s := se.s
	s.mu.Lock()
	ms := se.onLocked(channel)
	err := se.beginLocked(ctx)
	switch {
	case err != nil:
	case ms == nil:
		err = chat.ErrNotOnChannel
	case ms.v.state.is('i') && ms.v.state.members[se.stream].status&chat.Operator == 0:
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
		Invite: &wire.Invite{Target: sessionToWire(who)},
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
	s.h.Go("mapping invite", func() {
		if _, err := s.o.Direct(who.Node, msg, s.cfg.GiveUp); err != nil {
			s.log.Debug("an invited user's node was not told", "err", err)
		}
	})
	return p.profile(who), nil
}

// SetMode implements chat.Session.
func (se *session) SetMode(ctx context.Context, channel string, changes []chat.ModeChange) ([]chat.ModeChange, error) {
	fail := func(err error) error {
		return fmt.Errorf("mode of %q: %w", cut(channel, 2*chat.MaxChannel), err)
	}
	s := se.s
	if !chat.ValidChannel(channel) {
		return nil, fail(chat.ErrNoSuchChannel)
	}
	s.mu.Lock()
	err := se.beginLocked(ctx)
	ms := se.onLocked(channel)
	if err == nil && ms != nil {
		if m, ok := ms.v.state.members[se.stream]; ok && m.status&chat.Operator == 0 {
			err = fail(chat.ErrNoPrivileges)
		}
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	asked, first := se.modesToWire(ctx, channel, changes)
	if len(asked) == 0 && first != nil {
		return nil, fail(first)
	}
	var done []chat.ModeChange
	for part := range slices.Chunk(asked, maxChanges) {
		res, err := se.do(ctx, chat.Fold(channel), &wire.ChannelRequest{What: &wire.ChannelRequest_Modes{
			Modes: &wire.SetModes{Changes: part},
		}})
		if err == nil {
			err = errorOf(res)
		}
		if err != nil && first == nil {
			first = err
		}
		s.mu.Lock()
		done = append(done, s.modesFromWireLocked(s.views[chat.Fold(channel)], res.GetApplied())...)
		s.mu.Unlock()
	}
	if first != nil {
		return done, fail(first)
	}
	return done, nil
}

// modesToWire finds the sessions of nicks. It returns what can be asked, and
// the first error.
func (se *session) modesToWire(ctx context.Context, channel string, changes []chat.ModeChange) (asked []*wire.ModeChange, first error) {
	for _, c := range changes {
		w := &wire.ModeChange{Add: c.Add, Letter: uint32(c.Mode)}
		switch c.Mode {
		case 'o', 'v':
			if c.Arg == "" {
				first = firstOf(first, fmt.Errorf("mode %c: %w", c.Mode, chat.ErrBadModeParam))
				continue
			}
			who, err := se.target(ctx, channel, c.Arg)
			if err != nil && se.isOn(channel) {
				first = firstOf(first, fmt.Errorf("mode %c %s: %w", c.Mode, cut(c.Arg, 60), err))
				continue
			}
			w.Target = sessionToWire(who)
		default:
			w.Arg = []byte(cut(c.Arg, 2*maxMask))
		}
		asked = append(asked, w)
	}
	return asked, first
}

func (se *session) isOn(channel string) bool {
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	return se.onLocked(channel) != nil
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// SetAway implements chat.Session.
func (se *session) SetAway(ctx context.Context, text string) error {
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	if err := se.beginLocked(ctx); err != nil {
		return err
	}
	text = cleanLine(text, chat.MaxAway)
	if text == se.me.away {
		return nil
	}
	me := se.me
	me.away = text
	se.publishLocked(me)
	return nil
}

// publishLocked makes a change of the session's person known: here at once,
// to others through the lanes of all its channels.
func (se *session) publishLocked(me person) {
	me.version = se.me.version + 1
	se.me = me
	se.s.personLocked(se.stream, me, se.s.h.Now())
	for _, name := range sortedKeys(se.memberships) {
		j := se.laneLocked(kindChannel, name).addLocked(func(uint64) []byte {
			return encode(&wire.ChannelRequest{What: &wire.ChannelRequest_Person{Person: personToWire(me)}})
		}, nil)
		j.open = se.unseenBy(name, j)
	}
}
