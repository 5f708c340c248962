package mapping

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/chat"
)

// nicksOf lists the nicks of profiles.
func nicksOf(list []chat.Profile) string {
	var nicks []string
	for _, p := range list {
		nicks = append(nicks, p.Nick)
	}
	return strings.Join(nicks, " ")
}

// arrivals lists who came where.
func arrivals(list []chat.Arrival) string {
	var words []string
	for _, a := range list {
		words = append(words, a.Channel+":"+a.Status.Sign()+a.Nick)
	}
	return strings.Join(words, " ")
}

// halves is a ring of six with a user on each node, all in all channels: three
// and three, that can be cut apart.
type halves struct {
	*simEnv
	users []*tester
}

var inHalves = []string{"ann", "bob", "cat", "dan", "eve", "fay"}

func newHalves(e *simEnv, channels ...string) *halves {
	h := &halves{simEnv: e}
	for i, nick := range inHalves {
		h.users = append(h.users, e.open(e.w.nodes[i], nick))
	}
	for _, c := range channels {
		for _, u := range h.users {
			u.join(c)
		}
		for _, u := range h.users {
			e.sees(u, c, "@ann bob cat dan eve fay")
		}
	}
	h.forget()
	return h
}

// forget lets what the users were shown up to now be past.
func (h *halves) forget() {
	h.Sleep(3 * time.Second)
	for _, u := range h.users {
		u.events = nil
	}
}

func (h *halves) cut() { h.w.cutAfter(3) }

// mend heals the network and waits until all is settled.
func (h *halves) mend() {
	h.w.Heal()
	h.Eventually("the ring is whole", h.w.settled)
	h.Sleep(10 * time.Second)
}

// onHalves runs a body on halves, once for each seed.
func onHalves(t *testing.T, n int, channels []string, body func(h *halves)) {
	for _, seed := range seeds(n) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newSimNet(t, seed)
			w.grow(6)
			w.run(func(e *simEnv) { body(newHalves(e, channels...)) })
		})
	}
}

// shown lists what a user was shown, but for messages and notices.
func shown(u *tester) (list []string) {
	for _, e := range u.events {
		switch e.(type) {
		case chat.Message, chat.Sent, chat.Notice:
		default:
			list = append(list, inShort(e))
		}
	}
	return list
}

// inShort is an event as a failing test shows it.
func inShort(e chat.Event) string {
	switch e := e.(type) {
	case chat.Split:
		return fmt.Sprintf("%v split: %s", e.At.Unix(), nicksOf(e.Who))
	case chat.Rejoined:
		return fmt.Sprintf("%v rejoined: %s", e.At.Unix(), arrivals(e.Came))
	case chat.Joined:
		return "joined " + arrivals([]chat.Arrival{{Channel: e.Channel, Member: chat.Member{Profile: e.Who, Status: e.Status}}})
	case chat.ModeChanged:
		return fmt.Sprint("modes ", e.Changes)
	case chat.TopicChanged:
		return "topic " + e.Topic.Text
	}
	return fmt.Sprintf("%T", e)
}

// TestShortBreakShowsNothing: the network is cut for less than the grace time,
// in the middle of talk. Nobody on either side is shown anything of it.
func TestShortBreakShowsNothing(t *testing.T) {
	for _, d := range []time.Duration{2 * time.Second, 10 * time.Second, 17 * time.Second} {
		t.Run(d.String(), func(t *testing.T) {
			onHalves(t, 4, []string{"#a", "#b", "#c", "#d"}, func(h *halves) {
				h.cut()
				h.Sleep(d)
				h.mend()
				h.Sleep(time.Minute)
				for _, u := range h.users {
					if len(u.events) > 0 {
						h.T().Errorf("seed %d: %s was shown %v", h.w.Seed(), u.name, u.events)
					}
					for _, c := range []string{"#a", "#b", "#c", "#d"} {
						h.sees(u, c, "@ann bob cat dan eve fay")
					}
				}
			})
		})
	}
}

