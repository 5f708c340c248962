package chattest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"ircbridge/chat"
)

// listCases: the lists of a channel, and whom they let in.
func listCases() []testCase {
	return []testCase{
		{"Entries", 3, testListEntries},
		{"Full", 1, testListFull},
		{"Secret", 2, testListSecret},
		{"Except", 3, testListExcept},
		{"Invex", 3, testListInvex},
		{"Rests", 2, testListRests},
		{"Extended", 2, testListExtended},
		{"Mute", 3, testListMute},
		{"Account", 3, testListAccount},
	}
}

// listIs waits until the user sees just these masks, sorted, on a list.
func (u *user) listIs(channel string, letter byte, want ...string) []chat.ListEntry {
	u.w.T().Helper()
	var list []chat.ListEntry
	u.w.Eventually(fmt.Sprintf("%s sees on the list %c: %v", u.Self().Nick, letter, want), func() bool {
		c, err := u.Channel(context.Background(), channel)
		var masks []string
		list = c.List(letter)
		for _, e := range list {
			masks = append(masks, e.Mask)
		}
		slices.Sort(masks)
		return err == nil && reflect.DeepEqual(masks, want)
	})
	return list
}

// The lists are apart from each other, and everybody sees them, from outside too.
func testListEntries(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#a", a, b)
	changes := []chat.ModeChange{plus('b', "x!*@*"), plus('e', "y!*@*"), plus('I', "Z!*@*")}
	if done := a.mode("#a", plus('b', "x"), plus('e', "y"), plus('I', "Z")); !reflect.DeepEqual(done, changes) {
		w.T().Errorf("took effect: %v", done)
	}
	if e := await(b, "the changes", anyOf[chat.ModeChanged]); !reflect.DeepEqual(e.Changes, changes) {
		w.T().Errorf("event is %+v", e)
	}
	if done := a.mode("#a", plus('e', "Y!*@*"), minus('e', "x"), minus('I', "y")); len(done) != 0 {
		w.T().Errorf("took effect: %v, want nothing", done)
	}
	for _, u := range []*user{a, b, c} {
		u.listIs("#a", 'b', "x!*@*")
		u.listIs("#a", 'e', "y!*@*")
		if list := u.listIs("#a", 'I', "Z!*@*"); list[0].By != a.Self().Mask() || list[0].At.IsZero() {
			w.T().Errorf("%s sees %+v", u.Self().Nick, list)
		}
	}
	if done := a.mode("#a", minus('I', "z")); !reflect.DeepEqual(done, []chat.ModeChange{minus('I', "Z!*@*")}) {
		w.T().Errorf("took effect: %v", done)
	}
	b.listIs("#a", 'I')
	b.listIs("#a", 'e', "y!*@*")
	for _, letter := range []byte("eI") {
		_, err := b.SetMode(context.Background(), "#a", []chat.ModeChange{plus(letter, "me")})
		w.want("by one without status", err, chat.ErrNoPrivileges)
		_, err = a.SetMode(context.Background(), "#a", []chat.ModeChange{plus(letter, "")})
		w.want("without a mask", err, chat.ErrBadModeParam)
	}
}

func testListFull(w *world) {
	a := w.open(0, "ann")
	a.join("#a")
	for _, letter := range []byte("be") {
		for i := range chat.MaxList {
			a.mode("#a", plus(letter, fmt.Sprintf("n%d!*@*", i)))
		}
		_, err := a.SetMode(context.Background(), "#a", []chat.ModeChange{plus(letter, "more!*@*")})
		w.want("one entry more", err, chat.ErrListFull)
		a.mode("#a", minus(letter, "n7!*@*"), plus(letter, "more!*@*"))
	}
	a.mode("#a", plus('I', "more!*@*"))
}

func testListSecret(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	a.join("#a")
	a.mode("#a", plus('s', ""), plus('b', "x"), plus('e', "y"), plus('I', "z"))
	c, err := b.Channel(context.Background(), "#a")
	w.must("channel", err)
	if !c.Secret || len(c.Bans)+len(c.Excepts)+len(c.Invexes) != 0 {
		w.T().Errorf("from outside the secret channel is %+v", c)
	}
}

// Who is exempt may come in and speak, whatever ban fits him.
func testListExcept(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	a.join("#a")
	a.mode("#a", plus('b', "*!*@*"), plus('e', "B?B!*@"+b.Self().Host))
	_, err := c.Join(context.Background(), "#a", "")
	w.want("who is not exempt", err, chat.ErrBanned)
	c.silenced("+b", "#a", "not exempt")
	b.said("#a", "from outside")
	b.join("#a")
	b.said("#a", "on it")
	a.gets("on it")
	a.mode("#a", minus('e', "b?b!*@"+b.Self().Host))
	b.silenced("+b", "#a", "no more")
}

// Who is on the list needs no invitation, but obeys the other modes.
func testListInvex(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	a.join("#a")
	a.mode("#a", plus('i', ""), plus('k', "sesame"), plus('I', "bob!*@*"))
	_, err := c.Join(context.Background(), "#a", "sesame")
	w.want("who is not on the list", err, chat.ErrInviteOnly)
	_, err = b.Join(context.Background(), "#a", "")
	w.want("without the key", err, chat.ErrBadKey)
	a.mode("#a", plus('b', "bob"))
	_, err = b.Join(context.Background(), "#a", "sesame")
	w.want("banned", err, chat.ErrBanned)
	a.mode("#a", minus('b', "bob"))
	b.joinKey("#a", "sesame")
	w.must("part", b.Part(context.Background(), "#a", ""))
	b.joinKey("#a", "sesame") // it is not used up
	a.mode("#a", minus('I', "bob"))
	w.must("part", b.Part(context.Background(), "#a", ""))
	_, err = b.Join(context.Background(), "#a", "sesame")
	w.want("off the list", err, chat.ErrInviteOnly)
}

