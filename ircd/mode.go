package ircd

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"ircbridge/chat"
)

// channelModes are the modes of channels, as PREFIX and CHANMODES group them.
const channelModes = chat.StatusModes + chat.ListModes + "kl" + chat.FlagModes

// sorted are letters in the order of their bytes, as in 004.
func sorted(letters string) string {
	b := []byte(letters)
	slices.Sort(b)
	return string(b)
}

func cmdMode(c *conn, m *message) error {
	target := m.params[0]
	switch {
	case strings.HasPrefix(target, "#"):
		c.channelMode(target, m.params[1:])
	case chat.SameName(target, c.self.Nick):
		c.userMode(m.params[1:])
	case !chat.ValidNick(target):
		c.reply(errNoSuchNick, target)
	default:
		c.reply(errUsersDontMatch)
	}
	return nil
}

func (c *conn) channelMode(name string, params []string) {
	about := subject{command: "MODE", channel: name}
	if len(params) == 0 {
		ch, err := c.channel(name)
		if err != nil {
			c.fail(badIsUnknown(err), about)
			return
		}
		c.reply(rplChannelModeIs, append([]string{ch.Name}, modeWords(ch.Modes)...)...)
		c.reply(rplCreationTime, ch.Name, strconv.FormatInt(ch.Created.Unix(), 10))
		return
	}
	changes, lists := c.parseModes(name, params)
	if len(changes) > 0 && !c.changeModes(name, changes) {
		return
	}
	if len(lists) > 0 {
		c.sendLists(name, lists)
	}
}

// badIsUnknown: a name that no channel can have is the name of none (403).
func badIsUnknown(err error) error {
	if errors.Is(err, chat.ErrBadChannel) {
		return chat.ErrNoSuchChannel
	}
	return err
}

// modeWords are the parameters of 324.
func modeWords(m chat.Modes) []string {
	flags := []byte("+")
	for _, f := range []struct {
		on     bool
		letter byte
	}{{m.NoCTCP, 'C'}, {m.Registered, 'R'}, {m.InviteOnly, 'i'}, {m.Moderated, 'm'}, {m.NoExternal, 'n'}, {m.Secret, 's'}, {m.TopicLock, 't'}, {m.Key != "", 'k'}, {m.Limit != 0, 'l'}} {
		if f.on {
			flags = append(flags, f.letter)
		}
	}
	words := []string{string(flags)}
	if m.Key != "" {
		words = append(words, m.Key)
	}
	if m.Limit != 0 {
		words = append(words, strconv.Itoa(m.Limit))
	}
	return words
}

// parseModes reads mode letters and their parameters, and answers what is
// wrong with one of them; the others stand. lists: those that were asked for.
func (c *conn) parseModes(name string, params []string) (changes []chat.ModeChange, lists []byte) {
	for withArg := 0; len(params) > 0; {
		params = c.parseLetters(name, params, &withArg, func(m chat.ModeChange) {
			switch {
			case m.Arg == "" && isListMode(m.Mode):
				if !slices.Contains(lists, m.Mode) {
					lists = append(lists, m.Mode)
				}
			case len(changes) < 2*maxModes+len(chat.FlagModes):
				changes = append(changes, m)
			}
		})
		if len(params) > 0 && !strings.ContainsAny(params[0][:min(1, len(params[0]))], "+-") {
			break
		}
	}
	return changes, lists
}

// parseLetters reads one word of letters and the parameters that it takes, and
// returns what follows, which may be another such word (RFC 2812, section 3.2.3).
func (c *conn) parseLetters(name string, params []string, withArg *int, found func(chat.ModeChange)) []string {
	letters, args := params[0], params[1:]
	add := true
	for _, r := range letters {
		if r == '+' || r == '-' {
			add = r == '+'
			continue
		}
		if !strings.ContainsRune(channelModes, r) {
			c.reply(errUnknownMode, string(r))
			continue
		}
		change := chat.ModeChange{Add: add, Mode: byte(r)}
		if takesArg(change) {
			if len(args) == 0 && !isListMode(change.Mode) {
				c.reply(errInvalidModeParam, name, string(r), "*")
				continue
			}
			if len(args) > 0 {
				change.Arg, args = args[0], args[1:]
				if *withArg++; *withArg > maxModes {
					continue
				}
			}
		} else if r == 'k' && len(args) > 0 { // -k with the key, as RFC 1459 has it
			args = args[1:]
		}
		found(change)
	}
	return args
}

