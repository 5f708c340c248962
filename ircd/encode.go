package ircd

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"ircbridge/chat"
)

// maxMiddle bounds each parameter but the last, so that one which a user
// typed never drives the text off the line.
const maxMiddle = 250

// appendLine appends a whole line with CRLF: tags (already encoded, without @
// and space; may be empty), source, command, middle parameters, and if
// hasText the last one with its colon. What does not fit is cut at the border
// of a rune (RFC 2812, section 2.3: 512 bytes with CRLF, tags apart). No byte
// of a parameter can end the line or begin another.
func appendLine(b []byte, tags, source, command string, middle []string, text string, hasText bool) []byte {
	if tags != "" {
		b = append(b, '@')
		b = append(b, tags...)
		b = append(b, ' ')
	}
	start := len(b)
	if source != "" {
		b = append(b, ':')
		b = append(b, source...)
		b = append(b, ' ')
	}
	b = append(b, command...)
	for _, p := range middle {
		b = append(b, ' ')
		b = appendMiddle(b, p)
	}
	if hasText {
		b = append(b, ' ', ':')
		b = appendText(b, text)
	}
	b = cutRunes(b, start, maxBody)
	return append(b, '\r', '\n')
}

// appendMiddle appends a parameter that must be one word: it ends at the first
// space or control character of a line, and stands for nothing as *.
func appendMiddle(b []byte, p string) []byte {
	if i := strings.IndexAny(p, " \r\n\x00"); i >= 0 {
		p = p[:i]
	}
	if p == "" || p[0] == ':' {
		return append(b, '*')
	}
	return append(b, cutString(p, maxMiddle)...)
}

// appendText appends a text; what would end the line becomes a space, and what
// is not UTF-8 the replacement character (UTF8ONLY is announced).
func appendText(b []byte, text string) []byte {
	if len(text) > maxBody+utf8.UTFMax { // the rest cannot fit
		text = cutString(text, maxBody+utf8.UTFMax)
	}
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	start := len(b)
	b = append(b, text...)
	for i := start; i < len(b); i++ {
		if c := b[i]; c == '\r' || c == '\n' || c == 0 {
			b[i] = ' '
		}
	}
	return b
}

// cutRunes shortens what stands in b from start on to at most limit bytes.
func cutRunes(b []byte, start, limit int) []byte {
	if len(b)-start <= limit {
		return b
	}
	return b[:start+runeBorder(b[start:], limit)]
}

// cutString shortens s to at most limit bytes, not within a rune.
func cutString(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return s[:runeBorder(s, limit)]
}

// runeBorder is the last index at or before limit at which a rune begins.
func runeBorder[T string | []byte](s T, limit int) int {
	for i := limit; i > 0 && i > limit-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			return i
		}
	}
	return limit
}

// maxResponseTag is the longest tag that a labelled response adds: its label,
// each byte escaped.
const maxResponseTag = len(";label=") + 2*maxLabel

// encodeTagsOf makes the tags of a line that comes from a user: encodeTags with his
// account, and the mark of programs (IRCv3, "Bot Mode").
func encodeTagsOf(caps capSet, at time.Time, who *chat.Profile, id string, client map[string]string) string {
	tags := encodeTags(caps, at, who.Account, id, client)
	if who.Bot && caps&capMessageTags != 0 {
		tags = string(appendTag([]byte(tags), "bot", ""))
	}
	return tags
}

// timeForm is the form of server-time.
const timeForm = "2006-01-02T15:04:05.000Z"

// appendTag appends name=value to tags.
func appendTag(tags []byte, name, value string) []byte {
	if len(tags) > 0 {
		tags = append(tags, ';')
	}
	tags = append(tags, name...)
	if value == "" {
		return tags
	}
	tags = append(tags, '=')
	for i := 0; i < len(value); i++ { // message-tags, "Escaping values"
		switch c := value[i]; c {
		case ';':
			tags = append(tags, '\\', ':')
		case ' ':
			tags = append(tags, '\\', 's')
		case '\\':
			tags = append(tags, '\\', '\\')
		case '\r':
			tags = append(tags, '\\', 'r')
		case '\n':
			tags = append(tags, '\\', 'n')
		case 0:
		default:
			tags = append(tags, c)
		}
	}
	return tags
}

// encodeTags makes the tags of one line for a client with these capabilities:
// its time, the account of who sent it, and what a message has. Tags that would
// exceed the limit of a line are left out, the last names first.
func encodeTags(caps capSet, at time.Time, account, id string, client map[string]string) string {
	if caps&(capServerTime|capMessageTags|capAccountTag) == 0 {
		return ""
	}
	tags := make([]byte, 0, 96)
	if caps&capServerTime != 0 && !at.IsZero() {
		tags = append(tags, "time="...)
		tags = at.UTC().AppendFormat(tags, timeForm)
	}
	if caps&capAccountTag != 0 && account != "" {
		tags = appendTag(tags, "account", account)
	}
	if caps&capMessageTags == 0 {
		return string(tags)
	}
	if id != "" {
		tags = appendTag(tags, "msgid", id)
	}
	names := make([]string, 0, len(client))
	for name := range client {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !validClientTag(name) {
			continue
		}
		before := len(tags)
		tags = appendTag(tags, name, strings.ToValidUTF8(client[name], "\uFFFD"))
		if len(tags) > maxTags-2-maxResponseTag-len(";bot") {
			tags = tags[:before]
		}
	}
	return string(tags)
}