// TestSplitAndRejoin: the network is cut for a minute. To each user all of the
// other side go in one event, or in a second one soon after for those of whom it
// was found out late; and they come back in one, to all channels and with what
// they had. Nothing else is shown, and nobody of his own side is.
func TestSplitAndRejoin(t *testing.T) {
	onHalves(t, 6, []string{"#a", "#b", "#c"}, func(h *halves) {
		seed := h.w.Seed()
		h.cut()
		at := h.Now()
		h.Sleep(time.Minute)
		for i, u := range h.users {
			want, ends := "dan eve fay", h.users[3:]
			if i >= 3 {
				want, ends = "ann bob cat", h.users[:3]
			}
			splits, who := eventsOf[chat.Split](u), []chat.Profile{}
			for _, s := range splits {
				who = append(who, s.Who...)
			}
			sortProfiles(who)
			if n := len(splits); n == 0 || n > 2 || n < len(shown(u)) || nicksOf(who) != want {
				h.T().Errorf("seed %d: %s was shown %v", seed, u.name, shown(u))
			}
			for _, s := range splits {
				if s.Here != u.Self().Host || s.There != splits[0].There || s.At.Sub(splits[0].At) > 6*time.Second {
					h.T().Errorf("seed %d: %s was shown %+v", seed, u.name, s)
				}
				if !slices.ContainsFunc(ends, func(far *tester) bool { return far.Self().Host == s.There }) {
					h.T().Errorf("seed %d: %s is told of the end %s", seed, u.name, s.There)
				}
				if d := s.At.Sub(at); d < 20*time.Second || d > 40*time.Second {
					h.T().Errorf("seed %d: %s is told after %v", seed, u.name, d)
				}
			}
			u.events = nil
		}
		h.mend()
		for i, u := range h.users {
			want := "#a:dan #a:eve #a:fay #b:dan #b:eve #b:fay #c:dan #c:eve #c:fay"
			if i >= 3 {
				want = "#a:@ann #a:bob #a:cat #b:@ann #b:bob #b:cat #c:@ann #c:bob #c:cat"
			}
			back := eventsOf[chat.Rejoined](u)
			if len(shown(u)) != 1 || len(back) != 1 || arrivals(back[0].Came) != want {
				h.T().Errorf("seed %d: %s was shown %v", seed, u.name, shown(u))
			}
			for _, c := range []string{"#a", "#b", "#c"} {
				h.sees(u, c, "@ann bob cat dan eve fay")
			}
		}
	})
}

// TestTalkAndChangesWhileApart: both sides go on, one of them changes topic,
// modes and bans, and somebody new comes to the other. After the heal each
// change is shown as one event, everybody hears what was lately said once and
// after its speaker has come back, and nobody has more rights than before.
func TestTalkAndChangesWhileApart(t *testing.T) {
	onHalves(t, 4, []string{"#a"}, func(h *halves) {
		seed := h.w.Seed()
		ann, dan := h.users[0], h.users[3]
		h.cut()
		h.Sleep(40 * time.Second)
		h.forget()
		if err := ann.SetTopic(bg, "#a", "halves"); err != nil {
			h.Fatalf("seed %d: topic: %v", seed, err)
		}
		changes := []chat.ModeChange{{Add: true, Mode: 'm'}, {Add: true, Mode: 'b', Arg: "x!*@*"}, {Add: true, Mode: 'e', Arg: "y!*@*"}, {Add: true, Mode: 'v', Arg: "bob"}}
		if _, err := ann.SetMode(bg, "#a", changes); err != nil {
			h.Fatalf("seed %d: modes: %v", seed, err)
		}
		gus := h.open(h.w.nodes[4], "gus")
		gus.join("#a")
		ann.send("#a", "ann 1")
		dan.send("#a", "dan 1")
		h.forget()
		h.mend()
		const all = "@ann +bob cat dan eve fay gus"
		for i, u := range append(h.users, gus) {
			h.sees(u, "#a", all)
			if i < 3 {
				came := eventsOf[chat.Rejoined](u)
				if len(came) != 1 || arrivals(came[0].Came) != "#a:dan #a:eve #a:fay #a:gus" || len(shown(u)) != 1 {
					h.T().Errorf("seed %d: %s was shown %v", seed, u.name, shown(u))
				}
				if i > 0 && fmt.Sprint(u.texts()) != "[dan 1]" || before[chat.Message, chat.Rejoined](u) {
					h.T().Errorf("seed %d: %s heard %v of %v", seed, u.name, u.texts(), u.events)
				}
				continue
			}
			topics, modes := eventsOf[chat.TopicChanged](u), eventsOf[chat.ModeChanged](u)
			if len(topics) != 1 || topics[0].Topic.Text != "halves" || topics[0].Topic.By != ann.Self().Mask() {
				h.T().Errorf("seed %d: %s was shown the topics %v", seed, u.name, topics)
			}
			if len(modes) != 1 || len(modes[0].Changes) != 3 {
				h.T().Errorf("seed %d: %s was shown the modes %v", seed, u.name, modes)
			}
			if u != gus && (len(shown(u)) != 3 || arrivals(eventsOf[chat.Rejoined](u)[0].Came) != "#a:@ann #a:+bob #a:cat") {
				h.T().Errorf("seed %d: %s was shown %v", seed, u.name, shown(u))
			}
		}
	})
}

