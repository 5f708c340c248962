package mapping

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/overlay"
)

var bg = context.Background()

// tester is a user, with all events he ever got.
type tester struct {
	chat.Session
	e      *simEnv
	name   string
	events []chat.Event
	ended  error
}

// open lets a user in on a node and takes his events.
func (e *simEnv) open(n *simNode, nick string) *tester {
	se, err := n.s.Open(bg, chat.User{Nick: nick, Username: "u", Realname: "r"})
	if err != nil {
		e.Fatalf("seed %d: open %s: %v", e.w.Seed(), nick, err)
	}
	u := &tester{Session: se, e: e, name: nick}
	e.Go("events of "+nick, func() {
		for {
			ev, err := se.Next(bg)
			if err != nil {
				u.ended = err
				return
			}
			u.events = append(u.events, ev)
		}
	})
	return u
}

func (u *tester) join(channel string) {
	if _, err := u.Join(bg, channel, ""); err != nil {
		u.e.Fatalf("seed %d: %s joins %s: %v", u.e.w.Seed(), u.name, channel, err)
	}
}

func (u *tester) send(target, text string) {
	if _, err := u.Send(chat.Outgoing{Target: target, Text: text}); err != nil {
		u.e.Fatalf("seed %d: %s sends: %v", u.e.w.Seed(), u.name, err)
	}
}

// texts lists the messages that the user got, in order.
func (u *tester) texts() []string {
	var list []string
	for _, m := range eventsOf[chat.Message](u) {
		list = append(list, m.Text)
	}
	return list
}

func eventsOf[E chat.Event](u *tester) []E {
	var list []E
	for _, ev := range u.events {
		if e, ok := ev.(E); ok {
			list = append(list, e)
		}
	}
	return list
}

// nicks lists the members that a user sees.
func (u *tester) nicks(channel string) string {
	c, err := u.Channel(bg, channel)
	if err != nil {
		return err.Error()
	}
	var list []string
	for _, m := range c.Members {
		sign := m.Status.Sign()
		list = append(list, sign+m.Nick)
	}
	return strings.Join(list, " ")
}

func (e *simEnv) sees(u *tester, channel, want string) {
	got := ""
	defer func() {
		if got != want {
			e.T().Errorf("seed %d: %s sees %q, want %q", e.w.Seed(), u.name, got, want)
		}
	}()
	e.Eventually(u.name+" sees "+want, func() bool {
		got = u.nicks(channel)
		return got == want
	})
}

// channelOn is a channel that the node keeps (or would).
func (e *simEnv) channelOn(n *simNode) string {
	for i := range 10000 {
		name := fmt.Sprintf("#c%d", i)
		if n.ring.Owns(overlay.Key(kindChannel, name)) {
			return name
		}
	}
	e.Fatalf("no channel for the node")
	return ""
}

// leave ends a node as the program does.
func (e *simEnv) leave(n *simNode) {
	n.s.Leave(3 * time.Second)
	n.o.Leave(3 * time.Second)
	n.ring.Leave(time.Second)
	e.w.Stop(n.h)
}

// checkTalk fails unless every receiver got every accepted message of the
// senders once, each sender's in his order, and all in one order if that is
// asked.
func (e *simEnv) checkTalk(senders, receivers []*tester, channel string, n int) {
	seed := e.w.Seed()
	var first []string
	for _, r := range receivers {
		last := map[string]int{}
		seen := map[string]bool{}
		for _, text := range r.texts() {
			if seen[text] {
				e.T().Errorf("seed %d: %s got %q twice", seed, r.name, text)
			}
			seen[text] = true
			who, num, _ := strings.Cut(text, " ")
			var k int
			fmt.Sscan(num, &k)
			if k <= last[who] {
				e.T().Errorf("seed %d: %s got %q after %d", seed, r.name, text, last[who])
			}
			last[who] = k
		}
		for _, s := range senders {
			for _, out := range eventsOf[chat.Sent](s) {
				if out.Err == nil && s != r && !seen[out.Message.Text] {
					e.T().Errorf("seed %d: %s did not get %q, which was accepted", seed, r.name, out.Message.Text)
				}
			}
		}
		if first == nil {
			first = r.texts()
		}
	}
	for _, s := range senders {
		outs := eventsOf[chat.Sent](s)
		if len(outs) != n {
			e.T().Errorf("seed %d: %s has %d outcomes of %d", seed, s.name, len(outs), n)
		}
		for _, out := range outs {
			if out.Err != nil {
				e.T().Errorf("seed %d: %s: %q: %v", seed, s.name, out.Message.Text, out.Err)
			}
		}
	}
}

