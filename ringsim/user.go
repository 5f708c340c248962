package ringsim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"ircbridge/chat"
	"ircbridge/history"
)

// A user is a person at a client of one node: he talks in channels, comes and
// goes, and connects again when his connection ended. What he sends and is shown
// goes into the history of the run.
type user struct {
	r       *run
	index   int
	node    *node
	rng     *rand.Rand
	wants   []string // channels that he wants to be in
	nick    string   // that he wants to have
	session chat.Session
	client  history.Client // his present session; "" when there is none
	clients []history.Client
	in      []string // channels that he is in, as far as he was told
	sent    int
	quiet   bool            // he says nothing of his own accord
	probes  map[string]bool // channels in which he has seen a probe
}

// live is what he does until the run is over.
func (u *user) live() {
	for !u.r.over {
		u.r.net.Sleep(time.Duration(u.rng.ExpFloat64() * float64(u.r.plan.pace)))
		switch {
		case u.r.over || !u.node.awake() || u.node.leaving:
		case u.client == "":
			u.connect()
		case !u.quiet:
			u.act()
		}
	}
}

// connect opens a session and joins what he wants to be in.
func (u *user) connect() {
	s, err := u.node.chat.Open(background, chat.User{Nick: u.nick, Username: "u", Realname: "r"})
	if errors.Is(err, chat.ErrNickInUse) {
		u.nick = fmt.Sprintf("u%d-%d", u.index, len(u.clients))
	}
	if err != nil {
		u.say("cannot connect: %v", err)
		return
	}
	client := history.Client(fmt.Sprintf("u%d.%d", u.index, len(u.clients)+1))
	u.session, u.client, u.in = s, client, nil
	u.clients = append(u.clients, client)
	u.say("connects as %s to %s", client, u.node.name())
	u.r.net.Go("events", func() {
		for {
			e, err := s.Next(background)
			if err != nil {
				u.r.history.Left(u.r.net.Elapsed(), client, "")
				if u.client == client {
					u.r.vanished(s.Self())
					u.gone()
				}
				u.r.log.say(string(client), "ended: %v", err)
				return
			}
			u.shown(client, s, e)
		}
	})
	for _, ch := range u.wants {
		u.join(ch)
	}
}

func (u *user) say(format string, args ...any) {
	u.r.log.say(fmt.Sprintf("u%d", u.index), format, args...)
}

// shown takes one event.
func (u *user) shown(client history.Client, s chat.Session, e chat.Event) {
	at, h := u.r.net.Elapsed(), u.r.history
	if u.r.log.out != nil {
		u.r.log.say(string(client), "%s", describe(e))
	}
	switch e := e.(type) {
	case chat.Message:
		h.Saw(at, client, chat.Fold(e.Target), e.Text)
		u.r.probed(u, e.Target, e.Text)
	case chat.Sent:
		if e.Err != nil {
			h.Refused(at, client, e.Message.Text)
			u.r.refusal(e.Err)
			return
		}
		h.Acked(at, client, e.Message.Text)
		u.r.probed(u, e.Message.Target, e.Message.Text)
	case chat.Kicked:
		if e.Who.Session == s.Self().Session {
			u.left(client, e.Channel)
		}
	case chat.Parted:
		if e.Who.Session == s.Self().Session {
			u.left(client, e.Channel)
		}
	case chat.Renamed:
		if e.Who.Session == s.Self().Session {
			u.nick = e.Nick
		}
	}
}

// left notes that he is not in a channel any more.
func (u *user) left(client history.Client, channel string) {
	u.r.history.Left(u.r.net.Elapsed(), client, channel)
	if u.client == client {
		u.in = slices.DeleteFunc(u.in, func(c string) bool { return c == channel })
		u.r.emptied(channel)
	}
}

// gone notes that his session is over.
func (u *user) gone() {
	in := u.in
	u.client, u.in = "", nil
	for _, ch := range in {
		u.r.emptied(ch)
	}
}

func (u *user) join(channel string) {
	s, client := u.session, u.client
	if client == "" {
		return
	}
	first, asked := !u.r.inhabited(channel), s.Self() // the network may give him another nick meanwhile
	c, err := s.Join(background, channel, "")
	if err != nil || u.client != client {
		u.say("cannot join %s: %v", channel, err)
		return
	}
	u.in = append(u.in, channel)
	u.r.history.Joined(u.r.net.Elapsed(), client, channel)
	u.say("is in %s, with %d members", channel, len(c.Members))
	first = first || len(u.r.inside(channel)) == 1 // the others left while he waited
	switch self := s.Self(); {
	case first, u.r.former[formerOf(channel, self)], u.r.former[formerOf(channel, asked)]:
		u.r.mayRule(channel, self.Session)
	case len(c.Members) == 1:
		u.r.aside = append(u.r.aside, ruler{channel, self.Session})
	}
}

