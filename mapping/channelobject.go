package mapping

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// turn is what an object needs of an overlay.Turn.
type turn interface {
	From() overlay.Stream
	Number() uint64
	Now() time.Time
	Rand() uint64
	Stamp() overlay.Stamp
	Emit(event []byte) overlay.Stamp
	EmitEarly(event []byte) overlay.Stamp
	SubscribersChanged()
}

// channelObject is the keeper's side of a channel: the rules of IRC for
// senders on any node. It is plain, deterministic state (overlay.Object); the
// overlay calls one method at a time.
type channelObject struct {
	name string // folded
	s    *state
	// linger has the nodes whose last member was removed by somebody else,
	// and until when they are still told what happens: else they would not
	// hear of the removal itself. It is not handed over.
	linger map[host.PeerID]int64
	now    int64 // of the last turn, Unix milliseconds
}

func newChannelObject(name string) *channelObject {
	return &channelObject{name: name, s: newState(), linger: map[host.PeerID]int64{}}
}

// lingerFor is how long a node without members is still told, in ms: two
// renewals.
const lingerFor = 60_000

// emptyFor is how long a channel without members remembers its removals, in
// ms: two leases.
const emptyFor = 180_000

func (c *channelObject) Apply(t *overlay.Turn, req []byte) []byte { return c.apply(t, req) }

func (c *channelObject) Renew(t *overlay.Turn, node host.PeerID, run uint64, payload []byte) bool {
	return c.renew(t, node, run, payload)
}

func (c *channelObject) NodeGone(t *overlay.Turn, node host.PeerID, keep uint64) {
	c.nodeGone(t, node, keep)
}

func (c *channelObject) apply(t turn, req []byte) []byte {
	c.now = t.Now().UnixMilli()
	w := new(wire.ChannelRequest)
	if err := decode(req, w); err != nil {
		return encode(refuse(wire.Code_BAD_REQUEST))
	}
	res := c.request(t, w)
	res.AtMs, res.Name = c.now, []byte(c.s.name)
	if w.GetMessage() == nil {
		c.s.prune(c.now)
	}
	return encode(res)
}

func (c *channelObject) request(t turn, w *wire.ChannelRequest) *wire.Result {
	from := t.From()
	switch w := w.What.(type) {
	case *wire.ChannelRequest_Join:
		return c.join(t, w.Join)
	case *wire.ChannelRequest_Part:
		return c.leave(t, w.Part.GetReason(), &wire.ChannelEvent{What: &wire.ChannelEvent_Parted{Parted: w.Part}})
	case *wire.ChannelRequest_Quit:
		return c.leave(t, w.Quit.GetReason(), &wire.ChannelEvent{What: &wire.ChannelEvent_Quit{Quit: w.Quit}})
	case *wire.ChannelRequest_Message:
		return c.message(t, w.Message)
	case *wire.ChannelRequest_Topic:
		return c.setTopic(t, w.Topic)
	case *wire.ChannelRequest_Modes:
		return c.setModes(t, w.Modes)
	case *wire.ChannelRequest_Kick:
		return c.kick(t, w.Kick)
	case *wire.ChannelRequest_Invite:
		return c.invite(t, w.Invite)
	case *wire.ChannelRequest_Knock:
		return c.knock(t, w.Knock)
	case *wire.ChannelRequest_Person:
		p, err := personFromWire(w.Person)
		m, ok := c.s.members[from]
		switch {
		case err != nil:
			return refuse(wire.Code_BAD_REQUEST)
		case !ok:
			return refuse(wire.Code_NOT_ON_CHANNEL)
		case newer(m.person, p) == m.person:
			return &wire.Result{} // a copy that came later than another
		}
		return c.emit(t, &wire.ChannelEvent{What: &wire.ChannelEvent_Person{Person: w.Person}})
	case *wire.ChannelRequest_Redact:
		return c.redact(t, w.Redact)
	case *wire.ChannelRequest_Metadata:
		return c.setMetadata(t, w.Metadata)
	case *wire.ChannelRequest_Merge:
		return c.mergePart(t, w.Merge)
	}
	return refuse(wire.Code_BAD_REQUEST)
}

