package chattest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"ircbridge/chat"
)

// halfopCases: what a half operator may do, and what not.
func halfopCases() []testCase {
	return []testCase{
		{"Given", 3, testHalfopGiven},
		{"Speaks", 3, testHalfopSpeaks},
		{"Changes", 2, testHalfopChanges},
		{"Statuses", 3, testHalfopStatuses},
		{"GivesUp", 3, testHalfopGivesUp},
		{"Kicks", 3, testHalfopKicks},
		{"LetsIn", 3, testHalfopLetsIn},
		{"IsTold", 3, testHalfopIsTold},
		{"IsNoOperator", 3, testHalfopIsNoOperator},
		{"LeastStatus", 3, testHalfopLeastStatus},
		{"Vanished", 2, testHalfopVanished},
		{"NoneLeft", 2, testHalfopNoneLeft},
	}
}

// halfop has three users on #a: its operator, a half operator and one without status.
func (w *world) halfop() (op, half, plain *user) {
	w.T().Helper()
	op, half, plain = w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#a", op, half, plain)
	op.mode("#a", plus('h', "bob"))
	for _, u := range []*user{op, half, plain} {
		u.statusIs("#a", "bob", chat.HalfOperator)
	}
	return op, half, plain
}

func testHalfopGiven(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#a", a, b)
	if done := a.mode("#a", plus('h', "BOB"), plus('h', "ann")); !reflect.DeepEqual(done, []chat.ModeChange{plus('h', "bob"), plus('h', "ann")}) {
		w.T().Errorf("took effect: %v", done)
	}
	if e := await(b, "+h", anyOf[chat.ModeChanged]); !reflect.DeepEqual(e.Changes, []chat.ModeChange{plus('h', "bob"), plus('h', "ann")}) {
		w.T().Errorf("changes are %v", e.Changes)
	}
	if done := a.mode("#a", plus('h', "bob")); len(done) != 0 {
		w.T().Errorf("the same again took effect: %v", done)
	}
	w.meet(a, b, c)
	who, err := c.Lookup(context.Background(), "bob")
	w.must("lookup", err)
	if !slices.Equal(who.Channels, []string{"%#a"}) {
		w.T().Errorf("whois names %v", who.Channels)
	}
	c.join("#a")
	c.statusIs("#a", "bob", chat.HalfOperator)
	c.statusIs("#a", "ann", chat.Operator|chat.HalfOperator)
	a.mode("#a", plus('v', "bob"), minus('h', "bob"), minus('o', "ann"))
	c.statusIs("#a", "bob", chat.Voice)
	c.statusIs("#a", "ann", chat.HalfOperator)
}

// He speaks where others are silenced.
func testHalfopSpeaks(w *world) {
	a, b, c := w.halfop()
	a.mode("#a", plus('m', ""), plus('b', "*!ubob@*"), plus('b', "m:bob!*@*"))
	b.said("#a", "half operator")
	a.gets("half operator")
	c.silenced("+m", "#a", "without status")
	a.mode("#a", minus('m', ""), minus('h', "bob"))
	b.statusIs("#a", "bob", 0)
	b.silenced("+b", "#a", "half operator no more")
}

// He changes all modes but who is operator or half operator.
func testHalfopChanges(w *world) {
	a, b, ctx := w.open(0, "ann"), w.open(1, "bob"), context.Background()
	w.joinAll("#a", a, b)
	_, err := b.SetMode(ctx, "#a", []chat.ModeChange{plus('m', "")})
	w.want("modes without a status", err, chat.ErrNoPrivileges)
	a.mode("#a", plus('v', "bob"))
	b.statusIs("#a", "bob", chat.Voice)
	_, err = b.SetMode(ctx, "#a", []chat.ModeChange{plus('m', "")})
	w.want("modes with a voice", err, chat.ErrNoPrivileges)
	w.want("a topic with a voice", b.SetTopic(ctx, "#a", "no"), chat.ErrNoPrivileges)

	a.mode("#a", plus('h', "bob"))
	b.statusIs("#a", "bob", chat.HalfOperator|chat.Voice)
	w.must("topic under +t", b.SetTopic(ctx, "#a", "tea"))
	await(a, "topic", func(e chat.TopicChanged) bool { return e.Topic.Text == "tea" && e.Topic.By == b.Self().Mask() })
	changes := []chat.ModeChange{
		plus('b', "x!*@*"), plus('e', "y!*@*"), plus('I', "z!*@*"), plus('i', ""), plus('k', "key"), plus('l', "9"), plus('m', ""),
		plus('n', ""), plus('s', ""), minus('t', ""), plus('C', ""), plus('R', ""), plus('v', "ann"), minus('v', "bob"),
	}
	if done := b.mode("#a", changes...); !reflect.DeepEqual(done, changes) {
		w.T().Errorf("took effect: %v", done)
	}
	e := await(a, "modes", func(e chat.ModeChanged) bool { return len(e.Changes) == len(changes) })
	if e.By != b.Self().Mask() || !reflect.DeepEqual(e.Changes, changes) {
		w.T().Errorf("the operator is told %+v", e)
	}
	a.modesAre("#a", chat.Modes{
		InviteOnly: true, Moderated: true, NoExternal: true, Secret: true, NoCTCP: true, Registered: true, Key: "key", Limit: 9,
	})
	b.statusIs("#a", "ann", chat.Operator|chat.Voice)
}

