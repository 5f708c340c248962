package mapping

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
)

// channel is a state in the words of the contract, without members.
func (s *state) channel(display string) chat.Channel {
	c := chat.Channel{
		Name: display, Created: time.UnixMilli(s.birth.at), Topic: s.topic.chat(), Meta: s.meta.chat(), Count: len(s.members),
		Modes: chat.Modes{
			InviteOnly: s.is('i'), Moderated: s.is('m'), NoExternal: s.is('n'), TopicLock: s.is('t'),
			Secret: s.is('s'), NoCTCP: s.is('C'), Registered: s.is('R'), Key: s.modes['k'].key, Limit: s.modes['l'].limit,
		},
	}
	c.Bans, c.Excepts, c.Invexes = s.lists.of('b').chat(), s.lists.of('e').chat(), s.lists.of('I').chat()
	return c
}

// list is the members, sorted by folded nick.
func (s *state) list() []chat.Member {
	list := make([]chat.Member, 0, len(s.members))
	for _, who := range s.sessions() {
		m := s.members[who]
		list = append(list, chat.Member{Profile: m.person.profile(who), Status: m.status})
	}
	sortMembers(list)
	return list
}

func sortMembers(list []chat.Member) {
	slices.SortStableFunc(list, func(a, b chat.Member) int { return cmp.Compare(chat.Fold(a.Nick), chat.Fold(b.Nick)) })
}

// modesFromWireLocked shows changes with the nicks of the view.
func (s *Service) modesFromWireLocked(v *view, ws []*wire.ModeChange) []chat.ModeChange {
	var out []chat.ModeChange
	for _, w := range ws {
		c := chat.ModeChange{Add: w.GetAdd(), Mode: byte(w.GetLetter()), Arg: string(w.GetArg())}
		if chat.StatusOf(c.Mode) != 0 {
			who, err := sessionFromWire(w.GetTarget())
			if err != nil || v == nil || v.state == nil {
				continue
			}
			m, ok := v.state.members[who]
			if !ok {
				continue
			}
			c.Arg = m.person.nick
		}
		out = append(out, c)
	}
	return out
}

// changesBetween are the mode changes that lead from one state to another:
// the channel's own, lists, and statuses of members of both.
func changesBetween(old, now *state) []chat.ModeChange {
	var out []chat.ModeChange
	for _, letter := range []byte(ownModes) {
		a, b := old.modes[letter], now.modes[letter]
		if a.on == b.on && a.key == b.key && a.limit == b.limit {
			continue
		}
		c := chat.ModeChange{Add: b.on, Mode: letter}
		switch {
		case letter == 'k' && b.on:
			c.Arg = b.key
		case letter == 'k':
			c.Arg = "*"
		case letter == 'l' && b.on:
			c.Arg = strconv.Itoa(b.limit)
		}
		out = append(out, c)
	}
	for i, letter := range []byte(chat.ListModes) {
		for _, e := range old.lists[i].without(now.lists[i]) {
			out = append(out, chat.ModeChange{Mode: letter, Arg: e.mask})
		}
		for _, e := range now.lists[i].without(old.lists[i]) {
			out = append(out, chat.ModeChange{Add: true, Mode: letter, Arg: e.mask})
		}
	}
	for _, who := range now.sessions() {
		b := now.members[who]
		if a, ok := old.members[who]; ok {
			out = append(out, statusesBetween(a.status, b.status, b.person.nick)...)
		}
	}
	return out
}

// statusesBetween are the changes that lead from one status of a member to another.
func statusesBetween(old, now chat.Status, nick string) (out []chat.ModeChange) {
	for _, letter := range []byte(chat.StatusModes) {
		if bit := chat.StatusOf(letter); old&bit != now&bit {
			out = append(out, chat.ModeChange{Add: now&bit != 0, Mode: letter, Arg: nick})
		}
	}
	return out
}

func (t topic) chat() chat.Topic {
	if t.text == "" && t.by == "" {
		return chat.Topic{}
	}
	return chat.Topic{Text: t.text, By: t.by, At: time.UnixMilli(t.at)}
}
