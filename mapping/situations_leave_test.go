package mapping

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"ircbridge/chat"
)

// TestAKillWhileItLeaves: a node that keeps names and channels, and has a user, begins to leave and
// is killed at any moment of that: what it kept is there, what others say is
// heard once, its user is gone once, and his nick is free.
func TestAKillWhileItLeaves(t *testing.T) {
	for _, seed := range seeds(25) {
		w := newSimNet(t, seed)
		w.grow(6)
		w.run(func(e *simEnv) {
			leaver := w.nodes[5]
			channel := e.channelOn(leaver)
			ann, bob, eve := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob"), e.open(leaver, "eve")
			for _, u := range []*tester{ann, bob, eve} {
				u.join(channel)
				u.join("#tea")
			}
			if err := ann.SetTopic(bg, channel, "of leaving"); err != nil {
				e.Fatalf("%v", err)
			}
			e.sees(ann, channel, "@ann bob eve")
			began := e.Now()
			e.Go("leave", func() {
				leaver.s.Leave(3 * time.Second)
				leaver.o.Leave(3 * time.Second)
				leaver.ring.Leave(time.Second)
			})
			const n = 60
			after := time.Duration(seed*seed) * 1600 * time.Microsecond // 1.6 ms to 1 s
			killed := false
			for i := range n {
				for _, u := range []*tester{ann, bob} {
					u.send(channel, fmt.Sprintf("%s %d", u.name, i+1))
				}
				if !killed && e.Now().Sub(began) >= after {
					killed = true
					w.Crash(leaver.h)
				}
				e.Sleep(min(20*time.Millisecond, max(after-e.Now().Sub(began), time.Millisecond)))
			}
			w.Crash(leaver.h)
			for _, u := range []*tester{ann, bob} {
				if err := u.Flush(bg); err != nil {
					e.Fatalf("seed %d: %v", seed, err)
				}
			}
			for _, c := range []string{channel, "#tea"} {
				e.sees(ann, c, "@ann bob")
				e.sees(bob, c, "@ann bob")
			}
			e.Eventually("eve's nick is free", func() bool { return bob.SetNick(bg, "eve") == nil })
			if d := e.Now().Sub(began); d > 26*time.Second {
				e.T().Errorf("seed %d: her nick was free after %v", seed, d)
			}
			e.Sleep(3 * time.Second)
			e.checkTalk([]*tester{ann, bob}, []*tester{ann, bob}, channel, n)
			for _, u := range []*tester{ann, bob} {
				ends := len(eventsOf[chat.Quit](u))
				for _, s := range eventsOf[chat.Split](u) {
					ends += len(s.Who)
				}
				if ends != 1 {
					e.T().Errorf("seed %d: %s saw her end %d times", seed, u.name, ends)
				}
			}
			if c, err := ann.Channel(bg, channel); err != nil || c.Topic.Text != "of leaving" {
				e.T().Errorf("seed %d: topic %q, %v", seed, c.Topic.Text, err)
			}
		})
	}
}

// TestARaceIsSettledInSeconds: two users on two nodes ask for one nick at once, while the keeper of
// the name is killed: one gets it, and all nodes agree on whom within five seconds.
func TestARaceIsSettledInSeconds(t *testing.T) {
	for _, seed := range seeds(10) {
		w := newSimNet(t, seed)
		w.grow(4)
		w.run(func(e *simEnv) {
			users := []*tester{e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob"), e.open(w.nodes[2], "eve")}
			for i := range 10 {
				nick := fmt.Sprint("race", i)
				began, left, got := e.Now(), 2, [2]error{}
				for k := range 2 {
					e.Go("racer", func() {
						got[k] = users[k].SetNick(bg, nick)
						left--
					})
				}
				if i == 5 {
					e.Sleep(time.Duration(seed) * 300 * time.Microsecond)
					w.Crash(w.nodes[3].h) // it keeps some of the names
				}
				agreed := func() bool {
					first, err := users[0].Lookup(bg, nick)
					if err != nil || left > 0 {
						return false
					}
					for k, u := range users {
						if who, err := u.Lookup(bg, nick); err != nil || who.Session != first.Session {
							return false
						}
						if k < 2 && (got[k] == nil) != (u.Self().Session == first.Session) {
							return false
						}
					}
					return true
				}
				e.Eventually("all agree on "+nick, agreed)
				if d := e.Now().Sub(began); d > 5*time.Second {
					e.T().Errorf("seed %d: %s was settled after %v", seed, nick, d)
				}
				for _, err := range got {
					if err != nil && !errors.Is(err, chat.ErrNickInUse) {
						e.T().Errorf("seed %d: %s: %v", seed, nick, err)
					}
				}
			}
		})
	}
}
