package chat

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of names and texts, in bytes.
const (
	MaxNick     = 30
	MaxChannel  = 50 // with its #
	MaxUsername = 16
	MaxHost     = 27 // of a user, as others see it: the name of his node
	MaxRealname = 150
	MaxTopic    = 390
	MaxReason   = 300 // of PART, KICK and QUIT
	MaxAway     = 300
	MaxKey      = 30
	MaxList     = 100  // entries of each list of one channel
	MaxMask     = 200  // of an entry of a list
	MaxChannels = 100  // of one session
	MaxWatched  = 100  // nicks that one session watches
	MaxText     = 4096 // of one message; front-ends may have a lower limit
)

// A user may knock at a channel once in KnockPause, and all users together
// MaxKnocks times.
const (
	KnockPause = time.Minute
	MaxKnocks  = 10
)

// RenamePause is how long a channel keeps a name at least: to who does not know renames,
// each is as if all of its members came anew.
const RenamePause = 10 * time.Second

// RedactWindow is how old a message may be that is redacted: as long as a redaction
// is remembered.
const RedactWindow = 24 * time.Hour

// maxMessageID bounds the ID of a message, in bytes.
const maxMessageID = 64

// ValidMessageID reports whether id can be the ID of a message: one word of no more
// than 64 bytes.
func ValidMessageID(id string) bool {
	return id != "" && len(id) <= maxMessageID && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// Fold is the form under which names are compared and kept: ASCII letters in
// lower case (CASEMAPPING=ascii), all else as it is.
func Fold(name string) string {
	for i := 0; i < len(name); i++ {
		if c := name[i]; 'A' <= c && c <= 'Z' {
			return foldFrom(name, i)
		}
	}
	return name
}

func foldFrom(name string, i int) string {
	b := []byte(name)
	for ; i < len(b); i++ {
		if 'A' <= b[i] && b[i] <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

// SameName reports whether two names are the same under Fold.
func SameName(a, b string) bool { return len(a) == len(b) && Fold(a) == Fold(b) }

// ValidNick reports whether nick is a nickname: RFC 2812, section 2.3.1
// (letters, digits, specials and -, not beginning with a digit or -), of 1 to
// MaxNick bytes.
func ValidNick(nick string) bool {
	if nick == "" || len(nick) > MaxNick {
		return false
	}
	for i := 0; i < len(nick); i++ {
		switch c := nick[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', strings.IndexByte("[]\\`_^{|}", c) >= 0:
		case '0' <= c && c <= '9', c == '-':
			if i == 0 {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// ValidChannel reports whether name is a channel name: # and 1 to 49 bytes of
// UTF-8 without space, comma or control characters.
func ValidChannel(name string) bool {
	if len(name) < 2 || len(name) > MaxChannel || name[0] != '#' || !utf8.ValidString(name) {
		return false
	}
	for _, r := range name {
		if r <= ' ' || r == ',' || 0x7f <= r && r <= 0x9f {
			return false
		}
	}
	return true
}

// Cut shortens a text to at most max bytes, not within a rune of UTF-8.
func Cut(s string, max int) string {
	if len(s) <= max {
		return s
	}
	end := max
	for end > 0 && end > max-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// Beginning is how a text begins, for a report that names it: 30 characters,
// without those that control a terminal, and … where there is more.
func Beginning(text string) string {
	const most = 30
	b, n := make([]rune, 0, most), 0
	for i, r := range text {
		if n++; len(b) == most || n > 4*most {
			return string(b) + "…"
		}
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD") || unicode.IsControl(r) {
			continue
		}
		b = append(b, r)
	}
	return string(b)
}

// MatchMask reports whether text matches a mask with * and ?, both under Fold.
// It takes time proportional to the product of the lengths at worst.
func MatchMask(mask, text string) bool {
	mask, text = Fold(mask), Fold(text)
	m, t, star, mark := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case m < len(mask) && mask[m] == '*':
			star, mark = m, t
			m++
		case m < len(mask) && (mask[m] == '?' || mask[m] == text[t]):
			m++
			t++
		case star >= 0:
			mark++
			m, t = star+1, mark
		default:
			return false
		}
	}
	for m < len(mask) && mask[m] == '*' {
		m++
	}
	return m == len(mask)
}