func refuse(code wire.Code) *wire.Result { return &wire.Result{Code: code} }

// emit makes an event part of the state and of the log.
func (c *channelObject) emit(t turn, ev *wire.ChannelEvent) *wire.Result {
	c.s.apply(c.step(t), ev)
	if ev.GetMessage() != nil {
		t.EmitEarly(encode(ev))
	} else {
		t.Emit(encode(ev))
	}
	return &wire.Result{Event: true}
}

func (c *channelObject) step(t turn) step {
	return step{stamp: t.Stamp(), at: t.Now().UnixMilli(), from: t.From(), number: t.Number()}
}

// maskOf is nick!user@host of a member.
func (c *channelObject) maskOf(who overlay.Stream) string { return c.s.members[who].person.mask(who) }

// join lets a session in. The first one founds the channel and is its
// operator. Who returns after he vanished gets his status back; on a channel that
// rests the first one is its operator only if no operator may return. Who left, without
// being heard, has nothing to return to.
func (c *channelObject) join(t turn, w *wire.Join) *wire.Result {
	p, err := personFromWire(w.GetPerson())
	name := string(w.GetName())
	if err != nil || !chat.ValidChannel(name) || chat.Fold(name) != c.name {
		return refuse(wire.Code_BAD_REQUEST)
	}
	from := t.From()
	joined := &wire.Joined{Person: personToWire(p)}
	old, again := c.s.members[from]
	invitation, invited := c.s.invitations[from]
	invited = invited && !invitation.gone
	modes, lists := c.s.modes, c.s.lists
	status, returns := c.s.returning(from.Node, p.nick, c.now)
	var left formerID
	if w.Left {
		left = formerID{from.Node, chat.Fold(p.nick)}
		status, returns = 0, false
		if len(c.s.members) > 1 {
			old.status = 0
		}
	}
	_, operator := c.s.awaited(c.now, left)
	resting := c.s.resting(c.now)
	if resting {
		modes, lists = c.s.rest.modes, c.s.rest.lists
		joined.Birth, joined.Name = birthToWire(c.s.rest.birth), []byte(c.s.rest.name)
	}
	switch {
	case resting && !operator:
		// Of a birth of his own: should the channel have gone on elsewhere, it is
		// the older one, and he its operator no more.
		joined.Birth.AtMs, joined.Birth.Random = t.Now().UnixMilli(), t.Rand()
		joined.Status, joined.Inherits = uint32(chat.Operator), true
	case len(c.s.members) == 0 && !resting:
		joined.Birth = &wire.Birth{AtMs: t.Now().UnixMilli(), Random: t.Rand()}
		joined.Name = []byte(name)
		joined.Status = uint32(chat.Operator)
	case again: // his leaving was lost on the way
		joined.Status = uint32(old.status)
	case lists.ban(p, from):
		return refuse(wire.Code_BANNED)
	case len(c.s.members) >= maxMembers:
		return refuse(wire.Code_CHANNEL_FULL)
	case returns && status&chat.Operator != 0: // above the rules that he may have made himself
		joined.Status = uint32(status)
	case modes['R'].on && accountOf(from) == "":
		return refuse(wire.Code_NEED_ACCOUNT)
	case modes['i'].on && !invited && !lists.of('I').match(false, p, from):
		return refuse(wire.Code_INVITE_ONLY)
	case modes['k'].on && modes['k'].key != string(w.Key):
		return refuse(wire.Code_BAD_KEY)
	case modes['l'].on && len(c.s.members) >= modes['l'].limit:
		return refuse(wire.Code_CHANNEL_FULL)
	default:
		joined.Invited, joined.Status = invited, uint32(status)
	}
	t.SubscribersChanged()
	return c.emit(t, &wire.ChannelEvent{What: &wire.ChannelEvent_Joined{Joined: joined}})
}

