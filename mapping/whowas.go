package mapping

import (
	"context"
	"fmt"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
)

// Whowas implements chat.Session: it asks the name's keeper.
func (se *session) Whowas(ctx context.Context, nick string, max int) ([]chat.Past, error) {
	fail := func(err error) ([]chat.Past, error) {
		return nil, fmt.Errorf("whowas %q: %w", chat.Cut(nick, 2*chat.MaxNick), err)
	}
	s := se.s
	s.mu.Lock()
	err := se.beginLocked(ctx)
	s.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case !chat.ValidNick(nick):
		return fail(chat.ErrBadNick)
	}
	if max <= 0 || max > maxPast {
		max = maxPast
	}
	name := chat.Fold(nick)
	ask := encode(&wire.NickQuery{Past: uint32(max)})
	raw, found, _, err := s.o.Query(kindNick, name, ask, host.Budget(ctx, s.h.Now(), s.cfg.GiveUp))
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return fail(fmt.Errorf("%w (%v)", chat.ErrUnreachable, err))
	}
	list := []chat.Past{}
	if !found {
		return list, nil
	}
	a := new(wire.NickAnswer)
	if err := decode(raw, a); err != nil {
		return fail(fmt.Errorf("%w (%v)", chat.ErrUnreachable, err))
	}
	former, err := pastsFromWire(a.Past, name)
	if err != nil {
		return fail(fmt.Errorf("%w (%v)", chat.ErrUnreachable, err))
	}
	for _, p := range former[:min(len(former), max)] {
		list = append(list, chat.Past{Profile: p.person.profile(p.owner), Until: time.UnixMilli(p.until)})
	}
	return list, nil
}
