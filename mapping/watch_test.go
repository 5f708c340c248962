package mapping

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/host/sim"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// told is what a user was told of the presence of others, in order.
func (u *tester) told() string {
	var words []string
	for _, ev := range u.events {
		if p, ok := ev.(chat.Presence); ok && p.Online {
			words = append(words, "+"+p.Nick)
		} else if ok {
			words = append(words, "-"+p.Nick)
		}
	}
	return strings.Join(words, " ")
}

// watches watches a nick, and wants it to be so.
func (e *simEnv) watches(u *tester, nick string, online bool) {
	list, err := u.Watch(bg, []string{nick})
	if err != nil || len(list) != 1 || list[0].Online != online {
		e.Fatalf("seed %d: %s watches %s: %+v, %v", e.w.Seed(), u.name, nick, list, err)
	}
}

func (e *simEnv) tells(u *tester, want string) {
	e.Eventually(fmt.Sprintf("%s is told %q, and not %q", u.name, want, u.told()), func() bool { return len(u.told()) >= len(want) })
	if got := u.told(); got != want {
		e.T().Errorf("seed %d: %s was told %q, want %q", e.w.Seed(), u.name, got, want)
	}
}

// TestWatchKeeperKilled: the keepers of two watched names, one held and one free,
// are killed, one after the other and then three at once. Nobody is told anything of that,
// and everybody of what comes after it, once.
func TestWatchKeeperKilled(t *testing.T) {
	for _, seed := range seeds(10) {
		for _, dead := range []int{1, 3} {
			w := newSimNet(t, seed)
			w.grow(9)
			w.run(func(e *simEnv) {
				keeper := w.nodes[8]
				held, free := e.nickOn(keeper), ""
				for i := 1; free == "" || free == held; i++ {
					if name := fmt.Sprintf("f%d", i); keeper.ring.Owns(overlay.Key(kindNick, name)) {
						free = name
					}
				}
				victims := []*simNode{keeper}
				for _, c := range keeper.ring.Successors()[:dead-1] {
					for _, n := range w.nodes {
						if n.h.Self().ID == c.Peer.ID {
							victims = append(victims, n)
						}
					}
				}
				var living []*simNode
				for _, n := range w.nodes {
					alive := true
					for _, v := range victims {
						alive = alive && n != v
					}
					if alive {
						living = append(living, n)
					}
				}
				ann, eve, bob := e.open(living[0], "ann"), e.open(living[1], "eve"), e.open(living[2], held)
				for _, u := range []*tester{ann, eve} {
					e.Eventually("she finds him", func() bool { _, err := u.Lookup(bg, held); return err == nil })
					e.watches(u, held, true)
					e.watches(u, free, false)
				}
				e.Sleep(time.Duration(seed%10) * 3 * time.Second)
				for _, v := range victims {
					w.Crash(v.h)
				}
				e.Eventually("the ring is whole", w.settled)
				e.Sleep(time.Duration(seed%3) * time.Second)
				if err := bob.SetAway(bg, "out"); err != nil {
					e.Fatalf("%v", err)
				}
				dan := e.open(living[3], free)
				for _, u := range []*tester{ann, eve} {
					e.tells(u, "+"+free)
				}
				e.Sleep(time.Minute)
				bob.Close("bye")
				for _, u := range []*tester{ann, eve} {
					e.tells(u, fmt.Sprintf("+%s -%s", free, held))
					away := 0
					for _, ev := range u.events {
						if a, ok := ev.(chat.AwayChanged); ok && a.Watched && a.Who.Nick == held {
							away++
						}
					}
					if away != 1 {
						t.Errorf("seed %d: %s was told of %d aways", seed, u.name, away)
					}
				}
				dan.Close("bye")
				e.Sleep(2 * time.Minute)
				for _, u := range []*tester{ann, eve} {
					e.tells(u, fmt.Sprintf("+%s -%s -%s", free, held, free))
				}
			})
		}
	}
}

// TestWatchNodeVanishes: a watched user's node is out of reach for some seconds, and
// nothing is shown; when it is gone for good he is offline, once, and when it starts again
// whoever has the nick then is online.
func TestWatchNodeVanishes(t *testing.T) {
	for _, seed := range seeds(10) {
		w := newSimNet(t, seed)
		w.grow(5)
		w.run(func(e *simEnv) {
			ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[3], "bob")
			e.Eventually("she finds him", func() bool { _, err := ann.Lookup(bg, "bob"); return err == nil })
			e.watches(ann, "bob", true)
			w.Partition([]*sim.Host{w.nodes[3].h})
			e.Sleep(time.Duration(2+seed%10) * time.Second)
			w.Heal()
			e.Sleep(time.Minute)
			e.tells(ann, "")
			w.Crash(w.nodes[3].h)
			e.Sleep(15 * time.Second)
			e.tells(ann, "")
			e.Sleep(45 * time.Second)
			e.tells(ann, "-bob")
			bob.Close("")
			w.nodes[3] = w.start(w.Restart(w.nodes[3].h), w.nodes[0])
			e.Sleep(time.Second)
			e.open(w.nodes[3], "bob")
			e.Sleep(time.Minute)
			e.tells(ann, "-bob +bob")
		})
	}
}