// Each change is judged by itself: those of statuses that are not his to give are refused,
// also where they would change nothing, and the others are made.
func testHalfopStatuses(w *world) {
	a, b, c := w.halfop()
	d := w.open(0, "dan")
	w.joinAll("#b", a, d) // dan is not on #a
	w.meet(a, b, d)
	a.mode("#a", plus('h', "cat"))
	b.statusIs("#a", "cat", chat.HalfOperator)
	asked := []chat.ModeChange{
		plus('o', "bob"), plus('v', "cat"), plus('o', "cat"), minus('o', "ann"), plus('o', "ann"), minus('h', "cat"),
		plus('h', "cat"), plus('h', "ann"), plus('h', "bob"), plus('o', "dan"), plus('h', "nobody"), plus('m', ""), minus('o', "bob"),
	}
	done, err := b.SetMode(context.Background(), "#a", asked)
	if want := []chat.ModeChange{plus('v', "cat"), plus('m', "")}; !reflect.DeepEqual(done, want) {
		w.T().Errorf("took effect: %v, want %v", done, want)
	}
	wrong := chat.ModeErrors(err)
	for _, e := range wrong {
		want := map[string]error{"dan": chat.ErrNotInChannel, "nobody": chat.ErrNoSuchNick}[e.Change.Arg]
		if want == nil {
			want = chat.ErrNoPrivileges
		}
		w.want(fmt.Sprintf("%v %c %s", e.Change.Add, e.Change.Mode, e.Change.Arg), e, want)
	}
	if len(wrong) != len(asked)-3 { // who is no operator may give that up, and it changes nothing
		w.T().Errorf("wrong are %v", wrong)
	}
	for nick, status := range map[string]chat.Status{"ann": chat.Operator, "bob": chat.HalfOperator, "cat": chat.HalfOperator | chat.Voice} {
		c.statusIs("#a", nick, status)
	}
}

func testHalfopGivesUp(w *world) {
	a, b, _ := w.halfop()
	if done := b.mode("#a", minus('h', "BOB"), plus('m', "")); !reflect.DeepEqual(done, []chat.ModeChange{minus('h', "bob"), plus('m', "")}) {
		w.T().Errorf("took effect: %v", done)
	}
	a.statusIs("#a", "bob", 0)
	b.statusIs("#a", "bob", 0)
	_, err := b.SetMode(context.Background(), "#a", []chat.ModeChange{plus('h', "bob")})
	w.want("to take it back", err, chat.ErrNoPrivileges)
}

// He kicks who is neither operator nor half operator.
func testHalfopKicks(w *world) {
	ctx := context.Background()
	a, b, c := w.halfop()
	w.want("a member without status kicks", c.Kick(ctx, "#a", "bob", ""), chat.ErrNoPrivileges)
	w.want("kick of an operator", b.Kick(ctx, "#a", "ann", ""), chat.ErrNoPrivileges)
	a.mode("#a", plus('h', "cat"))
	b.statusIs("#a", "cat", chat.HalfOperator)
	w.want("kick of a half operator", b.Kick(ctx, "#a", "cat", ""), chat.ErrNoPrivileges)
	w.want("kick of nobody", b.Kick(ctx, "#a", "nobody", ""), chat.ErrNoSuchNick)
	b.sees("#a", "ann", "bob", "cat")
	a.mode("#a", minus('h', "cat"), plus('v', "cat"))
	w.must("kick of a voiced one", b.Kick(ctx, "#a", "cat", "out"))
	if e := await(c, "kick", anyOf[chat.Kicked]); e.By != b.Self().Mask() || e.Reason != "out" {
		w.T().Errorf("he is told %+v", e)
	}
	a.sees("#a", "ann", "bob")
	w.must("an operator kicks a half operator", a.Kick(ctx, "#a", "bob", ""))
	await(b, "kick", anyOf[chat.Kicked])
}

// He invites under +i.
func testHalfopLetsIn(w *world) {
	ctx := context.Background()
	a, b, c := w.halfop()
	d := w.open(1, "dan")
	w.meet(a, b, c, d)
	b.mode("#a", plus('i', ""))
	for _, u := range []*user{a, c} {
		u.modesAre("#a", chat.Modes{InviteOnly: true, TopicLock: true})
	}
	_, err := c.Invite(ctx, "dan", "#a")
	w.want("an invitation without a status", err, chat.ErrNoPrivileges)
	_, err = b.Invite(ctx, "dan", "#a")
	w.must("invite", err)
	await(d, "the invitation", func(e chat.Invited) bool { return e.By.Nick == "bob" })
	d.join("#a")
}

