package chattest

import (
	"context"
	"reflect"
	"time"

	"ircbridge/chat"
)

func peopleCases() []testCase {
	return []testCase{
		{"Whois", 3, testWhois},
		{"WhoisNobody", 2, testWhoisNobody},
		{"Idle", 2, testIdle},
		{"Away", 3, testAway},
		{"AwayOnce", 2, testAwayOnce},
	}
}

func testWhois(w *world) {
	a, b, c := w.open(0, "Ann"), w.open(1, "bob"), w.open(2, "cat")
	w.meet(a, b, c)
	a.join("#one")
	w.joinAll("#two", b, a)
	b.mode("#two", plus('v', "Ann"))
	for i, u := range []*user{a, b, c} {
		var got chat.Whois
		w.Eventually("the channels are known on "+where(i), func() bool {
			var err error
			got, err = u.Lookup(context.Background(), "aNN")
			return err == nil && reflect.DeepEqual(got.Channels, []string{"@#one", "+#two"})
		})
		if got.Profile != a.Self() || got.Node != w.Service(0).Node().ID || got.SignOn.IsZero() || got.Idle < 0 {
			w.T().Errorf("on %s whois gives %+v, want %+v", where(i), got, a.Self())
		}
	}
}

func testWhoisNobody(w *world) {
	a := w.open(0, "ann")
	for _, nick := range []string{"nobody", "", "not a nick", "#a"} {
		_, err := a.Lookup(context.Background(), nick)
		w.want("lookup "+nick, err, chat.ErrNoSuchNick)
	}
}

func testIdle(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.meet(a, b)
	w.Sleep(5 * time.Second)
	who, err := b.Lookup(context.Background(), "ann")
	w.must("lookup", err)
	if who.Idle < 5*time.Second {
		w.T().Errorf("idle is %v, want 5 s", who.Idle)
	}
	a.said("bob", "here")
	who, err = b.Lookup(context.Background(), "ann")
	w.must("lookup", err)
	if who.Idle > 4*time.Second {
		w.T().Errorf("right after a message idle is %v", who.Idle)
	}
}

func testAway(w *world) {
	ctx := context.Background()
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.meet(a, b, c)
	w.joinAll("#a", a, b)
	w.must("away", a.SetAway(ctx, "at lunch"))
	if a.Self().Away != "at lunch" {
		w.T().Errorf("self is %+v", a.Self())
	}
	if e := await(b, "away", anyOf[chat.AwayChanged]); e.Who != a.Self() {
		w.T().Errorf("away is %+v, want %+v", e.Who, a.Self())
	}
	for _, u := range []*user{b, c} {
		nick := u.Self().Nick
		w.Eventually("whois says away to "+nick, func() bool {
			who, err := u.Lookup(ctx, "ann")
			return err == nil && who.Away == "at lunch"
		})
		if sent := u.said("ann", "there?"); sent.Away != "at lunch" {
			w.T().Errorf("the outcome says away %q", sent.Away)
		}
	}
	if sent := b.said("#a", "to the channel"); sent.Away != "" {
		w.T().Errorf("the outcome of a message to a channel says away %q", sent.Away)
	}
	w.must("back", a.SetAway(ctx, ""))
	await(b, "back", func(e chat.AwayChanged) bool { return e.Who.Away == "" })
	if sent := b.said("ann", "welcome"); sent.Away != "" {
		w.T().Errorf("after the return the outcome says away %q", sent.Away)
	}
	w.Sleep(quiet)
	none(c, "a stranger's away", anyOf[chat.AwayChanged])
	none(a, "his own away", anyOf[chat.AwayChanged])
}

func testAwayOnce(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", a, b)
	w.joinAll("#b", a, b)
	w.must("away", a.SetAway(context.Background(), "out"))
	await(b, "away", anyOf[chat.AwayChanged])
	w.Eventually("both views say away", func() bool {
		for _, name := range []string{"#a", "#b"} {
			c, err := b.Channel(context.Background(), name)
			if err != nil || len(c.Members) != 2 || c.Members[0].Away != "out" {
				return false
			}
		}
		return true
	})
	w.must("away with the same text", a.SetAway(context.Background(), "out"))
	w.Sleep(quiet)
	once(b, "the change", anyOf[chat.AwayChanged])
}
