package ircd

import (
	"errors"
	"strconv"
	"strings"

	"ircbridge/chat"
)

// targets cuts a list of names at its commas; empty names are nobody's.
func targets(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

func cmdJoin(c *conn, m *message) error {
	if m.params[0] == "0" { // RFC 2812, section 3.2.1
		for _, name := range c.session.Joined() {
			c.part(name, "Left all channels")
		}
		return nil
	}
	keys := strings.Split(m.param(1), ",")
	for i, name := range targets(m.params[0]) {
		key := ""
		if i < len(keys) {
			key = keys[i]
		}
		c.join(name, key)
	}
	return nil
}

func (c *conn) join(name, key string) { c.joinBy(name, key, true) }

// joinBy joins; first: by the name that the client has given.
func (c *conn) joinBy(name, key string, first bool) {
	if _, on := c.joined[chat.Fold(name)]; on {
		return
	}
	about := subject{command: "JOIN", channel: name}
	if len(c.joined) >= c.cfg.Limits.Channels {
		c.fail(chat.ErrTooManyChannels, about)
		return
	}
	ctx, cancel := c.timeout()
	defer cancel()
	// The turn is held: no event of the channel is written before this answer.
	ch, err := c.session.Join(ctx, name, key)
	if errors.Is(err, chat.ErrAlreadyJoined) { // by a JOIN that was given up
		ch, err = c.session.Channel(ctx, name)
	}
	if renamed, is := errors.AsType[*chat.ChannelRenamedError](err); is {
		c.joinRenamed(err, name, renamed.Name, key, first)
		return
	}
	if err != nil {
		c.fail(err, about)
		return
	}
	c.showJoin(ch)
}

// showJoin tells the client of a channel that he is on from now on.
func (c *conn) showJoin(ch chat.Channel) {
	if c.joined == nil {
		c.joined = map[string]string{}
	}
	c.joined[chat.Fold(ch.Name)] = ch.Name
	c.writeJoin(c.ownTags(), c.self, ch.Name)
	if ch.Topic.Text != "" {
		c.sendTopic(ch)
	}
	if c.caps&capNoImplicitNames == 0 {
		c.sendNames(ch)
	}
	if c.metaAware() {
		c.syncChannel(ch)
	}
}

// reconcile shows what came of requests that had been given up: the answer was
// that the network did not answer, but it may have done it all the same.
func (c *conn) reconcile() {
	c.unsure = false
	if now := c.session.Self().Nick; now != c.self.Nick && now == c.wantNick {
		c.showNick(now)
	}
	ctx, cancel := c.timeout()
	defer cancel()
	for _, name := range c.session.Joined() {
		if c.on(name) {
			continue
		}
		if ch, err := c.session.Channel(ctx, name); err == nil {
			c.showJoin(ch)
		}
	}
}

// writeJoin writes a JOIN line in the shape that the client asked for.
func (c *conn) writeJoin(tags string, who chat.Profile, channel string) {
	if c.caps&capExtendedJoin == 0 {
		c.writeBare(tags, who.Mask(), "JOIN", channel)
		return
	}
	account := who.Account
	if account == "" {
		account = "*"
	}
	c.write(tags, who.Mask(), "JOIN", []string{channel, account}, who.Realname)
}

func cmdPart(c *conn, m *message) error {
	for _, name := range targets(m.params[0]) {
		c.part(name, cutString(m.param(1), chat.MaxReason))
	}
	return nil
}

func (c *conn) part(name, reason string) {
	ctx, cancel := c.timeout()
	defer cancel()
	if err := c.session.Part(ctx, name, reason); err != nil {
		if errors.Is(err, chat.ErrNotOnChannel) && !chat.ValidChannel(name) {
			err = chat.ErrNoSuchChannel
		}
		c.fail(err, subject{command: "PART", channel: name})
		return
	}
	display := c.forget(name)
	c.writeReason(c.ownTags(), c.self.Mask(), "PART", reason, display)
}

// forget takes a channel from those the client is on, and returns its name as
// the client knows it.
func (c *conn) forget(name string) string {
	folded := chat.Fold(name)
	if display, on := c.joined[folded]; on {
		delete(c.joined, folded)
		c.lately = ""
		return display
	}
	return name
}

// writeReason writes a line that ends with a reason if there is one.
func (c *conn) writeReason(tags, source, command, reason string, middle ...string) {
	c.emit(tags, source, command, "", middle, reason, reason != "")
}

// channel asks for a channel: at once from the view of one that the client is
// on, else over the network, where the turn is given up.
func (c *conn) channel(name string) (ch chat.Channel, err error) {
	ctx, cancel := c.timeout()
	defer cancel()
	if _, on := c.joined[chat.Fold(name)]; on {
		return c.session.Channel(ctx, name)
	}
	session := c.session
	c.yield(func() { ch, err = session.Channel(ctx, name) })
	return ch, err
}

func cmdTopic(c *conn, m *message) error {
	name := m.params[0]
	about := subject{command: "TOPIC", channel: name}
	if len(m.params) < 2 {
		ch, err := c.channel(name)
		switch {
		case err != nil:
			c.fail(err, about)
		case ch.Secret:
			c.fail(chat.ErrNotOnChannel, about)
		case ch.Topic.Text == "":
			c.reply(rplNoTopic, ch.Name)
		default:
			c.sendTopic(ch)
		}
		return nil
	}
	text := cutString(m.params[1], chat.MaxTopic)
	ctx, cancel := c.timeout()
	defer cancel()
	if err := c.session.SetTopic(ctx, name, text); err != nil {
		c.fail(c.unknownIfNotOn(err, name), about)
		return nil
	}
	c.catchUp(effected)
	c.write(c.ownTags(), c.self.Mask(), "TOPIC", []string{c.displayChannel(name)}, text)
	return nil
}

// unknownIfNotOn makes "not on that channel" out to be "no such channel" where
// there is none (403 and not 442).
func (c *conn) unknownIfNotOn(err error, name string) error {
	if !errors.Is(err, chat.ErrNotOnChannel) {
		return err
	}
	if _, e := c.channel(name); errors.Is(e, chat.ErrNoSuchChannel) {
		return e
	}
	return err
}

func (c *conn) displayChannel(name string) string {
	if display, on := c.joined[chat.Fold(name)]; on {
		return display
	}
	return name
}

func (c *conn) sendTopic(ch chat.Channel) {
	c.replyText(rplTopic, ch.Topic.Text, ch.Name)
	c.reply(rplTopicWhoTime, ch.Name, ch.Topic.By, strconv.FormatInt(ch.Topic.At.Unix(), 10))
}

func cmdNames(c *conn, m *message) error {
	names := targets(m.param(0))
	if len(names) == 0 {
		c.reply(rplEndOfNames, "*")
		return nil
	}
	for i, name := range names {
		if i == maxNames {
			c.reply(errTooManyTargets, name)
			break
		}
		ch, err := c.channel(name)
		if err != nil {
			if !errors.Is(err, chat.ErrNoSuchChannel) && !errors.Is(err, chat.ErrBadChannel) {
				c.fail(err, subject{command: "NAMES", channel: name})
			}
			c.reply(rplEndOfNames, name) // alone, where there is no such channel
			continue
		}
		c.sendNames(ch)
	}
	return nil
}

// sendNames sends 353, in as many lines as it takes, and 366.
func (c *conn) sendNames(ch chat.Channel) {
	if !ch.Secret {
		symbol := "="
		if ch.Modes.Secret {
			symbol = "@"
		}
		words := make([]string, len(ch.Members))
		for i, m := range ch.Members {
			words[i] = c.statusPrefix(m.Status) + m.Nick
			if c.caps&capUserhostInNames != 0 {
				words[i] = c.statusPrefix(m.Status) + m.Mask()
			}
		}
		c.replyWords(rplNamReply, words, symbol, ch.Name)
	}
	c.reply(rplEndOfNames, ch.Name)
}

// statusPrefix is what stands before a member's nick: the highest sign, or all
// with multi-prefix.
func (c *conn) statusPrefix(s chat.Status) string {
	if c.caps&capMultiPrefix != 0 {
		return s.Signs()
	}
	return s.Sign()
}

// replyWords writes a numeric whose text is a list of words, in as many lines
// as it takes; none when there are no words.
func (c *conn) replyWords(n numeric, words []string, params ...string) {
	room := maxBody - len(c.srv.name) - len(c.display()) - len(": 000  :")
	for _, p := range params {
		room -= len(p) + 1
	}
	var text []byte
	for _, w := range words {
		if len(text) > 0 && len(text)+1+len(w) > room {
			c.replyText(n, string(text), params...)
			text = text[:0]
		}
		if len(text) > 0 {
			text = append(text, ' ')
		}
		text = append(text, w...)
	}
	if len(text) > 0 {
		c.replyText(n, string(text), params...)
	}
}

func cmdInvite(c *conn, m *message) error {
	nick, name := m.params[0], m.params[1]
	about := subject{command: "INVITE", channel: name, nick: nick}
	ctx, cancel := c.timeout()
	defer cancel()
	var who chat.Profile
	var err error
	session := c.session
	c.yield(func() { who, err = session.Invite(ctx, nick, name) })
	if err != nil {
		c.fail(c.unknownIfNotOn(err, name), about)
		return nil
	}
	c.reply(rplInviting, who.Nick, c.displayChannel(name))
	if who.Away != "" {
		c.replyText(rplAway, who.Away, who.Nick)
	}
	return nil
}

func cmdKick(c *conn, m *message) error {
	reason := cutString(m.param(2), chat.MaxReason)
	channels, nicks := targets(m.params[0]), targets(m.params[1])
	for i, nick := range nicks {
		if i == maxKicks {
			c.reply(errTooManyTargets, nick)
			break
		}
		switch { // RFC 2812, section 3.2.8: one channel, or as many as users
		case len(channels) == 1:
			c.kick(channels[0], nick, reason)
		case i < len(channels) && len(channels) == len(nicks):
			c.kick(channels[i], nick, reason)
		default:
			c.reply(errNeedMoreParams, "KICK")
			return nil
		}
	}
	return nil
}

func (c *conn) kick(name, nick, reason string) {
	if reason == "" {
		reason = c.self.Nick
	}
	ctx, cancel := c.timeout()
	defer cancel()
	if err := c.session.Kick(ctx, name, nick, reason); err != nil {
		c.fail(c.unknownIfNotOn(err, name), subject{command: "KICK", channel: name, nick: nick})
		return
	}
	if e, ok := c.catchUp(effected).(chat.Effected); ok && e.Kicked != "" {
		nick = e.Kicked
	}
	display := c.displayChannel(name)
	if chat.SameName(nick, c.self.Nick) {
		c.forget(name)
	}
	c.write(c.ownTags(), c.self.Mask(), "KICK", []string{display, nick}, reason)
}
