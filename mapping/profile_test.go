package mapping

import (
	"fmt"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/overlay"
)

// TestRealnameUnderChurn: real names and nicks change while the keepers of one
// or two common channels are killed and leave. Others see each change
// once at most, each beginning where the last ended, and in the end the truth.
func TestRealnameUnderChurn(t *testing.T) {
	for _, seed := range seeds(20) {
		w := newSimNet(t, seed)
		w.grow(8)
		w.run(func(e *simEnv) {
			ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
			channels := []string{e.channelOn(w.nodes[6]), e.channelOn(w.nodes[7])}[seed%2:]
			for _, c := range channels {
				ann.join(c)
				bob.join(c)
			}
			e.sees(bob, channels[len(channels)-1], "@ann bob")
			e.Go("ends of keepers", func() {
				e.Sleep(time.Second + time.Duration(seed)*77*time.Millisecond)
				w.Crash(w.nodes[6+seed%4/2].h)
				e.Sleep(time.Second)
				e.leave(w.nodes[7-seed%4/2])
			})
			for i := range 40 {
				if err := ann.SetRealname(bg, fmt.Sprint("name ", i)); err != nil {
					e.Fatalf("seed %d: %v", seed, err)
				}
				if i%10 == 5 {
					nick := fmt.Sprint("ann", i)
					e.Eventually("a new nick", func() bool { return ann.SetNick(bg, nick) == nil })
				}
				e.Sleep(100 * time.Millisecond)
			}
			want := ann.Self()
			for _, c := range channels {
				e.Eventually("bob sees her as she is", func() bool {
					view, err := bob.Channel(bg, c)
					return err == nil && len(view.Members) == 2 && view.Members[0].Profile == want
				})
			}
			e.Sleep(time.Minute)
			name, nick := "r", "ann"
			for _, ev := range bob.events {
				switch ev := ev.(type) {
				case chat.ProfileChanged:
					if ev.Old.Realname != name || ev.New.Realname == name || ev.Old.Nick != nick || ev.New.Nick != nick {
						e.T().Errorf("seed %d: after %s (%s) came %+v", seed, nick, name, ev)
					}
					name = ev.New.Realname
				case chat.Renamed:
					if ev.Who.Nick != nick || ev.Nick == nick {
						e.T().Errorf("seed %d: after %s (%s) came %+v", seed, nick, name, ev)
					}
					nick = ev.Nick
				case chat.Quit, chat.Parted, chat.Joined, chat.ViewChanged:
					e.T().Errorf("seed %d: bob was shown %+v", seed, ev)
				}
			}
			if name != want.Realname || nick != want.Nick {
				e.T().Errorf("seed %d: bob was told of %s (%s), she is %s (%s)", seed, nick, name, want.Nick, want.Realname)
			}
			if who, err := bob.Lookup(bg, want.Nick); err != nil || who.Profile != want {
				e.T().Errorf("seed %d: whois says %+v, %v", seed, who, err)
			}
		})
	}
}

// TestInvitedOnce: the keeper dies, or leaves, while users are invited; each of
// them and each other operator is told once of every invitation that was made.
func TestInvitedOnce(t *testing.T) {
	for _, how := range []string{"killed", "leaves"} {
		for _, seed := range seeds(5) {
			w := newSimNet(t, seed)
			w.grow(6)
			w.run(func(e *simEnv) {
				keeper := w.nodes[5]
				channel := e.channelOn(keeper)
				ann, bob, eve := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob"), e.open(w.nodes[2], "eve")
				for _, u := range []*tester{ann, bob, eve} {
					u.join(channel)
				}
				if _, err := ann.SetMode(bg, channel, []chat.ModeChange{{Add: true, Mode: 'o', Arg: "bob"}}); err != nil {
					e.Fatalf("mode: %v", err)
				}
				e.sees(eve, channel, "@ann @bob eve")
				e.Go("end of the keeper", func() {
					e.Sleep(200*time.Millisecond + time.Duration(seed)*7*time.Millisecond)
					if how == "killed" {
						w.Crash(keeper.h)
					} else {
						e.leave(keeper)
					}
				})
				var guests []*tester
				made := map[string]bool{}
				for i := range 20 {
					g := e.open(w.nodes[3], fmt.Sprint("guest", i))
					guests = append(guests, g)
					if _, err := ann.Invite(bg, g.name, channel); err == nil {
						made[g.name] = true
					}
					e.Sleep(20 * time.Millisecond)
				}
				if len(made) < 15 {
					e.T().Errorf("seed %d, %s: only %d invitations were made", seed, how, len(made))
				}
				e.Sleep(10 * time.Second)
				for _, g := range guests {
					told := eventsOf[chat.Invited](g)
					if made[g.name] && len(told) != 1 || len(told) > 1 {
						e.T().Errorf("seed %d, %s: %s was told %d times", seed, how, g.name, len(told))
					}
				}
				times := map[string]int{}
				for _, inv := range eventsOf[chat.Invited](bob) {
					times[inv.Nick]++
				}
				for _, g := range guests {
					if n := times[g.name]; n > 1 || made[g.name] && n != 1 {
						e.T().Errorf("seed %d, %s: the operator was told of %s %d times", seed, how, g.name, n)
					}
				}
				for _, u := range []*tester{ann, eve} {
					if told := eventsOf[chat.Invited](u); len(told) > 0 {
						e.T().Errorf("seed %d, %s: %s was told %+v", seed, how, u.name, told[0])
					}
				}
			})
		}
	}
}

// TestResetShowsNews: what a whole view says that is new of a member is shown,
// once; what it says that is old is not, and is not believed.
func TestResetShowsNews(t *testing.T) {
	w := newSimNet(t, 1)
	w.grow(3)
	w.run(func(e *simEnv) {
		ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
		ann.join("#a")
		bob.join("#a")
		e.sees(bob, "#a", "@ann bob")
		s := w.nodes[1].s
		s.mu.Lock()
		stale := s.views["#a"].state.clone()
		s.mu.Unlock()
		fresh := stale.clone()
		for who, m := range fresh.members {
			if m.person.nick == "ann" {
				m.person.nick, m.person.realname, m.person.away = "anna", "new", "out"
				m.person.version++
				fresh.members[who] = m
			}
		}
		for _, st := range []*state{fresh, stale, fresh} {
			channelViews{s}.Reset("#a", overlay.Stamp{}, encode(st.toWire()), nil)
			if got := bob.nicks("#a"); got != "@anna bob" {
				e.T().Errorf("bob sees %s", got)
			}
		}
		e.Sleep(time.Second)
		if got := eventsOf[chat.Renamed](bob); len(got) != 1 || got[0].Who.Nick != "ann" || got[0].Nick != "anna" {
			e.T().Errorf("bob was told of the nick: %+v", got)
		}
		if got := eventsOf[chat.ProfileChanged](bob); len(got) != 1 || got[0].New.Realname != "new" {
			e.T().Errorf("bob was told of the real name: %+v", got)
		}
		if got := eventsOf[chat.AwayChanged](bob); len(got) != 1 || got[0].Who.Away != "out" {
			e.T().Errorf("bob was told of the away text: %+v", got)
		}
	})
}
