package mapping

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// Bounds of modes.
const (
	maxLimit   = 1 << 20 // of +l
	maxChanges = 64      // in one request
)

// ownModes are the modes of a channel but lists and statuses, sorted.
const ownModes = "CRiklmnst"

func isFlag(letter byte) bool { return strings.IndexByte(chat.FlagModes, letter) >= 0 }

func isChannelMode(letter byte) bool { return strings.IndexByte(ownModes, letter) >= 0 }

// asker is who asks for changes, and with which statuses.
type asker struct {
	who    overlay.Stream
	status chat.Status
}

// mayGive reports whether the asker, who is a half operator at least, may give a
// status to a member, or take it away. He may always give his own up.
func (a asker) mayGive(bit chat.Status, add bool, to overlay.Stream) bool {
	return a.status.Rules(bit) || !add && to == a.who
}

// change makes one change into an event's, or says why not. A change that
// changes nothing is nil with OK.
func (s *state) change(by asker, c *wire.ModeChange) (*wire.ModeChange, wire.Code) {
	if c == nil || c.Letter > 'z' {
		return nil, wire.Code_UNKNOWN_MODE
	}
	letter, arg := byte(c.Letter), string(c.Arg)
	if isFlag(letter) {
		if s.is(letter) == c.Add {
			return nil, wire.Code_OK
		}
		return &wire.ModeChange{Add: c.Add, Letter: c.Letter}, wire.Code_OK
	}
	switch letter {
	case 'o', 'h', 'v':
		return s.changeStatus(by, c, chat.StatusOf(letter))
	case 'b', 'e', 'I':
		return s.changeList(c)
	case 'k':
		return s.changeKey(c, arg)
	case 'l':
		limit, ok := 0, true
		if c.Add {
			if limit, ok = parseLimit(arg); !ok {
				return nil, wire.Code_BAD_MODE_PARAM
			}
		}
		if s.modes['l'].limit == limit {
			return nil, wire.Code_OK
		}
		done := &wire.ModeChange{Add: c.Add, Letter: c.Letter}
		if c.Add {
			done.Arg = []byte(strconv.Itoa(limit))
		}
		return done, wire.Code_OK
	}
	return nil, wire.Code_UNKNOWN_MODE
}

func (s *state) changeStatus(by asker, c *wire.ModeChange, bit chat.Status) (*wire.ModeChange, wire.Code) {
	who, err := sessionFromWire(c.Target)
	if err != nil {
		return nil, wire.Code_BAD_MODE_PARAM
	}
	m, ok := s.members[who]
	switch {
	case !ok:
		return nil, wire.Code_NOT_IN_CHANNEL
	case !by.mayGive(bit, c.Add, who):
		return nil, wire.Code_NO_PRIVILEGES
	case (m.status&bit != 0) == c.Add:
		return nil, wire.Code_OK
	}
	return &wire.ModeChange{Add: c.Add, Letter: c.Letter, Target: sessionToWire(who)}, wire.Code_OK
}

func (s *state) changeList(c *wire.ModeChange) (*wire.ModeChange, wire.Code) {
	list := s.lists.of(byte(c.Letter))
	mask, ok := chat.FullMask(byte(c.Letter), string(c.Arg))
	if !ok {
		return nil, wire.Code_BAD_MODE_PARAM
	}
	old, ok := list[chat.Fold(mask)]
	set := ok && !old.gone
	switch {
	case set == c.Add:
		return nil, wire.Code_OK
	case !c.Add:
		mask = old.mask
	case len(list.inForce()) >= chat.MaxList:
		return nil, wire.Code_LIST_FULL
	}
	return &wire.ModeChange{Add: c.Add, Letter: c.Letter, Arg: []byte(mask)}, wire.Code_OK
}

func (s *state) changeKey(c *wire.ModeChange, key string) (*wire.ModeChange, wire.Code) {
	old := s.modes['k'].key
	if !c.Add {
		if old == "" {
			return nil, wire.Code_OK
		}
		// Clients want a parameter, and nobody needs the old key.
		return &wire.ModeChange{Letter: c.Letter, Arg: []byte("*")}, wire.Code_OK
	}
	if key == "" || len(key) > chat.MaxKey || hasSpace(key) || key[0] == ':' {
		return nil, wire.Code_BAD_MODE_PARAM
	}
	if old == key {
		return nil, wire.Code_OK
	}
	return &wire.ModeChange{Add: true, Letter: c.Letter, Arg: []byte(key)}, wire.Code_OK
}

// parseLimit reads the parameter of +l.
func parseLimit(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 1 && n <= maxLimit
}

// hasSpace reports whether a parameter could not travel as one word of a line.
func hasSpace(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == ',' || 0x7f <= r && r <= 0x9f
	})
}
