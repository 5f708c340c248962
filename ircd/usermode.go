package ircd

import (
	"context"
	"strings"
)

// userModes is a set of modes of a user.
type userModes uint32

const (
	modeBot userModes = 1 << iota
	modeAccountsOnly
	modeSecure
	modeInvisible
	modeOperator
	modeServerNotices
	modeWallops
)

// userModeTable has the modes of users, in the order in which they are listed.
var userModeTable = []struct {
	letter byte
	bit    userModes
	// given: MODE does not set it, only takes it away.
	given bool
	// fixed: MODE changes nothing of it.
	fixed bool
	// operators: it is theirs only, and goes with their mode o.
	operators bool
}{
	{letter: 'B', bit: modeBot},
	{letter: 'R', bit: modeAccountsOnly},
	{letter: 'Z', bit: modeSecure, fixed: true},
	{letter: 'i', bit: modeInvisible},
	{letter: 'o', bit: modeOperator, given: true},
	{letter: 's', bit: modeServerNotices, operators: true},
	{letter: 'w', bit: modeWallops},
}

// userModeLetters are those of a set, without a sign.
func userModeLetters(set userModes) string {
	var letters []byte
	for _, m := range userModeTable {
		if set&m.bit != 0 {
			letters = append(letters, m.letter)
		}
	}
	return string(letters)
}

// userMode shows or changes the client's own modes. Mode i changes nothing:
// nobody sees a user with whom he shares no channel other than by his nick, with
// or without it.
func (c *conn) userMode(params []string) {
	if len(params) == 0 {
		c.reply(rplUModeIs, "+"+userModeLetters(c.modes()))
		return
	}
	add, set, unknown, refused := true, c.modes(), false, false
	for _, letter := range params[0] {
		if letter == '+' || letter == '-' {
			add = letter == '+'
			continue
		}
		known := false
		for _, m := range userModeTable {
			switch {
			case rune(m.letter) != letter:
				continue
			case m.fixed:
			case !add:
				set &^= m.bit
			case m.operators && set&modeOperator == 0:
				refused = true
			case !m.given: // an attempt to take mode o is ignored (RFC 2812, section 3.1.5)
				set |= m.bit
			}
			known = true
		}
		unknown = unknown || !known
	}
	for _, shared := range []struct {
		bit userModes
		set func(context.Context, bool) error
	}{{modeBot, c.session.SetBot}, {modeAccountsOnly, c.session.SetAccountsOnly}} {
		if (set^c.modes())&shared.bit != 0 && !c.share(shared.set, set&shared.bit != 0) {
			set ^= shared.bit
		}
	}
	c.self.Bot = set&modeBot != 0
	c.setModes(set)
	if refused {
		c.reply(errNoPrivileges)
	}
	if unknown {
		c.reply(errUModeUnknownFlag)
	}
}

// share tells the session of a mode that is not for this server alone, and reports whether it
// could.
func (c *conn) share(set func(context.Context, bool) error, on bool) bool {
	ctx, cancel := c.timeout()
	defer cancel()
	err := set(ctx, on)
	if err != nil {
		c.fail(err, subject{command: "MODE", nick: c.self.Nick})
	}
	return err == nil
}

// modes are those that the client has now. Any goroutine may ask.
func (c *conn) modes() userModes { return userModes(c.umodes.Load()) }

// setModes gives the client these modes and tells him what has changed.
func (c *conn) setModes(set userModes) {
	was := c.modes()
	if was&modeOperator != 0 && set&modeOperator == 0 {
		c.srv.retire(c)
		for _, m := range userModeTable {
			if m.operators {
				set &^= m.bit
			}
		}
	}
	c.umodes.Store(uint32(set))
	var change strings.Builder
	if added := set &^ was; added != 0 {
		change.WriteString("+" + userModeLetters(added))
	}
	if gone := was &^ set; gone != 0 {
		change.WriteString("-" + userModeLetters(gone))
	}
	if change.Len() > 0 {
		c.write("", c.self.Nick, "MODE", []string{c.self.Nick}, change.String())
	}
}
