package mapping

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// TestKeeperAndMemberKilled: the keeper and a member's node die at once; the
// others chat on, and the dead user quits once.
func TestKeeperAndMemberKilled(t *testing.T) {
	for _, seed := range seeds(10) {
		w := newSimNet(t, seed)
		w.grow(6)
		w.run(func(e *simEnv) {
			keeper := w.nodes[5]
			channel := e.channelOn(keeper)
			ann, bob, eve := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob"), e.open(w.nodes[2], "eve")
			for _, u := range []*tester{ann, bob, eve} {
				u.join(channel)
			}
			e.sees(eve, channel, "@ann bob eve")
			w.Crash(keeper.h)
			w.Crash(w.nodes[1].h)
			ann.send(channel, "ann 1")
			eve.send(channel, "eve 1")
			for _, u := range []*tester{ann, eve} {
				if err := u.Flush(bg); err != nil {
					e.Fatalf("flush: %v", err)
				}
			}
			e.sees(ann, channel, "@ann eve")
			e.sees(eve, channel, "@ann eve")
			e.checkTalk([]*tester{ann, eve}, []*tester{ann, eve}, channel, 1)
			for _, u := range []*tester{ann, eve} {
				e.Eventually("the death is shown", func() bool { return len(eventsOf[chat.Split](u)) > 0 })
				if q := eventsOf[chat.Split](u); len(q) != 1 || nicksOf(q[0].Who) != "bob" {
					e.T().Errorf("seed %d: %s was shown %+v", seed, u.name, q)
				}
			}
		})
	}
}

// TestHalfKilled: half of the nodes die at once, the keeper among them.
func TestHalfKilled(t *testing.T) {
	for _, seed := range seeds(5) {
		w := newSimNet(t, seed)
		w.grow(12)
		w.run(func(e *simEnv) {
			channel := e.channelOn(w.nodes[11])
			var users []*tester
			for i := range 8 {
				u := e.open(w.nodes[i], fmt.Sprintf("u%d", i))
				u.join(channel)
				users = append(users, u)
			}
			e.sees(users[7], channel, "@u0 u1 u2 u3 u4 u5 u6 u7")
			for _, n := range w.nodes[6:] {
				w.Crash(n.h)
			}
			e.Sleep(30 * time.Second)
			for _, u := range users[:6] {
				u.send(channel, u.name+" 1")
			}
			for _, u := range users[:6] {
				if err := u.Flush(bg); err != nil {
					e.Fatalf("flush: %v", err)
				}
				e.sees(u, channel, "@u0 u1 u2 u3 u4 u5")
			}
			e.Sleep(time.Second)
			e.checkTalk(users[:6], users[:6], channel, 1)
		})
	}
}

// TestKickOutlivesKeeper: who was kicked just before the keeper died does not
// come back, whoever rebuilds the channel.
func TestKickOutlivesKeeper(t *testing.T) {
	for _, seed := range seeds(20) {
		w := newSimNet(t, seed)
		w.grow(5)
		w.run(func(e *simEnv) {
			keeper := w.nodes[4]
			channel := e.channelOn(keeper)
			ann, bob, eve := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob"), e.open(w.nodes[2], "eve")
			for _, u := range []*tester{ann, bob, eve} {
				u.join(channel)
			}
			e.sees(ann, channel, "@ann bob eve")
			if err := ann.Kick(bg, channel, "bob", "out"); err != nil {
				e.Fatalf("kick: %v", err)
			}
			w.Crash(keeper.h)
			e.sees(ann, channel, "@ann eve")
			e.sees(eve, channel, "@ann eve")
			e.Eventually("bob is told", func() bool { return len(eventsOf[chat.Kicked](bob)) == 1 })
			e.Sleep(2 * time.Minute)
			e.sees(ann, channel, "@ann eve")
			e.sees(eve, channel, "@ann eve")
			if got := bob.Joined(); len(got) != 0 {
				e.T().Errorf("seed %d: bob is on %v", seed, got)
			}
		})
	}
}

// TestNickLost: a session whose nick turns out to be another's is renamed, and
// he and those around him are told.
func TestNickLost(t *testing.T) {
	w := newSimNet(t, 1)
	w.grow(3)
	w.run(func(e *simEnv) {
		ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
		ann.join("#a")
		bob.join("#a")
		e.sees(bob, "#a", "@ann bob")
		other := newNickObject("ann")
		c := signedClaim(1, testStream(1, 1), 1, "ann")
		c.birth = birth{at: 1}
		other.claims.put(c)
		nickViews{w.nodes[0].s}.Reset("ann", overlay.Stamp{}, other.Snapshot(), nil)
		e.Eventually("ann is renamed", func() bool { return len(eventsOf[chat.Renamed](bob)) == 1 })
		want := "ann-" + w.nodes[0].s.Node().ID[:4]
		if got := ann.Self().Nick; got != want {
			e.T().Errorf("she is %s, want %s", got, want)
		}
		own := eventsOf[chat.Renamed](ann)
		if len(own) != 1 || own[0].Nick != want || !strings.Contains(own[0].Why, "@"+VisibleHost(c.owner.Node)) || len(eventsOf[chat.Notice](ann)) != 0 {
			e.T().Errorf("she was told %+v", ann.events)
		}
		e.Eventually("she is found under the new nick", func() bool {
			who, err := bob.Lookup(bg, want)
			return err == nil && who.Session == ann.Self().Session
		})
		if _, err := bob.Lookup(bg, "ann"); !errors.Is(err, chat.ErrNoSuchNick) {
			e.T().Errorf("the lost nick: %v", err)
		}
	})
}

