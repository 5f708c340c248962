package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/chord"
	"ircbridge/host/sim"
)

// What users see when things happen at the same moment, or are missed by some.

// order lists what a user was shown of a session: "nick X", "says X as Y", "quit".
func (u *tester) order(who chat.Session) []string {
	id := who.Self().Session
	var list []string
	for _, ev := range u.events {
		switch ev := ev.(type) {
		case chat.Message:
			if ev.From.Session == id {
				list = append(list, fmt.Sprintf("says %s as %s", ev.Text, ev.From.Nick))
			}
		case chat.Renamed:
			if ev.Who.Session == id {
				list = append(list, "nick "+ev.Nick)
			}
		case chat.Quit:
			if ev.Who.Session == id {
				list = append(list, "quit")
			}
		}
	}
	return list
}

// TestOneNickAndOneQuitFromTwentyKeepers: who shares twenty channels with somebody sees
// his new nick once, and his end once, however many keepers tell of it; and nobody
// hears him under a nick before he was told of it.
func TestOneNickAndOneQuitFromTwentyKeepers(t *testing.T) {
	for _, seed := range seeds(3) {
		w := newSimNet(t, seed)
		w.grow(8)
		w.run(func(e *simEnv) {
			ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
			var channels []string
			for i := range 20 {
				channels = append(channels, fmt.Sprint("#c", i))
				ann.join(channels[i])
				bob.join(channels[i])
			}
			e.sees(ann, "#c19", "@ann bob")
			var want []string
			for i := range 10 {
				nick := fmt.Sprint("bob", i)
				if err := bob.SetNick(bg, nick); err != nil {
					e.Fatalf("seed %d: %v", seed, err)
				}
				want = append(want, "nick "+nick)
				for k := range 3 {
					text := fmt.Sprint(i, ".", k)
					bob.send(channels[(i*3+k)%20], text)
				}
				e.Sleep(time.Duration(seed%3) * 7 * time.Millisecond)
			}
			if err := bob.Flush(bg); err != nil {
				e.Fatalf("%v", err)
			}
			e.Sleep(2 * time.Second)
			bob.Close("bye")
			want = append(want, "quit")
			e.Sleep(5 * time.Second)
			nick, got := "bob", []string{}
			for _, what := range ann.order(bob) {
				if text, ok := strings.CutPrefix(what, "says "); ok {
					if !strings.HasSuffix(text, " as "+nick) {
						t.Errorf("seed %d: %s, while he is %s", seed, what, nick)
					}
					continue
				}
				got = append(got, what)
				nick = strings.TrimPrefix(what, "nick ")
			}
			if !slices.Equal(got, want) {
				t.Errorf("seed %d: she was shown %v, want %v", seed, got, want)
			}
			if n := len(ann.texts()); n != 30 {
				t.Errorf("seed %d: %d messages of 30", seed, n)
			}
		})
	}
}

// TestAKickThatTheVictimsNodeMissed: a user is banned and kicked while his node is cut
// off; the keeper dies, and when the line is mended his node still holds him for a
// member. He is not let in again, neither by a renewal nor by what his node knows.
func TestAKickThatTheVictimsNodeMissed(t *testing.T) {
	for _, killed := range []bool{false, true} {
		for _, seed := range seeds(5) {
			w := newSimNet(t, seed)
			w.grow(7)
			w.run(func(e *simEnv) {
				keeper := w.nodes[6]
				channel := e.channelOn(keeper)
				ann, bob, eve := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob"), e.open(w.nodes[2], "eve")
				for _, u := range []*tester{ann, bob, eve} {
					u.join(channel)
				}
				e.sees(bob, channel, "@ann bob eve")
				w.Partition([]*sim.Host{w.nodes[1].h})
				mask := "*!*@" + bob.Self().Host
				if _, err := ann.SetMode(bg, channel, []chat.ModeChange{{Add: true, Mode: 'b', Arg: mask}}); err != nil {
					e.Fatalf("ban: %v", err)
				}
				if err := ann.Kick(bg, channel, "bob", "out"); err != nil {
					e.Fatalf("kick: %v", err)
				}
				if killed {
					w.Crash(keeper.h)
				}
				e.Sleep(time.Duration(2+seed*7) * time.Second)
				w.Heal()
				e.Eventually("bob is told", func() bool { return len(eventsOf[chat.Kicked](bob)) == 1 })
				if _, err := bob.Join(bg, channel, ""); !errors.Is(err, chat.ErrBanned) {
					e.T().Errorf("seed %d: he joins again: %v", seed, err)
				}
				e.Sleep(2 * time.Minute)
				e.sees(ann, channel, "@ann eve")
				e.sees(eve, channel, "@ann eve")
				if got := bob.Joined(); len(got) != 0 {
					e.T().Errorf("seed %d: bob is on %v", seed, got)
				}
			})
		}
	}
}

