package mapping

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// claimLocked asks for a nick: the claim is signed, renewed from now on, and
// finish hears how it went.
func (se *session) claimLocked(nick string, finish func(name string, j *job)) *job {
	name := chat.Fold(nick)
	se.s.nicks[name] = se
	se.s.o.Hold(kindNick, name)
	c := &claim{nick: nick, owner: se.stream, person: se.me}
	c.person.nick = nick
	if old := se.claimOf(name); old != nil {
		c.birth = old.birth
	}
	se.dropClaim(name)
	se.claims = append(se.claims, c)
	return se.laneLocked(kindNick, name).addLocked(func(number uint64) []byte {
		c.number = number
		c.signature = se.s.h.Sign(claimBytes(nick, c.owner, number))
		return encode(&wire.NickRequest{What: &wire.NickRequest_Claim{Claim: c.toWire(nil)}})
	}, func(j *job) {
		if j.err == nil && j.res.Code == wire.Code_OK {
			c.birth = birthFromWire(j.res.GetHolder().GetBirth())
		}
		finish(name, j)
	})
}

// claimOf is the session's claim of a folded nick, or nil.
func (se *session) claimOf(name string) *claim {
	for _, c := range se.claims {
		if chat.SameName(c.nick, name) {
			return c
		}
	}
	return nil
}

func (se *session) dropClaim(name string) {
	se.claims = slices.DeleteFunc(se.claims, func(c *claim) bool { return chat.SameName(c.nick, name) })
}

// claimed lists the folded nicks that the session claims, in order.
func (se *session) claimed() (names []string) {
	for _, c := range se.claims {
		names = append(names, chat.Fold(c.nick))
	}
	slices.Sort(names)
	return names
}

// releaseNickLocked gives a claim back.
func (se *session) releaseNickLocked(name string) {
	if se.claimOf(name) == nil {
		return
	}
	se.dropClaim(name)
	if se.s.nicks[name] == se {
		delete(se.s.nicks, name)
	}
	se.laneLocked(kindNick, name).addLocked(func(uint64) []byte {
		return encode(&wire.NickRequest{What: &wire.NickRequest_Release{Release: &wire.Release{}}})
	}, func(*job) {
		se.s.releaseNameLocked(name)
	})
}

// tellKeepersLocked tells the keepers of this session's nicks what is new of
// its person.
func (se *session) tellKeepersLocked() {
	for _, name := range se.claimed() {
		c := se.claimOf(name)
		c.person = se.me
		c.person.nick = c.nick
		req := encode(&wire.NickRequest{What: &wire.NickRequest_Person{Person: personToWire(c.person)}})
		se.laneLocked(kindNick, name).addLocked(func(uint64) []byte { return req }, nil)
	}
}

// firstClaimLocked hears how a claim went that nobody may wait for any more:
// without an answer it is made again, with a refusal the nick is lost.
func (se *session) firstClaimLocked(name string, j *job) {
	switch {
	case j.err != nil:
		se.s.h.Go("mapping claim again", func() { se.claimAgain(name) })
	case se.opening: // Open sees it
	case j.res.Code != wire.Code_OK:
		h, _ := claimFromWire(j.res.GetHolder(), name, nil)
		se.loseNickLocked(name, h)
	}
}

// claimAgain makes a claim again after a pause, unless it is not wanted now.
func (se *session) claimAgain(name string) {
	if se.s.h.Sleep(time.Second) != nil {
		return
	}
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	if se.ended == nil && chat.Fold(se.me.nick) == name {
		se.claimLocked(se.me.nick, se.firstClaimLocked)
	}
}

// loseNickLocked gives the session another nick, because the network says
// that the one it has is another's (h's, nil if it does not say whose): nick-
// and four digits of the node's ID.
func (se *session) loseNickLocked(name string, h *claim) {
	if chat.Fold(se.me.nick) != name || se.ended != nil {
		return
	}
	s := se.s
	old := se.me
	fresh := se.freeNickLocked(old.nick)
	se.claimLocked(fresh, se.firstClaimLocked)
	se.releaseNickLocked(name)
	why := old.nick + " belongs to another user of the network, who had it first"
	if h != nil {
		why = fmt.Sprintf("%s belongs to %s, who had it first", old.nick, h.person.mask(h.owner))
	}
	se.pushLocked(chat.Renamed{Who: old.profile(se.stream), Nick: fresh, Why: why, At: s.h.Now()})
	me := se.me
	me.nick = fresh
	se.publishLocked(me)
	s.log.Info("a user's nick is held by another node; he was renamed", "nick", old.nick, "now", fresh)
}

