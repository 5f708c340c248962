package chattest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ircbridge/chat"
)

// watchCases: who has a nick, told to those who asked to be told.
func watchCases() []testCase {
	return []testCase{
		{"ComesAndGoes", 3, testWatchComesAndGoes},
		{"SameNode", 1, testWatchSameNode},
		{"NickChange", 3, testWatchNickChange},
		{"SeveralOfOneNode", 3, testWatchSeveral},
		{"Unwatch", 3, testUnwatch},
		{"Full", 2, testWatchFull},
		{"NoNick", 1, testWatchNoNick},
		{"Profile", 3, testWatchProfile},
		{"ProfileOnce", 3, testWatchProfileOnce},
		{"Split", 3, testWatchSplit},
	}
}

// watches watches nicks and wants them to be so: "+ann -bob".
func (u *user) watches(want string, nicks ...string) {
	u.w.T().Helper()
	list, err := u.Watch(context.Background(), nicks)
	if err != nil {
		u.w.Fatalf("%s watches %v: %v", u.Self().Nick, nicks, err)
	}
	if got := presences(list); got != want {
		u.w.T().Errorf("%s watches %v: %s, want %s", u.Self().Nick, nicks, got, want)
	}
}

// presences are "+nick" for who is online, "-nick" for who is not.
func presences(list []chat.Presence) (text string) {
	for i, p := range list {
		if i > 0 {
			text += " "
		}
		if p.Online {
			text += "+" + p.Nick
		} else {
			text += "-" + p.Nick
		}
	}
	return text
}

// told waits until the presence events of a user are these, sorted by nick.
func (u *user) told(want string) {
	u.w.T().Helper()
	got := ""
	defer func() {
		if got != want {
			u.w.T().Errorf("%s was told %q, want %q", u.Self().Nick, got, want)
		}
	}()
	u.w.Eventually(fmt.Sprintf("%s is told %s", u.Self().Nick, want), func() bool {
		list := find(u, anyOf[chat.Presence])
		slices.SortStableFunc(list, func(a, b chat.Presence) int { return strings.Compare(chat.Fold(a.Nick), chat.Fold(b.Nick)) })
		got = presences(list)
		return len(got) >= len(want)
	})
}

// takes waits until a user can take a nick.
func (u *user) takes(nick string) {
	u.w.T().Helper()
	u.w.Eventually(u.Self().Nick+" takes "+nick, func() bool { return u.SetNick(context.Background(), nick) == nil })
}

func testWatchComesAndGoes(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "Bob")
	w.meet(a, b)
	a.watches("+Bob -cat -dora", "bob", "cat", "dora")
	c := w.open(2, "Cat")
	if e := await(a, "she is there", anyOf[chat.Presence]); !e.Online || e.Nick != "Cat" || e.Who != c.Self() || e.At.IsZero() {
		w.T().Errorf("who came is told as %+v, want %+v", e, c.Self())
	}
	c.Close("bye")
	a.told("+Cat -Cat")
	b.Close("bye")
	a.told("-Bob +Cat -Cat")
	w.open(1, "bob")
	a.told("-Bob +bob +Cat -Cat")
	w.Sleep(quiet)
	a.told("-Bob +bob +Cat -Cat")
}

func testWatchSameNode(w *world) {
	a := w.open(0, "ann")
	a.watches("-bob +ann", "bob", "ann")
	b := w.open(0, "bob")
	a.told("+bob")
	b.takes("rob")
	a.told("+bob -bob")
	a.takes("anna")
	a.told("-ann +bob -bob")
	w.Sleep(quiet)
	a.told("-ann +bob -bob")
}

func testWatchNickChange(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.meet(a, b)
	a.watches("+bob -rob", "bob", "rob")
	b.takes("BOB") // the same name
	b.takes("rob")
	w.Eventually("both are told", func() bool { return len(find(a, anyOf[chat.Presence])) >= 2 })
	w.Sleep(quiet)
	once(a, "that bob is gone", func(e chat.Presence) bool { return chat.SameName(e.Nick, "bob") && !e.Online })
	once(a, "that rob is there", func(e chat.Presence) bool { return e.Nick == "rob" && e.Online && e.Who == b.Self() })
	if n := len(find(a, anyOf[chat.Presence])); n != 2 {
		w.T().Errorf("%d events of one change", n)
	}
	// What one gives up another takes.
	c := w.open(2, "cat")
	w.Eventually("the nick is free", func() bool { return c.SetNick(context.Background(), "bob") == nil })
	await(a, "that bob is another", func(e chat.Presence) bool { return e.Nick == "bob" && e.Online && e.Who == c.Self() })
}

func testWatchSeveral(w *world) {
	a, b, c := w.open(0, "ann"), w.open(0, "bob"), w.open(1, "cat")
	a.watches("-dan", "dan")
	b.watches("-DAN", "DAN")
	c.watches("-dan", "dan")
	d := w.open(2, "dan")
	for _, u := range []*user{a, b, c} {
		u.told("+dan")
	}
	e := w.open(0, "eve")
	e.watches("+dan", "dan")
	a.Unwatch([]string{"dan"})
	d.Close("")
	for _, u := range []*user{b, c} {
		u.told("+dan -dan")
	}
	e.told("-dan")
	b.Close("")
	w.open(2, "dan")
	e.told("-dan +dan")
	c.told("+dan -dan +dan")
	a.told("+dan")
}