// TestNobodyBecomesOperatorByACrash: the keeper and all that have copies die at once, and
// the channel comes back from the node of a plain member: he is one still, and the
// operator, whose node comes to it later, is the only one.
func TestNobodyBecomesOperatorByACrash(t *testing.T) {
	for _, seed := range seeds(5) {
		w := newSimNet(t, seed)
		w.grow(8)
		w.run(func(e *simEnv) {
			channel := e.channelOn(w.nodes[7])
			var with []*simNode // without copies: they may have users
			for _, n := range w.nodes[:7] {
				if n.o.Copies() == 0 || !slices.ContainsFunc(w.nodes[7].ring.Successors()[:2], func(c chord.Contact) bool { return c.Peer.ID == n.h.Self().ID }) {
					with = append(with, n)
				}
			}
			ann, bob := e.open(with[0], "ann"), e.open(with[1], "bob")
			ann.join(channel)
			bob.join(channel)
			e.sees(bob, channel, "@ann bob")
			w.Pause(with[0].h) // hers does not answer for a while
			for _, n := range w.nodes {
				if !slices.Contains(with, n) {
					w.Crash(n.h)
				}
			}
			e.Sleep(10 * time.Second)
			if _, err := bob.SetMode(bg, channel, []chat.ModeChange{{Add: true, Mode: 'm'}}); !errors.Is(err, chat.ErrNoPrivileges) {
				e.T().Errorf("seed %d: bob sets a mode: %v", seed, err)
			}
			w.Resume(with[0].h)
			e.sees(bob, channel, "@ann bob")
			e.sees(ann, channel, "@ann bob")
			if _, err := ann.SetMode(bg, channel, []chat.ModeChange{{Add: true, Mode: 'm'}}); err != nil {
				e.T().Errorf("seed %d: the operator sets a mode: %v", seed, err)
			}
		})
	}
}

// TestNobodyBecomesOperatorByASplit: a ring is cut in two. In the part without the
// channel's operator a user leaves the channel and joins it again, and another founds a
// channel of a name that the other part has too, though later. After the heal the
// operators are those of before, and those of the older one of the two.
func TestNobodyBecomesOperatorByASplit(t *testing.T) {
	for _, seed := range seeds(4) {
		w := newSimNet(t, seed)
		w.grow(9)
		w.run(func(e *simEnv) {
			ann, bob, eve := e.open(w.nodes[0], "ann"), e.open(w.nodes[5], "bob"), e.open(w.nodes[6], "eve")
			for _, u := range []*tester{ann, bob, eve} {
				u.join("#old")
			}
			if err := ann.SetTopic(bg, "#old", "tea"); err != nil {
				e.Fatalf("%v", err)
			}
			e.sees(eve, "#old", "@ann bob eve")
			e.Sleep(30 * time.Second) // they come to remember each other
			var part []*sim.Host
			for _, n := range w.nodes[5:] {
				part = append(part, n.h)
			}
			w.Partition(part)
			e.Sleep(70 * time.Second)
			ann.join("#new")
			e.Sleep(2 * time.Second)
			eve.join("#new")
			if err := bob.Part(bg, "#old", ""); err != nil {
				e.Fatalf("%v", err)
			}
			e.Sleep(time.Second)
			bob.join("#old")
			_, _ = bob.SetMode(bg, "#old", []chat.ModeChange{{Add: true, Mode: 'i'}})
			e.sees(eve, "#new", "@eve")
			e.Sleep(10 * time.Second)
			w.Heal()
			e.Eventually("one ring", w.settled)
			for _, u := range []*tester{ann, eve} {
				e.sees(u, "#new", "@ann eve")
			}
			for _, u := range []*tester{ann, bob, eve} {
				e.sees(u, "#old", "@ann bob eve")
				c, err := u.Channel(bg, "#old")
				if err != nil || c.Topic.Text != "tea" || c.Modes.InviteOnly {
					e.T().Errorf("seed %d: %s sees %+v, %v", seed, u.name, c, err)
				}
			}
		})
	}
}

