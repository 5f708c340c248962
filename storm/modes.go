package storm

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// change is one change of a mode.
type change struct {
	add    bool
	letter rune
	arg    string
}

// changesIn are those of a line whose parameters are a channel, letters and their parameters.
func changesIn(params []string) (list []change) {
	if len(params) < 2 {
		return nil
	}
	add, args := true, params[2:]
	for _, letter := range params[1] {
		if letter == '+' || letter == '-' {
			add = letter == '+'
			continue
		}
		c := change{add: add, letter: letter}
		if strings.ContainsRune("ohvbeIk", letter) || letter == 'l' && add {
			if len(args) == 0 {
				return list
			}
			c.arg, args = args[0], args[1:]
		}
		list = append(list, c)
	}
	return list
}

// What is known of a mode that was shown last.
const (
	isSet = "set" // for those without a parameter
	unset = ""
)

// learnModes notes what a MODE line says of a channel: by letter what a mode is, and by letter and mask whether
// that is on the list.
func (c *client) learnModes(m message) {
	known := c.modes[fold(m.param(0))]
	if known == nil {
		return
	}
	for _, change := range changesIn(m.params) {
		key, value := string(change.letter), isSet
		switch {
		case statusSigns[change.letter] != "":
			continue // of members
		case strings.ContainsRune("beI", change.letter):
			key += " " + fold(change.arg)
		case change.arg != "":
			value = change.arg
		}
		if !change.add {
			value = unset
		}
		known[key] = value
	}
}

// lists are the numerics with which the entries of lists are shown.
var lists = map[string]string{"367": "b", "348": "e", "346": "I"}

// modesIn are the modes of a view, as learnModes has them.
func modesIn(view string) map[string]string {
	is := map[string]string{}
	for line := range strings.SplitSeq(view, "\n") {
		words := strings.Fields(line)
		switch {
		case len(words) < 2:
		case words[0] == "324":
			for _, c := range changesIn(words) {
				if is[string(c.letter)] = isSet; c.arg != "" {
					is[string(c.letter)] = c.arg
				}
			}
		case lists[words[0]] != "":
			is[lists[words[0]]+" "+fold(words[1])] = isSet
		}
	}
	return is
}

// compareModes says how modes and lists differ from what a client was shown last.
func (c *client) compareModes(name, saw string) string {
	c.mu.Lock()
	told := maps.Clone(c.modes[name])
	c.mu.Unlock()
	is := modesIn(saw)
	for _, key := range slices.Sorted(maps.Keys(told)) {
		if told[key] != is[key] {
			return fmt.Sprintf("%s was shown last that %s is %q, and now sees\n%s", c.nick, key, told[key], saw)
		}
	}
	return ""
}