// TestLongNickLost: the new nick is one, whatever the old.
func TestLongNickLost(t *testing.T) {
	w := newSimNet(t, 1)
	w.grow(1)
	w.run(func(e *simEnv) {
		s := w.nodes[0].s
		ann := e.open(w.nodes[0], strings.Repeat("a", chat.MaxNick))
		s.mu.Lock()
		defer s.mu.Unlock()
		se := s.nicks[chat.Fold(ann.name)]
		for range 30 {
			n := se.freeNickLocked(se.me.nick)
			if !chat.ValidNick(n) || s.nicks[n] != nil {
				e.T().Fatalf("%q", n)
			}
			s.nicks[n] = se
			se.me.nick = n
		}
	})
}

// TestSlowSession: a session that takes nothing is closed, and the channel
// goes on for the others.
func TestSlowSession(t *testing.T) {
	w := newSimNet(t, 1)
	w.grow(2)
	w.run(func(e *simEnv) {
		ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
		slow, err := w.nodes[1].s.Open(bg, chat.User{Nick: "slow"})
		if err != nil {
			e.Fatalf("open: %v", err)
		}
		ann.join("#a")
		bob.join("#a")
		if _, err := slow.Join(bg, "#a", ""); err != nil {
			e.Fatalf("join: %v", err)
		}
		text := strings.Repeat("x", chat.MaxText)
		for range 1300 {
			ann.send("#a", text)
			e.Sleep(10 * time.Millisecond)
		}
		e.sees(ann, "#a", "@ann bob")
		if _, err := slow.Next(bg); !errors.Is(err, chat.ErrClosed) || !strings.Contains(err.Error(), "slow") {
			e.T().Errorf("the slow session ended with %v", err)
		}
		if err := ann.Flush(bg); err != nil {
			e.Fatalf("flush: %v", err)
		}
		e.Eventually("bob has all", func() bool { return len(bob.texts()) == 1300 })
	})
}

// TestCloseAfterSend: who says something and leaves at once is heard, then
// quits, without delay; nothing of him is kept.
func TestCloseAfterSend(t *testing.T) {
	for _, seed := range seeds(10) {
		w := newSimNet(t, seed)
		w.grow(3)
		w.run(func(e *simEnv) {
			ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
			for _, c := range []string{"#a", "#b"} {
				ann.join(c)
				bob.join(c)
			}
			for i := range 100 {
				bob.send("#a", fmt.Sprint("bob ", i+1))
			}
			at := e.Now()
			bob.Close("bye")
			e.Eventually("ann sees him quit", func() bool { return len(eventsOf[chat.Quit](ann)) == 1 })
			if d := e.Now().Sub(at); d > 400*time.Millisecond {
				e.T().Errorf("seed %d: quit after %v", seed, d)
			}
			e.Eventually("ann has heard him", func() bool { return len(ann.texts()) == 100 })
			e.Sleep(time.Second)
			s := w.nodes[1].s
			if len(s.sessions)+len(s.ending)+len(s.nicks)+len(s.views) != 0 {
				e.T().Errorf("seed %d: left over: %v %v %v %v", seed, s.sessions, s.ending, s.nicks, s.views)
			}
		})
	}
}

// TestHostilePushes: what a broken keeper pushes is ignored.
func TestHostilePushes(t *testing.T) {
	w := newSimNet(t, 1)
	w.grow(1)
	w.run(func(e *simEnv) {
		ann := e.open(w.nodes[0], "ann")
		ann.join("#a")
		v := channelViews{w.nodes[0].s}
		v.Reset("#a", overlay.Stamp{}, []byte{0xff}, nil)
		v.Event("#a", overlay.Entry{Event: []byte{0xff}})
		v.Event("#a", overlay.Entry{Event: encode(&wire.ChannelEvent{})})
		v.Event("#a", overlay.Entry{Event: encode(&wire.ChannelEvent{What: &wire.ChannelEvent_Kicked{}})})
		v.Event("#b", overlay.Entry{})
		nickViews{w.nodes[0].s}.Reset("ann", overlay.Stamp{}, []byte{0xff}, nil)
		e.sees(ann, "#a", "@ann")
	})
}