// before reports whether the first event of type A came before one of type B.
func before[A, B chat.Event](u *tester) bool {
	for _, e := range u.events {
		switch e.(type) {
		case B:
			return false
		case A:
			return true
		}
	}
	return false
}

// TestOneNickOnBothSides: somebody new takes a nick on each side. After the
// heal nobody is ever shown two users of one name, the later one is renamed and
// told whose it is, and the first one is told too.
func TestOneNickOnBothSides(t *testing.T) {
	onHalves(t, 6, []string{"#a"}, func(h *halves) {
		seed := h.w.Seed()
		h.cut()
		h.Sleep(40 * time.Second)
		first := h.open(h.w.nodes[1], "new")
		first.join("#a")
		h.Sleep(time.Second)
		second := h.open(h.w.nodes[5], "new")
		second.join("#a")
		h.Sleep(time.Second)
		h.forget()
		h.mend()
		lost := "new-" + h.w.nodes[5].s.Node().ID[:4]
		if a, b := first.Self().Nick, second.Self().Nick; a != "new" || b != lost {
			h.T().Errorf("seed %d: they are %s and %s", seed, a, b)
		}
		for _, u := range append(h.users, first, second) {
			h.sees(u, "#a", "@ann bob cat dan eve fay new "+lost)
			h.oneOfEachName(u, "#a", first, second)
		}
		own := slices.DeleteFunc(eventsOf[chat.Renamed](second), func(r chat.Renamed) bool { return r.Why == "" })
		if len(own) != 1 || !strings.Contains(own[0].Why, first.Self().Mask()) {
			h.T().Errorf("seed %d: the loser was told %v", seed, own)
		}
		if told := first.notices(); len(told) != 1 || !strings.Contains(told[0], "new!u@"+second.Self().Host) {
			h.T().Errorf("seed %d: the winner was told %v", seed, told)
		}
	})
}

// oneOfEachName fails if a user was shown the two under one name at one time.
func (h *halves) oneOfEachName(u *tester, channel string, pair ...*tester) {
	names := map[chat.SessionID]string{}
	for i, p := range pair {
		if here := (u == p) || (i == 0) == slices.Contains(h.users[:3], u) && slices.Contains(h.users, u); here {
			names[p.Self().Session] = "new"
		}
	}
	for _, ev := range u.events {
		switch e := ev.(type) {
		case chat.Rejoined:
			for _, a := range e.Came {
				names[a.Session] = a.Nick
			}
		case chat.Joined:
			names[e.Who.Session] = e.Who.Nick
		case chat.Renamed:
			names[e.Who.Session] = e.Nick
		}
		seen := map[string]bool{}
		for _, p := range pair {
			n := names[p.Self().Session]
			if n != "" && seen[n] {
				h.T().Errorf("seed %d: %s sees two %s at %+v", h.w.Seed(), u.name, n, ev)
			}
			seen[n] = true
		}
	}
}
