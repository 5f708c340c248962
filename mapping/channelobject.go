package mapping

import (
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
	res := c.leadOn(w)
	if res == nil {
		res = c.request(t, w)
	}
	res.AtMs, res.Name = c.now, []byte(c.s.presentName(c.now))
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
	case *wire.ChannelRequest_Rename:
		return c.rename(t, w.Rename)
	case *wire.ChannelRequest_Alias:
		return c.setAlias(w.Alias)
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
	case c.s.is('t') && !m.status.AtLeast(chat.HalfOperator):
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
	case !m.status.AtLeast(chat.HalfOperator):
		return refuse(wire.Code_NO_PRIVILEGES)
	}
	res, by, st := new(wire.Result), c.maskOf(t.From()), c.step(t)
	for i, change := range w.Changes {
		done, code := c.s.change(asker{t.From(), m.status}, change)
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