// He is told of knocks, and of others' invitations.
func testHalfopIsTold(w *world) {
	ctx := context.Background()
	a, b, c := w.halfop()
	d := w.open(0, "dan")
	w.meet(a, b, c, d)
	_, err := c.Invite(ctx, "dan", "#a")
	w.must("invite", err)
	if e := await(b, "the invitation", anyOf[chat.Invited]); e.Nick != "dan" || e.By != c.Self() {
		w.T().Errorf("he is told %+v", e)
	}
	a.mode("#a", plus('i', ""))
	w.must("knock", d.Knock(ctx, "#a", "let me in"))
	if e := await(b, "the knock", anyOf[chat.Knocked]); e.Who != d.Self() || e.Text != "let me in" {
		w.T().Errorf("he is told %+v", e)
	}
	w.Sleep(quiet)
	once(b, "the invitation", anyOf[chat.Invited])
	once(b, "the knock", anyOf[chat.Knocked])
	none(c, "a knock", anyOf[chat.Knocked])
}

// What others said, and the channel's name and metadata, is the operators' affair.
func testHalfopIsNoOperator(w *world) {
	a, b, c := w.halfop()
	sent, own := c.said("#a", "spam"), b.said("#a", "own")
	b.gets("spam")
	c.gets("own")
	b.mayNotRedact(chat.ErrNotYourMessage, "#a", sent.ID)
	b.redacts("#a", own.ID, "")
	a.redacts("#a", sent.ID, "")
	b.toldOf(sent.ID)
	err := b.SetMetadata(context.Background(), "#a", []chat.MetaItem{{Key: "url", Value: "x"}})
	w.want("metadata", err, chat.ErrNoPrivileges)
	w.want("another name", b.RenameChannel(context.Background(), "#a", "#b", ""), chat.ErrNoPrivileges)
}

// What is for half operators is shown to them and to operators, also its redaction.
func testHalfopLeastStatus(w *world) {
	a, b, c := w.halfop()
	d, e := w.open(1, "dan"), w.open(2, "eve")
	for _, u := range []*user{d, e} {
		u.join("#a")
	}
	a.mode("#a", plus('v', "cat"), plus('o', "dan"))
	e.sees("#a", "ann", "bob", "cat", "dan", "eve")
	for _, u := range []*user{b, c, d, e} {
		u.statusIs("#a", "dan", chat.Operator)
		u.statusIs("#a", "cat", chat.Voice)
	}
	var ids []string
	for _, from := range []*user{a, b, c, e} {
		sent := from.sendAbove(chat.HalfOperator, "#A", "for half operators, by "+from.Self().Nick)
		if sent.Err != nil || sent.Message.Least != chat.HalfOperator {
			w.T().Errorf("the outcome is %+v", sent)
		}
		ids = append(ids, sent.ID)
		for _, u := range []*user{a, b, d} {
			if u == from {
				continue
			}
			m := await(u, "what is for half operators", func(m chat.Message) bool { return m.ID == sent.ID })
			if m.Least != chat.HalfOperator || m.Target != "#a" {
				w.T().Errorf("%s got %+v", u.Self().Nick, m)
			}
		}
	}
	above := a.sendAbove(chat.Operator, "#a", "for operators")
	voiced := a.sendAbove(chat.Voice, "#a", "for the voiced")
	d.gets("for operators")
	b.gets("for the voiced")
	c.gets("for the voiced")
	a.redacts("#a", ids[0], "")
	a.redacts("#a", above.ID, "")
	a.redacts("#a", voiced.ID, "")
	for _, u := range []*user{b, c, d} {
		u.toldOf(voiced.ID)
	}
	b.toldOf(ids[0])
	w.Sleep(quiet)
	none(b, "what is for operators", func(m chat.Message) bool { return m.ID == above.ID })
	none(b, "its redaction", func(r chat.Redacted) bool { return r.ID == above.ID })
	none(c, "what is for half operators", func(m chat.Message) bool { return m.Least.AtLeast(chat.HalfOperator) })
	none(c, "its redaction", func(r chat.Redacted) bool { return r.ID != voiced.ID })
	none(e, "what is for a status", anyOf[chat.Message])
	none(e, "its redaction", anyOf[chat.Redacted])
}

// Who vanished as half operator is one again, above the rules that he may have made.
func testHalfopVanished(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", a, b)
	a.mode("#a", plus('h', "bob"), plus('i', ""))
	b.statusIs("#a", "bob", chat.HalfOperator)
	b.Vanish("connection lost")
	a.sees("#a", "ann")
	w.open(1, "bob").join("#a")
	a.statusIs("#a", "bob", chat.HalfOperator)
}

// Where only a half operator may return, the first to come is operator, as he could give
// that to nobody.
func testHalfopNoneLeft(w *world) {
	ctx := context.Background()
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", a, b)
	a.mode("#a", plus('h', "bob"))
	b.statusIs("#a", "bob", chat.HalfOperator)
	w.must("part", a.Part(ctx, "#a", ""))
	b.sees("#a", "bob")
	b.Vanish("connection lost")
	w.Eventually("nobody is on it", func() bool {
		_, err := a.Channel(ctx, "#a")
		return errors.Is(err, chat.ErrNoSuchChannel)
	})
	a.join("#a")
	a.statusIs("#a", "ann", chat.Operator)
}
