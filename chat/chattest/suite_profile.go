package chattest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"ircbridge/chat"
)

// profileCases: what is new of people, and what is remembered of them.
func profileCases() []testCase {
	return []testCase{
		{"Realname", 3, testRealname},
		{"RealnameOnce", 2, testRealnameOnce},
		{"RealnameCut", 1, testRealnameCut},
		{"Bot", 3, testBot},
		{"Secure", 2, testSecure},
		{"AccountsOnly", 2, testAccountsOnly},
		{"Account", 3, testAccount},
		{"Whowas", 3, testWhowas},
		{"WhowasRealname", 2, testWhowasRealname},
		{"WhowasTen", 2, testWhowasTen},
		{"WhowasNobody", 2, testWhowasNobody},
	}
}

func testRealname(w *world) {
	ctx := context.Background()
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.meet(a, b, c)
	w.joinAll("#a", a, b)
	old := a.Self()
	w.must("real name", a.SetRealname(ctx, "Ann of Tea"))
	if now := a.Self(); now.Realname != "Ann of Tea" || now.Nick != old.Nick || now.Username != old.Username {
		w.T().Errorf("self is %+v", now)
	}
	if e := await(b, "the change", anyOf[chat.ProfileChanged]); e.Old != old || e.New != a.Self() || e.At.IsZero() {
		w.T().Errorf("the change is %+v, want from %+v to %+v", e, old, a.Self())
	}
	for _, u := range []*user{b, c} {
		w.Eventually("whois has it for "+u.Self().Nick, func() bool {
			who, err := u.Lookup(ctx, "ann")
			return err == nil && who.Profile == a.Self()
		})
	}
	if view, err := b.Channel(ctx, "#a"); err != nil || view.Members[0].Profile != a.Self() {
		w.T().Errorf("the view has %+v, %v", view, err)
	}
	c.join("#a")
	if view, err := c.Channel(ctx, "#a"); err != nil || view.Members[0].Profile != a.Self() {
		w.T().Errorf("who came later sees %+v, %v", view, err)
	}
	w.Eventually("who invites her sees it", func() bool {
		d := w.open(1, "dora")
		defer d.Close("")
		d.join("#d")
		p, err := d.Invite(ctx, "ann", "#d")
		return err == nil && p == a.Self()
	})
	w.Sleep(quiet)
	once(b, "the change", anyOf[chat.ProfileChanged])
	none(a, "his own change", anyOf[chat.ProfileChanged])
	none(c, "a stranger's change", anyOf[chat.ProfileChanged])
	none(b, "a new nick", anyOf[chat.Renamed])
	none(b, "an away", anyOf[chat.AwayChanged])
}

func testRealnameOnce(w *world) {
	ctx := context.Background()
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", a, b)
	w.joinAll("#b", a, b)
	for _, name := range []string{"one", "one", "two"} {
		w.must("real name "+name, a.SetRealname(ctx, name))
	}
	await(b, "the last change", func(e chat.ProfileChanged) bool { return e.New.Realname == "two" })
	w.Eventually("both views say it", func() bool {
		for _, name := range []string{"#a", "#b"} {
			c, err := b.Channel(ctx, name)
			if err != nil || len(c.Members) != 2 || c.Members[0].Realname != "two" {
				return false
			}
		}
		return true
	})
	w.Sleep(quiet)
	last := "Real ann"
	for _, e := range find(b, anyOf[chat.ProfileChanged]) {
		if e.Old.Realname != last || e.New.Realname == last {
			w.T().Errorf("after %q came a change from %q to %q", last, e.Old.Realname, e.New.Realname)
		}
		last = e.New.Realname
	}
}

func testRealnameCut(w *world) {
	a := w.open(0, "ann")
	w.must("long name", a.SetRealname(context.Background(), strings.Repeat("ä", chat.MaxRealname)))
	if got := a.Self().Realname; got != strings.Repeat("ä", chat.MaxRealname/2) {
		w.T().Errorf("the name was cut to %q, %d bytes", got, len(got))
	}
	w.must("no name", a.SetRealname(context.Background(), ""))
	if got := a.Self().Realname; got != "" {
		w.T().Errorf("the name is %q", got)
	}
}

func testAccount(w *world) {
	ctx := context.Background()
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.meet(a, b, c)
	w.joinAll("#a", a, b, c)
	want := map[string]string{"ann": a.Self().Account, "bob": b.Self().Account, "cat": c.Self().Account}
	for _, u := range []*user{a, b, c} {
		view, err := u.Channel(ctx, "#a")
		w.must("channel", err)
		for _, m := range view.Members {
			if m.Account != want[m.Nick] {
				w.T().Errorf("%s sees %s with the account %q, want %q", u.Self().Nick, m.Nick, m.Account, want[m.Nick])
			}
		}
	}
	a.said("#a", "hello")
	if from := b.gets("hello").From; from.Account != want["ann"] {
		w.T().Errorf("a message is from the account %q, want %q", from.Account, want["ann"])
	}
}

