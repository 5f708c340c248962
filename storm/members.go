package storm

import (
	"slices"
	"strings"
)

// signs are those of statuses, the highest first.
const signs = "@%+"

// members are those of a channel as a client keeps its list of nicks: from NAMES when it came, and from
// who came and went since.
type members struct {
	operator map[string]bool // by folded nick; nil before NAMES
	listing  bool            // NAMES is being shown
}

// learnMembers takes a line into the lists of members, and holds it against them. c.nick is still what it was before
// the line.
func (c *client) learnMembers(m message, own bool) {
	channel, nick := fold(m.param(0)), fold(m.nick)
	list := c.members[channel]
	switch m.command {
	case "353":
		if list := c.members[fold(m.param(2))]; list != nil && (list.operator == nil || list.listing) {
			list.take(m.param(3))
		}
	case "366":
		if list := c.members[fold(m.param(1))]; list != nil {
			list.listing = false
		}
	case "JOIN":
		if !own {
			c.comes(list, nick, m)
		}
	case "PART":
		c.leaves(list, nick, m)
	case "KICK":
		c.leaves(list, fold(m.param(1)), m)
	case "QUIT":
		for _, list := range c.members {
			list.drop(nick)
		}
	case "NICK":
		c.renamed(nick, fold(m.param(0)), m)
	case "MODE":
		list.statuses(m)
	}
}

// take takes a line of NAMES.
func (l *members) take(words string) {
	if l.operator == nil {
		l.operator = map[string]bool{}
	}
	l.listing = true
	for word := range strings.FieldsSeq(words) {
		word, _, _ = strings.Cut(word, "!")
		nick := strings.TrimLeft(word, signs)
		l.operator[fold(nick)] = strings.HasPrefix(word, "@")
	}
}

// known reports whether the list is one.
func (l *members) known() bool { return l != nil && l.operator != nil }

func (l *members) has(nick string) bool {
	_, ok := l.operator[nick]
	return ok
}

func (l *members) drop(nick string) {
	if l.known() {
		delete(l.operator, nick)
	}
}

func (c *client) comes(l *members, nick string, m message) {
	if !l.known() {
		return
	}
	if l.has(nick) {
		c.wrong("%s comes to %s, and was there", m.nick, m.param(0))
	}
	l.operator[nick] = false
}

func (c *client) leaves(l *members, nick string, m message) {
	if l.known() && !l.has(nick) {
		c.wrong("%s leaves %s, and was not there", nick, m.param(0))
	}
	l.drop(nick)
}

func (c *client) renamed(old, nick string, m message) {
	for name, l := range c.members {
		if !l.known() || !l.has(old) {
			continue
		}
		if l.has(nick) && nick != old {
			c.wrong("%s becomes %s, who is on %s too", m.nick, m.param(0), name)
		}
		was := l.operator[old]
		delete(l.operator, old)
		l.operator[nick] = was
	}
}

// statuses takes what a MODE line says of operators.
func (l *members) statuses(m message) {
	if !l.known() {
		return
	}
	add, args := true, m.params[min(2, len(m.params)):]
	for _, letter := range m.param(1) {
		switch {
		case letter == '+' || letter == '-':
			add = letter == '+'
		case strings.ContainsRune("ohvbeIk", letter) || letter == 'l' && add:
			if len(args) == 0 {
				return
			}
			if nick := fold(args[0]); letter == 'o' && l.has(nick) {
				l.operator[nick] = add
			}
			args = args[1:]
		}
	}
}

// toldMembers is the list of a channel's members as the client was told, as operatorsIn has it; known is false while
// it was told of nobody.
func (c *client) toldMembers(channel string) (list string, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.members[channel]
	if !l.known() {
		return "", false
	}
	var words []string
	for nick, operator := range l.operator {
		if operator {
			nick = "@" + nick
		}
		words = append(words, nick)
	}
	slices.Sort(words)
	return strings.Join(words, " "), true
}

// operatorsIn lists the members of a view, folded and sorted, operators with their sign: who has a voice too is
// not shown to clients without multi-prefix.
func operatorsIn(view string) string {
	line, _, _ := strings.Cut(view, "\n")
	var words []string
	for word := range strings.FieldsSeq(strings.TrimPrefix(line, "353 ")) {
		words = append(words, fold(strings.TrimLeft(word, signs[1:])))
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}