// TestWatchersCutOff: watchers on both sides of a cut, with the keeper on one of
// them. Each learns the truth of its side, and of the whole when it is whole again; a short
// cut is shown to nobody.
func TestWatchersCutOff(t *testing.T) {
	for _, seed := range seeds(10) {
		w := newSimNet(t, seed)
		w.grow(10)
		w.run(func(e *simEnv) {
			near, far := w.nodes[:5], w.nodes[5:]
			var a, b []*sim.Host
			for i := range near {
				a, b = append(a, near[i].h), append(b, far[i].h)
			}
			ann, eve := e.open(near[0], "ann"), e.open(far[0], "eve")
			bob, dan := e.open(near[1], "bob"), e.open(far[1], "dan")
			users := []*tester{ann, eve}
			for _, u := range users {
				for _, nick := range []string{"bob", "dan"} {
					e.Eventually("they are found", func() bool { _, err := u.Lookup(bg, nick); return err == nil })
					e.watches(u, nick, true)
				}
				e.watches(u, "kim", false)
			}
			w.Partition(a, b)
			e.Sleep(time.Duration(1+seed%10) * time.Second)
			w.Heal()
			e.Sleep(time.Minute)
			for _, u := range users {
				e.tells(u, "")
			}
			w.Partition(a, b)
			e.Sleep(2 * time.Minute)
			e.tells(ann, "-dan")
			e.tells(eve, "-bob")
			e.open(far[2], "kim")
			e.tells(eve, "-bob +kim")
			bob.Close("bye")
			e.tells(ann, "-dan -bob")
			e.Sleep(time.Minute)
			w.Heal()
			e.Sleep(3 * time.Minute)
			e.tells(eve, "-bob +kim")
			if got := ann.told(); got != "-dan -bob +dan +kim" && got != "-dan -bob +kim +dan" {
				t.Errorf("seed %d: she was told %s", seed, got)
			}
			dan.Close("bye")
			e.tells(eve, "-bob +kim -dan")
		})
	}
}

// TestWatchMoves: the names go to keepers that join, and from those that leave, with
// those who watch them.
func TestWatchMoves(t *testing.T) {
	for _, seed := range seeds(5) {
		w := newSimNet(t, seed)
		w.grow(3)
		w.run(func(e *simEnv) {
			ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
			e.Eventually("she finds him", func() bool { _, err := ann.Lookup(bg, "bob"); return err == nil })
			e.watches(ann, "bob", true)
			e.watches(ann, "kim", false)
			want := ""
			for i := range 6 {
				n := w.add()
				e.Sleep(time.Duration(seed) * 300 * time.Millisecond)
				kim := e.open(w.nodes[1], "kim")
				e.tells(ann, strings.TrimSpace(want+" +kim"))
				if i%2 == 0 {
					e.leave(n)
				}
				kim.Close("bye")
				want = strings.TrimSpace(want + " +kim -kim")
				e.tells(ann, want)
				e.Eventually("the nick is free", func() bool { _, err := bob.Lookup(bg, "kim"); return err != nil })
			}
			e.Sleep(2 * time.Minute)
			e.tells(ann, want)
		})
	}
}

// TestWatchEnds: a name that nobody has is kept while a node watches it, and not
// longer: neither when it has given it up, nor when the node is gone.
func TestWatchEnds(t *testing.T) {
	w := newSimNet(t, 1)
	w.grow(4)
	w.run(func(e *simEnv) {
		kept := func(name string) (n int) {
			for _, node := range w.live() {
				if node.o.KeepsNow(kindNick, name) {
					n++
				}
			}
			return n
		}
		ann, eve := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "eve")
		for _, nick := range []string{"one", "two"} {
			e.watches(ann, nick, false)
		}
		e.watches(eve, "two", false)
		e.watches(eve, "three", false)
		e.Sleep(10 * time.Minute)
		for _, nick := range []string{"one", "two", "three"} {
			if kept(nick) != 1 {
				t.Errorf("%s is kept by %d nodes while it is watched", nick, kept(nick))
			}
		}
		ann.Unwatch([]string{"one", "two"})
		w.Crash(w.nodes[1].h)
		e.Sleep(10 * time.Minute)
		for _, nick := range []string{"one", "two", "three"} {
			if kept(nick) != 0 {
				t.Errorf("%s is kept by %d nodes while nobody watches it", nick, kept(nick))
			}
		}
		if n := len(w.nodes[0].s.watches); n != 0 {
			t.Errorf("the node still watches %d names", n)
		}
	})
}

