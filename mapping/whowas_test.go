package mapping

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/chord"
	"ircbridge/overlay"
)

// nickOn is a nick that the node keeps (or would).
func (e *simEnv) nickOn(n *simNode) string {
	for i := range 10000 {
		if name := fmt.Sprintf("n%d", i); n.ring.Owns(overlay.Key(kindNick, name)) {
			return name
		}
	}
	e.Fatalf("no nick for the node")
	return ""
}

// nickAt is a nick that a node of the ID will keep when it has joined.
func (e *simEnv) nickAt(id chord.ID) string {
	for i := range 10000 {
		name := fmt.Sprintf("n%d", i)
		key := overlay.Key(kindNick, name)
		if !slices.ContainsFunc(e.w.nodes, func(n *simNode) bool {
			return chord.Distance(key, n.ring.Self().ID).Compare(chord.Distance(key, id)) < 0
		}) {
			return name
		}
	}
	e.Fatalf("no nick for the node")
	return ""
}

// whowas is what a user is told of a nick: real names, the latest first.
func (u *tester) whowas(nick string) string {
	list, err := u.Whowas(bg, nick, 0)
	if err != nil {
		return err.Error()
	}
	var names []string
	for _, p := range list {
		names = append(names, p.Realname)
	}
	return strings.Join(names, " ")
}

func (e *simEnv) remembers(u *tester, nick, want string) {
	got := ""
	e.Eventually(fmt.Sprintf("%s remembers of %s: %q", u.name, nick, want), func() bool {
		got = u.whowas(nick)
		return got == want
	})
}

// held lets a user have a nick under a real name, and give it up.
func (e *simEnv) held(u *tester, nick, realname string) {
	old := u.Self().Nick
	if err := u.SetRealname(bg, realname); err != nil {
		e.Fatalf("real name: %v", err)
	}
	for _, n := range []string{nick, old} {
		e.Eventually("the nick is free", func() bool { return u.SetNick(bg, n) == nil })
	}
}

// TestWhowasMoves: former holders go with the name, to a keeper that joins and
// from one that leaves.
func TestWhowasMoves(t *testing.T) {
	for _, seed := range seeds(5) {
		w := newSimNet(t, seed)
		w.grow(3)
		w.run(func(e *simEnv) {
			ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
			h := w.Add("joiner")
			nick := e.nickAt(chord.NodeID(h.Self().ID))
			e.held(ann, nick, "one")
			e.held(bob, nick, "two")
			e.remembers(ann, nick, "two one")
			keeper := w.start(h, w.nodes[0])
			w.nodes = append(w.nodes, keeper)
			e.Eventually("the joiner takes the name over", func() bool { return keeper.o.KeepsNow(kindNick, nick) })
			for _, u := range []*tester{ann, bob} {
				e.remembers(u, nick, "two one")
			}
			e.held(bob, nick, "three")
			e.leave(keeper)
			e.Sleep(2 * time.Second)
			for _, u := range []*tester{ann, bob} {
				e.remembers(u, nick, "three two one")
			}
		})
	}
}

// TestWhowasKeeperKilled: what a killed keeper remembered its replicas have; its
// successor answers, and remembers what comes to an end now.
func TestWhowasKeeperKilled(t *testing.T) {
	for _, seed := range seeds(5) {
		w := newSimNet(t, seed)
		w.grow(5)
		w.run(func(e *simEnv) {
			keeper := w.nodes[4]
			nick := e.nickOn(keeper)
			ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
			e.held(ann, nick, "one")
			if err := bob.SetNick(bg, nick); err != nil {
				e.Fatalf("seed %d: %v", seed, err)
			}
			e.remembers(bob, nick, "one")
			w.Crash(keeper.h)
			e.Eventually("the ring is whole", w.settled)
			e.remembers(ann, nick, "one")
			bob.Close("bye")
			e.remembers(ann, nick, "r one")
			e.held(ann, nick, "two")
			e.remembers(ann, nick, "two r one")
		})
	}
}

// TestWhowasNodeKilled: the users of a killed node have given their nicks up
// when it is believed gone; those of one that comes back in time have not.
func TestWhowasNodeKilled(t *testing.T) {
	for _, seed := range seeds(5) {
		w := newSimNet(t, seed)
		w.grow(4)
		w.run(func(e *simEnv) {
			ann := e.open(w.nodes[0], "ann")
			back := e.nickOn(w.nodes[1])
			gone := e.open(w.nodes[2], back)
			dead := e.nickOn(w.nodes[0])
			e.open(w.nodes[3], dead)
			w.Crash(w.nodes[3].h)
			e.remembers(ann, dead, "r")
			if got := gone.whowas(back); got != "" {
				e.T().Errorf("seed %d: of one who is here: %s", seed, got)
			}
			w.Crash(w.nodes[2].h)
			e.Sleep(2 * time.Second)
			w.nodes[2] = w.start(w.Restart(w.nodes[2].h), w.nodes[0])
			e.Sleep(2 * time.Second)
			again := e.open(w.nodes[2], back)
			e.Sleep(time.Minute)
			if got := again.Self().Nick; got != back {
				e.T().Errorf("seed %d: he is %s, no longer %s", seed, got, back)
			}
			e.remembers(ann, back, "r") // the session of the run that died
		})
	}
}

// TestWhowasRace: users of several nodes snatch one nick from each other while
// its keepers come and go in order; every holder is remembered once, and all
// nodes are told the same.
func TestWhowasRace(t *testing.T) {
	for _, seed := range seeds(5) {
		w := newSimNet(t, seed)
		w.grow(4)
		w.run(func(e *simEnv) {
			const nick, times = "prize", 3
			var users []*tester
			left := 0
			for i := range 3 {
				u := e.open(w.nodes[i], fmt.Sprintf("u%d", i))
				users = append(users, u)
				left++
				e.Go("racer", func() {
					defer func() { left-- }()
					for k := range times {
						e.held(u, nick, fmt.Sprintf("u%d-%d", i, k))
						e.Sleep(100 * time.Millisecond)
					}
				})
			}
			for range 4 {
				n := w.add()
				e.Sleep(time.Second)
				e.leave(n)
			}
			e.Eventually("all are done", func() bool { return left == 0 })
			e.Sleep(3 * time.Second)
			want := users[0].whowas(nick)
			seen := map[string]bool{}
			for _, name := range strings.Fields(want) {
				seen[name] = true
			}
			if len(seen) != 3*times || len(strings.Fields(want)) != 3*times {
				e.T().Errorf("seed %d: %d holders of %d are remembered: %s", seed, len(seen), 3*times, want)
			}
			for _, u := range users {
				if got := u.whowas(nick); got != want {
					e.T().Errorf("seed %d: %s is told %s, others %s", seed, u.name, got, want)
				}
			}
		})
	}
}
