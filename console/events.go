package console

import (
	"errors"
	"strings"
	"time"

	"ircbridge/chat"
)

// show writes what happened. self is the user as he is now.
func (c *Console) show(self chat.Profile, e chat.Event) {
	say := func(at time.Time, format string, args ...any) { c.out.say(at, "-- "+format, args...) }
	switch e := e.(type) {
	case chat.Message:
		c.showMessage(e)
	case chat.Sent:
		c.showSent(self, e)
	case chat.Joined:
		say(e.At, "%s (%s) has joined %s", e.Status.Sign()+e.Who.Nick, e.Who.Mask(), e.Channel)
	case chat.Parted:
		say(e.At, "%s has left %s%s", e.Who.Nick, e.Channel, because(e.Reason))
	case chat.Quit:
		say(e.At, "%s (%s) has quit%s", e.Who.Nick, e.Who.Mask(), because(e.Reason))
	case chat.Split:
		c.showSplit(e)
	case chat.Rejoined:
		c.showRejoined(e)
	case chat.Kicked:
		who := e.Who.Nick + " was"
		if e.Who.Session == self.Session {
			who = "you were"
		}
		say(e.At, "%s removed from %s by %s%s", who, e.Channel, e.By, because(e.Reason))
	case chat.Renamed:
		if e.Who.Session == self.Session {
			say(e.At, "you are now %s, no longer %s%s", e.Nick, e.Who.Nick, because(e.Why))
			return
		}
		say(e.At, "%s is now %s%s", e.Who.Nick, e.Nick, because(e.Why))
	case chat.AwayChanged:
		if e.Who.Away == "" {
			say(e.At, "%s is back", e.Who.Nick)
			return
		}
		say(e.At, "%s is away: %s", e.Who.Nick, e.Who.Away)
	case chat.ProfileChanged:
		c.showProfile(e)
	case chat.ChannelRenamed:
		say(e.At, "%s is now %s, by %s%s", e.Old, e.New, e.By, because(e.Reason))
	case chat.TopicChanged:
		c.showTopic(e.Channel, e.Topic)
	case chat.ModeChanged:
		say(e.At, "modes of %s by %s: %s", e.Channel, e.By, modeText(e.Changes))
	case chat.Invited:
		whom := "you"
		if e.Target.Session != self.Session {
			whom = e.Nick
		}
		say(e.At, "%s (%s) invites %s to %s", e.By.Nick, e.By.Mask(), whom, e.Channel)
	case chat.Knocked:
		why := ""
		if e.Text != "" {
			why = ": " + e.Text
		}
		say(e.At, "%s (%s) asks to be invited to %s%s", e.Who.Nick, e.Who.Mask(), e.Channel, why)
	case chat.ViewChanged:
		c.showView(e)
	case chat.Notice:
		say(e.At, "%s", e.Text)
	}
}

// showSplit tells who is out of sight, in one line.
func (c *Console) showSplit(e chat.Split) {
	var nicks []string
	for _, p := range e.Who {
		nicks = append(nicks, p.Nick)
	}
	c.out.say(e.At, "-- out of sight, with %s: %s", e.There, strings.Join(nicks, ", "))
}

// showRejoined tells who is back in which channel.
func (c *Console) showRejoined(e chat.Rejoined) {
	for came := e.Came; len(came) > 0; {
		channel, nicks := came[0].Channel, []string{}
		for len(came) > 0 && came[0].Channel == channel {
			nicks = append(nicks, came[0].Status.Sign()+came[0].Nick)
			came = came[1:]
		}
		c.out.say(e.At, "-- back in %s: %s", channel, strings.Join(nicks, ", "))
	}
}

// showProfile tells what is new of somebody.
func (c *Console) showProfile(e chat.ProfileChanged) {
	if e.Old.Realname != e.New.Realname {
		c.out.say(e.At, "-- the real name of %s is now: %s", e.New.Nick, e.New.Realname)
	}
	if e.Old.Mask() != e.New.Mask() {
		c.out.say(e.At, "-- %s is now %s, no longer %s", e.New.Nick, e.New.Mask(), e.Old.Mask())
	}
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func (c *Console) showMessage(e chat.Message) {
	if e.TagsOnly {
		return
	}
	place := "(private)"
	if strings.HasPrefix(e.Target, "#") {
		place = e.Address()
	}
	for _, line := range e.Lines() {
		c.out.say(e.At, "%s %s", place, spoken(e.From.Nick, line, e.Notice))
	}
}

// showSent shows the user's own message once it was accepted, and otherwise
// why it was not.
func (c *Console) showSent(self chat.Profile, e chat.Sent) {
	target := e.Message.Target
	if errors.Is(e.Err, chat.ErrUnreachable) {
		c.out.fail("not confirmed by anybody: what you said to %s may not have arrived: %s", target, start(e.Message.Text))
		return
	}
	if e.Err != nil {
		c.out.fail("%s", notSent(target, e.Message.Text, reason(e.Err)))
		return
	}
	place := e.Message.Address()
	if !strings.HasPrefix(target, "#") {
		place = "(to " + target + ")"
	}
	c.out.say(e.At, "%s %s", place, spoken(self.Nick, e.Message.Text, e.Message.Notice))
	if e.Away != "" {
		c.out.info("%s is away: %s", target, e.Away)
	}
}

// spoken is a text with its speaker. The action of a client (/me) is a text
// between two bytes 1.
func spoken(nick, text string, notice bool) string {
	if action, ok := strings.CutPrefix(text, "\x01ACTION "); ok {
		return "* " + nick + " " + strings.TrimSuffix(action, "\x01")
	}
	if notice {
		return "-" + nick + "- " + text
	}
	return "<" + nick + "> " + text
}

func (c *Console) showTopic(channel string, t chat.Topic) {
	if t.Text == "" {
		c.out.say(t.At, "-- %s has taken the topic of %s away", t.By, channel)
		return
	}
	c.out.say(t.At, "-- topic of %s by %s: %s", channel, t.By, t.Text)
}

// modeText is a list of changes as people read it.
func modeText(changes []chat.ModeChange) string {
	var words []string
	for _, m := range changes {
		sign := "-"
		if m.Add {
			sign = "+"
		}
		words = append(words, strings.TrimSpace(sign+string(rune(m.Mode))+" "+m.Arg))
	}
	return strings.Join(words, ", ")
}

// showView expands a large change of a channel, in the order of its fields.
func (c *Console) showView(e chat.ViewChanged) {
	c.out.say(e.At, "-- %s has found %s changed", e.By, e.Channel)
	for _, p := range e.Left {
		c.out.say(e.At, "-- %s (%s) is no longer on %s", p.Nick, p.Mask(), e.Channel)
	}
	for _, m := range e.Came {
		c.out.say(e.At, "-- %s (%s) is now on %s", m.Status.Sign()+m.Nick, m.Mask(), e.Channel)
	}
	if len(e.Modes) > 0 {
		c.out.say(e.At, "-- modes of %s: %s", e.Channel, modeText(e.Modes))
	}
	if e.Topic != nil {
		c.showTopic(e.Channel, *e.Topic)
	}
}
