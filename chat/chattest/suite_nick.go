package chattest

import (
	"context"
	"errors"
	"strings"
	"time"

	"ircbridge/chat"
)

func nickCases() []testCase {
	return []testCase{
		{"Bad", 1, testNickBad},
		{"InUse", 1, testNickInUse},
		{"InUseElsewhere", 2, testNickInUseElsewhere},
		{"OpenRace", 2, testNickOpenRace},
		{"SetRace", 3, testNickSetRace},
		{"Change", 3, testNickChange},
		{"ChangeOnce", 2, testNickChangeOnce},
		{"CaseOnly", 2, testNickCaseOnly},
		{"Freed", 2, testNickFreed},
	}
}

func testNickBad(w *world) {
	u := w.open(0, "ann")
	for _, nick := range []string{"", "1ann", "-ann", "an n", "ann!", "änn", "#ann", strings.Repeat("n", chat.MaxNick+1)} {
		_, err := w.Service(0).Open(context.Background(), chat.User{Nick: nick, Username: "u", Realname: "r"})
		w.want("open "+nick, err, chat.ErrBadNick)
		w.want("nick "+nick, u.SetNick(context.Background(), nick), chat.ErrBadNick)
	}
	longest := strings.Repeat("n", chat.MaxNick)
	w.must("the longest nick", u.SetNick(context.Background(), longest))
	if u.Self().Nick != longest {
		w.T().Errorf("nick is %q", u.Self().Nick)
	}
}

func testNickInUse(w *world) {
	w.open(0, "Ann[1]")
	b := w.open(0, "bob")
	_, err := w.Service(0).Open(context.Background(), userNamed("aNN[1]"))
	w.want("open", err, chat.ErrNickInUse)
	w.want("nick", b.SetNick(context.Background(), "ANN[1]"), chat.ErrNickInUse)
	if b.Self().Nick != "bob" {
		w.T().Errorf("after a refusal the nick is %s, want bob", b.Self().Nick)
	}
	w.open(0, "ann{1}") // ASCII case folding: braces are not brackets
}

func testNickInUseElsewhere(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.meet(a, b)
	w.want("nick", b.SetNick(context.Background(), "Ann"), chat.ErrNickInUse)
	s, err := w.Service(1).Open(context.Background(), userNamed("ANN"))
	if err != nil {
		w.want("open", err, chat.ErrNickInUse)
		return
	}
	// Let in because the network did not answer in time: renamed soon.
	second := w.add(s)
	second.pump()
	await(second, "the nick is another's", anyOf[chat.Renamed])
	if chat.SameName(second.Self().Nick, "ann") || a.Self().Nick != "ann" {
		w.T().Errorf("after the change the two are %s and %s", a.Self().Nick, second.Self().Nick)
	}
}

func testNickOpenRace(w *world) {
	var sessions [2]*user
	var errs [2]error
	done := [2]bool{}
	for i := range 2 {
		w.Go("open", func() {
			s, err := w.Service(i).Open(context.Background(), userNamed("ann"))
			watch.Lock()
			defer watch.Unlock()
			if errs[i] = err; err == nil {
				sessions[i] = w.add(s)
			}
			done[i] = true
		})
	}
	w.Eventually("both have an answer", func() bool {
		watch.Lock()
		defer watch.Unlock()
		return done[0] && done[1]
	})
	for i, u := range sessions {
		if u == nil {
			w.want("open on "+where(i), errs[i], chat.ErrNickInUse)
			continue
		}
		u.pump()
	}
	if sessions[0] == nil && sessions[1] == nil {
		w.Fatalf("both were refused: %v, %v", errs[0], errs[1])
	}
	began := w.Now()
	w.Eventually("one holds the nick", func() bool { return holders(sessions[:], "ann") == 1 })
	if took := w.Now().Sub(began); took > 5*time.Second {
		w.T().Errorf("it took %v until one held the nick, want 5 s at most", took)
	}
	w.Sleep(quiet)
	if n := holders(sessions[:], "ann"); n != 1 {
		w.T().Errorf("%d hold the nick in the end", n)
	}
	for _, u := range sessions {
		if u != nil && !chat.SameName(u.Self().Nick, "ann") {
			once(u, "a change of his nick by the network", func(e chat.Renamed) bool { return e.Why != "" && e.Nick == u.Self().Nick })
		}
	}
}

