package ircd

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"ircbridge/chat"
)

// eventBatch is how many events are written before another gets the turn.
const eventBatch = 64

// batches are arrays for the events under way: few clients need one at a time.
var batches = sync.Pool{New: func() any { return new([eventBatch]chat.Event) }}

// stir is told by the session that there are events. It must not block.
func (c *conn) stir() {
	c.stirred.Store(true)
	c.out.kick()
	c.signalSettled()
}

// writeEvents takes events from the session and writes them. The caller holds
// the turn. Afterwards stirred is true if there may be more.
func (c *conn) writeEvents() {
	batch := batches.Get().(*[eventBatch]chat.Event)
	n := c.take(batch[:])
	for _, e := range batch[:n] {
		c.writeEvent(e)
	}
	clear(batch[:n])
	batches.Put(batch)
	c.writeInbox()
}

func (c *conn) writeEvent(e chat.Event) {
	switch e := e.(type) {
	case chat.Message: // most are, and the writer's stack is small
		c.received(&e)
	default:
		c.event(e)
	}
}

// take moves events of the session into a batch, and ends the connection when the
// session has ended. Afterwards stirred is true if there may be more.
func (c *conn) take(batch []chat.Event) int {
	c.stirred.Store(false)
	n, err := c.events.Take(batch)
	if n == len(batch) {
		c.stirred.Store(true)
	}
	if err != nil {
		c.end(closed(strings.TrimPrefix(err.Error(), chat.ErrClosed.Error()+": ")))
	}
	return n
}

// catchUp writes the events that came before what a command has changed, so that the last that the client
// is shown of a topic or a mode is what holds. It ends with the one that says so, which it
// returns and does not write; nil: there was none. The caller holds the turn, and
// writes the answer next.
func (c *conn) catchUp(done func(chat.Event) bool) (last chat.Event) {
	c.aside(func() {
		var one [1]chat.Event
		for last == nil && c.stirred.Load() && c.take(one[:]) == 1 {
			if e := one[0]; done(e) {
				last = e
			} else {
				c.writeEvent(e)
			}
		}
	})
	return last
}

// effected is the event after which the answer to a command has its place.
func effected(e chat.Event) bool { _, is := e.(chat.Effected); return is }

// writer is the goroutine that writes: the session's events to the outbox, and
// the outbox to the socket. It ends when there is nothing left, and is started
// anew.
func (c *conn) writer() {
	for {
		for c.stirred.Load() && c.out.size() < writePiece && c.turn.TryLock() {
			c.batch = buffers.Get().(*buffer)
			c.writeEvents()
			c.out.add(c.batch)
			c.batch = nil
			c.turn.Unlock()
		}
		b, ok := c.out.next()
		switch {
		case !ok:
			return
		case b == nil:
			continue
		}
		if err := c.out.write(c.nc, b, c.cfg.Limits.WriteTimeout); err != nil {
			c.end(writeFailed(err))
			c.out.fail()
			return
		}
	}
}

// event writes one event. One that belongs to a channel which the client has
// just left was taken before he left it, and is dropped.
func (c *conn) event(e chat.Event) {
	switch e := e.(type) {
	case chat.Sent:
		c.outcome(e)
	case chat.Redacted:
		if e.Target == "" || e.Target[0] != '#' {
			c.redacted(e, c.tags(e.At))
		} else if c.on(e.Target) {
			c.redacted(e, c.tagsBy(e.Target, e.By, e.At))
		}
	case chat.Joined:
		if c.on(e.Channel) {
			c.came(e.Channel, c.srv.name, chat.Member{Profile: e.Who, Status: e.Status}, e.At)
		}
	case chat.Parted:
		c.gone(e.Channel, e.Who, e.Reason, e.At)
	case chat.Quit:
		c.writeReason(c.tagsOf(e.Who, e.At), e.Who.Mask(), "QUIT", quitReason(e.Reason))
	case chat.Split:
		c.split(e)
	case chat.Rejoined:
		c.rejoined(e)
	case chat.Kicked:
		c.kicked(e)
	case chat.Renamed:
		c.renamed(e)
	case chat.AwayChanged:
		if !c.watchedOnly(e.Watched, e.Who) {
			c.away(e.Who, e.At)
		}
	case chat.ProfileChanged:
		if !c.watchedOnly(e.Watched, e.New) {
			c.profileChanged(e)
		}
	case chat.MetadataChanged:
		c.metadataChanged(e)
	case chat.Presence:
		c.presence(e)
	case chat.ChannelRenamed:
		c.channelRenamed(e)
	case chat.Effected: // of a command that was given up, or is answered by a numeric
	case chat.TopicChanged:
		if c.on(e.Channel) {
			c.write(c.tagsBy(e.Channel, e.Topic.By, e.Topic.At), e.Topic.By, "TOPIC", []string{e.Channel}, e.Topic.Text)
		}
	case chat.ModeChanged:
		if c.on(e.Channel) {
			c.writeModes(c.tagsBy(e.Channel, e.By, e.At), e.By, e.Channel, e.Changes)
		}
	case chat.Invited:
		c.invited(e)
	case chat.Knocked:
		c.knocked(e)
	case chat.ViewChanged:
		if c.on(e.Channel) {
			c.viewChanged(e)
		}
	case chat.Notice:
		c.write(c.tags(e.At), c.srv.name, "NOTICE", []string{c.self.Nick}, e.Text)
	default:
		c.srv.log.Error("irc: an event without a line", "type", fmt.Sprintf("%T", e))
	}
}

