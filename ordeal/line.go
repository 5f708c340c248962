package ordeal

import "strings"

// line is a line of IRC in its parts.
type line struct {
	tags, source, command string
	params                []string
}

// parse takes a line without its end.
func parse(s string) (l line) {
	if strings.HasPrefix(s, "@") {
		l.tags, s, _ = strings.Cut(s[1:], " ")
	}
	if strings.HasPrefix(s, ":") {
		l.source, s, _ = strings.Cut(s[1:], " ")
	}
	l.command, s, _ = strings.Cut(s, " ")
	for s != "" {
		var p string
		if strings.HasPrefix(s, ":") {
			p, s = s[1:], ""
		} else {
			p, s, _ = strings.Cut(s, " ")
		}
		l.params = append(l.params, p)
	}
	return l
}

// nick is who a line is from.
func (l line) nick() string {
	nick, _, _ := strings.Cut(l.source, "!")
	return nick
}

// param is a parameter, "" where there is none.
func (l line) param(i int) string {
	if i < len(l.params) {
		return l.params[i]
	}
	return ""
}

// tag is the value of a tag; the labels of this package need no unescaping.
func (l line) tag(name string) string {
	for t := range strings.SplitSeq(l.tags, ";") {
		if key, value, _ := strings.Cut(t, "="); key == name {
			return value
		}
	}
	return ""
}
