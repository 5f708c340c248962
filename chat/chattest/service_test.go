package chattest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ircbridge/chat"
)

func mustOpen(t *testing.T, s chat.Service, nick string) chat.Session {
	t.Helper()
	se, err := s.Open(context.Background(), userNamed(nick))
	if err != nil {
		t.Fatal(err)
	}
	return se
}

func mustJoin(t *testing.T, channel string, sessions ...chat.Session) {
	t.Helper()
	for _, se := range sessions {
		if _, err := se.Join(context.Background(), channel, ""); err != nil {
			t.Fatal(err)
		}
	}
}

// drain takes what is queued, and nothing more.
func drain(se chat.Session) (events []chat.Event, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for {
		e, err := se.Next(ctx)
		if errors.Is(err, context.Canceled) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		events = append(events, e)
	}
}

// kinds names the types of events, in order.
func kinds(events []chat.Event) string {
	var names []string
	for _, e := range events {
		names = append(names, strings.TrimPrefix(fmt.Sprintf("%T", e), "chat."))
	}
	return strings.Join(names, " ")
}

func TestClockAndIDs(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	n := 0
	s := NewService(Options{
		Now:  func() time.Time { return at },
		ID:   func() string { n++; return fmt.Sprintf("id-%d", n) },
		Node: chat.Node{ID: strings.Repeat("ab", 20)},
	})
	if got := s.Node(); got.Host != "abababababab.node.ircbridge" || !got.Started.Equal(at) {
		t.Errorf("node is %+v", got)
	}
	a := mustOpen(t, s, "ann")
	mustJoin(t, "#a", a)
	for i := range 2 {
		if _, err := a.Send(chat.Outgoing{Target: "#a", Text: "x"}); err != nil {
			t.Fatal(err)
		}
		events, _ := drain(a)
		if sent := events[0].(chat.Sent); sent.ID != fmt.Sprintf("id-%d", i+1) || !sent.At.Equal(at) {
			t.Errorf("outcome is %+v", sent)
		}
	}
}

func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewService(Options{})
		a, b := mustOpen(t, s, "ann"), mustOpen(t, s, "bob")
		mustJoin(t, "#a", b, a)
		drain(b)
		s.Hold()
		for i := range maxUnsent {
			if n, err := a.Send(chat.Outgoing{Target: "#a", Text: "x"}); err != nil || n != uint64(i+1) {
				t.Fatal(n, err)
			}
		}
		if _, err := a.Send(chat.Outgoing{Target: "#a", Text: "x"}); !errors.Is(err, chat.ErrQueueFull) {
			t.Errorf("one send more: %v, want %v", err, chat.ErrQueueFull)
		}
		if events, _ := drain(b); len(events) != 0 {
			t.Errorf("while held came %s", kinds(events))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := a.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("flush while held: %v", err)
		}
		flushed := make(chan error, 1)
		go func() { flushed <- a.Flush(context.Background()) }()
		synctest.Wait()
		s.Release()
		if err := <-flushed; err != nil {
			t.Errorf("flush: %v", err)
		}
		if events, _ := drain(a); len(events) != maxUnsent {
			t.Errorf("%d outcomes, want %d", len(events), maxUnsent)
		}
	})
}

func TestHeldSendsSettleBeforePart(t *testing.T) {
	for what, end := range map[string]func(chat.Session) error{
		"Message Parted":       func(a chat.Session) error { return a.Part(context.Background(), "#a", "") },
		"Message Quit":         func(a chat.Session) error { a.Close(""); return nil },
		"Message Renamed":      func(a chat.Session) error { return a.SetNick(context.Background(), "eve") },
		"Message TopicChanged": func(a chat.Session) error { return a.SetTopic(context.Background(), "#a", "x") },
		"Message Kicked":       func(a chat.Session) error { return a.Kick(context.Background(), "#a", "bob", "") },
		"Message ModeChanged": func(a chat.Session) error {
			_, err := a.SetMode(context.Background(), "#a", []chat.ModeChange{plus('m', "")})
			return err
		},
	} {
		s := NewService(Options{})
		a, b := mustOpen(t, s, "ann"), mustOpen(t, s, "bob")
		mustJoin(t, "#a", a, b)
		s.Hold()
		if _, err := a.Send(chat.Outgoing{Target: "#a", Text: "x"}); err != nil {
			t.Fatal(err)
		}
		if err := end(a); err != nil {
			t.Fatal(err)
		}
		if events, _ := drain(b); kinds(events) != what {
			t.Errorf("bob got %s, want %s", kinds(events), what)
		}
	}
}

