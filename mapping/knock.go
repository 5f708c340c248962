package mapping

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// knocks are those who asked lately to be invited, by node and nick, each with the
// time of the last one, in Unix milliseconds by the keeper's clock. They are part
// of the state so that whoever keeps the channel decides alike.
type knocks map[formerID]int64

// maxKnocked bounds what two copies may bring together.
const maxKnocked = 4 * chat.MaxKnocks

// recent counts the knocks of the last chat.KnockPause, and says whether one was
// by who.
func (k knocks) recent(who formerID, now int64) (n int, again bool) {
	for id, at := range k { // any order: counted
		if at > now-chat.KnockPause.Milliseconds() {
			n++
			again = again || id == who
		}
	}
	return n, again
}

// add notes a knock, and forgets those that count no more.
func (k knocks) add(who formerID, at int64) {
	k[who] = max(k[who], at)
	maps.DeleteFunc(k, func(_ formerID, old int64) bool { return old <= at-chat.KnockPause.Milliseconds() })
}

// merge unites: of each the last one; of too many the last ones.
func (k knocks) merge(other knocks) {
	for id, at := range other { // any order: maximum
		k[id] = max(k[id], at)
	}
	if over := len(k) - maxKnocked; over > 0 {
		ids := k.sorted()
		slices.SortStableFunc(ids, func(a, b formerID) int { return cmp.Compare(k[a], k[b]) })
		for _, id := range ids[:over] {
			delete(k, id)
		}
	}
}

func (k knocks) sorted() []formerID {
	ids := make([]formerID, 0, len(k))
	for id := range k { // any order: sorted below
		ids = append(ids, id)
	}
	slices.SortFunc(ids, formerID.compare)
	return ids
}

func (k knocks) toWire() (ws []*wire.LastKnock) {
	for _, id := range k.sorted() {
		ws = append(ws, &wire.LastKnock{Node: []byte(id.node), Nick: []byte(id.nick), AtMs: k[id]})
	}
	return ws
}

func knocksFromWire(r *reader, ws []*wire.LastKnock) knocks {
	k := knocks{}
	for _, w := range ws {
		id := formerID{host.PeerID(w.GetNode()), string(w.GetNick())}
		if !id.valid() {
			r.fail("somebody who knocked, %q", chat.Cut(id.nick, 60))
			return k
		}
		k[id] = w.GetAtMs()
	}
	return k
}

// knock asks the operators for an invitation.
func (c *channelObject) knock(t turn, w *wire.Knock) *wire.Result {
	from := t.From()
	p, err := personFromWire(w.GetPerson())
	_, on := c.s.members[from]
	n, again := c.s.knocks.recent(formerID{from.Node, chat.Fold(p.nick)}, t.Now().UnixMilli())
	switch {
	case err != nil || len(w.GetText()) > chat.MaxReason || !oneLine(string(w.GetText())):
		return refuse(wire.Code_BAD_REQUEST)
	case len(c.s.members) == 0:
		return refuse(wire.Code_NO_SUCH_CHANNEL)
	case on:
		return refuse(wire.Code_ALREADY_JOINED)
	case !c.s.is('i'):
		return refuse(wire.Code_CHANNEL_OPEN)
	case c.s.lists.ban(p, from):
		return refuse(wire.Code_BANNED)
	case again || n >= chat.MaxKnocks:
		return refuse(wire.Code_TOO_MANY_KNOCKS)
	}
	return c.emit(t, &wire.ChannelEvent{What: &wire.ChannelEvent_Knocked{Knocked: w}})
}

func (s *state) applyKnock(st step, w *wire.Knock) {
	if p, err := personFromWire(w.GetPerson()); err == nil {
		s.knocks.add(formerID{st.from.Node, chat.Fold(p.nick)}, st.at)
	}
}

// knockedLocked tells the local operators, half operators too, of a knock.
func (v *view) knockedLocked(e overlay.Entry, w *wire.Knock) {
	p, err := personFromWire(w.GetPerson())
	if err != nil {
		return
	}
	knocked := chat.Knocked{Channel: v.display(), Who: p.profile(e.From), Text: string(w.GetText()), At: e.At}
	for _, se := range v.crowdLocked().sessions {
		if v.state.members[se.stream].status.AtLeast(chat.HalfOperator) {
			se.pushLocked(knocked)
		}
	}
}

// Knock implements chat.Session.
func (se *session) Knock(ctx context.Context, channel, text string) error {
	fail := func(err error) error {
		return fmt.Errorf("knock at %q: %w", chat.Cut(channel, 2*chat.MaxChannel), err)
	}
	if !chat.ValidChannel(channel) {
		return fail(chat.ErrNoSuchChannel)
	}
	se.s.mu.Lock()
	err := se.beginLocked(ctx)
	if err == nil && se.onLocked(channel) != nil {
		err = chat.ErrAlreadyJoined
	}
	me := se.me
	se.s.mu.Unlock()
	if err != nil {
		return fail(err)
	}
	res, err := se.do(ctx, channel, &wire.ChannelRequest{What: &wire.ChannelRequest_Knock{
		Knock: &wire.Knock{Person: personToWire(me), Text: []byte(cleanLine(text, chat.MaxReason))},
	}})
	if err == nil {
		err = errorOf(res)
	}
	if err != nil {
		return fail(err)
	}
	return nil
}