// past are the former holders of a nick, as one user is told.
func (u *user) past(nick string, max int) []chat.Past {
	u.w.T().Helper()
	list, err := u.Whowas(context.Background(), nick, max)
	if err != nil {
		u.w.Fatalf("%s asks who was %s: %v", u.Self().Nick, nick, err)
	}
	return list
}

// remembers waits until the former holders of a nick are these, whose times
// fall.
func (u *user) remembers(nick string, want ...chat.Profile) {
	u.w.T().Helper()
	var got []chat.Profile
	defer func() {
		if u.w.T().Failed() {
			u.w.T().Logf("%s remembers of %s: %+v", u.Self().Nick, nick, got)
		}
	}()
	u.w.Eventually(fmt.Sprintf("%s remembers of %s: %+v", u.Self().Nick, nick, want), func() bool {
		got = nil
		last := u.w.Now().Add(time.Hour)
		for _, p := range u.past(nick, 0) {
			if p.Until.After(last) || p.Until.Before(u.w.Now().Add(-time.Hour)) {
				u.w.T().Errorf("%s was given up at %v, after %v", nick, p.Until, last)
			}
			got, last = append(got, p.Profile), p.Until
		}
		return reflect.DeepEqual(got, want)
	})
}

func testWhowas(w *world) {
	ctx := context.Background()
	a, b, c := w.open(0, "Ann"), w.open(1, "bob"), w.open(2, "cat")
	w.meet(a, b, c)
	if got := b.past("ann", 0); got == nil || len(got) != 0 {
		w.T().Errorf("of a nick that was never given up: %#v", got)
	}
	first := a.Self()
	w.must("away", a.SetAway(ctx, "out"))
	w.must("nick", a.SetNick(ctx, "anna"))
	for _, u := range []*user{a, b, c} {
		u.remembers("aNN", first)
	}
	w.Eventually("the nick is free", func() bool { return b.SetNick(ctx, "ann") == nil })
	second := b.Self()
	c.remembers("ann", first)
	c.remembers("bob", func() chat.Profile { p := second; p.Nick = "bob"; return p }())
	b.Close("bye")
	for _, u := range []*user{a, c} {
		u.remembers("ann", second, first)
		if got := u.past("ann", 1); len(got) != 1 || got[0].Profile != second {
			w.T().Errorf("the last one is %+v", got)
		}
	}
	w.must("back", a.SetAway(ctx, ""))
	w.must("nick", a.SetNick(ctx, "ANN"))
	if got := c.past("ann", 0); len(got) != 2 {
		w.T().Errorf("with a holder again: %+v", got)
	}
	w.must("the same in other letters", a.SetNick(ctx, "ann"))
	w.Sleep(quiet)
	if got := c.past("ann", 0); len(got) != 2 {
		w.T().Errorf("after the same nick in other letters: %+v", got)
	}
}

func testWhowasRealname(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.meet(a, b)
	w.must("real name", a.SetRealname(context.Background(), "Ann of Tea"))
	last := a.Self()
	a.Close("")
	b.remembers("ann", last)
}

func testWhowasTen(w *world) {
	ctx := context.Background()
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.meet(a, b)
	for i := range 12 {
		w.must("real name", a.SetRealname(ctx, fmt.Sprint("number ", i)))
		w.must("away", a.SetNick(ctx, "other"))
		w.Eventually("it is remembered", func() bool {
			l := b.past("ann", 0)
			return len(l) > 0 && l[0].Realname == fmt.Sprint("number ", i)
		})
		w.must("back", a.SetNick(ctx, "ann"))
	}
	var names []string
	for _, p := range b.past("ann", 0) {
		names = append(names, p.Realname)
	}
	if got := strings.Join(names, ","); len(names) != 10 || names[0] != "number 11" || names[9] != "number 2" {
		w.T().Errorf("remembered are %s", got)
	}
	if got := b.past("ann", 3); len(got) != 3 || got[2].Realname != "number 9" {
		w.T().Errorf("three of them are %+v", got)
	}
}

func testWhowasNobody(w *world) {
	a := w.open(0, "ann")
	if got := a.past("nobody", 5); got == nil || len(got) != 0 {
		w.T().Errorf("nobody was %#v", got)
	}
	for _, nick := range []string{"", "not a nick", "#a", "9nine"} {
		_, err := a.Whowas(context.Background(), nick, 0)
		w.want("whowas "+nick, err, chat.ErrBadNick)
	}
}

