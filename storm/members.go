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
	signs   map[string]string // of their statuses, by folded nick; nil before NAMES
	listing bool              // NAMES is being shown
	highest bool              // NAMES has shown the highest sign of each only
}

// learnMembers takes a line into the lists of members, and holds it against them. c.nick is still what it was before
// the line.
func (c *client) learnMembers(m message, own bool) {
	channel, nick := fold(m.param(0)), fold(m.nick)
	list := c.members[channel]
	switch m.command {
	case "353":
		if list := c.members[fold(m.param(2))]; list != nil && (list.signs == nil || list.listing) {
			list.highest = !c.multiPrefix
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
	if l.signs == nil {
		l.signs = map[string]string{}
	}
	l.listing = true
	for word := range strings.FieldsSeq(words) {
		word, _, _ = strings.Cut(word, "!")
		nick := strings.TrimLeft(word, signs)
		l.signs[fold(nick)] = strings.TrimSuffix(word, nick)
	}
}

// known reports whether the list is one.
func (l *members) known() bool { return l != nil && l.signs != nil }

func (l *members) has(nick string) bool {
	_, ok := l.signs[nick]
	return ok
}

func (l *members) drop(nick string) {
	if l.known() {
		delete(l.signs, nick)
	}
}

func (c *client) comes(l *members, nick string, m message) {
	if !l.known() {
		return
	}
	if l.has(nick) {
		c.wrong("%s comes to %s, and was there", m.nick, m.param(0))
	}
	l.signs[nick] = ""
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
		was := l.signs[old]
		delete(l.signs, old)
		l.signs[nick] = was
	}
}

// statusSigns are the signs of statuses, by their letters.
var statusSigns = map[rune]string{'o': "@", 'h': "%", 'v': "+"}

// statuses takes what a MODE line says of statuses.
func (l *members) statuses(m message) {
	if !l.known() {
		return
	}
	for _, change := range changesIn(m.params) {
		nick, sign := fold(change.arg), statusSigns[change.letter]
		if sign == "" || !l.has(nick) {
			continue
		}
		l.signs[nick] = strings.Replace(l.signs[nick], sign, "", 1)
		if change.add {
			l.signs[nick] += sign
		}
	}
}

// toldMembers is the list of a channel's members as the client was told, as a view has it; known is false while
// it was told of nobody. Where it was shown the highest signs only, operators are all that it can be sure of.
func (c *client) toldMembers(channel string) (list string, highest, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.members[channel]
	if !l.known() {
		return "", false, false
	}
	var words []string
	for nick, of := range l.signs {
		for _, sign := range signs {
			if strings.ContainsRune(of, sign) {
				nick = string(sign) + nick
				break
			}
		}
		words = append(words, nick)
	}
	return sortedMembers(words, l.highest), l.highest, true
}

// shownMembers lists the members of a view in the same way.
func shownMembers(view string, highest bool) string {
	line, _, _ := strings.Cut(view, "\n")
	return sortedMembers(strings.Fields(strings.TrimPrefix(line, "353 ")), highest)
}

// sortedMembers are members with their highest signs, folded and sorted, or with that of operators only.
func sortedMembers(words []string, operators bool) string {
	var list []string
	for _, word := range words {
		if operators {
			word = strings.TrimLeft(word, signs[1:])
		}
		list = append(list, fold(word))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}