// TestKeeperEnds: the keeper, no member, is killed or leaves; the chat goes
// on, and channel, members and operator are as before.
func TestKeeperEnds(t *testing.T) {
	for _, how := range []string{"killed", "leaves"} {
		for _, seed := range seeds(10) {
			t.Run(fmt.Sprintf("%s seed %d", how, seed), func(t *testing.T) {
				w := newSimNet(t, seed)
				w.grow(5)
				w.run(func(e *simEnv) {
					keeper := w.nodes[4]
					channel := e.channelOn(keeper)
					ann, bob, eve := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob"), e.open(w.nodes[2], "eve")
					for _, u := range []*tester{ann, bob, eve} {
						u.join(channel)
					}
					if err := ann.SetTopic(bg, channel, "tea"); err != nil {
						e.Fatalf("topic: %v", err)
					}
					e.sees(bob, channel, "@ann bob eve")
					const n = 400
					e.Go("end of the keeper", func() {
						e.Sleep(time.Second/2 + time.Duration(seed)*777*time.Microsecond)
						if how == "killed" {
							w.Crash(keeper.h)
						} else {
							e.leave(keeper)
						}
					})
					for i := range n {
						for _, u := range []*tester{ann, bob, eve} {
							u.send(channel, fmt.Sprintf("%s %d", u.name, i+1))
						}
						e.Sleep(3 * time.Millisecond)
					}
					for _, u := range []*tester{ann, bob, eve} {
						if err := u.Flush(bg); err != nil {
							e.Fatalf("flush: %v", err)
						}
					}
					e.Sleep(3 * time.Second)
					all := []*tester{ann, bob, eve}
					e.checkTalk(all, all, channel, n)
					for _, u := range all {
						e.sees(u, channel, "@ann bob eve")
						if k, err := u.Keeper(bg, channel); err != nil || !k.Known || k.Count != 3 {
							e.T().Errorf("keeper: %+v, %v", k, err)
						}
						for _, ev := range u.events {
							switch ev.(type) {
							case chat.Parted, chat.Quit, chat.Split, chat.ViewChanged, chat.ModeChanged, chat.Kicked, chat.Renamed:
								e.T().Errorf("seed %d: %s was shown %+v", seed, u.name, ev)
							}
						}
					}
					if c, _ := eve.Channel(bg, channel); c.Topic.Text != "tea" {
						e.T().Errorf("topic is %q", c.Topic.Text)
					}
					late := e.open(w.nodes[3], "late")
					late.join(channel)
					e.sees(late, channel, "@ann bob eve late")
				})
			})
		}
	}
}

// TestChurnUnderLoad: five senders on five nodes, while other nodes join and
// leave every second: nothing is lost, nothing comes twice, each sender's
// order holds.
func TestChurnUnderLoad(t *testing.T) {
	for _, seed := range seeds(5) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newSimNet(t, seed)
			w.grow(6)
			w.run(func(e *simEnv) {
				var users []*tester
				for i := range 5 {
					u := e.open(w.nodes[i], fmt.Sprintf("u%d", i))
					u.join("#tea")
					users = append(users, u)
				}
				stop := false
				e.Go("churn", func() {
					for i := 0; !stop; i++ {
						if i%2 == 0 {
							w.add()
						} else {
							e.leave(w.nodes[len(w.nodes)-1])
						}
						e.Sleep(time.Second)
					}
				})
				const n = 200
				for i := range n {
					for _, u := range users {
						u.send("#tea", fmt.Sprintf("%s %d", u.name, i+1))
					}
					e.Sleep(50 * time.Millisecond)
				}
				for _, u := range users {
					if err := u.Flush(bg); err != nil {
						e.Fatalf("flush: %v", err)
					}
				}
				stop = true
				e.Sleep(5 * time.Second)
				e.checkTalk(users, users, "#tea", n)
				t.Logf("%d nodes ever, %d texts, elapsed %v", len(w.nodes), len(users[0].texts()), w.Elapsed())
				for _, u := range users {
					e.sees(u, "#tea", "@u0 u1 u2 u3 u4")
				}
			})
		})
	}
}

