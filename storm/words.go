package storm

import (
	"strings"
)

// source is what a program is read from: each choice takes a byte.
type source struct{ rest []byte }

// over reports whether the program has ended.
func (s *source) over() bool { return len(s.rest) == 0 }

// pick is a number below n; 0 at the end of the program.
func (s *source) pick(n int) int {
	if len(s.rest) == 0 {
		return 0
	}
	b := s.rest[0]
	s.rest = s.rest[1:]
	return int(b) % n
}

// The words of which lines are made. Few of each, so that clients meet.
var (
	channels = []string{"#a", "#a", "#a", "#A", "#b", "#b", "#long-name-of-a-channel", "#Ärger", "&a", "#", "nochannel"}
	nicks    = []string{"c0", "c1", "c2", "c3", "C1", "other", "*bridge", "1st", "nobody"}
	texts    = []string{
		"hello", "", "a b  c ", "\x01ACTION waves\x01", "\x02bold\x0f \x0304red", "Grüße ☕ 日本語", ":colon", "no\xff utf8",
		strings.Repeat("long ", 90), "%s %n $x \\", strings.Repeat("ü", 200),
	}
	modes   = []string{"o", "v", "b", "e", "I", "k", "l", "i", "m", "n", "s", "t", "C", "R", "h", "q", "?", "s", "m"}
	masks   = []string{"*!*@*", "c1", "*!c2@*", "m:*!*@*", "a:*", "c3!*@*", "~x:y", "!@", "@", "c2!*"}
	numbers = []string{"1", "2", "10", "0", "-1", "x", "99999999999999999999"}
	letters = []string{"l", "m", "u", "o", "p", "c", "x", "é"}
)

// templates of lines: %c is a channel, %n a nick, %t a text, %m a mode, %k a mask, %d a
// number, %x a letter, %i the ID of a message that the client was shown, %% a percent sign.
var templates = []string{
	"JOIN %c", "JOIN %c", "JOIN %c", "JOIN #a,#b", "JOIN #a,#b", "JOIN %c,%c", "JOIN %c key", "JOIN 0", "JOIN %c,%c key,%t", "PART %c", "PART %c :%t", "PART %c,%c",
	"PRIVMSG %c :%t", "PRIVMSG %c :%t", "PRIVMSG %n :%t", "PRIVMSG %c,%n,%c,%n,%n :%t", "PRIVMSG @%c :%t", "PRIVMSG", "PRIVMSG %c",
	"NOTICE %c :%t", "NOTICE %n :%t", "NOTICE +%c :%t", "TAGMSG %c", "TAGMSG %n", "REDACT %c %t", "REDACT %c %i", "REDACT %c %i :%t", "REDACT %n %i",
	"TOPIC %c", "TOPIC %c :%t", "TOPIC #a :%t", "TOPIC #a :%n", "TOPIC %c :", "MODE #a -t", "NAMES %c", "NAMES %c,%c", "NAMES", "LIST", "LIST %c", "LIST >%d", "LIST *a*,T<%d",
	"KICK %c %n :%t", "KICK %c %n,%n", "INVITE %n %c", "INVITE %n %c", "KNOCK %c", "KNOCK %c :%t", "RENAME %c %c :%t",
	"MODE %c", "MODE %c +%m", "MODE %c -%m", "MODE %c +%m %n", "MODE %c -%m %n", "MODE %c +%m %k", "MODE %c -%m %k", "MODE %c +%m %d",
	"MODE %c %m", "MODE %c +o %n", "MODE %c -o %n", "MODE %c +v %n", "MODE %c +b %k", "MODE %c beI", "MODE %c +l %d", "MODE %c +k key",
	"MODE %c -k key", "MODE %c +%m%m-%m%m %n %k %n %k", "MODE %c -%m%m%m", "MODE %c -i-m-n-s-k-l *", "MODE %n", "MODE %n +%m%x", "MODE %n -%m%x",
	"WHO %c", "WHO %n", "WHO *", "WHO", "WHO %c %%tcuihsnfdlaor,1", "WHO %k o", "WHOIS %n", "WHOIS %n %n", "WHOIS", "WHOWAS %n", "WHOWAS %n %d",
	"AWAY", "AWAY :%t", "SETNAME :%t", "NICK %n", "NICK %n", "NICK", "ISON %n %n", "USERHOST %n %n %n", "MONITOR + %n,%n", "MONITOR - %n", "MONITOR L", "MONITOR S",
	"MONITOR C", "METADATA %n LIST", "METADATA %c SET %t :%t", "METADATA * SUB avatar", "METADATA * SUB avatar url", "METADATA * SET avatar :%t",
	"METADATA %c SET url :%t", "METADATA %c SET url :%t", "METADATA %c GET url avatar", "METADATA * CLEAR", "METADATA %c CLEAR", "METADATA * SUBS", "METADATA %c SYNC", "METADATA * UNSUB avatar",
	"BATCH +m draft/multiline %c\n@batch=m PRIVMSG %c :%t\n@batch=m PRIVMSG %c :%t\nBATCH -m",
	"BATCH +m draft/multiline #a\n@batch=m PRIVMSG #a :%t\n@batch=m;draft/multiline-concat PRIVMSG #a :%t\n@batch=m PRIVMSG #a :%t\nBATCH -m",
	"BATCH +m draft/multiline c1\n@batch=m NOTICE c1 :%t\n@batch=m NOTICE c1 :%t\nBATCH -m", "BATCH +m draft/multiline %n\nBATCH -m", "CHATHISTORY LATEST %c * 5", "MARKREAD %c",
	"MOTD", "LUSERS", "VERSION", "TIME", "INFO", "ADMIN", "STATS %x", "STATS", "LINKS", "LINKS %t", "MAP", "TRACE", "TRACE %n", "HELP", "HELP %t", "HELP JOIN", "USERS",
	"SUMMON %n", "ISUPPORT", "PING %t", "PING", "PONG %t", "WALLOPS :%t", "KILL %n :%t", "OPER root sesame", "OPER root wrong", "OPER", "REHASH", "REHASH %t",
	"CAP LS 302", "CAP LIST", "CAP END", "CAP %t", "CAP REQ :nonsense", "PASS %t", "USER %t 0 * :%t", "NONSENSE %t", "%t %t %t", "BATCH +1 %t", "QUIT :%t",
}

