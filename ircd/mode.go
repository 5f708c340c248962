package ircd

import (
	"errors"
	"strconv"
	"strings"

	"ircbridge/chat"
)

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

// userMode knows +i only: nobody sees a user with whom he shares no channel
// other than by his nick, with or without it.
func (c *conn) userMode(params []string) {
	if len(params) == 0 {
		modes := "+"
		if c.modeI {
			modes = "+i"
		}
		c.reply(rplUModeIs, modes)
		return
	}
	add, was, unknown := true, c.modeI, false
	for _, letter := range params[0] {
		switch letter {
		case '+', '-':
			add = letter == '+'
		case 'i':
			c.modeI = add
		default:
			unknown = true
		}
	}
	if c.modeI != was {
		change := "-i"
		if c.modeI {
			change = "+i"
		}
		c.write("", c.self.Nick, "MODE", []string{c.self.Nick}, change)
	}
	if unknown {
		c.reply(errUModeUnknownFlag)
	}
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
	changes, listBans := c.parseModes(name, params)
	if len(changes) > 0 && !c.changeModes(name, changes) {
		return
	}
	if listBans {
		c.sendBans(name)
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
	}{{m.InviteOnly, 'i'}, {m.Moderated, 'm'}, {m.NoExternal, 'n'}, {m.Secret, 's'}, {m.TopicLock, 't'}, {m.Key != "", 'k'}, {m.Limit != 0, 'l'}} {
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
// wrong with one of them; the others stand. listBans: the list was asked for.
func (c *conn) parseModes(name string, params []string) (changes []chat.ModeChange, listBans bool) {
	letters, args := params[0], params[1:]
	add, withArg := true, 0
	for _, r := range letters {
		if r == '+' || r == '-' {
			add = r == '+'
			continue
		}
		if r >= 0x80 || !strings.ContainsRune("ovbklimnst", r) {
			c.reply(errUnknownMode, string(r))
			continue
		}
		change := chat.ModeChange{Add: add, Mode: byte(r)}
		if takesArg(change) {
			if len(args) == 0 {
				switch r {
				case 'b':
					listBans = true
				default:
					c.reply(errInvalidModeParam, name, string(r), "*")
				}
				continue
			}
			change.Arg, args = args[0], args[1:]
			if withArg++; withArg > maxModes {
				continue
			}
		} else if r == 'k' && len(args) > 0 { // -k with the key, as RFC 1459 has it
			args = args[1:]
		}
		if len(changes) < 2*maxModes+len("imnst") {
			changes = append(changes, change)
		}
	}
	return changes, listBans
}

// takesArg reports whether a change has a parameter.
func takesArg(m chat.ModeChange) bool {
	switch m.Mode {
	case 'o', 'v', 'b':
		return true
	case 'k', 'l':
		return m.Add
	}
	return false
}

// changeModes asks for changes and writes those that were made. It reports
// whether more is to be answered.
func (c *conn) changeModes(name string, changes []chat.ModeChange) bool {
	ctx, cancel := c.timeout()
	defer cancel()
	made, err := c.session.SetMode(ctx, name, changes)
	c.writeModes(c.ownTags(), c.self.Mask(), c.displayChannel(name), made)
	if err != nil {
		c.fail(badIsUnknown(c.unknownIfNotOn(err, name)), c.blame(err, name, changes, made))
	}
	return err == nil
}

// blame finds the change that an error is about: the first one of its kind
// that was not made.
func (c *conn) blame(err error, name string, changes, made []chat.ModeChange) subject {
	about := subject{command: "MODE", channel: name}
	letters := "ovbklimnst"
	switch {
	case errors.Is(err, chat.ErrNoSuchNick), errors.Is(err, chat.ErrNotInChannel):
		letters = "ov"
	case errors.Is(err, chat.ErrListFull):
		letters = "b"
	case errors.Is(err, chat.ErrBadModeParam):
		letters = "bklov"
	}
	members := map[string]bool{}
	if letters == "ov" {
		ch, _ := c.channel(name)
		for _, m := range ch.Members {
			members[chat.Fold(m.Nick)] = true
		}
	}
	for _, m := range changes {
		if strings.IndexByte(letters, m.Mode) < 0 || members[chat.Fold(m.Arg)] || wasMade(m, made) {
			continue
		}
		about.mode, about.param = m.Mode, m.Arg
		if letters == "ov" {
			about.nick = m.Arg
		}
		break
	}
	return about
}

func wasMade(m chat.ModeChange, made []chat.ModeChange) bool {
	for _, d := range made {
		if d.Add == m.Add && d.Mode == m.Mode && (m.Mode != 'b' && m.Mode != 'o' && m.Mode != 'v' || chat.SameName(d.Arg, m.Arg)) {
			return true
		}
	}
	return false
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

func (c *conn) sendBans(name string) {
	about := subject{command: "MODE", channel: name}
	ch, err := c.channel(name)
	switch {
	case err != nil:
		c.fail(badIsUnknown(err), about)
		if !errors.Is(err, chat.ErrNoSuchChannel) && !errors.Is(err, chat.ErrBadChannel) {
			c.reply(rplEndOfBanList, name) // some clients wait for it
		}
		return
	case ch.Secret:
		c.fail(chat.ErrNotOnChannel, about)
		return
	}
	for _, b := range ch.Bans {
		c.reply(rplBanList, ch.Name, b.Mask, b.By, strconv.FormatInt(b.At.Unix(), 10))
	}
	c.reply(rplEndOfBanList, ch.Name)
}