func isListMode(letter byte) bool { return strings.IndexByte(chat.ListModes, letter) >= 0 }

// takesArg reports whether a change has a parameter.
func takesArg(m chat.ModeChange) bool {
	switch m.Mode {
	case 'k', 'l':
		return m.Add
	}
	return chat.StatusOf(m.Mode) != 0 || isListMode(m.Mode)
}

// changeModes asks for changes, writes those that were made, and answers why each
// of the others was not. It reports whether there is such a channel, of which more
// may be asked.
func (c *conn) changeModes(name string, changes []chat.ModeChange) bool {
	ctx, cancel := c.timeout()
	defer cancel()
	made, err := c.session.SetMode(ctx, name, changes)
	c.catchUp(effected)
	c.writeModes(c.ownTags(), c.self.Mask(), c.displayChannel(name), made)
	wrong, barred := chat.ModeErrors(err), false
	for _, e := range wrong {
		if errors.Is(e.Err, chat.ErrNoPrivileges) {
			if barred {
				continue // he was told
			}
			barred = true
		}
		about := subject{command: "MODE", channel: name, mode: e.Change.Mode, param: e.Change.Arg}
		if chat.StatusOf(e.Change.Mode) != 0 {
			about.nick = e.Change.Arg
		}
		c.fail(e.Err, about)
	}
	if err == nil || len(wrong) > 0 {
		return true
	}
	err = badIsUnknown(c.unknownIfNotOn(err, name))
	c.fail(err, subject{command: "MODE", channel: name})
	return !errors.Is(err, chat.ErrNoSuchChannel)
}

// writeModes writes MODE lines, each with as many changes as MODES and the
// length of a line allow.
func (c *conn) writeModes(tags, by, channel string, changes []chat.ModeChange) {
	room := maxBody - len(by) - len(channel) - len(":  MODE  ")
	for len(changes) > 0 {
		var letters []byte
		var args []string
		sign, used, n := byte(0), 0, 0
		for _, m := range changes {
			s := byte('-')
			if m.Add {
				s = '+'
			}
			cost := 2
			if m.Arg != "" {
				cost += 1 + min(len(m.Arg), maxMiddle)
			}
			if n > 0 && (used+cost > room || m.Arg != "" && len(args) == maxModes) {
				break
			}
			if s != sign {
				sign = s
				letters = append(letters, s)
			}
			letters = append(letters, m.Mode)
			if m.Arg != "" {
				args = append(args, m.Arg)
			}
			used += cost
			n++
		}
		c.writeBare(tags, by, "MODE", append([]string{channel, string(letters)}, args...)...)
		changes = changes[n:]
	}
}

// listNumerics are the replies of a list mode: an entry, and the end.
func listNumerics(letter byte) (entry, end numeric) {
	switch letter {
	case 'e':
		return rplExceptList, rplEndOfExcepts
	case 'I':
		return rplInviteList, rplEndOfInvites
	}
	return rplBanList, rplEndOfBanList
}

// sendLists answers what is on lists; anybody may ask who may see the channel.
func (c *conn) sendLists(name string, letters []byte) {
	about := subject{command: "MODE", channel: name}
	ch, err := c.channel(name)
	switch {
	case err != nil:
		c.fail(badIsUnknown(err), about)
		if errors.Is(badIsUnknown(err), chat.ErrNoSuchChannel) {
			return
		}
		ch.Name = name // some clients wait for the end
	case ch.Secret:
		c.fail(chat.ErrNotOnChannel, about)
		return
	}
	for _, letter := range letters {
		entry, end := listNumerics(letter)
		for _, e := range ch.List(letter) {
			c.reply(entry, ch.Name, e.Mask, e.By, strconv.FormatInt(e.At.Unix(), 10))
		}
		c.reply(end, ch.Name)
	}
}