// line makes a line of a template, or several with line ends between them, for who was shown a
// message with that ID.
func (s *source) line(id string) string {
	var b strings.Builder
	word := func(list []string) { b.WriteString(list[s.pick(len(list))]) }
	template := templates[s.pick(len(templates))]
	for i := 0; i < len(template); i++ {
		if template[i] != '%' {
			b.WriteByte(template[i])
			continue
		}
		i++
		switch template[i] {
		case 'c':
			word(channels)
		case 'n':
			word(nicks)
		case 't':
			word(texts)
		case 'm':
			word(modes)
		case 'k':
			word(masks)
		case 'd':
			word(numbers)
		case 'x':
			word(letters)
		case 'i':
			b.WriteString(id)
		default:
			b.WriteByte(template[i])
		}
	}
	return b.String()
}

// message is a line of a server.
type message struct {
	tags    map[string]string
	source  string // all of it
	nick    string // of the source, if it is a user
	command string
	params  []string
}

func (m *message) param(i int) string {
	if i < len(m.params) {
		return m.params[i]
	}
	return ""
}

func parse(line string) message {
	m := message{tags: map[string]string{}}
	if rest, ok := strings.CutPrefix(line, "@"); ok {
		tags, after, _ := strings.Cut(rest, " ")
		for tag := range strings.SplitSeq(tags, ";") {
			name, value, _ := strings.Cut(tag, "=")
			m.tags[name] = value
		}
		line = after
	}
	if rest, ok := strings.CutPrefix(line, ":"); ok {
		m.source, line, _ = strings.Cut(rest, " ")
		if nick, _, user := strings.Cut(m.source, "!"); user {
			m.nick = nick
		}
	}
	head, text, hasText := strings.Cut(line, " :")
	m.params = strings.Fields(head)
	if len(m.params) > 0 {
		m.command, m.params = m.params[0], m.params[1:]
	}
	if hasText {
		m.params = append(m.params, text)
	}
	return m
}

// fold makes names equal that differ in the case of ASCII letters.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}
