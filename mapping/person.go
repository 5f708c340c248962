package mapping

import (
	"fmt"
	"strings"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// person is what everybody may know of a user, but for his node, which is
// part of his stream. The version counts his changes.
type person struct {
	nick, username, realname, away string
	meta                           chat.Metadata
	version                        uint64
	flags                          personFlags
}

// personFlags are what a user is: bits.
type personFlags uint8

const (
	isBot    personFlags = 1 << iota // he says so
	isSecure                         // his node says that he is connected over TLS

	knownFlags = isBot | isSecure
)

// profile is a person as front-ends see him.
func (p person) profile(of overlay.Stream) chat.Profile {
	h := VisibleHost(of.Node)
	return chat.Profile{
		Session: sessionID(of), Nick: p.nick, Username: p.username, Host: h, Realname: p.realname,
		Server: h, Account: accountOf(of), Away: p.away, Meta: p.meta,
		Bot: p.flags&isBot != 0, Secure: p.flags&isSecure != 0,
	}
}

// accountOf is the account of a user: the key of his node, which proves it.
func accountOf(who overlay.Stream) string { return who.Node.String() }

// mask is nick!user@host.
func (p person) mask(of overlay.Stream) string {
	return p.nick + "!" + p.username + "@" + VisibleHost(of.Node)
}

// newer is the later of two versions of a person; of two that differ under
// one number (a broken node) always the same one.
func newer(a, b person) person {
	if a.version != b.version {
		if a.version > b.version {
			return a
		}
		return b
	}
	if a.order() >= b.order() {
		return a
	}
	return b
}

func (p person) order() string {
	return strings.Join([]string{p.nick, p.username, p.realname, p.away, string(rune(p.flags)), string(p.meta)}, "\x00")
}

func personToWire(p person) *wire.Person {
	return &wire.Person{
		Nick: []byte(p.nick), Username: []byte(p.username), Realname: []byte(p.realname),
		Away: []byte(p.away), Version: p.version, Flags: uint32(p.flags), Meta: metaToWire(p.meta),
	}
}

// personFromWire checks what another node says of its user.
func personFromWire(w *wire.Person) (person, error) {
	p := person{
		nick: string(w.GetNick()), username: string(w.GetUsername()), realname: string(w.GetRealname()),
		away: string(w.GetAway()), version: w.GetVersion(),
		flags: personFlags(w.GetFlags()) & knownFlags, // others are of a later version
	}
	var err error
	switch p.meta, err = metaFromWire(w.GetMeta()); {
	case err != nil:
		return person{}, err
	case !chat.ValidNick(p.nick):
		return person{}, fmt.Errorf("%w: nick %q", errWire, chat.Cut(p.nick, 60))
	case len(p.username) > chat.MaxUsername || !oneWord(p.username) || strings.ContainsAny(p.username, "!@"):
		return person{}, fmt.Errorf("%w: user name %q", errWire, chat.Cut(p.username, 60))
	case len(p.realname) > chat.MaxRealname || !oneLine(p.realname):
		return person{}, fmt.Errorf("%w: real name", errWire)
	case len(p.away) > chat.MaxAway || !oneLine(p.away):
		return person{}, fmt.Errorf("%w: away text", errWire)
	}
	return p, nil
}

// oneLine reports whether a text could travel within one line of a protocol
// of lines.
func oneLine(s string) bool { return !strings.ContainsAny(s, "\x00\r\n") }

// oneWord reports whether a text has no space or control character.
func oneWord(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

func sessionToWire(s overlay.Stream) *wire.Session {
	return &wire.Session{Node: []byte(s.Node), Run: s.Run, Number: s.Session}
}

func sessionFromWire(w *wire.Session) (overlay.Stream, error) {
	s := overlay.Stream{Node: host.PeerID(w.GetNode()), Run: w.GetRun(), Session: w.GetNumber()}
	if !s.Node.Valid() {
		return overlay.Stream{}, fmt.Errorf("%w: session of a bad peer ID", errWire)
	}
	return s, nil
}