func TestFail(t *testing.T) {
	var asked []string
	down := false
	s := NewService(Options{Fail: func(op, target string) error {
		if !down {
			return nil
		}
		asked = append(asked, op+" "+target)
		return chat.ErrUnreachable
	}})
	a, b := mustOpen(t, s, "ann"), mustOpen(t, s, "bob")
	mustOpen(t, s, "cat")
	mustJoin(t, "#a", a, b)
	mustJoin(t, "#b", b)
	down = true
	ctx := context.Background()
	_, errOpen := s.Open(ctx, userNamed("eve"))
	_, errJoin := a.Join(ctx, "#c", "")
	_, errInvite := a.Invite(ctx, "cat", "#a")
	_, errMode := a.SetMode(ctx, "#a", []chat.ModeChange{plus('m', "")})
	_, errChannel := a.Channel(ctx, "#b")
	_, errList := a.List(ctx)
	_, errLookup := a.Lookup(ctx, "bob")
	_, errWhowas := a.Whowas(ctx, "bob", 0)
	_, errKeeper := a.Keeper(ctx, "#a")
	for what, err := range map[string]error{
		"Open": errOpen, "SetNick": a.SetNick(ctx, "eve"), "Join": errJoin, "Kick": a.Kick(ctx, "#a", "bob", ""),
		"Invite": errInvite, "SetTopic": a.SetTopic(ctx, "#a", "x"), "SetMode": errMode, "Channel": errChannel,
		"List": errList, "Lookup": errLookup, "Whowas": errWhowas, "Keeper": errKeeper,
	} {
		if !errors.Is(err, chat.ErrUnreachable) {
			t.Errorf("%s: %v, want %v", what, err, chat.ErrUnreachable)
		}
	}
	if _, err := a.Send(chat.Outgoing{Target: "bob", Text: "x"}); err != nil {
		t.Errorf("Send: %v, want its error as the outcome", err)
	}
	events, _ := drain(a)
	if sent, ok := events[len(events)-1].(chat.Sent); !ok || !errors.Is(sent.Err, chat.ErrUnreachable) {
		t.Errorf("outcome is %+v", events)
	}
	if _, err := a.Channel(ctx, "#a"); err != nil {
		t.Errorf("a channel he is on needs no network: %v", err)
	}
	if err := b.Part(ctx, "#a", ""); err != nil {
		t.Errorf("a part needs no network: %v", err)
	}
	if events, _ = drain(b); len(events) != 0 {
		t.Errorf("what failed was seen: %s", kinds(events))
	}
	if len(asked) != 13 {
		t.Errorf("asked were %q, want each of 13 operations once", asked)
	}
}

func TestRename(t *testing.T) {
	s := NewService(Options{})
	a, b := mustOpen(t, s, "ann"), mustOpen(t, s, "bob")
	mustJoin(t, "#a", a, b)
	drain(a)
	if s.Rename("nobody", "x", "") || s.Rename("ann", "bob", "") || s.Rename("ann", "1", "") {
		t.Error("an impossible change was made")
	}
	if !s.Rename("ann", "ann-1a2b", "older claim") || a.Self().Nick != "ann-1a2b" {
		t.Errorf("nick is %s", a.Self().Nick)
	}
	for _, row := range []struct {
		se  chat.Session
		why string
	}{{a, "older claim"}, {b, ""}} {
		events, _ := drain(row.se)
		if kinds(events) != "Renamed" || events[0].(chat.Renamed).Why != row.why || events[0].(chat.Renamed).Who.Nick != "ann" {
			t.Errorf("events are %+v, want one change with the reason %q", events, row.why)
		}
	}
}

func TestInject(t *testing.T) {
	s := NewService(Options{})
	a := mustOpen(t, s, "ann")
	if !s.Inject("ANN", chat.Notice{Text: "x"}) || s.Inject("bob", chat.Notice{}) {
		t.Error("Inject found the wrong users")
	}
	if events, _ := drain(a); kinds(events) != "Notice" {
		t.Errorf("events are %v", events)
	}
}

func TestStop(t *testing.T) {
	s := NewService(Options{})
	a, b := mustOpen(t, s, "ann"), mustOpen(t, s.AddNode(chat.Node{}), "bob")
	mustJoin(t, "#a", a, b)
	s.Stop("maintenance")
	for _, se := range []chat.Session{a, b} {
		if _, err := drain(se); !errors.Is(err, chat.ErrClosed) || !errors.Is(err, chat.ErrStopped) || !strings.Contains(err.Error(), "maintenance") {
			t.Errorf("Next ends with %v", err)
		}
	}
	if _, err := s.Open(context.Background(), userNamed("eve")); !errors.Is(err, chat.ErrStopped) {
		t.Errorf("Open: %v", err)
	}
}

