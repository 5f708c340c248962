package storm

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// agreeTime is how long it may take until all see the same.
const agreeTime = 20 * time.Second

// agree asks all members of each channel what they see of it, until they see the same, and who is not on
// it whether he is shown what he may not see.
func (s *storm) agree() {
	names := map[string]bool{}
	for _, c := range s.clients {
		c.mu.Lock()
		maps.Copy(names, c.joined)
		c.asked = true
		c.mu.Unlock()
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		s.untilSame(name, func() string { return s.compare(name) })
		s.callRoll(name)
	}
	for _, c := range s.clients {
		s.untilSame(c.name, func() string { return s.compareOnline(c) })
	}
}

// untilSame compares until there is no difference.
func (s *storm) untilSame(what string, compare func() (difference string)) {
	var difference string
	for end := time.Now().Add(agreeTime); ; time.Sleep(100 * time.Millisecond) {
		if difference = compare(); difference == "" || !s.fine() || time.Now().After(end) {
			break
		}
	}
	if difference != "" {
		s.fail(fmt.Errorf("%s: %s", what, difference))
	}
}

// compare says how the views of a channel differ, if they do.
func (s *storm) compare(name string) string {
	first, members := "", []string{}
	secret, firstMeta := false, ""
	for _, c := range s.clients {
		if !c.on(name) {
			continue
		}
		members = append(members, c.nick)
		saw := s.view(c, name)
		if first == "" {
			first = saw
		}
		if saw != first {
			return fmt.Sprintf("one sees\n%s\nand %s sees\n%s", first, c.nick, saw)
		}
		if meta := s.metadata(c, name); meta != "" && firstMeta != "" && meta != firstMeta {
			return fmt.Sprintf("one is told the metadata %s, and %s %s", firstMeta, c.nick, meta)
		} else if meta != "" {
			firstMeta = meta
		}
		c.mu.Lock()
		shown := c.topics[name]
		c.mu.Unlock()
		if _, topic, set := strings.Cut(saw, "\n332 "); set && !strings.HasPrefix(topic, shown+"\n") || !set && shown != "" {
			return fmt.Sprintf("%s was shown the topic %q last, and now sees\n%s", c.nick, shown, saw)
		}
		if told, highest, known := c.toldMembers(name); known && told != shownMembers(saw, highest) {
			return fmt.Sprintf("%s was shown who comes and goes, which leaves %s, and now sees\n%s", c.nick, told, saw)
		}
		if difference := c.compareModes(name, saw); difference != "" {
			return difference
		}
		secret = modesIn(saw)["s"] == isSet
	}
	slices.Sort(members)
	if got := membersIn(first); !slices.Equal(got, members) {
		return fmt.Sprintf("%v are on it, and they see\n%s", members, first)
	}
	for _, c := range s.clients {
		if !secret || c.on(name) {
			continue
		}
		for _, m := range s.answer(c, "NAMES "+name, "WHO "+name, "MODE "+name+" b", "TOPIC "+name, "LIST "+name, "METADATA "+name+" LIST") {
			if slices.Contains([]string{"353", "352", "367", "332", "322", "761"}, m.command) {
				return fmt.Sprintf("%s is not on it, it is secret, and he is shown %v", c.nick, m)
			}
		}
	}
	return ""
}

func (c *client) on(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.joined[name] && !c.closed
}

// answer asks and returns what came.
func (s *storm) answer(c *client, lines ...string) (got []message) {
	for _, line := range lines {
		label, a := s.label(c)
		c.send("@label=" + label + " " + line)
		if c.await("an answer to "+line, func() bool { return a.whole }) != nil {
			return got
		}
		got = append(got, a.lines...)
	}
	return got
}

// view is a channel as a member sees it, as text: members with their statuses, modes, lists,
// topic.
func (s *storm) view(c *client, name string) string {
	var view, members []string
	for _, m := range s.answer(c, "NAMES "+name, "MODE "+name, "MODE "+name+" b", "MODE "+name+" e", "MODE "+name+" I", "TOPIC "+name) {
		switch m.command {
		case "353":
			for word := range strings.FieldsSeq(m.param(3)) {
				word, _, _ = strings.Cut(word, "!")
				members = append(members, plainStatus(word))
			}
		case "324":
			view = append(view, "324 "+strings.Join(m.params[2:], " "))
		case "367", "348", "346", "332", "331":
			view = append(view, m.command+" "+strings.Join(m.params[2:], " "))
		}
	}
	slices.Sort(members)
	slices.Sort(view) // lists may be shown in any order
	return "353 " + strings.Join(members, " ") + "\n" + strings.Join(view, "\n") + "\n"
}

// metadata is what a client is told of a channel's metadata, as text; "" if it does not know such.
func (s *storm) metadata(c *client, name string) string {
	told := []string{"of " + name}
	for _, m := range s.answer(c, "METADATA "+name+" LIST") {
		switch m.command {
		case "761":
			told = append(told, fmt.Sprintf("%q", m.params[2:]))
		case "421", "FAIL":
			return ""
		}
	}
	slices.Sort(told)
	return strings.Join(told, " ")
}

// plainStatus leaves of a member's signs the highest, which is all that those without
// multi-prefix are shown.
func plainStatus(word string) string {
	nick := strings.TrimLeft(word, signs)
	if nick == word {
		return word
	}
	return word[:1] + nick
}

// membersIn are the nicks of a view, sorted.
func membersIn(view string) []string {
	line, _, _ := strings.Cut(view, "\n")
	var nicks []string
	for word := range strings.FieldsSeq(strings.TrimPrefix(line, "353 ")) {
		nicks = append(nicks, strings.TrimLeft(word, signs))
	}
	slices.Sort(nicks)
	return nicks
}
