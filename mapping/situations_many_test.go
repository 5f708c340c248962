package mapping

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/host/sim"
)

// Many nodes at once: deaths, clocks, joiners, a network cut in two.

// TestAShareOfAllNodesDies: a tenth, a third and a half of the nodes are killed at one moment.
// After 30 s all channels with a living member are whole: members, operators, topic; and
// all that is said there is heard.
func TestAShareOfAllNodesDies(t *testing.T) {
	const nodes, channels = 20, 12
	for _, dead := range []int{2, 6, 10} {
		for _, seed := range seeds(3) {
			w := newSimNet(t, seed)
			w.grow(nodes)
			w.run(func(e *simEnv) {
				var users []*tester
				for i := range nodes {
					users = append(users, e.open(w.nodes[i], fmt.Sprintf("u%02d", i)))
				}
				members := map[string][]int{}
				for c := range channels {
					name := fmt.Sprint("#c", c)
					for k := range 4 {
						i := (c*3 + k*5) % nodes
						users[i].join(name)
						members[name] = append(members[name], i)
					}
					if err := users[members[name][0]].SetTopic(bg, name, "of "+name); err != nil {
						e.Fatalf("%v", err)
					}
				}
				e.Sleep(10 * time.Second)
				for k := range dead {
					w.Crash(w.nodes[(k*nodes/dead+int(seed))%nodes].h)
				}
				e.Sleep(30 * time.Second)
				for _, name := range slices.Sorted(maps.Keys(members)) {
					e.wholeAfterDeaths(name, members[name], users)
				}
			})
		}
	}
}

// wholeAfterDeaths checks a channel's members whose nodes live; the first of all was its
// operator.
func (e *simEnv) wholeAfterDeaths(name string, members []int, users []*tester) {
	want, living := "", []*tester{}
	for _, i := range slices.Sorted(slices.Values(members)) {
		if !e.w.nodes[i].h.Running() {
			continue
		}
		if want != "" {
			want += " "
		}
		if i == members[0] {
			want += "@"
		}
		want += users[i].name
		living = append(living, users[i])
	}
	for i, u := range living {
		if got := u.nicks(name); got != want {
			e.T().Errorf("seed %d: in %s %s sees %q, want %q", e.w.Seed(), name, u.name, got, want)
		}
		if c, err := u.Channel(bg, name); err != nil || c.Topic.Text != "of "+name {
			e.T().Errorf("seed %d: %s: topic %q, %v", e.w.Seed(), name, c.Topic.Text, err)
		}
		text := fmt.Sprint(name, " ", i)
		u.send(name, text)
		for _, o := range living {
			if o != u {
				e.Eventually("heard", func() bool { return slices.Contains(o.texts(), text) })
			}
		}
	}
}

// TestWrongClocks: the clocks are wrong by up to an hour, and one jumps by a day while
// people talk, keepers are killed and the network is cut: all is as with right ones.
func TestWrongClocks(t *testing.T) {
	skews := []time.Duration{0, -time.Hour, time.Hour, 20 * time.Minute, -20 * time.Minute, 24 * time.Hour, 0}
	for _, seed := range seeds(5) {
		w := newSimNet(t, seed)
		for i, skew := range skews {
			var others []*simNode
			if i > 0 {
				others = w.nodes[:1]
			}
			w.nodes = append(w.nodes, w.start(w.Add(fmt.Sprint("n", i), sim.Skew(skew)), others...))
		}
		if !w.Await(time.Minute, w.settled) {
			t.Fatalf("seed %d: no ring", seed)
		}
		w.RunFor(5 * time.Second)
		w.run(func(e *simEnv) {
			var users []*tester
			channel := e.channelOn(w.nodes[5]) // the keeper's clock is a day ahead
			for i := range 5 {
				users = append(users, e.open(w.nodes[i], fmt.Sprint("u", i)))
				users[i].join(channel)
			}
			e.sees(users[0], channel, "@u0 u1 u2 u3 u4")
			if err := users[0].Kick(bg, channel, "u4", ""); err != nil {
				e.Fatalf("%v", err)
			}
			const n = 100
			for i := range n {
				for _, u := range users[:4] {
					u.send(channel, fmt.Sprintf("%s %d", u.name, i+1))
				}
				e.Sleep(20 * time.Millisecond)
				if i == n/2 {
					w.Crash(w.nodes[5].h)
				}
			}
			for _, u := range users[:4] {
				if err := u.Flush(bg); err != nil {
					e.Fatalf("flush: %v", err)
				}
			}
			w.Partition([]*sim.Host{w.nodes[1].h})
			e.Sleep(90 * time.Second)
			e.sees(users[0], channel, "@u0 u2 u3")
			w.Heal()
			e.sees(users[0], channel, "@u0 u1 u2 u3")
			e.sees(users[1], channel, "@u0 u1 u2 u3")
			// It comes back with a clock that has jumped by a day.
			w.Crash(w.nodes[4].h)
			w.nodes[4] = w.start(w.Restart(w.nodes[4].h, sim.Skew(-24*time.Hour)), w.nodes[0])
			e.Eventually("one ring", w.settled)
			e.Sleep(3 * time.Second)
			again := e.open(w.nodes[4], "u4")
			again.join(channel)
			e.sees(users[0], channel, "@u0 u1 u2 u3 u4")
			e.Sleep(time.Minute)
			e.sees(again, channel, "@u0 u1 u2 u3 u4")
			e.checkTalk(users[:4], users[:4], channel, n)
		})
	}
}