// leave is a part or a quit. It is remembered even if the session is not
// here: a copy that still has it may come.
func (c *channelObject) leave(t turn, reason []byte, ev *wire.ChannelEvent) *wire.Result {
	if len(reason) > chat.MaxReason || !oneLine(string(reason)) {
		return refuse(wire.Code_BAD_REQUEST)
	}
	if len(c.s.heads) == 0 && len(c.s.members) == 0 {
		return refuse(wire.Code_NOT_ON_CHANNEL)
	}
	t.SubscribersChanged()
	return c.emit(t, ev)
}

// message lets a member speak, and others too unless the modes forbid it (RFC
// 2812, section 3.3.1: +n, +m and bans, which operators and the voiced are
// above; +C, which nobody is).
func (c *channelObject) message(t turn, w *wire.Message) *wire.Result {
	if err := checkMessage(w); err != nil {
		return &wire.Result{Code: wire.Code_CANNOT_SEND, Detail: err.Error()}
	}
	m, on := c.s.members[t.From()]
	if on {
		w.Person = nil
	} else if w.Person != nil {
		m.person, _ = personFromWire(w.Person)
	}
	if len(c.s.members) == 0 {
		return refuse(wire.Code_NO_SUCH_CHANNEL)
	}
	if c.s.is('C') && slices.ContainsFunc(append(linesFromWire(w.More), chat.Line{Text: string(w.Text)}), chat.Line.IsCTCP) {
		return &wire.Result{Code: wire.Code_CANNOT_SEND, Mode: "+C", Member: on}
	}
	if mode := c.muted(t.From(), m, on || w.Person != nil, on); mode != "" {
		return &wire.Result{Code: wire.Code_CANNOT_SEND, Mode: mode, Member: on}
	}
	w.After = min(max(w.After, c.s.lastSaid(t.From())), t.Number()-1)
	res := c.emit(t, &wire.ChannelEvent{What: &wire.ChannelEvent_Message{Message: w}})
	res.Member = on
	return res
}

// muted says which mode forbids somebody to speak, "" if he may.
func (c *channelObject) muted(who overlay.Stream, m member, known, on bool) string {
	switch {
	case m.status != 0:
	case !on && (c.s.is('n') || !known):
		return "+n"
	case c.s.is('m'):
		return "+m"
	case c.s.lists.ban(m.person, who):
		return "+b"
	case c.s.lists.mute(m.person, who):
		return "+b m:"
	}
	return ""
}

func (c *channelObject) setTopic(t turn, w *wire.SetTopic) *wire.Result {
	m, on := c.s.members[t.From()]
	switch {
	case len(w.GetText()) > chat.MaxTopic || !oneLine(string(w.GetText())):
		return refuse(wire.Code_BAD_REQUEST)
	case !on:
		return refuse(wire.Code_NOT_ON_CHANNEL)
	case c.s.is('t') && m.status&chat.Operator == 0:
		return refuse(wire.Code_NO_PRIVILEGES)
	}
	return c.emit(t, &wire.ChannelEvent{
		By: []byte(c.maskOf(t.From())), What: &wire.ChannelEvent_Topic{Topic: &wire.Topic{Text: w.Text}},
	})
}

// setModes makes those changes that can be made, and answers which cannot, and
// with the code of the first of them.
func (c *channelObject) setModes(t turn, w *wire.SetModes) *wire.Result {
	m := c.s.members[t.From()]
	switch {
	case len(w.GetChanges()) > maxChanges:
		return refuse(wire.Code_BAD_REQUEST)
	case len(c.s.members) == 0:
		return refuse(wire.Code_NO_SUCH_CHANNEL)
	case m.status&chat.Operator == 0:
		return refuse(wire.Code_NO_PRIVILEGES)
	}
	res, by, st := new(wire.Result), c.maskOf(t.From()), c.step(t)
	for i, change := range w.Changes {
		done, code := c.s.change(change)
		if code != wire.Code_OK {
			res.Refused = append(res.Refused, &wire.Refused{Index: uint32(i), Code: code})
			res.Code = res.Refused[0].Code
		}
		if done != nil {
			c.s.applyMode(st, by, done) // the next one builds on it
			res.Applied = append(res.Applied, done)
		}
	}
	if len(res.Applied) > 0 {
		c.emit(t, &wire.ChannelEvent{
			By: []byte(by), What: &wire.ChannelEvent_Modes{Modes: &wire.SetModes{Changes: res.Applied}},
		})
		res.Event = true
	}
	return res
}

