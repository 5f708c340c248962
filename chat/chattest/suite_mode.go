package chattest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"ircbridge/chat"
)

func modeCases() []testCase {
	return []testCase{
		{"Flags", 3, testModeFlags},
		{"NoChange", 2, testModeNoChange},
		{"Errors", 2, testModeErrors},
		{"SomeFail", 2, testModeSomeFail},
		{"Operator", 3, testModeOperator},
		{"Voice", 2, testModeVoice},
		{"BanList", 2, testModeBanList},
		{"BanMask", 2, testModeBanMask},
	}
}

func testModeFlags(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#a", a, b)
	changes := []chat.ModeChange{plus('i', ""), plus('m', ""), plus('n', ""), plus('s', ""), minus('t', ""), plus('k', "key"), plus('l', "12")}
	if done := a.mode("#A", changes...); !reflect.DeepEqual(done, changes) {
		w.T().Errorf("took effect: %v, want %v", done, changes)
	}
	e := await(b, "modes", anyOf[chat.ModeChanged])
	if e.Channel != "#a" || e.By != a.Self().Mask() || !reflect.DeepEqual(e.Changes, changes) {
		w.T().Errorf("event is %+v", e)
	}
	want := chat.Modes{InviteOnly: true, Moderated: true, NoExternal: true, Secret: true, Key: "key", Limit: 12}
	for _, u := range []*user{a, b} {
		u.modesAre("#a", want)
	}
	want.Key = "*"
	c.modesAre("#a", want)
	a.mode("#a", minus('i', ""), minus('m', ""), minus('n', ""), minus('s', ""), plus('t', ""), minus('k', "key"), minus('l', ""))
	for _, u := range []*user{a, b, c} {
		u.modesAre("#a", chat.Modes{TopicLock: true})
	}
	await(b, "-k, which does not show the old key", func(e chat.ModeChanged) bool { return slices.Contains(e.Changes, minus('k', "*")) })
	none(a, "a change he made himself", anyOf[chat.ModeChanged])
}

// modesAre waits until the user sees these modes.
func (u *user) modesAre(channel string, want chat.Modes) {
	u.w.T().Helper()
	u.w.Eventually(fmt.Sprintf("%s sees the modes %+v", u.Self().Nick, want), func() bool {
		c, err := u.Channel(context.Background(), channel)
		return err == nil && c.Modes == want
	})
}

// statusIs waits until the user sees the status of another.
func (u *user) statusIs(channel, nick string, want chat.Status) {
	u.w.T().Helper()
	u.w.Eventually(fmt.Sprintf("%s sees %s with status %d", u.Self().Nick, nick, want), func() bool {
		c, err := u.Channel(context.Background(), channel)
		if err != nil {
			return false
		}
		for _, m := range c.Members {
			if m.Nick == nick {
				return m.Status == want
			}
		}
		return false
	})
}

func testModeNoChange(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", a, b)
	done := a.mode("#a", plus('t', ""), minus('m', ""), plus('o', "ann"), minus('v', "bob"), minus('b', "x!*@*"), minus('l', ""), minus('k', "x"))
	if len(done) != 0 {
		w.T().Errorf("took effect: %v, want nothing", done)
	}
	a.said("#a", "marker")
	b.gets("marker")
	none(b, "a change that was none", anyOf[chat.ModeChanged])
}

func testModeErrors(w *world) {
	ctx := context.Background()
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(1, "cat")
	w.meet(a, b, c)
	w.joinAll("#a", a, b)
	_, err := b.SetMode(ctx, "#a", []chat.ModeChange{plus('m', "")})
	w.want("without being operator", err, chat.ErrNoPrivileges)
	_, err = c.SetMode(ctx, "#a", []chat.ModeChange{plus('m', "")})
	w.want("from outside", err, chat.ErrNoPrivileges)
	_, err = a.SetMode(ctx, "#none", []chat.ModeChange{plus('m', "")})
	w.want("of no channel", err, chat.ErrNoSuchChannel)
	for _, row := range []struct {
		change chat.ModeChange
		want   error
	}{
		{plus('x', ""), chat.ErrUnknownMode},
		{plus('o', "nobody"), chat.ErrNoSuchNick},
		{plus('v', "cat"), chat.ErrNotInChannel},
		{plus('b', ""), chat.ErrBadModeParam},
		{plus('k', ""), chat.ErrBadModeParam},
		{plus('k', "two words"), chat.ErrBadModeParam},
		{plus('l', "0"), chat.ErrBadModeParam},
		{plus('l', "-3"), chat.ErrBadModeParam},
		{plus('l', "many"), chat.ErrBadModeParam},
		{plus('l', "99999999999999999999"), chat.ErrBadModeParam},
	} {
		done, err := a.SetMode(ctx, "#a", []chat.ModeChange{row.change})
		w.want(fmt.Sprintf("mode +%c %q", row.change.Mode, row.change.Arg), err, row.want)
		if len(done) != 0 {
			w.T().Errorf("with an error took effect: %v", done)
		}
	}
	a.modesAre("#a", chat.Modes{TopicLock: true})
}