// A channel at rest keeps its lists, and obeys them.
func testListRests(w *world) {
	ctx := context.Background()
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(1, "cat")
	w.joinAll("#rest", a)
	a.mode("#rest", plus('i', ""), plus('b', "cat"), plus('b', "bob"), plus('e', "cat"), plus('e', "bob"), plus('I', "cat"))
	a.Vanish("node stopped")
	w.Eventually("nobody is on it", func() bool {
		_, err := b.Channel(ctx, "#rest")
		return errors.Is(err, chat.ErrNoSuchChannel)
	})
	_, err := b.Join(ctx, "#rest", "")
	w.want("exempt, but not invited", err, chat.ErrInviteOnly)
	c.join("#rest")
	c.listIs("#rest", 'e', "bob!*@*", "cat!*@*")
	c.listIs("#rest", 'I', "cat!*@*")
	w.open(0, "ann").join("#rest")
	c.sees("#rest", "ann", "cat")
}

// What is no entry is refused; names are understood, and made letters.
func testListExtended(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", a, b)
	for _, row := range []struct {
		letter      byte
		given, want string // "": refused
	}{
		{'b', "m:evil", "m:evil!*@*"}, {'b', "Mute:*@bad.host", "m:*!*@bad.host"}, {'e', "mute:good", "m:good!*@*"}, {'I', "m:good", ""},
		{'b', "account:K*", "a:K*"}, {'e', "a:K", "a:K"}, {'I', "A:K", "a:K"}, {'b', "mute:account:K", "m:a:K"},
		{'b', "m:", ""}, {'b', "a:", ""}, {'b', "z:evil", ""}, {'b', "m:m:x", ""}, {'e', "nonsense:x", ""},
	} {
		what := fmt.Sprintf("+%c %s", row.letter, row.given)
		done, err := a.SetMode(context.Background(), "#a", []chat.ModeChange{plus(row.letter, row.given)})
		if row.want == "" {
			w.want(what, err, chat.ErrBadModeParam)
			continue
		}
		w.must(what, err)
		if !reflect.DeepEqual(done, []chat.ModeChange{plus(row.letter, row.want)}) {
			w.T().Errorf("%s took effect as %v, want %s", what, done, row.want)
		}
		await(b, what, func(e chat.ModeChanged) bool { return e.Changes[0] == plus(row.letter, row.want) })
		if done := a.mode("#a", minus(row.letter, row.given)); !reflect.DeepEqual(done, []chat.ModeChange{minus(row.letter, row.want)}) {
			w.T().Errorf("-%c %s took effect as %v", row.letter, row.given, done)
		}
	}
}

// Who is muted may join and listen, and not speak, from outside neither, unless he
// has a status, or is exempt from that; being exempt from bans is another thing.
func testListMute(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.meet(a, b, c)
	a.join("#a")
	a.mode("#a", plus('b', "m:*!*@*"), plus('e', "m:cat"))
	b.silenced("+b m:", "#a", "from outside")
	b.join("#a")
	c.join("#a")
	b.sees("#a", "ann", "bob", "cat")
	b.silenced("+b m:", "#a", "muted")
	c.said("#a", "exempt")
	for _, u := range []*user{a, b} {
		u.gets("exempt")
	}
	a.mode("#a", plus('e', "bob"))
	b.silenced("+b m:", "#a", "exempt from bans only")
	a.mode("#a", plus('v', "bob"))
	b.said("#a", "voiced")
	a.mode("#a", minus('v', "bob"), minus('b', "mute:*!*@*"))
	b.said("#a", "again")
	c.gets("again")
	a.mode("#a", plus('b', "*!*@*"), plus('b', "m:*!*@*"))
	c.silenced("+b", "#a", "banned, though not muted")
}

// Entries for an account fit all who have it, by whatever nick. Here the users of
// one node share theirs, or nobody has one.
func testListAccount(w *world) {
	ctx := context.Background()
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	account := b.Self().Account
	if account == "" {
		a.join("#a")
		a.mode("#a", plus('b', "a:*"), plus('b', "m:a:*"))
		b.join("#a")
		b.said("#a", "no account")
		a.gets("no account")
		return
	}
	a.join("#a")
	a.mode("#a", plus('b', "a:"+account))
	_, err := b.Join(ctx, "#a", "")
	w.want("banned by account", err, chat.ErrBanned)
	b.silenced("+b", "#a", "banned by account")
	a.mode("#a", minus('b', "a:"+account), plus('i', ""), plus('I', "a:"+account))
	b.join("#a")
	a.mode("#a", plus('b', "m:a:"+account))
	b.silenced("+b m:", "#a", "muted by account")
	a.mode("#a", plus('e', "m:a:"+account))
	b.said("#a", "exempt by account")
	if c.Self().Account != account {
		_, err = c.Join(ctx, "#a", "")
		w.want("another account", err, chat.ErrInviteOnly)
	}
	a.mode("#a", minus('i', ""), plus('b', "*!*@*"), plus('e', "a:"+c.Self().Account))
	c.join("#a")
	a.sees("#a", "ann", "bob", "cat")
}
