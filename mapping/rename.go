package mapping

import (
	"cmp"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// A channel lies where the name hashes to under which it was founded: its home. Requests,
// stamps and IDs of messages are counted by that place, so a channel that gets
// another name stays there (docs/objects.md, "Renamed channels"). At the keeper of the new name an
// alias says where it lies, as long as the home's keeper renews it.

// given is the name that operators gave a channel last; zero: it has its founder's.
type given struct {
	name  string
	at    int64
	stamp overlay.Stamp
}

func laterGiven(a, b given) bool {
	return cmp.Or(a.stamp.Compare(b.stamp), cmp.Compare(a.at, b.at), cmp.Compare(a.name, b.name)) > 0
}

// shown is the name of the channel; "" when there is none.
func (s *state) shown() string { return cmp.Or(s.given.name, s.name) }

// presentName is the name of the channel, or of the one that rests.
func (s *state) presentName(now int64) string {
	if s.birth.none() && s.resting(now) {
		return cmp.Or(s.rest.given.name, s.rest.name)
	}
	return s.shown() // without looking at who may return: it is asked for each message
}

// alias says, where no channel lies, that the one of this name lies under another.
type alias struct {
	home  string // folded; "": none
	until int64  // by the keeper's clock
}

func laterAlias(a, b alias) bool {
	return cmp.Or(cmp.Compare(a.until, b.until), cmp.Compare(a.home, b.home)) > 0
}

// aliasLife is how long an alias lasts that nobody renews, in ms.
const aliasLife = 90_000

// elsewhere is where the channel of this name lies, if not here; "" otherwise. A channel that
// was founded here counts before an alias.
func (c *channelObject) elsewhere() string {
	if c.s.alias.until <= c.now || c.s.presentName(c.now) != "" {
		return ""
	}
	return c.s.alias.home
}

// leadOn answers what somebody asks of a channel that lies elsewhere; nil: it is
// for this keeper.
func (c *channelObject) leadOn(w *wire.ChannelRequest) *wire.Result {
	home := c.elsewhere()
	switch w := w.What.(type) {
	case *wire.ChannelRequest_Join:
		if string(w.Join.GetDenied()) == home { // its keeper knows of no such channel
			return nil
		}
	case *wire.ChannelRequest_Message, *wire.ChannelRequest_Topic, *wire.ChannelRequest_Modes, *wire.ChannelRequest_Kick,
		*wire.ChannelRequest_Invite, *wire.ChannelRequest_Knock, *wire.ChannelRequest_Redact, *wire.ChannelRequest_Metadata:
	default:
		return nil
	}
	if home == "" {
		return nil
	}
	return &wire.Result{Code: wire.Code_ELSEWHERE, Home: []byte(home)}
}

// misnamed refuses who would join by a name that the channel here has not, or
// no more; OK otherwise.
func (c *channelObject) misnamed(name string) wire.Code {
	switch shown := c.s.presentName(c.now); {
	case shown == "" && chat.Fold(name) != c.name:
		return wire.Code_NO_SUCH_CHANNEL
	case shown != "" && !chat.SameName(name, shown):
		return wire.Code_CHANNEL_RENAMED
	}
	return wire.Code_OK
}

// setAlias has this name lead to a channel that lies elsewhere. It is refused
// while a channel lives or rests here, or the name leads to another.
func (c *channelObject) setAlias(w *wire.SetAlias) *wire.Result {
	home := string(w.GetHome())
	was := c.s.alias.home
	switch {
	case !chat.ValidChannel(home) || chat.Fold(home) != home || home == c.name:
		return refuse(wire.Code_BAD_REQUEST)
	case w.GetGone():
		if was == home {
			c.s.alias = alias{}
		}
		return &wire.Result{}
	case c.s.presentName(c.now) != "", was != home && c.elsewhere() != "":
		return refuse(wire.Code_CHANNEL_IN_USE)
	}
	c.s.alias = alias{home: home, until: c.now + aliasLife}
	return &wire.Result{}
}

// rename gives the channel another name. It is for operators; and for the keeper's node
// where the name that it has turns out to be another channel's: then it has its
// founder's again.
func (c *channelObject) rename(t turn, w *wire.Rename) *wire.Result {
	name, from := string(w.GetName()), t.From()
	m, on := c.s.members[from]
	by := c.maskOf(from)
	switch {
	case !chat.ValidChannel(name) || len(w.GetReason()) > chat.MaxReason || !oneLine(string(w.GetReason())):
		return refuse(wire.Code_BAD_REQUEST)
	case w.GetTaken():
		if from.Session != 0 || nodeID(from.Node) != [20]byte(t.Stamp().Epoch.Keeper) || chat.Fold(name) != c.name {
			return refuse(wire.Code_NO_PRIVILEGES)
		}
		by = VisibleHost(from.Node)
	case !on:
		return refuse(wire.Code_NOT_ON_CHANNEL)
	case m.status&chat.Operator == 0:
		return refuse(wire.Code_NO_PRIVILEGES)
	case name != c.s.shown() && c.s.given.at > c.now-chat.RenamePause.Milliseconds():
		return refuse(wire.Code_RENAMED_LATELY)
	}
	if c.s.birth.none() || name == c.s.shown() {
		return &wire.Result{}
	}
	return c.emit(t, &wire.ChannelEvent{By: []byte(by), What: &wire.ChannelEvent_Renamed{
		Renamed: &wire.Rename{Name: w.Name, Reason: w.Reason},
	}})
}

func (s *state) applyRenamed(st step, w *wire.Rename) {
	if !s.birth.none() {
		s.given = given{name: string(w.GetName()), at: st.at, stamp: st.stamp}
	}
}

// toWire is nil where no operator gave a name.
func (g given) toWire(t *tables) *wire.GivenName {
	if g.name == "" {
		return nil
	}
	return &wire.GivenName{Name: []byte(g.name), AtMs: g.at, Stamp: t.stamp(g.stamp)}
}

func givenFromWire(r *reader, w *wire.GivenName) given {
	if w == nil {
		return given{}
	}
	if !chat.ValidChannel(string(w.Name)) {
		r.fail("given name %q", chat.Cut(string(w.Name), 60))
	}
	return given{name: string(w.Name), at: w.AtMs, stamp: r.stamp(w.Stamp)}
}

// toWire is nil for the zero alias.
func (a alias) toWire() *wire.Alias {
	if a.home == "" {
		return nil
	}
	return &wire.Alias{Home: []byte(a.home), UntilMs: a.until}
}

func aliasFromWire(r *reader, w *wire.Alias) alias {
	if w == nil {
		return alias{}
	}
	if home := string(w.Home); !chat.ValidChannel(home) || chat.Fold(home) != home {
		r.fail("alias of %q", chat.Cut(home, 60))
	}
	return alias{home: string(w.Home), until: w.UntilMs}
}
