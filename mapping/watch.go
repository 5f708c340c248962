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

// watch is this node's interest in a nick, one for all its sessions that watch
// it: a stake in the name's object, whose keeper tells who has it (docs/objects.md,
// "Watching a nick"). Service.mu guards it.
type watch struct {
	s        *Service
	name     string          // folded
	sessions map[uint64]bool // who was told how it is, and is told of changes
	waiting  int             // calls of Watch that are under way
	asked    bool            // the keeper was asked, whatever came of it
	known    bool            // it has said how it is
	viewed   bool            // by a push, which is never older than an answer
	claim    *claim          // in force, as the keeper said last; nil: nobody has the name
	doubtful time.Time       // since when it is free without a word of whoever gave it up; zero: it is not
	ready    host.Event      // for who waits until it is known

	// As it is shown.
	online bool
	who    overlay.Stream
	person person // also of who had it last; or the nick as it was asked for
}

const (
	// maxWatches bounds the nicks that a node watches.
	maxWatches = 4096
	// watchWait is how long Watch waits for keepers.
	watchWait = time.Second
	// freeWait is how long a name that a new keeper calls free is still shown as held: who
	// holds it may be on the way to tell, and a break within the grace time shows nothing.
	freeWait = 25 * time.Second
)

// Watch implements chat.Session.
func (se *session) Watch(ctx context.Context, nicks []string) ([]chat.Presence, error) {
	s := se.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := se.beginLocked(ctx); err != nil {
		return nil, err
	}
	list, full := se.watchesLocked(nicks)
	deadline := s.h.Now().Add(watchWait)
	for _, w := range list {
		for w != nil && !w.known && !w.failed() && ctx.Err() == nil {
			left := deadline.Sub(s.h.Now())
			if left <= 0 {
				break
			}
			s.mu.Unlock()
			err := w.ready.Wait(ctx, left)
			s.mu.Lock()
			if err != nil {
				break
			}
			w.ready.Signal() // others may wait too
		}
	}
	result := make([]chat.Presence, 0, len(list))
	for i, w := range list {
		if w == nil {
			result = append(result, chat.Presence{Nick: nicks[i], At: s.h.Now()})
			continue
		}
		w.waiting--
		if se.ended == nil && ctx.Err() == nil {
			w.sessions[se.number] = true
			e := w.presence(s.h.Now())
			if !e.Online {
				e.Nick = nicks[i]
			}
			result = append(result, e)
		}
		s.unwatchedLocked(w)
	}
	switch err := se.beginLocked(ctx); {
	case err != nil:
		return nil, err
	case full:
		return result, fmt.Errorf("watch %s: %w", chat.Cut(nicks[len(list)], 60), chat.ErrWatchFull)
	}
	return result, nil
}

// watchesLocked begins to watch nicks, as far as there is room; nil stands for
// what is no nick. Of each that is returned one more call is waiting.
func (se *session) watchesLocked(nicks []string) (list []*watch, full bool) {
	s, room := se.s, chat.MaxWatched
	for _, w := range s.watches { // any order: counted
		if w.sessions[se.number] {
			room--
		}
	}
	fresh := map[*watch]bool{}
	for _, nick := range nicks {
		if !chat.ValidNick(nick) {
			list = append(list, nil)
			continue
		}
		w := s.watches[chat.Fold(nick)]
		if w == nil || !w.sessions[se.number] && !fresh[w] {
			if room--; room < 0 || w == nil && len(s.watches) >= maxWatches {
				return list, true
			}
			if w == nil {
				w = s.watchLocked(nick)
			}
			fresh[w] = true
		}
		w.waiting++
		list = append(list, w)
	}
	return list, false
}

// failed reports whether the keeper was asked and has not answered.
func (w *watch) failed() bool { return w.asked && !w.known }

// watchLocked makes this node a watcher of a nick.
func (s *Service) watchLocked(nick string) *watch {
	name := chat.Fold(nick)
	w := &watch{s: s, name: name, sessions: map[uint64]bool{}, ready: s.h.NewEvent(), person: person{nick: nick}}
	s.watches[name] = w
	s.o.Hold(kindNick, name)
	w.refreshLocked(s.h.Now())
	w.known = w.online // a user of this node
	w.askLocked(&wire.Watch{}, func(j *job) {
		w.asked = true
		if j.err != nil {
			s.o.Hold(kindNick, name) // the next renewal asks again, and soon
		} else if !w.viewed {
			w.claim, _ = claimFromWire(j.res.GetHolder(), name, nil)
			w.known = true
			w.refreshLocked(s.h.Now())
		}
		w.ready.Signal()
	})
	return w
}

func (w *watch) askLocked(req *wire.Watch, finish func(*job)) {
	w.s.nodeLaneLocked(kindNick, w.name).addLocked(func(uint64) []byte {
		return encode(&wire.NickRequest{What: &wire.NickRequest_Watch{Watch: req}})
	}, finish)
}