// act does one thing that a user does. Mostly he talks.
func (u *user) act() {
	if len(u.in) < len(u.wants) && u.rng.IntN(4) == 0 {
		for _, ch := range u.wants {
			if !slices.Contains(u.in, ch) {
				u.join(ch)
				return
			}
		}
	}
	if len(u.in) == 0 {
		return
	}
	ch := u.in[u.rng.IntN(len(u.in))]
	switch x := u.rng.IntN(100); {
	case x < 2:
		u.topic(ch)
	case x < 4:
		u.mode(ch, chat.ModeChange{Add: u.rng.IntN(2) == 0, Mode: "tsn"[u.rng.IntN(3)]})
	case x < 5:
		u.status(ch, 'v')
	case x < 6:
		u.status(ch, 'h')
	case x < 7:
		u.status(ch, 'o')
	case x < 8:
		u.kick(ch)
	case x < 9:
		u.part(ch)
	case x < 11:
		u.rename()
	case x < 12:
		u.quit()
	default:
		u.send(ch, "")
	}
}

// send says something that nobody said before.
func (u *user) send(channel, mark string) {
	client := u.client
	u.sent++
	text := fmt.Sprintf("%s%s %d", mark, client, u.sent)
	at := u.r.net.Elapsed()
	u.r.history.Sent(at, client, channel, text)
	if _, err := u.session.Send(chat.Outgoing{Target: channel, Text: text}); err != nil {
		u.r.history.Refused(at, client, text)
		u.r.refusal(err)
	}
}

func (u *user) topic(channel string) {
	u.sent++
	u.did("sets the topic", u.session.SetTopic(background, channel, fmt.Sprintf("topic %s %d", u.client, u.sent)))
}

func (u *user) did(what string, err error) {
	u.say("%s: %v", what, err)
}

func (u *user) mode(channel string, c chat.ModeChange) {
	_, err := u.session.SetMode(background, channel, []chat.ModeChange{c})
	u.did(fmt.Sprintf("mode %v%c %s", c.Add, c.Mode, c.Arg), err)
}

// other draws another member of a channel, whom he sees.
func (u *user) other(channel string) (m chat.Member, ok bool) {
	c, err := u.session.Channel(background, channel)
	if err != nil || len(c.Members) == 0 || u.session == nil {
		return m, false
	}
	m = c.Members[u.rng.IntN(len(c.Members))]
	return m, m.Session != u.session.Self().Session
}

// status gives another member a status, or takes it.
func (u *user) status(channel string, mode byte) {
	m, ok := u.other(channel)
	if !ok {
		return
	}
	add := u.rng.IntN(3) > 0
	if add && mode == 'o' && u.r.rules[ruler{channel, u.session.Self().Session}] {
		u.r.mayRule(channel, m.Session)
		u.r.former[formerOf(channel, m.Profile)] = true // if he has vanished already
	}
	u.mode(channel, chat.ModeChange{Add: add, Mode: mode, Arg: m.Nick})
}

func (u *user) kick(channel string) {
	if m, ok := u.other(channel); ok {
		u.did("kicks "+m.Nick, u.session.Kick(background, channel, m.Nick, "out"))
	}
}

func (u *user) part(channel string) {
	u.r.retires(channel, u.session.Self())
	u.left(u.client, channel)
	u.did("parts", u.session.Part(background, channel, "bye"))
}

func (u *user) rename() {
	nick := fmt.Sprintf("u%d-%c", u.index, 'a'+rune(u.rng.IntN(5)))
	if u.rng.IntN(3) == 0 {
		nick = fmt.Sprintf("name%d", u.rng.IntN(4)) // that others want too
	}
	client := u.client
	err := u.session.SetNick(background, nick)
	u.did("takes the nick "+nick, err)
	if err == nil && u.client == client {
		u.nick = nick
	}
}

func (u *user) quit() {
	s := u.session
	for _, ch := range u.in {
		u.r.retires(ch, s.Self())
	}
	u.r.history.Left(u.r.net.Elapsed(), u.client, "")
	u.gone()
	u.say("quits")
	s.Close("bye")
}
