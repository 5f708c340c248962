package chat

import (
	"strings"
	"unicode/utf8"
)

// ListModes are the letters of the modes that are lists: bans, those exempt from
// them, and those who need no invitation.
const ListModes = "beI"

// FlagModes are the letters of the modes of a channel that have no parameter.
const FlagModes = "CRimnst"

// ExtendedBans are the letters of the entries that are more than a mask of
// nick!user@host (FullMask).
const ExtendedBans = "am"

// FullMask makes of what a user gives an entry of the list of a letter:
//
//	nick!user@host     completed, where parts are missing
//	a:ACCOUNT          those of an account (a mask), also account:ACCOUNT
//	m:ENTRY            those whom one of these fits may join and not speak; on the
//	                   list e: are exempt from that; not on the list I. Also mute:ENTRY
//
// It is not ok when it is none of these, could not travel as one word of a line, or
// is longer than MaxMask.
func FullMask(letter byte, given string) (entry string, ok bool) {
	if !isWord(given) {
		return "", false
	}
	rest := given
	if after, is := cutName(rest, "m", "mute"); is && letter != 'I' {
		rest, entry = after, "m:"
	}
	if account, is := cutName(rest, "a", "account"); is {
		entry += "a:" + account
		return entry, account != "" && len(entry) <= MaxMask
	}
	entry += fullMask(rest)
	// A nick has no colon: what is meant is an extended ban that is not there.
	part := rest
	if i := strings.IndexAny(rest, "!@"); i >= 0 {
		part = rest[:i]
	}
	return entry, rest != "" && !strings.Contains(part, ":") && len(entry) <= MaxMask
}

// cutName takes one of two names and a colon from the front of an entry.
func cutName(entry, letter, name string) (rest string, ok bool) {
	first, rest, ok := strings.Cut(entry, ":")
	return rest, ok && (SameName(first, letter) || SameName(first, name))
}

// fullMask completes a mask to nick!user@host.
func fullMask(mask string) string {
	bang, at := strings.IndexByte(mask, '!'), strings.LastIndexByte(mask, '@')
	switch {
	case bang < 0 && at < 0:
		return mask + "!*@*"
	case bang < 0:
		return "*!" + mask
	case at < bang:
		return mask + "@*"
	}
	return mask
}

// MatchEntry reports whether an entry of a list, as FullMask makes it, fits the user with
// a mask and an account. mute: entries about speaking are asked, else the others.
func MatchEntry(entry string, mute bool, mask, account string) bool {
	rest, about := strings.CutPrefix(entry, "m:")
	if about != mute {
		return false
	}
	if of, is := strings.CutPrefix(rest, "a:"); is {
		return account != "" && MatchMask(of, account)
	}
	return MatchMask(rest, mask)
}

// isWord reports whether a parameter can travel as one word of a line, and in a
// list with commas.
func isWord(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == ',' || 0x7f <= r && r <= 0x9f
	})
}