// TestAJoinerKnowsNoLessThanItsSuccessor: names and channels are asked for all the time while
// others join: none is ever unknown, and none is founded anew.
func TestAJoinerKnowsNoLessThanItsSuccessor(t *testing.T) {
	for _, seed := range seeds(4) {
		w := newSimNet(t, seed)
		w.grow(3)
		w.run(func(e *simEnv) {
			const names = 24
			for i := range names {
				e.open(w.nodes[0], fmt.Sprint("user", i)).join(fmt.Sprint("#c", i))
			}
			asker := e.open(w.nodes[1], "asker")
			joiner := e.open(w.nodes[2], "joiner")
			stop, asking := false, 2
			e.Go("looks for names", func() {
				for i := 0; !stop; i++ {
					nick := fmt.Sprint("user", i%names)
					if _, err := asker.Lookup(bg, nick); err != nil {
						e.T().Errorf("seed %d: %s: %v", seed, nick, err)
					}
				}
				asking--
			})
			e.Go("joins channels", func() {
				for i := 0; !stop; i++ {
					name := fmt.Sprint("#c", i%names)
					c, err := joiner.Join(bg, name, "")
					if err != nil || len(c.Members) != 2 || c.Members[0].Status != 0 || c.Members[1].Status != chat.Operator {
						e.T().Errorf("seed %d: %s: %+v, %v", seed, name, c.Members, err)
					}
					if err := joiner.Part(bg, name, ""); err != nil {
						e.T().Errorf("seed %d: %s: %v", seed, name, err)
					}
				}
				asking--
			})
			for range 8 {
				w.add()
				e.Sleep(400 * time.Millisecond)
			}
			stop = true
			e.Eventually("all is answered", func() bool { return asking == 0 })
		})
	}
}

// TestBothSidesHistoriesComeTogether: a network is cut for some minutes, and people go on
// talking on both sides. After the heal each has seen all that was said on the other side, once,
// with the time at which it was said, and each sender's in order.
func TestBothSidesHistoriesComeTogether(t *testing.T) {
	for _, seed := range seeds(3) {
		w := newSimNet(t, seed)
		w.grow(8)
		w.run(func(e *simEnv) {
			var users []*tester
			for i := range 8 {
				users = append(users, e.open(w.nodes[i], fmt.Sprint("u", i)))
				users[i].join("#tea")
			}
			e.sees(users[7], "#tea", "@u0 u1 u2 u3 u4 u5 u6 u7")
			e.Sleep(30 * time.Second)
			var part []*sim.Host
			for _, n := range w.nodes[4:] {
				part = append(part, n.h)
			}
			w.Partition(part)
			e.Sleep(20 * time.Second)
			const n = 12
			said := map[string]time.Time{}
			for i := range n {
				for _, u := range users {
					text := fmt.Sprintf("%s %d", u.name, i+1)
					u.send("#tea", text)
					said[text] = e.Now()
				}
				e.Sleep(20 * time.Second)
			}
			for _, u := range users {
				if err := u.Flush(bg); err != nil {
					e.Fatalf("seed %d: %s: %v", seed, u.name, err)
				}
			}
			w.Heal()
			e.Eventually("one ring", w.settled)
			e.Sleep(time.Minute)
			e.checkTalk(users, users, "#tea", n)
			for _, u := range users {
				for _, m := range eventsOf[chat.Message](u) {
					if off := m.At.Sub(said[m.Text]); off < -time.Second || off > 6*time.Second {
						e.T().Errorf("seed %d: %q is shown as of %v", seed, m.Text, off)
					}
				}
			}
		})
	}
}

// TestANodeWithAnOldDisk: a node's data directory is put back to what it was before. Its user's
// next words are no repeats of those that were said since, and all see them.
func TestANodeWithAnOldDisk(t *testing.T) {
	for _, seed := range seeds(3) {
		w := newSimNet(t, seed)
		w.grow(4)
		w.run(func(e *simEnv) {
			ann := e.open(w.nodes[0], "ann")
			ann.join("#tea")
			run := uint64(0)
			for life := range 4 { // in the first second of each life its numbers are the same
				bob := e.open(w.nodes[1], "bob")
				bob.join("#tea")
				for i := range 5 {
					bob.send("#tea", fmt.Sprint(life, ".", i))
				}
				if err := bob.Flush(bg); err != nil {
					e.Fatalf("%v", err)
				}
				e.Eventually("ann hears him", func() bool { return len(ann.texts()) == 5*(life+1) })
				if w.nodes[1].h.Run() == run {
					e.T().Error("two lives are one run")
				}
				run = w.nodes[1].h.Run()
				w.Crash(w.nodes[1].h)
				e.Sleep(time.Second)
				w.nodes[1] = w.start(w.Restart(w.nodes[1].h), w.nodes[0])
				e.wipe(w.nodes[1].h)
				e.Eventually("one ring", w.settled)
				e.Sleep(3 * time.Second)
			}
		})
	}
}

// wipe takes away what a node's database has, as an old copy of it would lack it.
func (e *simEnv) wipe(h *sim.Host) {
	var changes []host.Change
	_ = h.Store().Scan("", func(key string, _ []byte) bool {
		changes = append(changes, host.Change{Key: key})
		return true
	})
	if err := h.Store().Write(changes...); err != nil {
		e.Fatalf("%v", err)
	}
}