// Unwatch implements chat.Session.
func (se *session) Unwatch(nicks []string) {
	s := se.s
	s.mu.Lock()
	defer s.mu.Unlock()
	over := map[string]bool{}
	for _, nick := range nicks {
		name := chat.Fold(nick)
		over[name] = true
		if w := s.watches[name]; w != nil {
			delete(w.sessions, se.number)
			s.unwatchedLocked(w)
		}
	}
	se.queue = slices.DeleteFunc(se.queue, func(q queued) bool {
		p, ok := q.e.(chat.Presence)
		if ok = ok && over[chat.Fold(p.Nick)]; ok {
			se.bytes -= q.size
		}
		return ok
	})
}

// unwatchAllLocked is for a session that ends.
func (se *session) unwatchAllLocked() {
	for _, name := range sortedKeys(se.s.watches) {
		if w := se.s.watches[name]; w.sessions[se.number] {
			delete(w.sessions, se.number)
			se.s.unwatchedLocked(w)
		}
	}
}

// unwatchedLocked gives a stake up that nobody here wants any more.
func (s *Service) unwatchedLocked(w *watch) {
	if len(w.sessions)+w.waiting > 0 || s.watches[w.name] != w {
		return
	}
	delete(s.watches, w.name)
	w.askLocked(&wire.Watch{Off: true}, func(*job) { s.releaseNameLocked(w.name) })
}

// releaseNameLocked gives up this node's stake in a name that no session here
// has or watches.
func (s *Service) releaseNameLocked(name string) {
	if s.nicks[name] == nil && s.watches[name] == nil {
		s.o.Release(kindNick, name)
	}
}

// saidLocked takes what a keeper says of a name. whole: it is a view, as of a new keeper;
// that it has no claim does not mean yet that nobody holds the name.
func (w *watch) saidLocked(h *claim, whole bool, at time.Time) {
	first := !w.known
	w.known, w.viewed = true, true
	if first {
		w.ready.Signal()
	}
	if whole && h == nil && w.claim != nil && w.online && w.who.Node != w.s.self {
		if w.doubtful.IsZero() {
			w.doubtful = w.s.h.Now()
			w.s.h.Go("mapping watch", w.settleDoubt)
		}
		return
	}
	w.doubtful = time.Time{}
	w.claim = h
	w.refreshLocked(at)
}

// settleDoubt shows a name as free if its holder has not been seen again.
func (w *watch) settleDoubt() {
	for {
		w.s.mu.Lock()
		left := freeWait - w.s.h.Now().Sub(w.doubtful)
		if w.doubtful.IsZero() || w.s.watches[w.name] != w || left <= 0 {
			break
		}
		w.s.mu.Unlock()
		if w.s.h.Sleep(left) != nil {
			return
		}
	}
	defer w.s.mu.Unlock()
	if !w.doubtful.IsZero() {
		w.doubtful, w.claim = time.Time{}, nil
		w.refreshLocked(w.s.h.Now())
	}
}

// holderLocked is who has the name, as far as is known here. Of its own users a
// node knows at once.
func (w *watch) holderLocked() (who overlay.Stream, p person, online bool) {
	se := w.s.nicks[w.name]
	switch {
	case se != nil && !se.opening && se.ended == nil && chat.Fold(se.me.nick) == w.name:
		return se.stream, se.me, true
	case w.claim != nil && w.claim.owner.Node != w.s.self:
		return w.claim.owner, w.claim.person, true
	}
	return overlay.Stream{}, person{}, false
}

// refreshLocked shows what has changed.
func (w *watch) refreshLocked(at time.Time) {
	who, p, online := w.holderLocked()
	if w.online && online && w.who == who {
		w.learnLocked(who, p, at)
		return
	}
	if w.online {
		w.online = false
		w.showLocked(w.presence(at))
	}
	if online {
		w.online, w.who, w.person = true, who, p
		w.showLocked(w.presence(at))
	}
}

func (w *watch) presence(at time.Time) chat.Presence {
	e := chat.Presence{Nick: w.person.nick, At: at}
	if w.online {
		e.Online, e.Who = true, w.person.profile(w.who)
	}
	return e
}

func (w *watch) showLocked(e chat.Event) {
	size := eventBytes(e)
	for _, n := range sortedKeys(w.sessions) {
		if se := w.s.sessions[n]; se != nil {
			se.pushSizedLocked(e, size)
		}
	}
}

// learnLocked takes what is new of who has the name. Who shares a channel with him is
// told by personLocked.
func (w *watch) learnLocked(who overlay.Stream, p person, at time.Time) {
	old := w.person
	if !w.online || w.who != who || chat.Fold(p.nick) != w.name || newer(old, p) == old {
		return
	}
	w.person = p
	around := w.s.aroundLocked(who)
	for _, n := range sortedKeys(w.sessions) {
		if se := w.s.sessions[n]; se != nil && se.stream != who && !slices.Contains(around, se) {
			se.showPersonLocked(who, old, p, true, at)
		}
	}
}

// refreshNameLocked is for a name of which something changed on this node.
func (s *Service) refreshNameLocked(nick string) {
	if w := s.watches[chat.Fold(nick)]; w != nil {
		w.refreshLocked(s.h.Now())
	}
}