// freeNickLocked makes a nick that no session of this node has or had.
func (se *session) freeNickLocked(nick string) string {
	digits := se.s.node.ID
	if n := len(nick); n > 5 && nick[n-5] == '-' { // it was one of these
		if _, err := hex.DecodeString(nick[n-4:]); err == nil {
			nick = nick[:n-5]
		}
	}
	base := nick[:min(len(nick), chat.MaxNick-5)] + "-"
	for at := 0; at+4 <= len(digits); at += 4 {
		if n := base + digits[at:at+4]; se.s.nicks[chat.Fold(n)] == nil && !chat.SameName(n, se.me.nick) {
			return n
		}
	}
	return fmt.Sprintf("%s%04x", base, se.s.h.Rand()&0xffff)
}

// SetNick implements chat.Session.
func (se *session) SetNick(ctx context.Context, nick string) error {
	fail := func(err error) error { return fmt.Errorf("nick %q: %w", chat.Cut(nick, 2*chat.MaxNick), err) }
	s := se.s
	s.mu.Lock()
	name := chat.Fold(nick)
	err := se.beginLocked(ctx)
	switch {
	case err != nil:
	case !chat.ValidNick(nick):
		err = fail(chat.ErrBadNick)
	case s.nicks[name] != nil && s.nicks[name] != se:
		err = fail(chat.ErrNickInUse)
	}
	if err != nil || nick == se.me.nick {
		s.mu.Unlock()
		return err
	}
	j := se.claimLocked(nick, func(string, *job) {})
	s.mu.Unlock()

	if err = j.wait(ctx, 2*s.cfg.GiveUp); err == nil {
		se.awaitFree(name, j)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case se.ended != nil:
		return se.ended
	case err == nil && !j.done:
		err = fail(chat.ErrUnreachable)
	case err == nil && j.failed() != nil:
		err = fail(j.failed())
	}
	if err != nil {
		if chat.Fold(se.me.nick) != name {
			se.releaseNickLocked(name)
		}
		return err
	}
	old := chat.Fold(se.me.nick)
	me := se.me
	me.nick = nick
	se.publishLocked(me)
	if old != name {
		se.releaseNickLocked(old)
	}
	return nil
}

// namesakeWait is how long a nick that another had is not taken, while he is still shown
// with it: his change is on its way through another keeper.
const namesakeWait = time.Second

// awaitFree waits, where a claim was granted, until nobody else is shown under the name in this
// session's channels. What happens to him would look like its own to a client that
// has the name already.
func (se *session) awaitFree(name string, j *job) {
	s := se.s
	for end := s.h.Now().Add(namesakeWait); s.h.Now().Before(end); {
		s.mu.Lock()
		free := se.ended != nil || !j.done || j.failed() != nil || !se.meetsLocked(name)
		s.mu.Unlock()
		if free || s.h.Sleep(10*time.Millisecond) != nil {
			return
		}
	}
}

// meetsLocked reports whether another session is shown under a name in one of the
// channels that this one is on.
func (se *session) meetsLocked(name string) bool {
	for _, ms := range se.joined {
		if ms.v.state == nil {
			continue
		}
		for who, m := range ms.v.state.members { // any order: one is enough
			if who != se.stream && chat.SameName(m.person.nick, name) {
				return true
			}
		}
	}
	return false
}

// nickViews is this node's interest in names: its sessions' claims, and what
// they watch.
type nickViews struct{ s *Service }

// Event has the name's state when more than one node claims or watches it.
func (n nickViews) Event(name string, e overlay.Entry) {
	if obj := n.readEvent(name, e); obj != nil {
		n.s.mu.Lock()
		defer n.s.mu.Unlock()
		n.showLocked(name, obj, false, e.At)
	}
}

// Reset has the whole, which may no longer have the claim of who gave the name up; what led
// to it does.
func (n nickViews) Reset(name string, _ overlay.Stamp, snapshot []byte, recent []overlay.Entry) {
	var past []*nickObject
	var times []time.Time
	for _, e := range recent {
		if obj := n.readEvent(name, e); obj != nil {
			past, times = append(past, obj), append(times, e.At)
		}
	}
	whole := n.read(name, snapshot)
	n.s.mu.Lock()
	defer n.s.mu.Unlock()
	for i, obj := range past {
		if w := n.s.watches[name]; w != nil {
			w.saidLocked(obj.holder(), false, times[i])
		}
	}
	if whole != nil {
		n.showLocked(name, whole, true, n.s.h.Now())
	}
	for _, obj := range past { // nobody loses a name by what was
		if se := n.s.nicks[name]; se != nil && !se.opening && chat.Fold(se.me.nick) == name {
			se.keepsNickLocked(obj)
		}
	}
}

// readEvent is read of an event; one that is empty says nothing.
func (n nickViews) readEvent(name string, e overlay.Entry) *nickObject {
	if len(e.Event) == 0 {
		return nil
	}
	return n.read(name, e.Event)
}

// read decodes what a keeper pushed; nil: it cannot be shown.
func (n nickViews) read(name string, b []byte) *nickObject {
	obj, err := decodeNick(b, name)
	if err != nil {
		n.s.log.Warn("a keeper pushed a malformed name; ignored", "nick", name, "err", err)
		return nil
	}
	return obj
}

