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

// session is one user of this node; a chat.Session. Service.mu guards all of
// it.
type session struct {
	s      *Service
	number uint64
	stream overlay.Stream
	me     person
	signOn time.Time
	active time.Time // last Send
	only   bool      // private messages from users with an account only
	ended  error     // why Next ends; nil while the session lasts
	quits  []func()  // to tell its channels when all before is sent

	opening bool     // Open still waits for the first claim
	claims  []*claim // held or asked for, one of a nick
	won     *won     // who had this nick too and lost it, told last; nil for nobody

	memberships map[string]*membership // by folded channel
	joined      []*membership          // in the order of joining
	lanes       map[string]*lane
	counters    map[string]uint64 // last numbers of lanes that were dropped
	lastLetter  uint64

	queue   []queued
	array   *queueArray // what queue stands in, if it is of the pool
	bytes   int         // of queue
	taken   uint64      // events that were handed out
	stalled bool        // a task watches the queue
	next    host.Event
	notify  func() // instead of next, for who uses Take

	forsaken map[forsaken]struct{} // requests that were given up; nil before the first

	sent        uint64          // number of the last Send
	outstanding map[uint64]bool // sends without outcome
	unsentBytes int             // of these
	lowest      uint64          // every send below it has its outcome
	flushes     []flush

	sentIDs  *cache[string, sentID]         // messages to channels, by ID; nil before the first
	received *cache[string, overlay.Stream] // who sent private messages, by ID; nil before the first
}

// membership is a session's place in a channel, from asking to leaving.
type membership struct {
	v      *view
	number uint64 // of the join
	in     bool   // the view has it
	knew   heads  // how much of the channel was known when it was let in
	first  chat.Channel
	event  host.Event // signalled when in, or over
	over   bool       // refused, or gone again before it was in
	orphan bool       // whoever asked went away
	key    string     // that he gave
	asked  *job
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
	s := se.s
	s.mu.Lock()
	home := s.homeLocked(channel)
	s.mu.Unlock()
	ch, res, err := se.joinAt(ctx, home, channel, key, "")
	if to := string(res.GetHome()); res.GetCode() == wire.Code_ELSEWHERE && chat.ValidChannel(to) {
		to = chat.Fold(to)
		if ch, res, err = se.joinAt(ctx, to, channel, key, ""); res.GetCode() == wire.Code_NO_SUCH_CHANNEL {
			ch, _, err = se.joinAt(ctx, home, channel, key, to) // the alias has outlived its channel
		}
	}
	return ch, err
}

