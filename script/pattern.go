package script

import (
	"errors"
	"fmt"
	"strings"
)

// partKind says what a part of a template is.
type partKind uint8

const (
	literal  partKind = iota // text as it is
	variable                 // ${text}
	wildcard                 // *, or *{text}, which keeps what it matched
)

type part struct {
	kind partKind
	text string
}

// template is a text with variables and, where it is a pattern, wildcards.
type template []part

// parseTemplate reads a template. Only patterns may have wildcards; elsewhere
// a * is a *.
func parseTemplate(s string, pattern bool) (template, error) {
	var t template
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			t = append(t, part{literal, lit.String()})
			lit.Reset()
		}
	}
	kept := map[string]bool{}
	for i := 0; i < len(s); {
		switch {
		case s[i] == '\\':
			b, n, err := unescape(s[i:])
			if err != nil {
				return nil, err
			}
			lit.WriteByte(b)
			i += n
		case strings.HasPrefix(s[i:], "${"):
			name, n, err := braced(s[i+1:])
			if err != nil {
				return nil, err
			}
			flush()
			t = append(t, part{variable, name})
			i += 1 + n
		case pattern && s[i] == '*':
			flush()
			p := part{kind: wildcard}
			i++
			if strings.HasPrefix(s[i:], "{") {
				name, n, err := braced(s[i:])
				if err != nil {
					return nil, err
				}
				if strings.Contains(name, ".") || kept[name] {
					return nil, fmt.Errorf("*{%s}: a wildcard keeps its text under a simple name, used once in a pattern", name)
				}
				kept[name] = true
				p.text = name
				i += n
			}
			if len(t) > 0 && t[len(t)-1].kind == wildcard {
				return nil, errors.New("two wildcards side by side; which is to match what?")
			}
			t = append(t, p)
		default:
			lit.WriteByte(s[i])
			i++
		}
	}
	flush()
	return t, nil
}

// braced reads {name} and returns the name and the bytes used.
func braced(s string) (string, int, error) {
	end := strings.IndexByte(s, '}')
	if end < 0 {
		return "", 0, errors.New("{ without }")
	}
	name := s[1:end]
	for part := range strings.SplitSeq(name, ".") {
		if !validName(part) {
			return "", 0, fmt.Errorf("{%s}: names are letters, digits, - and _, beginning with a letter", name)
		}
	}
	return name, end + 1, nil
}

// unescape reads one escape and returns its byte and the bytes used.
func unescape(s string) (byte, int, error) {
	if len(s) < 2 {
		return 0, 0, errors.New(`\ at the end of the line; a backslash is written \\`)
	}
	switch s[1] {
	case '\\', '*', '$', '"', '#':
		return s[1], 2, nil
	case 's':
		return ' ', 2, nil
	case 't':
		return '\t', 2, nil
	case 'r':
		return '\r', 2, nil
	case 'n':
		return '\n', 2, nil
	case '0':
		return 0, 2, nil
	case 'x':
		if len(s) >= 4 {
			hi, lo := strings.IndexByte(hexDigits, lower(s[2])), strings.IndexByte(hexDigits, lower(s[3]))
			if hi >= 0 && lo >= 0 {
				return byte(hi<<4 | lo), 4, nil
			}
		}
		return 0, 0, errors.New(`\x needs two hexadecimal digits`)
	}
	return 0, 0, fmt.Errorf(`\%c is no escape; there are \\ \* \$ \" \# \s \t \r \n \0 \xHH`, s[1])
}

const hexDigits = "0123456789abcdef"

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// expand puts in the variables.
func (t template) expand(lookup func(string) (string, bool)) (template, error) {
	var out template
	for _, p := range t {
		if p.kind == variable {
			text, ok := lookup(p.text)
			if !ok {
				return nil, fmt.Errorf("${%s} has no value here", p.text)
			}
			p = part{literal, text}
		}
		if n := len(out); n > 0 && p.kind == literal && out[n-1].kind == literal {
			out[n-1].text += p.text
			continue
		}
		out = append(out, p)
	}
	return out, nil
}

// plain is the text of an expanded template without wildcards.
func (t template) plain() string {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(p.text)
	}
	return b.String()
}

// String writes an expanded pattern as people read it.
func (t template) String() string {
	var b strings.Builder
	for _, p := range t {
		switch {
		case p.kind == variable:
			b.WriteString("${" + p.text + "}")
		case p.kind == wildcard && p.text != "":
			b.WriteString("*{" + p.text + "}")
		case p.kind == wildcard:
			b.WriteString("*")
		default:
			b.WriteString(p.text)
		}
	}
	return b.String()
}

// match compares an expanded pattern with a line. Each wildcard matches as
// little as it can; the texts of the named ones come back. A pattern that does not begin with
// @ is compared with the line without its tags.
func (t template) match(line string) (map[string]string, bool) {
	if strings.HasPrefix(line, "@") && (len(t) == 0 || !strings.HasPrefix(t[0].text, "@")) {
		_, line, _ = strings.Cut(line, " ")
	}
	var kept map[string]string
	star := -1 // index of the wildcard that is open
	for i, p := range t {
		if p.kind == wildcard {
			star = i
			continue
		}
		at := 0
		switch {
		case star >= 0 && i == len(t)-1:
			if !strings.HasSuffix(line, p.text) {
				return nil, false
			}
			at = len(line) - len(p.text)
		case star >= 0:
			at = strings.Index(line, p.text)
		case !strings.HasPrefix(line, p.text):
			at = -1
		}
		if at < 0 {
			return nil, false
		}
		if star >= 0 {
			kept = keep(kept, t[star].text, line[:at])
			star = -1
		}
		line = line[at+len(p.text):]
	}
	if star >= 0 {
		return keep(kept, t[star].text, line), true
	}
	return kept, line == ""
}

func keep(kept map[string]string, name, text string) map[string]string {
	if name == "" {
		return kept
	}
	if kept == nil {
		kept = map[string]string{}
	}
	kept[name] = text
	return kept
}