func (c *channelObject) kick(t turn, w *wire.Kick) *wire.Result {
	m, on := c.s.members[t.From()]
	target, err := sessionFromWire(w.GetTarget())
	victim, there := c.s.members[target]
	switch {
	case err != nil || len(w.GetReason()) > chat.MaxReason || !oneLine(string(w.GetReason())):
		return refuse(wire.Code_BAD_REQUEST)
	case !on:
		return refuse(wire.Code_NOT_ON_CHANNEL)
	case m.status&chat.Operator == 0:
		return refuse(wire.Code_NO_PRIVILEGES)
	case !there:
		return refuse(wire.Code_NOT_IN_CHANNEL)
	}
	ev := &wire.ChannelEvent{
		By:   []byte(c.maskOf(t.From())),
		What: &wire.ChannelEvent_Kicked{Kicked: &wire.Kick{Target: w.Target, Reason: w.Reason, Join: victim.join}},
	}
	c.linger[target.Node] = c.now + lingerFor
	t.SubscribersChanged()
	return c.emit(t, ev)
}

// invite lets a session pass +i once. The inviter's node tells it; the event
// is for the operators.
func (c *channelObject) invite(t turn, w *wire.Invite) *wire.Result {
	m, on := c.s.members[t.From()]
	target, err := sessionFromWire(w.GetTarget())
	_, there := c.s.members[target]
	if w.GetPerson() != nil && err == nil {
		_, err = personFromWire(w.Person)
	}
	switch {
	case err != nil:
		return refuse(wire.Code_BAD_REQUEST)
	case !on:
		return refuse(wire.Code_NOT_ON_CHANNEL)
	case c.s.is('i') && m.status&chat.Operator == 0:
		return refuse(wire.Code_NO_PRIVILEGES)
	case there:
		return refuse(wire.Code_USER_ON_CHANNEL)
	}
	return c.emit(t, &wire.ChannelEvent{What: &wire.ChannelEvent_Invited{Invited: w}})
}

// mergePart takes what a node's view knows and this copy lacks.
func (c *channelObject) mergePart(t turn, w *wire.ChannelState) *wire.Result {
	part, err := stateFromWire(w)
	if err != nil || part.name != "" && chat.Fold(part.name) != c.name || t.From().Session != 0 {
		return refuse(wire.Code_BAD_REQUEST)
	}
	before := encode(c.s.toWire())
	trial := c.s.clone()
	trial.merge(part)
	if string(encode(trial.toWire())) == string(before) {
		return &wire.Result{}
	}
	c.lingerAll()
	t.SubscribersChanged()
	return c.emit(t, &wire.ChannelEvent{What: &wire.ChannelEvent_Merged{Merged: w}})
}

// lingerAll keeps telling all nodes that have members now.
func (c *channelObject) lingerAll() {
	for who := range c.s.members { // any order: each is set alike
		c.linger[who.Node] = c.now + lingerFor
	}
}

// nodeGone removes the members of a node that is gone, all runs but keep. It
// is no removal for good: should he come back, he is a member again.
func (c *channelObject) nodeGone(t turn, node host.PeerID, keep uint64) {
	c.now = t.Now().UnixMilli()
	if keep == 0 {
		delete(c.linger, node)
	}
	reason := "node does not answer"
	if keep != 0 {
		reason = "node restarted"
	}
	c.gone(t, reason, keep == 0, func(who overlay.Stream, _ member) bool {
		return who.Node == node && (keep == 0 || who.Run != keep)
	})
}