func holders(users []*user, nick string) int {
	n := 0
	for _, u := range users {
		if u != nil && chat.SameName(u.Self().Nick, nick) {
			n++
		}
	}
	return n
}

func testNickSetRace(w *world) {
	users := []*user{w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")}
	w.meet(users...)
	errs := make([]error, len(users))
	done := 0
	for i, u := range users {
		w.Go("nick", func() {
			err := u.SetNick(context.Background(), "star")
			watch.Lock()
			defer watch.Unlock()
			errs[i] = err
			done++
		})
	}
	w.Eventually("all have an answer", func() bool {
		watch.Lock()
		defer watch.Unlock()
		return done == len(users)
	})
	won := 0
	for i, err := range errs {
		if err == nil {
			won++
			continue
		}
		w.want("nick on "+where(i), err, chat.ErrNickInUse)
	}
	if won != 1 || holders(users, "star") != 1 {
		w.T().Errorf("%d were told that they have it, %d hold it; want one", won, holders(users, "star"))
	}
}

func testNickChange(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.meet(a, b, c)
	w.joinAll("#a", a, b)
	w.must("nick", a.SetNick(context.Background(), "Eve"))
	if a.Self().Nick != "Eve" {
		w.T().Errorf("self is %s, want Eve", a.Self().Nick)
	}
	e := await(b, "new nick", anyOf[chat.Renamed])
	if e.Who.Nick != "ann" || e.Nick != "Eve" || e.Who.Session != a.Self().Session {
		w.T().Errorf("renamed is %+v", e)
	}
	b.sees("#a", "bob", "Eve")
	for _, u := range []*user{b, c} {
		nick := u.Self().Nick
		w.Eventually("the old nick is free for "+nick, func() bool {
			_, err := u.Lookup(context.Background(), "ann")
			return errors.Is(err, chat.ErrNoSuchNick)
		})
		u.said("eve", "hello from "+nick)
		if m := a.gets("hello from " + nick); m.Target != "Eve" {
			w.T().Errorf("target is %s, want Eve", m.Target)
		}
		u.refused(chat.ErrNoSuchNick, "ann", "old nick")
	}
	a.said("#a", "as Eve")
	if m := b.gets("as Eve"); m.From.Nick != "Eve" {
		w.T().Errorf("the message is from %s, want Eve", m.From.Nick)
	}
	none(a, "his own change", anyOf[chat.Renamed])
	none(c, "a stranger's change", anyOf[chat.Renamed])
}

func testNickChangeOnce(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	for _, channel := range []string{"#a", "#b", "#c"} {
		w.joinAll(channel, a, b)
	}
	w.must("nick", a.SetNick(context.Background(), "eve"))
	await(b, "new nick", anyOf[chat.Renamed])
	for _, channel := range []string{"#a", "#b", "#c"} {
		b.sees(channel, "bob", "eve")
	}
	w.Sleep(quiet)
	once(b, "the change", anyOf[chat.Renamed])
}

func testNickCaseOnly(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", a, b)
	w.must("the same nick", a.SetNick(context.Background(), "ann"))
	w.must("nick", a.SetNick(context.Background(), "ANN"))
	e := await(b, "new nick", anyOf[chat.Renamed])
	if e.Who.Nick != "ann" || e.Nick != "ANN" {
		w.T().Errorf("renamed is %+v", e)
	}
	b.sees("#a", "ANN", "bob")
	b.said("ann", "hi")
	a.gets("hi")
}

func testNickFreed(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.meet(a, b)
	a.Close("bye")
	w.Eventually("bob takes the nick that came free", func() bool {
		return b.SetNick(context.Background(), "ann") == nil
	})
	w.Eventually("bob's old nick is free on the other node", func() bool {
		s, err := w.Service(0).Open(context.Background(), userNamed("bob"))
		if err != nil {
			return false
		}
		w.add(s).pump()
		return true
	})
}
