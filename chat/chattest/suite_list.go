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
	for i := range chat.MaxList {
		a.mode("#a", plus('e', fmt.Sprintf("n%d!*@*", i)))
	}
	_, err := a.SetMode(context.Background(), "#a", []chat.ModeChange{plus('e', "more!*@*")})
	w.want("one entry more", err, chat.ErrListFull)
	a.mode("#a", plus('I', "more!*@*"), minus('e', "n7!*@*"), plus('e', "more!*@*"))
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
	c.refused(chat.ErrCannotSend, "#a", "not exempt")
	b.said("#a", "from outside")
	b.join("#a")
	b.said("#a", "on it")
	a.gets("on it")
	a.mode("#a", minus('e', "b?b!*@"+b.Self().Host))
	b.refused(chat.ErrCannotSend, "#a", "no more")
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