// gone takes members out. lost: their node did not answer.
func (c *channelObject) gone(t turn, reason string, lost bool, which func(overlay.Stream, member) bool) {
	var list []*wire.Session
	for _, who := range c.s.sessions() {
		if which(who, c.s.members[who]) {
			list = append(list, sessionToWire(who))
		}
	}
	if len(list) == 0 {
		return
	}
	t.SubscribersChanged()
	c.emit(t, &wire.ChannelEvent{What: &wire.ChannelEvent_Gone{Gone: &wire.Gone{Sessions: list, Reason: []byte(reason), Lost: lost}}})
}

// knows reports whether the state has all that a view has seen.
func (s *state) knows(theirs heads) bool { return s.heads.knowsAll(theirs) }

func (h heads) knowsAll(of heads) bool {
	for e, n := range of { // any order: all must hold
		if h[e] < n {
			return false
		}
	}
	return true
}

func (c *channelObject) Query(_ host.PeerID, q []byte) []byte {
	if decode(q, new(wire.ChannelQuery)) != nil {
		return nil
	}
	a := &wire.ChannelAnswer{Exists: len(c.s.members) > 0, Count: uint32(len(c.s.members)), Secret: c.s.is('s')}
	if !a.Exists {
		return encode(a)
	}
	show := c.s.clone()
	show.removals, show.invitations, show.knocks, show.heads, show.tail, show.redactions = nil, nil, nil, nil, nil, nil
	for _, list := range show.lists {
		maps.DeleteFunc(list, func(_ string, e listed) bool { return e.gone })
	}
	if a.Secret {
		show.members, show.lists, show.topic, show.meta = nil, lists{}, topic{}, nil
	}
	if k := show.modes['k']; k.on {
		k.key = "*"
		show.modes['k'] = k
	}
	a.State = show.toWire()
	return encode(a)
}

func (c *channelObject) Snapshot() []byte { return encode(c.s.toWire()) }

func (c *channelObject) View() []byte { return c.Snapshot() }

func (c *channelObject) Merge(snapshot []byte) error {
	other, err := decodeState(snapshot, c.name)
	if err != nil {
		return fmt.Errorf("merge channel %s: %w", c.name, err)
	}
	c.lingerAll()
	c.s.merge(other)
	c.s.prune(c.now)
	return nil
}

// Revive implements overlay.Reviver: what a node's database has of a channel
// adds to what lives of the same birth, but brings no members, who say themselves
// where they are. It is nothing to a channel of another birth, and to one that saw
// it end.
func (c *channelObject) Revive(snapshot []byte) error {
	other, err := decodeState(snapshot, c.name)
	if err != nil {
		return fmt.Errorf("revive channel %s: %w", c.name, err)
	}
	switch {
	case c.s.birth.none():
		if c.s.knows(other.heads) {
			return nil
		}
	case other.birth == c.s.birth:
		other.members = map[overlay.Stream]member{}
	case other.birth.none() && other.rest.birth == c.s.birth:
	default:
		return nil
	}
	c.lingerAll()
	c.s.merge(other)
	c.s.prune(c.now)
	return nil
}

func (c *channelObject) Nodes() []host.PeerID {
	nodes := map[host.PeerID]bool{}
	for who := range c.s.members { // any order: sorted below
		nodes[who.Node] = true
	}
	for n, until := range c.linger { // any order: sorted below
		if until > c.now {
			nodes[n] = true
		} else {
			delete(c.linger, n)
		}
	}
	list := make([]host.PeerID, 0, len(nodes))
	for n := range nodes { // any order: sorted below
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

// Empty reports whether nobody is here or may return, and nobody has been for a
// while: until then a copy that comes late must not revive who left.
func (c *channelObject) Empty(now time.Time) bool {
	if len(c.s.members) > 0 || c.s.resting(now.UnixMilli()) {
		return false
	}
	for _, r := range c.s.removals { // any order: one is enough
		if r.at > now.UnixMilli()-emptyFor {
			return false
		}
	}
	return true
}

func (c *channelObject) Summary() string {
	switch {
	case c.s.name == "" && c.s.resting(c.now):
		return "channel " + c.name + ", at rest"
	case c.s.name == "":
		return "channel " + c.name + ", without members"
	}
	return fmt.Sprintf("channel %s, %d members", c.s.name, len(c.s.members))
}