// TestNickRace: two users on two nodes ask for one nick at once; one gets it,
// on every node the same.
func TestNickRace(t *testing.T) {
	for _, seed := range seeds(5) {
		w := newSimNet(t, seed)
		w.grow(3)
		w.run(func(e *simEnv) {
			users := []*tester{e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob"), e.open(w.nodes[2], "eve")}
			for i := range 20 {
				nick, got := fmt.Sprintf("race%d", i), [2]error{}
				left := 2
				for k := range 2 {
					e.Go("racer", func() {
						got[k] = users[k].SetNick(bg, nick)
						left--
					})
				}
				e.Eventually("both are answered", func() bool { return left == 0 })
				winner := slices.IndexFunc(got[:], func(err error) bool { return err == nil })
				if winner < 0 || !errors.Is(got[1-winner], chat.ErrNickInUse) {
					e.Fatalf("seed %d, race %d: %v", seed, i, got)
				}
				for _, u := range users {
					who, err := u.Lookup(bg, nick)
					if err != nil || who.Session != users[winner].Self().Session {
						e.Fatalf("seed %d, race %d: %s finds %v, %v", seed, i, u.name, who, err)
					}
				}
			}
		})
	}
}

// TestNodeKilled: the users of a killed node are shown as gone once, together,
// about 25 s later, and their nicks come free.
func TestNodeKilled(t *testing.T) {
	for _, seed := range seeds(5) {
		w := newSimNet(t, seed)
		w.grow(4)
		w.run(func(e *simEnv) {
			ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
			for _, c := range []string{"#a", "#b", "#c"} {
				ann.join(c)
				bob.join(c)
			}
			w.Crash(w.nodes[1].h)
			at := e.Now()
			e.Eventually("bob is gone", func() bool { return len(eventsOf[chat.Split](ann)) > 0 })
			if d := e.Now().Sub(at); d < 15*time.Second || d > 40*time.Second {
				e.T().Errorf("seed %d: quit after %v", seed, d)
			}
			e.Sleep(10 * time.Second)
			if q := eventsOf[chat.Split](ann); len(q) != 1 || nicksOf(q[0].Who) != "bob" || len(eventsOf[chat.Quit](ann)) != 0 {
				e.T().Errorf("seed %d: she was shown %+v", seed, q)
			}
			for _, c := range []string{"#a", "#b", "#c"} {
				e.sees(ann, c, "@ann")
			}
			e.Eventually("the nick is free", func() bool { return ann.SetNick(bg, "bob") == nil })
			if d := e.Now().Sub(at); d > 40*time.Second {
				e.T().Errorf("seed %d: nick free after %v", seed, d)
			}
		})
	}
}

// TestRestart: a node that restarts at once takes its user's nick back, and
// the old session leaves no ghost.
func TestRestart(t *testing.T) {
	for _, seed := range seeds(5) {
		w := newSimNet(t, seed)
		w.grow(4)
		w.run(func(e *simEnv) {
			ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
			ann.join("#a")
			bob.join("#a")
			w.Crash(w.nodes[1].h)
			e.Sleep(time.Second)
			w.nodes[1] = w.start(w.Restart(w.nodes[1].h), w.nodes[0])
			e.Eventually("the ring is whole", w.settled)
			e.Sleep(2 * time.Second)
			again := e.open(w.nodes[1], "bob")
			again.join("#a")
			e.Sleep(2 * time.Second)
			if got := again.Self().Nick; got != "bob" {
				e.T().Errorf("seed %d: he is %s", seed, got)
			}
			e.sees(ann, "#a", "@ann bob")
			e.Sleep(time.Minute)
			e.sees(ann, "#a", "@ann bob")
			ann.send("bob", "hello")
			e.Eventually("bob gets it", func() bool { return slices.Contains(again.texts(), "hello") })
		})
	}
}

// TestReplay: equal seeds give equal runs.
func TestReplay(t *testing.T) {
	digest := func() uint64 {
		w := newSimNet(t, 7)
		w.grow(3)
		w.run(func(e *simEnv) {
			for i, n := range w.nodes {
				u := e.open(n, fmt.Sprintf("u%d", i))
				u.join("#a")
				u.send("#a", "x")
			}
			e.Sleep(time.Minute)
		})
		return w.Digest()
	}
	if a, b := digest(), digest(); a != b {
		t.Errorf("two runs of one seed differ: %x, %x", a, b)
	}
}
