package mapping

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// What a node does for channels that have another name than that of their home:
// it finds them for its users, and as their keeper it holds their names.

// homeLocked is the folded name under which a channel lies, as far as the views
// here know; else the name itself, whose keeper knows more. A channel that was founded under
// the name comes before one that was given it.
func (s *Service) homeLocked(channel string) string {
	folded := chat.Fold(channel)
	if v := s.views[folded]; v == nil || !chat.SameName(v.display(), folded) {
		if home, ok := s.names[folded]; ok {
			return home
		}
	}
	return folded
}

// namedLocked notes what the channel is called now. It comes after whatever may change that.
func (v *view) namedLocked() {
	name := ""
	if folded := chat.Fold(v.display()); folded != v.name && v.s.views[v.name] == v {
		name = folded
	}
	if name == v.called {
		return
	}
	if v.s.names[v.called] == v.name {
		delete(v.s.names, v.called)
	}
	if v.called = name; name != "" {
		v.s.names[name] = v.name
	}
}

// renamedLocked shows that a channel has another name than it had.
func (v *view) renamedLocked(old, by, reason string, at time.Time) {
	v.namedLocked()
	if name := v.display(); name != old {
		v.showLocked(overlay.Stream{}, chat.ChannelRenamed{Old: old, New: name, By: by, Reason: reason, At: at})
	}
}

// RenameChannel implements chat.Session. The new name is made an alias before the
// channel has it, so that nobody founds another one in between.
func (se *session) RenameChannel(ctx context.Context, channel, name, reason string) error {
	fail := func(err error) error {
		return fmt.Errorf("rename %q to %q: %w", chat.Cut(channel, 2*chat.MaxChannel), chat.Cut(name, 2*chat.MaxChannel), err)
	}
	if !chat.ValidChannel(name) {
		return fail(chat.ErrBadChannel)
	}
	folded := chat.Fold(name)
	se.s.mu.Lock()
	home, shown, err := se.mayRenameLocked(ctx, channel)
	se.s.mu.Unlock()
	switch {
	case err != nil:
		return fail(err)
	case name == shown:
		return fail(chat.ErrChannelInUse)
	}
	lead := folded != home && !chat.SameName(name, shown)
	if lead {
		if err := se.askAll(ctx, folded, aliasRequest(home, false)); err != nil {
			return fail(err)
		}
	}
	res, err := se.ask(ctx, home, &wire.ChannelRequest{What: &wire.ChannelRequest_Rename{
		Rename: &wire.Rename{Name: []byte(name), Reason: []byte(cleanLine(reason, chat.MaxReason))},
	}})
	if err != nil {
		return fail(err) // it may have been done; the alias lapses if it was not
	}
	if err = errorOf(res); err == nil {
		return nil
	}
	if lead {
		se.s.mu.Lock()
		se.laneLocked(kindChannel, folded).addLocked(func(uint64) []byte { return encode(aliasRequest(home, true)) }, nil)
		se.s.mu.Unlock()
	}
	return fail(err)
}

// mayRenameLocked is where a channel lies, and its name, if the session may rename it as
// far as its view knows.
func (se *session) mayRenameLocked(ctx context.Context, channel string) (home, shown string, err error) {
	if err := se.beginLocked(ctx); err != nil {
		return "", "", err
	}
	ms := se.onLocked(channel)
	if ms == nil {
		return "", "", chat.ErrNotOnChannel
	}
	if m, ok := ms.v.state.members[se.stream]; ok && m.status&chat.Operator == 0 {
		return "", "", chat.ErrNoPrivileges
	}
	return ms.v.name, ms.v.display(), nil
}

// askAll is ask for who needs no more of the answer than whether it is a refusal.
func (se *session) askAll(ctx context.Context, home string, req *wire.ChannelRequest) error {
	res, err := se.ask(ctx, home, req)
	if err == nil {
		err = errorOf(res)
	}
	return err
}

func aliasRequest(home string, gone bool) *wire.ChannelRequest {
	return &wire.ChannelRequest{What: &wire.ChannelRequest_Alias{Alias: &wire.SetAlias{Home: []byte(home), Gone: gone}}}
}

// renamed is a channel kept here that has another name than that of its home.
type renamed struct {
	home    string // folded
	founded string // its founder's name
	name    string // folded, that it has now
	rests   bool
}

// renamed reports whether the channel has another name than that of its home.
func (c *channelObject) renamed() (renamed, bool) {
	r := renamed{home: c.name, founded: c.s.name, name: chat.Fold(c.s.presentName(c.now)), rests: c.s.birth.none()}
	return r, r.name != "" && r.name != r.home
}

// renewAlias is the pause between two renewals of an alias: soon after a cut has ended it shows
// whether the name is another channel's.
const renewAlias = 10 * time.Second

// keepAliasesLocked has the names of those channels lead to their homes that this
// node keeps.
func (s *Service) keepAliasesLocked(list []renamed) {
	now := s.h.Now()
	for home := range s.aliases { // any order: each for itself
		if !slices.ContainsFunc(list, func(r renamed) bool { return r.home == home }) {
			delete(s.aliases, home)
		}
	}
	for _, r := range list {
		if last := s.aliases[r.home]; last.name == r.name && now.Sub(last.at) < renewAlias {
			continue
		}
		s.aliases[r.home] = aliasHeld{name: r.name, at: now}
		s.nodeLaneLocked(kindChannel, r.name).addLocked(
			func(uint64) []byte { return encode(aliasRequest(r.home, false)) },
			func(j *job) { s.aliasDoneLocked(r, j) })
	}
}

// aliasHeld is an alias as this node renewed it last.
type aliasHeld struct {
	name string
	at   time.Time
}

// aliasDoneLocked hears whether a channel may keep its name. Where another was founded under
// it, as on the other side of a cut, it has its founder's again.
func (s *Service) aliasDoneLocked(r renamed, j *job) {
	switch {
	case j.err != nil:
		delete(s.aliases, r.home) // tried again with the next look
	case j.res.GetCode() == wire.Code_CHANNEL_IN_USE && !r.rests:
		s.nodeLaneLocked(kindChannel, r.home).addLocked(func(uint64) []byte {
			return encode(&wire.ChannelRequest{What: &wire.ChannelRequest_Rename{Rename: &wire.Rename{
				Name: []byte(r.founded), Reason: []byte("Another channel has this name"), Taken: true,
			}}})
		}, nil)
	}
}

// forwardLocked sends a message that was refused because its channel lies elsewhere on to
// there. It reports whether that was the reason. What was sent after it comes behind it, as it takes the
// same way.
func (j *job) forwardLocked() bool {
	home, se := string(j.res.GetHome()), j.send.se
	if j.err != nil || j.res.GetCode() != wire.Code_ELSEWHERE || j.send.forwarded || se.ended != nil || chat.Fold(home) != home || !chat.ValidChannel(home) {
		return false
	}
	j.send.forwarded = true
	delete(j.lane.unseen, j.number)
	se.postLocked(home, j.send, j.queued)
	return true
}