func (c *conn) on(channel string) bool {
	if channel == c.lately && channel != "" {
		return true
	}
	_, on := c.joined[chat.Fold(channel)]
	if on {
		c.lately = channel
	}
	return on
}

// tags of a line that comes from no user.
func (c *conn) tags(at time.Time) string { return encodeTags(c.caps, at, "", "", nil) }

func (c *conn) received(e *chat.Message) {
	channel := e.Target != "" && e.Target[0] == '#'
	switch {
	case e.From.Session == c.self.Session: // his own: Sent tells of it
	case e.TagsOnly && c.caps&capMessageTags == 0:
	case channel && !c.on(e.Target):
	case channel && len(e.Text) <= maxBody && len(e.More) == 0:
		c.put(c.srv.lines.of(c.caps, e))
	default:
		c.writeMessage(e)
	}
}

// came writes a JOIN and what goes with it.
func (c *conn) came(channel, server string, m chat.Member, at time.Time) {
	tags := c.tags(at)
	c.writeJoin(c.tagsOf(m.Profile, at), m.Profile, channel)
	c.writeModes(tags, server, channel, statusChanges(m))
	if m.Away != "" {
		c.away(m.Profile, at)
	}
	if c.metaAware() {
		c.syncOne(m.Nick, m.Meta, c.subscribed)
	}
}

// statusChanges are the modes that a member has from the start.
func statusChanges(m chat.Member) (changes []chat.ModeChange) {
	for _, letter := range []byte(chat.StatusModes) {
		if m.Status&chat.StatusOf(letter) != 0 {
			changes = append(changes, chat.ModeChange{Add: true, Mode: letter, Arg: m.Nick})
		}
	}
	return changes
}

// gone writes a PART, also the client's own when the network has taken him
// out of a channel.
func (c *conn) gone(channel string, who chat.Profile, reason string, at time.Time) {
	if !c.on(channel) {
		return
	}
	if who.Session == c.self.Session {
		channel = c.forget(channel)
	}
	c.writeReason(c.tagsOf(who, at), who.Mask(), "PART", reason, channel)
}

func (c *conn) kicked(e chat.Kicked) {
	if !c.on(e.Channel) {
		return
	}
	if e.Who.Session == c.self.Session {
		c.forget(e.Channel)
	}
	c.write(c.tagsBy(e.Channel, e.By, e.At), e.By, "KICK", []string{e.Channel, e.Who.Nick}, e.Reason)
}

// renamed writes a NICK. The client's own comes from the network, and never
// without a word.
func (c *conn) renamed(e chat.Renamed) {
	if e.Who.Session != c.self.Session {
		c.write(c.tagsOf(e.Who, e.At), e.Who.Mask(), "NICK", nil, e.Nick)
		return
	}
	c.showNick(e.Nick)
	text := "Your nick is now " + e.Nick + ": " + e.Why
	if c.caps&capStandardReplies != 0 {
		c.standard(replyNote, "NICK", "NICK_TAKEN", text, e.Nick)
		return
	}
	c.write(c.tags(e.At), c.srv.name, "NOTICE", []string{e.Nick}, text)
}

// away writes an AWAY to clients with away-notify.
func (c *conn) away(who chat.Profile, at time.Time) {
	if c.caps&capAwayNotify != 0 {
		c.writeReason(c.tagsOf(who, at), who.Mask(), "AWAY", who.Away)
	}
}

// lostReason is what others see of a user who went while the network could
// not tell.
const lostReason = "Lost sight of this user"

// viewChanged writes a large change of a channel, in the order of its fields.
func (c *conn) viewChanged(e chat.ViewChanged) {
	for _, who := range e.Left {
		c.gone(e.Channel, who, lostReason, e.At)
	}
	for _, m := range e.Came {
		c.came(e.Channel, e.By, m, e.At)
	}
	tags := c.tags(e.At)
	c.writeModes(tags, e.By, e.Channel, e.Modes)
	if e.Topic != nil {
		c.write(tags, e.By, "TOPIC", []string{e.Channel}, e.Topic.Text)
	}
}