func testUnwatch(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.meet(a, b)
	a.watches("+bob -cat", "bob", "cat")
	a.Unwatch([]string{"bob", "CAT", "never"})
	b.Close("")
	w.open(2, "cat")
	w.Sleep(quiet)
	a.told("")
	a.watches("-bob +cat", "bob", "cat")
	w.open(1, "bob")
	a.told("+bob")
}

func testWatchFull(w *world) {
	a := w.open(0, "ann")
	var nicks []string
	for i := range chat.MaxWatched {
		nicks = append(nicks, fmt.Sprintf("n%d", i))
	}
	list, err := a.Watch(context.Background(), append(nicks, "more", "bob"))
	w.want("too many", err, chat.ErrWatchFull)
	if len(list) != chat.MaxWatched {
		w.T().Errorf("%d of %d nicks are watched", len(list), chat.MaxWatched)
	}
	a.watches("-n7 -N8", "n7", "N8") // no more than before
	list, err = a.Watch(context.Background(), []string{"bob"})
	w.want("still too many", err, chat.ErrWatchFull)
	if len(list) != 0 {
		w.T().Errorf("of a full list: %+v", list)
	}
	a.Unwatch([]string{"n7"})
	a.watches("-bob", "bob")
	w.open(1, "n99")
	w.open(1, "bob")
	w.open(1, "n7")
	w.Eventually("both are told", func() bool { return len(find(a, anyOf[chat.Presence])) >= 2 })
	w.Sleep(quiet)
	if n := len(find(a, anyOf[chat.Presence])); n != 2 {
		w.T().Errorf("%d events, want 2", n)
	}
}

func testWatchNoNick(w *world) {
	a := w.open(0, "ann")
	a.watches("-not a nick +ann -", "not a nick", "ann", "")
}

// testWatchProfile: what is new of somebody with whom no channel is shared.
func testWatchProfile(w *world) {
	ctx := context.Background()
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(1, "cat")
	w.meet(a, b, c)
	a.watches("+bob", "bob")
	c.watches("+bob", "bob") // of his own node
	old := b.Self()
	w.must("away", b.SetAway(ctx, "out"))
	for _, u := range []*user{a, c} {
		if e := await(u, "away", anyOf[chat.AwayChanged]); e.Who != b.Self() || !e.Watched {
			w.T().Errorf("away is %+v", e)
		}
	}
	w.must("name", b.SetRealname(ctx, "Bob of Tea"))
	for _, u := range []*user{a, c} {
		if e := await(u, "his name", anyOf[chat.ProfileChanged]); e.Old.Realname != old.Realname || e.New != b.Self() || !e.Watched {
			w.T().Errorf("the change is %+v", e)
		}
	}
	w.Sleep(quiet)
	for _, u := range []*user{a, c} {
		once(u, "away", anyOf[chat.AwayChanged])
		once(u, "his name", anyOf[chat.ProfileChanged])
		u.told("")
	}
	none(b, "his own", anyOf[chat.AwayChanged])
	a.Unwatch([]string{"bob"})
	w.must("back", b.SetAway(ctx, ""))
	await(c, "back", func(e chat.AwayChanged) bool { return e.Who.Away == "" })
	w.Sleep(quiet)
	once(a, "away", anyOf[chat.AwayChanged])
	d := w.open(2, "dora")
	d.watches("+bob", "bob")
	if list, err := d.Watch(ctx, []string{"bob"}); err != nil || list[0].Who != b.Self() {
		w.T().Errorf("who watches later is told %+v, %v, want %+v", list, err, b.Self())
	}
}

// testWatchProfileOnce: who shares a channel with him as well is told once.
func testWatchProfileOnce(w *world) {
	ctx := context.Background()
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#a", a, b)
	w.joinAll("#b", a, b, c)
	a.watches("+bob", "bob")
	c.watches("+bob -x", "bob", "x")
	for _, text := range []string{"one", "two", "three"} {
		w.must("away", b.SetAway(ctx, text))
		w.must("name", b.SetRealname(ctx, text))
		w.Sleep(time.Second / 2)
	}
	w.Sleep(quiet)
	for _, u := range []*user{a, c} {
		for _, text := range []string{"one", "two", "three"} {
			once(u, "away "+text, func(e chat.AwayChanged) bool { return e.Who.Away == text && !e.Watched })
			once(u, "name "+text, func(e chat.ProfileChanged) bool { return e.New.Realname == text && !e.Watched })
		}
		if n := len(find(u, anyOf[chat.AwayChanged])); n != 3 {
			w.T().Errorf("%s was told of %d aways", u.Self().Nick, n)
		}
	}
}

// testWatchSplit: who is cut off is offline, once, and online again when the network
// is whole; on each side users are told of their own.
func testWatchSplit(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	c := w.open(2, "cat")
	w.meet(a, b, c)
	a.watches("+bob +cat -dan", "bob", "cat", "dan")
	b.watches("+cat", "cat")
	c.watches("+ann -dan", "ann", "dan")
	mend := w.cut()
	a.told("-cat")
	b.told("-cat")
	c.told("-ann")
	w.Sleep(quiet)
	d := w.open(2, "dan")
	c.told("-ann +dan")
	w.Sleep(quiet)
	mend()
	a.told("-cat +cat +dan")
	b.told("-cat +cat")
	c.told("-ann +ann +dan")
	d.Close("")
	a.told("-cat +cat +dan -dan")
	c.told("-ann +ann +dan -dan")
	w.Sleep(quiet)
	for _, u := range []*user{a, b, c} {
		if n := len(find(u, func(e chat.Presence) bool { return e.Nick == "cat" })); n > 2 {
			w.T().Errorf("%s was told of cat %d times", u.Self().Nick, n)
		}
	}
}