// TestOneNickForTwoOnOneNode: of two users of one node one gets the nick.
func TestOneNickForTwoOnOneNode(t *testing.T) {
	w := newSimNet(t, 1)
	w.grow(3)
	w.run(func(e *simEnv) {
		for i := range 10 {
			nick, got, left := fmt.Sprint("twin", i), [2]error{}, 2
			for k := range 2 {
				e.Go("twin", func() {
					_, got[k] = w.nodes[0].s.Open(bg, chat.User{Nick: nick})
					left--
				})
			}
			e.Eventually("both are answered", func() bool { return left == 0 })
			if (got[0] == nil) == (got[1] == nil) || got[0] != nil && !errors.Is(got[0], chat.ErrNickInUse) || got[1] != nil && !errors.Is(got[1], chat.ErrNickInUse) {
				e.T().Errorf("%v", got)
			}
		}
		ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[0], "bob")
		if err := bob.SetNick(bg, "ANN"); !errors.Is(err, chat.ErrNickInUse) || ann.Self().Nick != "ann" {
			e.T().Errorf("a nick of the same node: %v", err)
		}
	})
}

// TestAStallShowsNothing: a node stands still for half a minute. Nobody is shown an end of
// its users, they keep what they are, and hear what was said meanwhile.
func TestAStallShowsNothing(t *testing.T) {
	for _, seed := range seeds(5) {
		w := newSimNet(t, seed)
		w.grow(6)
		w.run(func(e *simEnv) {
			ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
			channel := e.channelOn(w.nodes[5])
			ann.join(channel)
			bob.join(channel)
			e.sees(bob, channel, "@ann bob")
			e.Sleep(time.Duration(seed) * 5 * time.Second)
			w.Pause(w.nodes[0].h)
			for i := range 29 {
				bob.send(channel, fmt.Sprint(i))
				e.Sleep(time.Second)
			}
			if err := bob.SetNick(bg, "ann"); !errors.Is(err, chat.ErrNickInUse) {
				e.T().Errorf("seed %d: her nick is taken: %v", seed, err)
			}
			w.Resume(w.nodes[0].h)
			e.Eventually("ann has heard all", func() bool { return len(ann.texts()) == 29 })
			e.Sleep(2 * time.Minute)
			e.sees(bob, channel, "@ann bob")
			for _, u := range []*tester{ann, bob} {
				if n := len(eventsOf[chat.Quit](u)) + len(eventsOf[chat.Split](u)) + len(eventsOf[chat.Joined](u)) + len(eventsOf[chat.Renamed](u)); n > 1 {
					e.T().Errorf("seed %d: %s was shown %+v", seed, u.name, u.events)
				}
			}
		})
	}
}

// TestASenderThatDies: a node is killed at any moment after its user said something. What
// one of the others sees, all see, once.
func TestASenderThatDies(t *testing.T) {
	for _, seed := range seeds(20) {
		w := newSimNet(t, seed)
		w.grow(5)
		w.run(func(e *simEnv) {
			ann, bob, eve := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob"), e.open(w.nodes[2], "eve")
			for _, u := range []*tester{ann, bob, eve} {
				u.join("#tea")
			}
			e.sees(eve, "#tea", "@ann bob eve")
			bob.send("#tea", "before")
			if err := bob.Flush(bg); err != nil {
				e.Fatalf("%v", err)
			}
			for i := range 5 {
				bob.send("#tea", fmt.Sprint("last ", i))
			}
			e.Sleep(time.Duration(seed) * 250 * time.Microsecond)
			w.Crash(w.nodes[1].h)
			e.Sleep(10 * time.Second)
			got := ann.texts()
			if len(got) == 0 || !slices.Equal(got, eve.texts()) || !slices.Equal(got, []string{"before", "last 0", "last 1", "last 2", "last 3", "last 4"}[:len(got)]) {
				e.T().Errorf("seed %d: they were shown %q and %q", seed, got, eve.texts())
			}
		})
	}
}
