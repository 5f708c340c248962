package chat

import (
	"strings"
	"unicode/utf8"
)

// ListModes are the letters of the modes that are lists: bans, those exempt from
// them, and those who need no invitation.
const ListModes = "beI"

// FullMask completes what a user gives as an entry of a list to nick!user@host. It
// is not ok when it could not travel as one word of a line, or is longer than
// MaxMask.
func FullMask(given string) (mask string, ok bool) {
	if given == "" || !isWord(given) {
		return "", false
	}
	mask = given
	bang, at := strings.IndexByte(mask, '!'), strings.LastIndexByte(mask, '@')
	switch {
	case bang < 0 && at < 0:
		mask += "!*@*"
	case bang < 0:
		mask = "*!" + mask
	case at < bang:
		mask += "@*"
	}
	return mask, len(mask) <= MaxMask
}

// isWord reports whether a parameter can travel as one word of a line, and in a
// list with commas.
func isWord(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == ',' || 0x7f <= r && r <= 0x9f
	})
}
