package chattest

import (
	"context"

	"ircbridge/chat"
)

// gateCases: who may come in, and who may speak.
func gateCases() []testCase {
	return []testCase{
		{"NoExternal", 2, testGateNoExternal},
		{"Moderated", 3, testGateModerated},
		{"NoCTCP", 2, testGateNoCTCP},
		{"Registered", 2, testGateRegistered},
		{"BannedJoin", 2, testGateBannedJoin},
		{"BannedSend", 2, testGateBannedSend},
		{"Key", 2, testGateKey},
		{"Limit", 3, testGateLimit},
		{"Invite", 3, testGateInvite},
		{"InviteErrors", 2, testGateInviteErrors},
		{"InviteOperators", 3, testGateInviteOperators},
		{"Secret", 2, testGateSecret},
	}
}

func testGateNoExternal(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	a.join("#a")
	b.said("#a", "one")
	a.mode("#a", plus('n', ""))
	b.silenced("+n", "#a", "two")
	b.join("#a")
	b.said("#a", "three")
	a.gets("three")
	none(a, "what was refused", func(e chat.Message) bool { return e.Text == "two" })
}

func testGateModerated(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#a", a, b)
	a.mode("#a", plus('m', ""))
	b.silenced("+m", "#a", "member without voice")
	c.silenced("+m", "#a", "from outside")
	a.said("#a", "operator")
	a.mode("#a", plus('v', "bob"))
	b.said("#a", "voice")
	a.gets("voice")
	once(a, "a message", anyOf[chat.Message])
}

// Under +C nobody's programs ask others, or answer; actions pass.
func testGateNoCTCP(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.meet(a, b)
	w.joinAll("#a", a, b)
	b.said("#a", "\x01VERSION\x01")
	a.gets("\x01VERSION\x01")
	a.mode("#a", plus('C', ""), plus('v', "bob"))
	b.silenced("+C", "#a", "\x01VERSION\x01")
	a.silenced("+C", "#a", "\x01PING 1\x01")
	n, err := b.Send(chat.Outgoing{Target: "#a", Notice: true, Text: "\x01VERSION me\x01"})
	w.must("send", err)
	w.want("an answer", b.outcome(n).Err, chat.ErrCannotSend)
	b.said("#a", "\x01ACTION waves\x01")
	a.gets("\x01ACTION waves\x01")
	b.said("ann", "\x01TIME\x01")
	a.gets("\x01TIME\x01")
	a.mode("#a", minus('C', ""))
	b.said("#a", "\x01PING 2\x01")
	a.gets("\x01PING 2\x01")
	a.modesAre("#a", chat.Modes{TopicLock: true})
}

// Under +R who has an account comes in, and nobody else.
func testGateRegistered(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	a.join("#a")
	a.mode("#a", plus('R', ""))
	a.modesAre("#a", chat.Modes{TopicLock: true, Registered: true})
	_, err := b.Join(context.Background(), "#a", "")
	if b.Self().Account == "" {
		w.want("join without account", err, chat.ErrNeedAccount)
		a.mode("#a", minus('R', ""))
		b.join("#a")
	} else {
		w.must("join", err)
	}
	a.sees("#a", "ann", "bob")
}

func testGateBannedJoin(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	a.join("#a")
	a.mode("#a", plus('b', "B?B!*@"+b.Self().Host))
	_, err := b.Join(context.Background(), "#a", "")
	w.want("join", err, chat.ErrBanned)
	b.silenced("+b", "#a", "from outside")
	if got := b.Joined(); len(got) != 0 {
		w.T().Errorf("the banned one is on %v", got)
	}
	a.mode("#a", minus('b', "b?b!*@"+b.Self().Host))
	b.join("#a")
	a.sees("#a", "ann", "bob")
}

func testGateBannedSend(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", a, b)
	a.mode("#a", plus('b', "*!ubob@*"))
	b.silenced("+b", "#a", "banned")
	a.mode("#a", plus('v', "bob"))
	b.said("#a", "banned, but with voice")
	a.gets("banned, but with voice")
}

func testGateKey(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	a.join("#a")
	a.mode("#a", plus('k', "Sesame"))
	for _, key := range []string{"", "sesame", "Sesame "} {
		_, err := b.Join(context.Background(), "#a", key)
		w.want("join with the key "+key, err, chat.ErrBadKey)
	}
	if c := b.joinKey("#a", "Sesame"); c.Modes.Key != "Sesame" {
		w.T().Errorf("the member sees the key %q", c.Modes.Key)
	}
}

func testGateLimit(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#a", a, b)
	a.mode("#a", plus('l', "2"))
	_, err := c.Join(context.Background(), "#a", "")
	w.want("join", err, chat.ErrChannelFull)
	w.must("part", b.Part(context.Background(), "#a", ""))
	a.sees("#a", "ann")
	c.join("#a")
}