// TestWatchers: what a keeper does with those who watch a name.
func TestWatchers(t *testing.T) {
	k := newKeptNick(0, 1)
	a, b := testStream(1, 1), testStream(2, 0)
	watch := func(s overlay.Stream, off bool) *wire.Result {
		t.Helper()
		res := new(wire.Result)
		if err := decode(k.apply(k.turn(s), reqWatch(off)), res); err != nil {
			t.Fatal(err)
		}
		return res
	}
	events := func(f func()) (shown []string) {
		t.Helper()
		n := len(k.log)
		f()
		for _, e := range k.log[n:] {
			if len(e.Event) == 0 {
				continue
			}
			o, err := decodeNick(e.Event, "ada")
			if err != nil || len(o.watchers) > 0 {
				t.Fatalf("an event %v, with %d watchers", err, len(o.watchers))
			}
			if h := o.holder(); h != nil {
				shown = append(shown, h.person.away+"@"+h.nick)
			} else {
				shown = append(shown, "free")
			}
		}
		return shown
	}
	expect := func(what string, got []string, want ...string) {
		t.Helper()
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	if got := watch(testStream(2, 7), false); got.Code != wire.Code_BAD_REQUEST {
		t.Errorf("a user watches: %v", got.Code)
	}
	expect("unwatched", events(func() { k.claimAs(t, 1, a, "Ada") }))
	if got := watch(b, false); got.Code != wire.Code_OK || string(got.GetHolder().GetNick()) != "Ada" {
		t.Errorf("watch: %v", got)
	}
	if got := len(k.Nodes()); got != 2 {
		t.Errorf("%d nodes", got)
	}
	away := testPerson(a)
	away.version, away.away = 5, "out"
	expect("away", events(func() { k.apply(k.turn(a), reqNickPerson(away)) }), "out@Ada")
	expect("the same", events(func() { k.apply(k.turn(a), reqNickPerson(away)) }))
	c := *k.holder()
	c.person.version, c.person.away = 6, "in"
	expect("renewed", events(func() { k.renew(k.turn(overlay.Stream{}), a.Node, a.Run, encode(c.toWire(nil))) }), "in@Ada")
	expect("released", events(func() { k.apply(k.turn(a), reqRelease()) }), "free")
	k.nodeGone(k.turn(overlay.Stream{}), b.Node, b.Run)
	if k.now = k.now.Add(48 * time.Hour); k.Empty(k.now) {
		t.Error("a watched name counts as empty")
	}
	k.nodeGone(k.turn(overlay.Stream{}), b.Node, b.Run+1)
	if !k.Empty(k.now) {
		t.Error("the watcher's run is over, and the name is kept")
	}
	if !k.renew(k.turn(overlay.Stream{}), b.Node, b.Run, encode(&wire.Claim{Watching: true})) || len(k.watchers) != 1 {
		t.Error("a renewal does not bring the watcher back")
	}
	watch(b, true)
	if len(k.watchers) != 0 {
		t.Error("it is not given up")
	}
	for i := range uint64(maxWatchers) {
		k.watchers[overlay.Stream{Node: testNode(3), Run: i}] = true
	}
	k.claimAs(t, 1, a, "Ada")
	if got := watch(b, false); got.Code != wire.Code_LIST_FULL || string(got.GetHolder().GetNick()) != "Ada" {
		t.Errorf("one too many: %v", got)
	}
	if k.renew(k.turn(overlay.Stream{}), b.Node, b.Run, encode(&wire.Claim{Watching: true})) {
		t.Error("who finds no room is not sent a view")
	}
	o, err := decodeNick(k.Snapshot(), "ada")
	if err != nil || len(o.watchers) != maxWatchers {
		t.Fatalf("%v, %d watchers", err, len(o.watchers))
	}
	k.watchers[b] = true
	if _, err := decodeNick(k.Snapshot(), "ada"); err == nil {
		t.Error("too many watchers are read")
	}
}

// TestWatchCost: what a node that watches a hundred names costs the whole ring while
// nothing happens: a renewal for each keeper every half minute, with a line for each name.
func TestWatchCost(t *testing.T) {
	const nodes, names = 20, 100
	measure := func(watched int) (bytes, messages float64) {
		w := newSimNet(t, 1)
		w.grow(nodes)
		w.run(func(e *simEnv) {
			ann := e.open(w.nodes[0], "ann")
			var nicks []string
			for i := range watched {
				nicks = append(nicks, fmt.Sprintf("friend%d", i))
			}
			if _, err := ann.Watch(bg, nicks); err != nil {
				e.Fatalf("%v", err)
			}
			e.Sleep(5 * time.Minute)
			sum := func() (b, m float64) {
				for _, n := range w.nodes {
					b += float64(n.h.Traffic().SentBytes)
					m += float64(n.h.Traffic().SentMessages)
				}
				return b, m
			}
			const d = 10 * time.Minute
			b, m := sum()
			e.Sleep(d)
			bytes, messages = sum()
			bytes, messages = (bytes-b)/d.Seconds(), (messages-m)/d.Seconds()
		})
		return bytes, messages
	}
	b0, m0 := measure(0)
	b1, m1 := measure(names)
	if perName := (b1 - b0) / names; perName > 3.5 || m1-m0 > 5 {
		t.Errorf("a name that is watched costs %.1f B/s, and all of them %.1f messages/s", perName, m1-m0)
	}
	t.Logf("a ring of %d nodes: %.0f B/s in %.1f messages/s; with %d names watched by one of them %.0f B/s in %.1f", nodes, b0, m0, names, b1, m1)
}

// TestWatchTruth: users come, go and change their nicks at random while nodes are killed,
// started again, cut off and joined. When all is quiet every watcher knows who is there, and was
// told of nobody's coming or going twice in a row.
func TestWatchTruth(t *testing.T) {
	for _, seed := range seeds(15) {
		w := newSimNet(t, seed)
		w.grow(8)
		w.run(func(e *simEnv) {
			r := rand.New(rand.NewPCG(seed, 99))
			var pool []string
			for i := range 8 {
				pool = append(pool, fmt.Sprintf("pool%d", i))
			}
			last := map[*tester]map[string]bool{} // as each watcher was told
			var watchers []*tester
			for i := range 3 { // on nodes that stay
				u := e.open(w.nodes[i], fmt.Sprintf("watcher%d", i))
				list, err := u.Watch(bg, pool)
				if err != nil {
					e.Fatalf("seed %d: %v", seed, err)
				}
				last[u] = map[string]bool{}
				for _, p := range list {
					last[u][p.Nick] = p.Online
				}
				watchers = append(watchers, u)
			}
			users := map[int]*tester{} // by node, from 3
			for range 40 {
				i := 3 + r.IntN(5)
				n := w.nodes[i]
				switch k := r.IntN(12); {
				case !n.h.Running():
					w.nodes[i] = w.start(w.Restart(n.h), w.nodes[0])
				case k == 0:
					w.Crash(n.h)
					delete(users, i)
				case k == 1:
					w.Partition([]*sim.Host{n.h, w.nodes[3+r.IntN(5)].h})
				case k <= 3:
					w.Heal()
				case users[i] == nil:
					if se, err := n.s.Open(bg, chat.User{Nick: pool[r.IntN(len(pool))], Username: "u"}); err == nil {
						users[i] = &tester{Session: se}
					}
				case k <= 6:
					users[i].Close("bye")
					delete(users, i)
				default:
					_ = users[i].SetNick(bg, pool[r.IntN(len(pool))])
				}
				e.Sleep(time.Duration(r.IntN(8000)) * time.Millisecond)
			}
			w.Heal()
			for i, n := range w.nodes {
				if !n.h.Running() {
					w.nodes[i] = w.start(w.Restart(n.h), w.nodes[0])
				}
			}
			e.Eventually("the ring is whole", w.settled)
			e.Sleep(4 * time.Minute)
			there := map[string]bool{}
			for _, u := range users {
				there[u.Self().Nick] = true
			}
			for _, u := range watchers {
				for _, ev := range u.events {
					p, ok := ev.(chat.Presence)
					if !ok {
						continue
					}
					if last[u][p.Nick] == p.Online {
						t.Errorf("seed %d: %s was told twice in a row that %s is online: %v", seed, u.name, p.Nick, p.Online)
					}
					last[u][p.Nick] = p.Online
				}
				for _, nick := range pool {
					_, err := u.Lookup(bg, nick)
					if found := err == nil; last[u][nick] != there[nick] || found != there[nick] {
						t.Errorf("seed %d: %s was told that %s is online: %v, finds him: %v, and he is there: %v", seed, u.name, nick, last[u][nick], found, there[nick])
					}
				}
			}
		})
	}
}