func TestNodesDiffer(t *testing.T) {
	s := NewService(Options{})
	seen := map[string]bool{s.Node().ID: true}
	for range 30 {
		n := s.AddNode(chat.Node{}).Node()
		if len(n.ID) != 40 || seen[n.ID] || !strings.HasPrefix(n.ID+".", n.Host[:12]) {
			t.Errorf("node is %+v", n)
		}
		seen[n.ID] = true
	}
}

// TestBounds: over its bound a queue has MaxStall; over twice that, no time.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewService(Options{MaxQueued: 10_000, MaxStall: 3 * time.Second})
		a, slow, late := mustOpen(t, s, "ann"), mustOpen(t, s, "slow"), mustOpen(t, s, "late")
		send := func(target string, bytes int) {
			t.Helper()
			if _, err := a.Send(chat.Outgoing{Target: target, Text: strings.Repeat("x", bytes)}); err != nil {
				t.Fatal(err)
			}
			drain(a)
		}
		alive := func(nick string) bool {
			_, err := a.Lookup(context.Background(), nick)
			return err == nil
		}
		for range 3 {
			send("slow", 4000)
			send("late", 4000)
		}
		time.Sleep(2 * time.Second)
		if _, err := late.Next(context.Background()); err != nil { // back under the bound
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if alive("slow") || !alive("late") {
			t.Errorf("after the stall slow lives: %v, late lives: %v", alive("slow"), alive("late"))
		}
		if _, err := drain(slow); !errors.Is(err, chat.ErrClosed) || !strings.Contains(err.Error(), "slow") {
			t.Errorf("Next ends with %v", err)
		}
		for range 4 {
			send("late", 4000)
		}
		if alive("late") {
			t.Error("over twice its bound a session lives")
		}
	})
}

func TestCut(t *testing.T) {
	for _, row := range []struct {
		text string
		max  int
		want string
	}{{"abc", 3, "abc"}, {"abcd", 3, "abc"}, {"aää", 4, "aä"}, {"aää", 3, "aä"}, {"aää", 2, "a"}, {"\x80\x80\x80\x80\x80\x80", 5, "\x80\x80"}} {
		if got := chat.Cut(row.text, row.max); len(got) > row.max || got != row.want && row.text[0] < 0x80 {
			t.Errorf("chat.Cut(%q, %d) = %q, want %q", row.text, row.max, got, row.want)
		}
	}
}

// TestAnnounce: the users of one node are told, in the order of their nicks.
func TestAnnounce(t *testing.T) {
	s := NewService(Options{})
	other := s.AddNode(chat.Node{})
	a, b, c := mustOpen(t, s, "ann"), mustOpen(t, s, "bob"), mustOpen(t, other, "cat")
	s.Announce("alone")
	for _, se := range []chat.Session{a, b} {
		if events, _ := drain(se); len(events) != 1 || events[0].(chat.Notice).Text != "alone" {
			t.Errorf("%s got %+v", se.Self().Nick, events)
		}
	}
	if events, _ := drain(c); len(events) != 0 {
		t.Errorf("a user of another node got %+v", events)
	}
}

// TestPastLapses: who gave a nick up is remembered for a day.
func TestPastLapses(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := NewService(Options{Now: func() time.Time { return at }})
	a, b := mustOpen(t, s, "ann"), mustOpen(t, s, "bob")
	a.Close("")
	for _, step := range []struct {
		later time.Duration
		want  int
	}{{0, 1}, {24*time.Hour - 1, 1}, {1, 0}} {
		at = at.Add(step.later)
		if list, err := b.Whowas(context.Background(), "ann", 0); err != nil || len(list) != step.want {
			t.Errorf("after %v more: %+v, %v", step.later, list, err)
		}
	}
}

// TestAccounts: there are none unless they are asked for.
func TestAccounts(t *testing.T) {
	for _, want := range []bool{false, true} {
		s := NewService(Options{Accounts: want})
		a, b := mustOpen(t, s, "ann").Self(), mustOpen(t, s.AddNode(chat.Node{}), "bob").Self()
		if (a.Account != "") != want || (b.Account != a.Account) != want {
			t.Errorf("with accounts %v they have %q and %q", want, a.Account, b.Account)
		}
	}
}
