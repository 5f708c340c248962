package chattest

import (
	"context"
	"fmt"
	"slices"

	"ircbridge/chat"
)

// watched is a nick that a session watches, and how it was told that it is.
type watched struct {
	who  *session // nil when nobody has it
	nick string   // as it was written last
}

// Watch implements chat.Session.
func (se *session) Watch(ctx context.Context, nicks []string) ([]chat.Presence, error) {
	if err := se.begin(ctx); err != nil {
		return nil, err
	}
	n := se.net
	defer n.mu.Unlock()
	var list []chat.Presence
	for _, nick := range nicks {
		if !chat.ValidNick(nick) {
			list = append(list, chat.Presence{Nick: nick, At: n.opt.Now()})
			continue
		}
		w := se.watching[chat.Fold(nick)]
		if w == nil {
			if len(se.watching) >= chat.MaxWatched {
				return list, fmt.Errorf("watch %s: %w", nick, chat.ErrWatchFull)
			}
			w = &watched{nick: nick}
			if who, err := n.nickLocked(se, nick); err == nil && n.failLocked("Watch", nick) == nil {
				w.who, w.nick = who, who.self.Nick
			}
			if se.watching == nil {
				se.watching = map[string]*watched{}
			}
			se.watching[chat.Fold(nick)] = w
		}
		e := w.presence(n)
		if !e.Online {
			e.Nick = nick
		}
		list = append(list, e)
	}
	return list, nil
}

func (w *watched) presence(n *network) chat.Presence {
	e := chat.Presence{Nick: w.nick, At: n.opt.Now()}
	if w.who != nil {
		e.Online, e.Who = true, w.who.self
	}
	return e
}

// Unwatch implements chat.Session.
func (se *session) Unwatch(nicks []string) {
	se.net.mu.Lock()
	defer se.net.mu.Unlock()
	over := map[string]bool{}
	for _, nick := range nicks {
		over[chat.Fold(nick)] = true
		delete(se.watching, chat.Fold(nick))
	}
	se.queue = slices.DeleteFunc(se.queue, func(e chat.Event) bool {
		p, ok := e.(chat.Presence)
		if ok = ok && over[chat.Fold(p.Nick)]; ok {
			se.bytes -= eventBytes(e)
		}
		return ok
	})
}

// presenceLocked tells whoever watches a nick what has changed of it.
func (n *network) presenceLocked(nick string) {
	for _, se := range n.allLocked() {
		w := se.watching[chat.Fold(nick)]
		if w == nil {
			continue
		}
		who, err := n.nickLocked(se, nick)
		if err != nil {
			who = nil
		}
		if who == w.who {
			continue
		}
		if w.who != nil {
			w.who = nil
			se.pushLocked(w.presence(n))
		}
		if w.who = who; who != nil {
			w.nick = who.self.Nick
			se.pushLocked(w.presence(n))
		}
	}
}

// allPresentLocked is presenceLocked of all nicks, after a cut or its end.
func (n *network) allPresentLocked() {
	for _, se := range n.allLocked() {
		n.presenceLocked(se.self.Nick)
	}
}

// watchersLocked are those who watch the session's nick, and share no channel
// with it.
func (se *session) watchersLocked() []*session {
	around := se.aroundLocked()
	var list []*session
	for _, other := range se.net.allLocked() {
		if w := other.watching[chat.Fold(se.self.Nick)]; w != nil && w.who == se && other != se && !slices.Contains(around, other) {
			list = append(list, other)
		}
	}
	return list
}
