package chattest

import (
	"context"
	"fmt"
	"time"

	"ircbridge/chat"
)

// What is remembered of those who had a nick: so many, for so long.
const (
	maxPast  = 10
	pastLife = 24 * time.Hour
)

// pastLocked remembers that a session gives up the nick that it has.
func (se *session) pastLocked() {
	n, name := se.net, chat.Fold(se.self.Nick)
	p := chat.Past{Profile: se.self, Until: n.opt.Now()}
	p.Away, p.Meta = "", ""
	n.past[name] = append([]chat.Past{p}, n.past[name]...)
	n.past[name] = n.past[name][:min(len(n.past[name]), maxPast)]
}

// Whowas implements chat.Session.
func (se *session) Whowas(ctx context.Context, nick string, max int) ([]chat.Past, error) {
	if err := se.begin(ctx); err != nil {
		return nil, err
	}
	n := se.net
	defer n.mu.Unlock()
	if !chat.ValidNick(nick) {
		return nil, fmt.Errorf("whowas %q: %w", chat.Cut(nick, 2*chat.MaxNick), chat.ErrBadNick)
	}
	if err := n.failLocked("Whowas", nick); err != nil {
		return nil, err
	}
	list := []chat.Past{}
	for _, p := range n.past[chat.Fold(nick)] {
		if n.opt.Now().Sub(p.Until) < pastLife && (max <= 0 || len(list) < max) {
			list = append(list, p)
		}
	}
	return list, nil
}