// showLocked says who holds a name that this node watches, or claims: it may be another.
func (n nickViews) showLocked(name string, obj *nickObject, whole bool, at time.Time) {
	h := obj.holder()
	if w := n.s.watches[name]; w != nil {
		w.saidLocked(h, whole, at)
	}
	se := n.s.nicks[name]
	switch {
	case h == nil || se == nil || se.opening: // Open, or its next renewal, hears of it
	case chat.Fold(se.me.nick) != name:
	case h.owner.Node != n.s.self:
		se.loseNickLocked(name, h)
	default:
		se.keepsNickLocked(obj)
	}
}

// keepsNickLocked tells the user whose claim is in force of those of other nodes.
func (se *session) keepsNickLocked(obj *nickObject) {
	if h := obj.holder(); h == nil || h.owner != se.stream {
		return
	}
	for _, c := range obj.claims {
		if c.owner.Node != se.s.self {
			se.keepNickLocked(c)
		}
	}
}

// won is that a user kept his nick, and somebody else did not.
type won struct {
	from overlay.Stream
	at   time.Time
}

// wonPause is the shortest time between two notices that a user keeps his nick.
const wonPause = 10 * time.Second

// keepNickLocked tells a user that another one had his nick too, and has to
// give it up.
func (se *session) keepNickLocked(loser *claim) {
	now := se.s.h.Now()
	if w := se.won; w != nil && (w.from == loser.owner || now.Sub(w.at) < wonPause) {
		return // told before; and no node can fill a user's screen
	}
	se.won = &won{loser.owner, now}
	se.pushLocked(chat.Notice{At: now, Text: fmt.Sprintf(
		"%s had your nick too, and is given another one: you had it first, and keep it", loser.person.mask(loser.owner),
	)})
}

// claimLocked is the claim of a name that this node renews, or nil.
func (n nickViews) claimLocked(name string) *claim {
	if se := n.s.nicks[name]; se != nil {
		return se.claimOf(name)
	}
	return nil
}

func (n nickViews) Assert(name string) ([]byte, bool) {
	n.s.mu.Lock()
	defer n.s.mu.Unlock()
	obj, held := newNickObject(name), false
	if c := n.claimLocked(name); c != nil && !c.birth.none() {
		obj.claims.put(c)
		held = true
	}
	if w := n.s.watches[name]; w != nil && w.asked {
		obj.takeWatcher(n.s.stream(0))
		held = true
	}
	return obj.Snapshot(), held
}

func (n nickViews) Renewal(name string) ([]byte, bool) {
	n.s.mu.Lock()
	defer n.s.mu.Unlock()
	w, watching := new(wire.Claim), n.s.watches[name] != nil
	switch c := n.claimLocked(name); {
	case c != nil:
		w = c.toWire(nil)
	case !watching:
		return nil, false
	}
	w.Watching = watching
	return encode(w), true
}

// locate finds the session that has a nick: on this node, in what was found
// before (unless asked to look afresh), or through the name's keeper. Errors:
// ErrNoSuchNick, ErrUnreachable.
func (s *Service) locate(nick string, whole bool, d time.Duration) (overlay.Stream, person, error) {
	name := chat.Fold(nick)
	s.mu.Lock()
	if se := s.nicks[name]; se != nil && chat.Fold(se.me.nick) == name {
		who, me := se.stream, se.me
		s.mu.Unlock()
		return who, me, nil
	}
	who, ok := s.located.get(name)
	s.mu.Unlock()
	if ok && !whole {
		return who, person{}, nil
	}
	return s.lookUp(nick, d)
}

// lookUp asks the name's keeper.
func (s *Service) lookUp(nick string, d time.Duration) (overlay.Stream, person, error) {
	fail := func(err error) (overlay.Stream, person, error) {
		return overlay.Stream{}, person{}, fmt.Errorf("nick %q: %w", chat.Cut(nick, 2*chat.MaxNick), err)
	}
	if !chat.ValidNick(nick) {
		return fail(chat.ErrNoSuchNick)
	}
	name := chat.Fold(nick)
	raw, found, _, err := s.o.Query(kindNick, name, nil, d)
	if err != nil {
		return fail(fmt.Errorf("%w (%v)", chat.ErrUnreachable, err))
	}
	a := new(wire.NickAnswer)
	if !found || decode(raw, a) != nil || a.Claim == nil {
		s.mu.Lock()
		s.located.drop(name)
		s.mu.Unlock()
		return fail(chat.ErrNoSuchNick)
	}
	c, err := claimFromWire(a.Claim, name, nil)
	if err != nil {
		s.log.Warn("a keeper showed a bad claim; ignored", "nick", name, "err", err)
		return fail(chat.ErrNoSuchNick)
	}
	s.mu.Lock()
	s.located.put(name, c.owner)
	s.mu.Unlock()
	return c.owner, c.person, nil
}
