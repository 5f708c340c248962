package chattest

import (
	"context"
	"strings"

	"ircbridge/chat"
)

// splitCases: the network is cut, and whole again.
func splitCases() []testCase {
	return []testCase{
		{"SplitAndRejoin", 3, testSplitAndRejoin},
		{"PartBetweenSplitAndRejoin", 3, testPartBetweenSplitAndRejoin},
	}
}

// cut cuts the third node off, or skips the test.
func (w *world) cut() (mend func()) {
	w.T().Helper()
	c, ok := w.Env.(Cutter)
	if !ok || !c.Cut(2) {
		w.T().Skip("this network cannot be cut")
	}
	return c.Mend
}

// arrivals lists who came where, with what.
func arrivals(list []chat.Arrival) string {
	var words []string
	for _, a := range list {
		sign := ""
		if a.Status&chat.Operator != 0 {
			sign = "@"
		}
		words = append(words, a.Channel+":"+sign+a.Nick)
	}
	return strings.Join(words, " ")
}

func nicksIn(list []chat.Profile) string {
	var nicks []string
	for _, p := range list {
		nicks = append(nicks, p.Nick)
	}
	return strings.Join(nicks, " ")
}

// testSplitAndRejoin: whom one met and cannot reach any more has quit, all of
// them in one event; each side goes on by itself. All come back in one event, to
// all channels, with what they had; nothing else is told of it.
func testSplitAndRejoin(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	c, d := w.open(2, "cat"), w.open(2, "dan")
	w.joinAll("#A", a, b, c, d)
	w.joinAll("#b", a, c)
	w.joinAll("#c", c, d)
	mend := w.cut()
	for _, side := range []struct {
		u    *user
		lost string
		far  *user
	}{{a, "cat dan", c}, {b, "cat dan", c}, {c, "ann bob", a}, {d, "ann bob", a}} {
		e := await(side.u, "the split", anyOf[chat.Split])
		if got := nicksIn(e.Who); got != side.lost || e.Here != side.u.Self().Host || e.There == "" || e.There == e.Here || e.At.IsZero() {
			w.T().Errorf("%s is told that %s are out of sight, want %s: %+v", side.u.Self().Nick, got, side.lost, e)
		}
	}
	a.sees("#a", "ann", "bob")
	a.sees("#b", "ann")
	d.sees("#a", "cat", "dan")
	a.said("#a", "on this side")
	b.gets("on this side")
	d.said("#a", "on that side")
	c.gets("on that side")
	a.refused(chat.ErrNoSuchNick, "cat", "are you there?")

	mend()
	for _, side := range []struct {
		u    *user
		came string
	}{
		{a, "#A:cat #A:dan #b:cat"}, {b, "#A:cat #A:dan"},
		{c, "#A:@ann #A:bob #b:@ann"}, {d, "#A:@ann #A:bob"},
	} {
		e := await(side.u, "the return", anyOf[chat.Rejoined])
		if got := arrivals(e.Came); got != side.came || e.Here != side.u.Self().Host || e.There == "" {
			w.T().Errorf("%s is told that %s are back, want %s: %+v", side.u.Self().Nick, got, side.came, e)
		}
	}
	for _, u := range []*user{a, b, c, d} {
		u.sees("#a", "ann", "bob", "cat", "dan")
	}
	a.said("#a", "together")
	for _, u := range []*user{b, c, d} {
		u.gets("together")
	}
	w.meet(b, d)
	d.said("bob", "only you")
	b.gets("only you")
	for _, u := range []*user{a, b, c, d} {
		once(u, "a split", anyOf[chat.Split])
		once(u, "a return", anyOf[chat.Rejoined])
		none(u, "a quit", anyOf[chat.Quit])
		none(u, "a part", anyOf[chat.Parted])
		none(u, "a kick", anyOf[chat.Kicked])
		none(u, "modes", anyOf[chat.ModeChanged])
	}
}

// testPartBetweenSplitAndRejoin: who leaves while the network is cut is not back
// after it, and who quits is not either.
func testPartBetweenSplitAndRejoin(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	c, d, e := w.open(2, "cat"), w.open(2, "dan"), w.open(2, "eve")
	w.joinAll("#a", a, b, c, d, e)
	w.joinAll("#b", a, c)
	mend := w.cut()
	await(a, "the split", anyOf[chat.Split])
	await(c, "the split", anyOf[chat.Split])
	w.must("part", c.Part(context.Background(), "#a", ""))
	d.Close("bye")
	e.sees("#a", "eve")
	mend()
	if got := arrivals(await(a, "the return", anyOf[chat.Rejoined]).Came); got != "#a:eve #b:cat" {
		w.T().Errorf("ann is told that %s are back", got)
	}
	a.sees("#a", "ann", "bob", "eve")
	b.sees("#a", "ann", "bob", "eve")
	e.sees("#a", "ann", "bob", "eve")
	a.sees("#b", "ann", "cat")
	w.Sleep(quiet)
	for _, u := range []*user{a, b} {
		none(u, "a quit", anyOf[chat.Quit])
		none(u, "a part", anyOf[chat.Parted])
	}
}