func testGateInvite(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.meet(a, b, c)
	a.join("#a")
	a.mode("#a", plus('i', ""))
	_, err := b.Join(context.Background(), "#a", "")
	w.want("join", err, chat.ErrInviteOnly)
	w.must("away", b.SetAway(context.Background(), "tea"))
	p, err := a.Invite(context.Background(), "BOB", "#A")
	w.must("invite", err)
	if p != b.Self() {
		w.T().Errorf("invited is %+v, want %+v", p, b.Self())
	}
	e := await(b, "invitation", anyOf[chat.Invited])
	if e.Channel != "#a" || e.By != a.Self() || e.Nick != "bob" || e.Target != b.Self() {
		w.T().Errorf("invitation is %+v", e)
	}
	_, err = c.Join(context.Background(), "#a", "")
	w.want("join of who is not invited", err, chat.ErrInviteOnly)
	b.join("#a")
	w.must("part", b.Part(context.Background(), "#a", ""))
	a.sees("#a", "ann")
	_, err = b.Join(context.Background(), "#a", "")
	w.want("second join", err, chat.ErrInviteOnly)
	none(c, "another's invitation", anyOf[chat.Invited])
}

func testGateInviteErrors(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(1, "cat")
	w.meet(a, b, c)
	w.joinAll("#a", a, b)
	invite := func(u *user, nick, channel string) error {
		_, err := u.Invite(context.Background(), nick, channel)
		return err
	}
	w.want("invite from outside", invite(c, "cat", "#a"), chat.ErrNotOnChannel)
	w.want("invite of nobody", invite(a, "nobody", "#a"), chat.ErrNoSuchNick)
	w.want("invite of a member", invite(a, "bob", "#a"), chat.ErrUserOnChannel)
	w.must("invite by a member without status", invite(b, "cat", "#a"))
	a.mode("#a", plus('i', ""))
	await(b, "+i", anyOf[chat.ModeChanged])
	w.want("the same under +i", invite(b, "cat", "#a"), chat.ErrNoPrivileges)
}

// testGateInviteOperators: the operators but the inviter are told, and the
// invited, each once.
func testGateInviteOperators(w *world) {
	ctx := context.Background()
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	here, voiced, guest := w.open(0, "here"), w.open(1, "voiced"), w.open(2, "guest")
	w.meet(a, guest)
	w.joinAll("#a", a, b, c, here, voiced)
	a.mode("#a", plus('o', "bob"), plus('o', "here"), plus('v', "voiced"))
	for _, u := range []*user{b, c, here, voiced} {
		await(u, "the statuses", anyOf[chat.ModeChanged])
	}
	for i, inviter := range []*user{a, c} { // an operator, a member
		_, err := inviter.Invite(ctx, "guest", "#A")
		w.must("invite", err)
		by := inviter.Self()
		mine := func(e chat.Invited) bool { return e.By.Nick == by.Nick }
		for _, u := range []*user{a, b, here, guest} {
			if u == inviter {
				continue
			}
			e := await(u, "the invitation", mine)
			if e.Channel != "#a" || e.By != by || e.Nick != "guest" || e.Target != guest.Self() || e.At.IsZero() {
				w.T().Errorf("%s is told %+v", u.Self().Nick, e)
			}
		}
		w.Sleep(quiet)
		for _, u := range []*user{b, here, guest} {
			once(u, "an invitation", mine)
		}
		for _, u := range []*user{c, voiced} {
			none(u, "an invitation", anyOf[chat.Invited])
		}
		if i == 0 {
			none(a, "his own invitation", anyOf[chat.Invited])
		}
	}
	once(a, "the member's invitation", anyOf[chat.Invited])
}

func testGateSecret(w *world) {
	ctx := context.Background()
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.meet(a, b)
	a.join("#open")
	a.join("#a")
	w.must("topic", a.SetTopic(ctx, "#a", "hidden topic"))
	a.mode("#a", plus('s', ""), plus('b', "x!*@*"))
	c, err := b.Channel(ctx, "#a")
	w.must("channel from outside", err)
	if !c.Secret || !c.Modes.Secret || len(c.Members) != 0 || len(c.Bans) != 0 || c.Topic.Text != "" || c.Topic.By != "" {
		w.T().Errorf("from outside one sees %+v", c)
	}
	who, err := b.Lookup(ctx, "ann")
	w.must("lookup", err)
	if len(who.Channels) != 1 || who.Channels[0] != "@#open" {
		w.T().Errorf("whois names %v", who.Channels)
	}
	b.lists(chat.Listed{Name: "#open", Count: 1})
	c = b.join("#a")
	if c.Secret || len(c.Members) != 2 || c.Topic.Text != "hidden topic" {
		w.T().Errorf("a member sees %+v", c)
	}
}
