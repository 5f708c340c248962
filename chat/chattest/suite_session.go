package chattest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"ircbridge/chat"
)

func sessionCases() []testCase {
	return []testCase{
		{"Self", 2, testSelf},
		{"Closed", 1, testClosed},
		{"Cancelled", 1, testCancelled},
		{"QuitOnce", 3, testQuitOnce},
		{"QuitFreesView", 2, testQuitFreesView},
		{"Slow", 2, testSlow},
		{"Counts", 3, testCounts},
	}
}

func testSelf(w *world) {
	for i := range 2 {
		nick := fmt.Sprintf("Ann%d", i)
		u, node := w.open(i, nick), w.Service(i).Node()
		if len(node.ID) != 40 || strings.Trim(node.ID, "0123456789abcdef") != "" {
			w.T().Errorf("ID of %s is %q, want 40 hexadecimal digits", where(i), node.ID)
		}
		p := u.Self()
		want := chat.Profile{Session: p.Session, Nick: nick, Username: "uann" + fmt.Sprint(i), Host: node.Host, Realname: "Real " + nick, Server: node.Host, Account: p.Account}
		if p != want || p.Session == "" || p.Account == "" || strings.ContainsAny(p.Account, " \t\r\n") {
			w.T().Errorf("self is %+v, want %+v with a session and an account", p, want)
		}
		if other := w.open(i, nick+"x").Self(); other.Account != p.Account {
			w.T().Errorf("two users of %s have the accounts %q and %q", where(i), p.Account, other.Account)
		}
		if c := w.Service(i).Counts(); c.LocalUsers < 1 || c.KnownUsers < c.LocalUsers || c.KnownNodes < 1 {
			w.T().Errorf("counts of %s are %+v", where(i), c)
		}
	}
}

// testCounts: every node comes to know how many users and channels there are
// anywhere, the secret ones too.
func testCounts(w *world) {
	nodes := map[string]int{} // sessions, by node
	for i := range 3 {
		nodes[w.Service(i).Node().ID]++
	}
	counted := func(users, channels int) {
		w.T().Helper()
		for i := range 3 {
			s := w.Service(i)
			var got chat.Counts
			w.Eventually(fmt.Sprintf("%s counts %d users and %d channels", where(i), users, channels), func() bool {
				got = s.Counts()
				return got.KnownUsers == users && got.KnownChannels == channels && got.KnownNodes >= len(nodes)
			})
			if got.LocalUsers != nodes[s.Node().ID] {
				w.T().Errorf("%s has %d users of its own, want %d", where(i), got.LocalUsers, nodes[s.Node().ID])
			}
		}
	}
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	counted(3, 0)
	a.join("#open")
	b.join("#hidden")
	b.mode("#hidden", plus('s', ""))
	counted(3, 2)
	w.must("part", b.Part(context.Background(), "#hidden", ""))
	extra := w.open(2, "dora")
	nodes[w.Service(2).Node().ID]++
	counted(4, 1)
	extra.Close("")
	nodes[w.Service(2).Node().ID]--
	counted(3, 1)
	c.join("#open")
	c.sees("#open", "ann", "cat")
}

func testClosed(w *world) {
	u := w.open(0, "ann")
	u.join("#a")
	u.Close("bye")
	u.Close("again")
	w.Eventually("Next ends", func() bool { return u.end() != nil })
	w.want("Next", u.end(), chat.ErrClosed)
	ctx := context.Background()
	_, errJoin := u.Join(ctx, "#b", "")
	_, errMode := u.SetMode(ctx, "#a", []chat.ModeChange{plus('m', "")})
	_, errInvite := u.Invite(ctx, "ann", "#a")
	_, errChannel := u.Channel(ctx, "#a")
	_, errList := u.List(ctx)
	_, errSend := u.Send(chat.Outgoing{Target: "#a", Text: "x"})
	_, errLookup := u.Lookup(ctx, "ann")
	_, errWhowas := u.Whowas(ctx, "ann", 0)
	_, errKeeper := u.Keeper(ctx, "#a")
	_, errNext := u.Next(ctx)
	for _, row := range []struct {
		what string
		err  error
	}{
		{"SetNick", u.SetNick(ctx, "bob")}, {"SetAway", u.SetAway(ctx, "x")}, {"SetRealname", u.SetRealname(ctx, "x")},
		{"Join", errJoin},
		{"Part", u.Part(ctx, "#a", "")}, {"Kick", u.Kick(ctx, "#a", "ann", "")}, {"Invite", errInvite},
		{"SetTopic", u.SetTopic(ctx, "#a", "x")}, {"SetMode", errMode}, {"Channel", errChannel}, {"List", errList},
		{"Send", errSend}, {"Flush", u.Flush(ctx)}, {"Lookup", errLookup}, {"Whowas", errWhowas}, {"Keeper", errKeeper}, {"Next", errNext},
	} {
		w.want(row.what+" after Close", row.err, chat.ErrClosed)
	}
}

func testCancelled(w *world) {
	u := w.openIdle(0, "ann")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := u.Next(ctx)
	w.want("Next", err, context.Canceled)
	_, err = u.Join(ctx, "#a", "")
	w.want("Join", err, context.Canceled)
	_, err = w.Service(0).Open(ctx, userNamed("bob"))
	w.want("Open", err, context.Canceled)
}

func testQuitOnce(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#one", a, b)
	w.joinAll("#two", a, b)
	c.join("#three")
	who := b.Self()
	b.Close("good night")
	e := await(a, "quit", anyOf[chat.Quit])
	if e.Who.Session != who.Session || e.Who.Nick != "bob" || e.Reason != "good night" {
		w.T().Errorf("quit is %+v", e)
	}
	a.sees("#one", "ann")
	a.sees("#two", "ann")
	w.Sleep(quiet)
	once(a, "a quit", anyOf[chat.Quit])
	none(a, "a part of who quit", anyOf[chat.Parted])
	none(b, "his own quit", anyOf[chat.Quit])
	none(c, "the quit of a stranger", anyOf[chat.Quit])
}

func testQuitFreesView(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", a, b)
	a.Close("")
	b.sees("#a", "bob")
	w.Eventually("ann is gone", func() bool {
		_, err := b.Lookup(context.Background(), "ann")
		return errors.Is(err, chat.ErrNoSuchNick)
	})
	b.refused(chat.ErrNoSuchNick, "ann", "still there?")
}

func testSlow(w *world) {
	a, b, slow := w.open(0, "ann"), w.open(1, "bob"), w.openIdle(1, "slow")
	w.joinAll("#a", a, b, slow)
	text := strings.Repeat("x", 4000)
	sent := 0
	gone := func() bool { return len(find(a, anyOf[chat.Quit])) > 0 }
	for round := 0; round < 40 && !gone(); round++ {
		for range 60 {
			a.say("#a", fmt.Sprintf("%d %s", sent, text))
			sent++
		}
		w.must("flush", a.Flush(context.Background()))
		w.Sleep(time.Second)
	}
	if e := await(a, "the slow one quits", anyOf[chat.Quit]); e.Who.Nick != "slow" {
		w.T().Errorf("%s quit, want slow", e.Who.Nick)
	}
	var err error
	for i := 0; err == nil && i < sent+100; i++ {
		_, err = slow.Next(context.Background())
	}
	w.want("Next of the slow one", err, chat.ErrClosed)
	a.said("#a", "the end")
	b.gets("the end")
	if got := len(b.texts("#a")); got != sent+1 {
		w.T().Errorf("the quick one got %d messages, want %d", got, sent+1)
	}
}