// Who says that he is a program is shown so by everybody, what he says too.
func testBot(w *world) {
	ctx := context.Background()
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.meet(a, b, c)
	w.joinAll("#a", a, b)
	old := a.Self()
	w.must("bot", a.SetBot(ctx, true))
	w.must("bot again", a.SetBot(ctx, true))
	if now := a.Self(); !now.Bot || old.Bot {
		w.T().Errorf("self was %+v and is %+v", old, now)
	}
	if e := await(b, "the change", anyOf[chat.ProfileChanged]); e.Old != old || e.New != a.Self() {
		w.T().Errorf("the change is %+v", e)
	}
	a.said("#a", "beep")
	a.said("cat", "boop")
	if m := b.gets("beep"); !m.From.Bot {
		w.T().Errorf("the message is %+v", m)
	}
	if m := c.gets("boop"); !m.From.Bot {
		w.T().Errorf("the private message is %+v", m)
	}
	who, err := c.Lookup(ctx, "ann")
	if w.must("lookup", err); !who.Bot {
		w.T().Errorf("whois says %+v", who)
	}
	if v := c.join("#a"); !v.Members[0].Bot || v.Members[1].Bot {
		w.T().Errorf("who came later sees %+v", v.Members)
	}
	w.must("nick", a.SetNick(ctx, "anna"))
	await(c, "a new nick", anyOf[chat.Renamed])
	w.must("no bot", a.SetBot(ctx, false))
	for _, u := range []*user{b, c} {
		await(u, "the end of it", func(e chat.ProfileChanged) bool { return e.Old.Bot && !e.New.Bot && e.New.Nick == "anna" })
	}
	w.Sleep(quiet)
	if got := find(b, anyOf[chat.ProfileChanged]); len(got) != 2 {
		w.T().Errorf("bob got %+v", got)
	}
	none(a, "his own change", anyOf[chat.ProfileChanged])
}

// Who came over an encrypted connection is shown so by everybody.
// testAccountsOnly: who wants no private messages from users without account gets none, and who
// writes one is told; on channels he hears all.
func testAccountsOnly(w *world) {
	ctx := context.Background()
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(1, "cat")
	w.meet(a, b, c)
	w.joinAll("#a", a, b)
	b.said("ann", "before")
	w.must("accounts only", a.SetAccountsOnly(ctx, true))
	w.must("the same of another", c.SetAccountsOnly(ctx, true))
	sent := b.outcome(b.say("ann", "private"))
	a.said("ann", "to himself")
	b.said(w.Service(1).Node().ID, "to all of the node")
	b.said("#a", "on the channel")
	a.gets("on the channel")
	want := []string{"before", "private", "to himself", "after"}
	if b.Self().Account == "" {
		var why *chat.SendError
		if !errors.As(sent.Err, &why) || why.Mode != "+R" || !errors.Is(sent.Err, chat.ErrCannotSend) {
			w.T().Errorf("the outcome is %v", sent.Err)
		}
		want = slices.Delete(want, 1, 2)
		w.Sleep(quiet)
		none(c, "what is for all", anyOf[chat.Message])
	} else {
		w.must("a message of who has an account", sent.Err)
		c.gets("to all of the node")
	}
	w.must("all again", a.SetAccountsOnly(ctx, false))
	b.said("ann", "after")
	a.gets("after")
	got := slices.DeleteFunc(a.texts("ann"), func(text string) bool { return text == "to all of the node" }) // on a ring of one
	if a.gets("to himself"); !slices.Equal(got, want) {
		w.T().Errorf("he got %q, want %q", got, want)
	}
}

func testSecure(w *world) {
	u := userNamed("ann")
	u.Secure = true
	s, err := w.Service(0).Open(context.Background(), u)
	w.must("open", err)
	a, b := w.add(s), w.open(1, "bob")
	a.pump()
	w.meet(a, b)
	w.joinAll("#a", a, b)
	who, err := b.Lookup(context.Background(), "ann")
	if w.must("lookup", err); !who.Secure || !a.Self().Secure || b.Self().Secure {
		w.T().Errorf("whois says %+v, self %+v, bob %+v", who, a.Self(), b.Self())
	}
	w.must("bot", a.SetBot(context.Background(), true))
	if e := await(b, "a change", anyOf[chat.ProfileChanged]); !e.New.Secure || !e.New.Bot {
		w.T().Errorf("the change is %+v", e)
	}
}