func testModeSomeFail(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(1, "cat")
	w.meet(a, b, c)
	w.joinAll("#a", a, b)
	bad := []chat.ModeChange{plus('l', "x"), plus('o', "nobody"), plus('v', "cat"), minus('x', ""), plus('e', "two words")}
	why := []error{chat.ErrBadModeParam, chat.ErrNoSuchNick, chat.ErrNotInChannel, chat.ErrUnknownMode, chat.ErrBadModeParam}
	done, err := a.SetMode(context.Background(), "#a", slices.Concat([]chat.ModeChange{plus('m', "")}, bad, []chat.ModeChange{plus('n', "")}))
	wrong := chat.ModeErrors(err)
	for i := range bad {
		w.want("some bad changes", err, why[i])
		if len(wrong) != len(bad) || wrong[i].Change != bad[i] || !errors.Is(wrong[i], why[i]) {
			w.T().Errorf("wrong are %v, want %v", wrong, bad)
			break
		}
	}
	if want := []chat.ModeChange{plus('m', ""), plus('n', "")}; !reflect.DeepEqual(done, want) {
		w.T().Errorf("took effect: %v, want %v", done, want)
	}
	b.modesAre("#a", chat.Modes{Moderated: true, NoExternal: true, TopicLock: true})
}

func testModeOperator(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.meet(a, b, c)
	w.joinAll("#a", a, b, c)
	if done := a.mode("#a", plus('o', "BOB")); !reflect.DeepEqual(done, []chat.ModeChange{plus('o', "bob")}) {
		w.T().Errorf("took effect: %v", done)
	}
	for _, u := range []*user{b, c} {
		e := await(u, "+o", anyOf[chat.ModeChanged])
		if !reflect.DeepEqual(e.Changes, []chat.ModeChange{plus('o', "bob")}) {
			w.T().Errorf("changes are %v", e.Changes)
		}
		u.statusIs("#a", "bob", chat.Operator)
	}
	b.mode("#a", minus('o', "ann"))
	await(a, "-o", anyOf[chat.ModeChanged])
	a.statusIs("#a", "ann", 0)
	_, err := a.SetMode(context.Background(), "#a", []chat.ModeChange{plus('m', "")})
	w.want("who is operator no more", err, chat.ErrNoPrivileges)
	w.must("the new operator kicks", b.Kick(context.Background(), "#a", "ann", ""))
	c.sees("#a", "bob", "cat")
}

func testModeVoice(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", a, b)
	a.mode("#a", plus('v', "bob"), plus('v', "ann"))
	b.statusIs("#a", "bob", chat.Voice)
	b.statusIs("#a", "ann", chat.Operator|chat.Voice)
	a.mode("#a", minus('o', "ann"))
	b.statusIs("#a", "ann", chat.Voice)
}

func testModeBanList(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", a, b)
	ban := []chat.ModeChange{plus('b', "Evil!*@*"), plus('b', "*!*@bad.host")}
	if done := a.mode("#a", ban...); !reflect.DeepEqual(done, ban) {
		w.T().Errorf("took effect: %v", done)
	}
	if done := a.mode("#a", plus('b', "evil!*@*")); len(done) != 0 {
		w.T().Errorf("a ban set twice took effect: %v", done)
	}
	w.Eventually("both see the same bans", func() bool {
		ours, err1 := a.Channel(context.Background(), "#a")
		c, err2 := b.Channel(context.Background(), "#a")
		return err1 == nil && err2 == nil && reflect.DeepEqual(masks(c), []string{"*!*@bad.host", "Evil!*@*"}) &&
			c.Bans[0].By == a.Self().Mask() && !c.Bans[0].At.IsZero() &&
			reflect.DeepEqual(plainTimes(c).Bans, plainTimes(ours).Bans)
	})
	if done := a.mode("#a", minus('b', "EVIL!*@*")); len(done) != 1 {
		w.T().Errorf("took effect: %v, want the end of the ban", done)
	}
	w.Eventually("one ban is left", func() bool {
		c, err := b.Channel(context.Background(), "#a")
		return err == nil && len(c.Bans) == 1 && c.Bans[0].Mask == "*!*@bad.host"
	})
}

// masks lists the bans of a channel, sorted.
func masks(c chat.Channel) []string {
	var list []string
	for _, b := range c.Bans {
		list = append(list, b.Mask)
	}
	slices.Sort(list)
	return list
}

func testModeBanMask(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", a, b)
	for _, row := range [][2]string{{"evil", "evil!*@*"}, {"u@h", "*!u@h"}, {"n!u", "n!u@*"}, {"*.net", "*.net!*@*"}} {
		given, want := row[0], row[1]
		if done := a.mode("#a", plus('b', given)); !reflect.DeepEqual(done, []chat.ModeChange{plus('b', want)}) {
			w.T().Errorf("+b %s took effect as %v, want %s", given, done, want)
		}
		await(b, "+b "+want, func(e chat.ModeChanged) bool { return e.Changes[0] == plus('b', want) })
		if done := a.mode("#a", minus('b', given)); !reflect.DeepEqual(done, []chat.ModeChange{minus('b', want)}) {
			w.T().Errorf("-b %s took effect as %v, want %s", given, done, want)
		}
	}
	for _, given := range []string{"two words", "line\nend", strings.Repeat("m", 1000)} {
		_, err := a.SetMode(context.Background(), "#a", []chat.ModeChange{plus('b', given)})
		w.want("a mask that is none", err, chat.ErrBadModeParam)
	}
}