// joinAt joins the channel that lies under a folded name. denied is the home that an alias
// led to, where there is no such channel. The result is the keeper's, where it gave one.
func (se *session) joinAt(ctx context.Context, name, channel, key, denied string) (chat.Channel, *wire.Result, error) {
	fail := func(err error) (chat.Channel, *wire.Result, error) {
		return chat.Channel{}, nil, fmt.Errorf("join %q: %w", chat.Cut(channel, 2*chat.MaxChannel), err)
	}
	s := se.s
	s.mu.Lock()
	if err := se.beginLocked(ctx); err != nil {
		s.mu.Unlock()
		return chat.Channel{}, nil, err
	}
	on := se.memberships[name]
	switch {
	case !chat.ValidChannel(channel):
		s.mu.Unlock()
		return fail(chat.ErrBadChannel)
	case on != nil && on.in && !chat.SameName(on.v.display(), channel):
		defer s.mu.Unlock()
		return fail(&chat.ChannelRenamedError{Name: on.v.display()})
	case on != nil && !on.givenUp():
		s.mu.Unlock()
		return fail(chat.ErrAlreadyJoined)
	case on == nil && len(se.memberships) >= chat.MaxChannels:
		s.mu.Unlock()
		return fail(chat.ErrTooManyChannels)
	}
	ms := on
	if on != nil && (on.key != key || denied != "") {
		se.leaveLocked(on, reqPartOf(""))
		ms = nil
	}
	if ms == nil {
		ms = se.askJoinLocked(name, channel, key, denied)
	}
	ms.orphan = false
	j := ms.asked
	s.mu.Unlock()

	deadline := s.h.Now().Add(2 * s.cfg.GiveUp)
	err := j.wait(ctx, 2*s.cfg.GiveUp)
	for err == nil {
		s.mu.Lock()
		switch {
		case ms.in:
			defer s.mu.Unlock()
			return ms.first, j.res, nil
		case j.done && j.failed() != nil:
			defer s.mu.Unlock()
			_, _, err := fail(j.failed())
			return chat.Channel{}, j.res, err
		case se.ended != nil:
			defer s.mu.Unlock()
			return chat.Channel{}, nil, se.ended
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
		if err = ms.event.Wait(ctx, left); errors.Is(err, host.ErrStopped) {
			return fail(chat.ErrStopped)
		} else if err != nil {
			err = ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !ms.in {
		ms.orphan = true
	} else if se.memberships[name] == ms {
		se.leaveLocked(ms, reqPartOf(""))
	}
	return chat.Channel{}, nil, err
}

// givenUp reports whether he is not in yet, and nobody waits for it any more. Who asks again then waits for the same: were
// it taken back first, it could cost him a status to return to.
func (ms *membership) givenUp() bool { return ms.orphan && !ms.in }

// askJoinLocked asks for a join, and follows the channel from now on.
func (se *session) askJoinLocked(name, channel, key, denied string) *membership {
	v := se.s.viewLocked(name)
	ms := &membership{v: v, event: se.s.h.NewEvent(), key: key}
	if se.memberships == nil {
		se.memberships = map[string]*membership{}
	}
	se.memberships[name] = ms
	j := se.laneLocked(kindChannel, name).addLocked(func(uint64) []byte {
		return encode(&wire.ChannelRequest{What: &wire.ChannelRequest_Join{Join: &wire.Join{
			Name: []byte(channel), Key: []byte(chat.Cut(key, chat.MaxKey+1)), Person: personToWire(se.me),
			Left: se.s.leftUntoldLocked(name, se.me.nick), Denied: []byte(denied),
		}}})
	}, func(j *job) { se.joinDoneLocked(ms, j) })
	ms.number, ms.asked = j.number, j
	j.open = func() bool { return !ms.in && !ms.over && se.memberships[name] == ms }
	v.joining[ms] = j
	return ms
}

// joinDoneLocked hears how a join went. An abandoned one may have happened: it
// is taken back, unless the view has shown it, so that the user was told that he is in.
func (se *session) joinDoneLocked(ms *membership, j *job) {
	delete(ms.v.joining, ms)
	current := se.memberships[ms.v.name] == ms
	if j.err == nil && j.res.Code == wire.Code_OK {
		se.s.untold.drop(leaving{ms.v.name, chat.Fold(se.me.nick)})
	}
	switch {
	case j.err != nil && current && !ms.in:
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
		return fmt.Errorf("part %q: %w", chat.Cut(channel, 2*chat.MaxChannel), chat.ErrNotOnChannel)
	}
	se.leaveLocked(ms, reqPartOf(cleanLine(reason, chat.MaxReason)))
	return nil
}

// onLocked is the session's membership of a channel that it is on, by the name that the
// channel has now, or nil.
func (se *session) onLocked(channel string) *membership {
	if ms := se.memberships[se.s.homeLocked(channel)]; ms != nil && ms.in && chat.SameName(ms.v.display(), channel) {
		return ms
	}
	return nil
}

// leaveLocked ends a membership here at once, and tells the keeper.
func (se *session) leaveLocked(ms *membership, req *wire.ChannelRequest) {
	se.dropLocked(ms)
	ms.v.leaving[se.stream]++
	se.tellLeftLocked(ms, req)
}

// tellLeftLocked tells the keeper of a membership that is over here.
func (se *session) tellLeftLocked(ms *membership, req *wire.ChannelRequest) {
	v, nick := ms.v, se.me.nick
	se.laneLocked(kindChannel, v.name).addLocked(func(uint64) []byte { return encode(req) }, func(j *job) {
		if !req.GetQuit().GetVanished() {
			se.s.untoldLocked(ms, nick, j)
		}
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
		ms.v.disperseLocked()
	}
	ms.over = true
	ms.event.Signal()
	se.laneLocked(kindChannel, name).progress.Signal()
	se.forgetLocked(ms.v.display())
}

// Close implements chat.Session.
func (se *session) Close(reason string) {
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	reason = cleanLine(reason, chat.MaxReason)
	se.closeLocked(reason, false, fmt.Errorf("%w: %s", chat.ErrClosed, reason))
}

// Vanish implements chat.Session.
func (se *session) Vanish(reason string) {
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	reason = cleanLine(reason, chat.MaxReason)
	se.closeLocked(reason, true, fmt.Errorf("%w: %s", chat.ErrClosed, reason))
}

// closeLocked ends the session: its user quits, and Next says why. What waits
// in its lanes is still sent.
func (se *session) closeLocked(reason string, vanished bool, why error) {
	if se.ended != nil {
		return
	}
	se.ended = why
	// Quits would overtake what is on its way to other channels: they wait
	// until all lanes are empty.
	quit := &wire.ChannelRequest{What: &wire.ChannelRequest_Quit{Quit: &wire.Quit{Reason: []byte(reason), Vanished: vanished}}}
	for _, name := range sortedKeys(se.memberships) {
		ms := se.memberships[name]
		se.dropLocked(ms)
		ms.v.leaving[se.stream]++
		se.quits = append(se.quits, func() { se.tellLeftLocked(ms, quit) })
	}
	se.s.over.put(se.stream, se.me)
	delete(se.s.sessions, se.number)
	se.s.ending[se.number] = se
	for _, name := range se.claimed() {
		se.releaseNickLocked(name)
	}
	if name := chat.Fold(se.me.nick); se.s.nicks[name] == se { // whether or not it is claimed
		delete(se.s.nicks, name)
	}
	se.s.refreshNameLocked(se.me.nick)
	se.unwatchAllLocked()
	se.queue, se.array, se.bytes = nil, nil, 0
	se.wakeLocked()
	se.flushedLocked()
	se.endedLocked()
}

// endedLocked goes on with a session that is over when its lanes are empty:
// first the quits, then it is forgotten.
func (se *session) endedLocked() {
	if se.ended == nil {
		return
	}
	for _, l := range se.lanes { // any order: all must be idle
		if l.busy && (l.kind == kindChannel || len(se.quits) == 0) {
			return
		}
	}
	if quits := se.quits; len(quits) > 0 {
		se.quits = nil
		for _, tell := range quits {
			tell()
		}
		return
	}
	delete(se.s.ending, se.number)
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

// SetRealname implements chat.Session.
func (se *session) SetRealname(ctx context.Context, realname string) error {
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	if err := se.beginLocked(ctx); err != nil {
		return err
	}
	me := se.me
	if me.realname = cleanLine(realname, chat.MaxRealname); me != se.me {
		se.publishLocked(me)
	}
	return nil
}

// SetBot implements chat.Session.
func (se *session) SetBot(ctx context.Context, bot bool) error {
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	if err := se.beginLocked(ctx); err != nil {
		return err
	}
	me := se.me
	if me.flags &^= isBot; bot {
		me.flags |= isBot
	}
	if me != se.me {
		se.publishLocked(me)
	}
	return nil
}

// publishLocked makes a change of the session's person known: here at once,
// to others through the lanes of all its channels.
func (se *session) publishLocked(me person) {
	me.version = se.me.version + 1
	renamed, was := me.nick != se.me.nick, se.me.nick
	se.me = me
	if renamed {
		se.s.wantedLocked(me.nick) // first: else his client would take it for its own quit
		se.loseBearerLocked(me.nick, se.stream, se.s.h.Now())
		se.pushLocked(chat.Effected{})
	} else { // else the claim of the new nick says it
		se.tellKeepersLocked()
	}
	se.s.personLocked(se.stream, me, se.s.h.Now())
	if !chat.SameName(was, me.nick) {
		se.s.refreshNameLocked(was)
		se.s.refreshNameLocked(me.nick)
	}
	for _, name := range sortedKeys(se.memberships) {
		j := se.laneLocked(kindChannel, name).addLocked(func(uint64) []byte {
			return encode(&wire.ChannelRequest{What: &wire.ChannelRequest_Person{Person: personToWire(me)}})
		}, nil)
		j.open = se.unseenBy(name, j)
	}
}
