package mapping

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// TestCensus: who asks comes to know how many users, channels and nodes there
// are, wherever; what a killed node held is no longer counted.
func TestCensus(t *testing.T) {
	for _, seed := range seeds(3) {
		w := newSimNet(t, seed)
		w.grow(20)
		w.run(func(e *simEnv) {
			counts := func(n *simNode, users, channels, nodes int) {
				want := chat.Counts{LocalUsers: 1, KnownUsers: users, KnownChannels: channels, KnownNodes: nodes}
				e.Eventually(fmt.Sprintf("%s counts %+v", n.h.Self().ID, want), func() bool { return n.s.Counts() == want })
			}
			ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
			counts(w.nodes[0], 2, 0, 20)
			ann.join("#open")
			bob.join("#hidden")
			if _, err := bob.SetMode(bg, "#hidden", []chat.ModeChange{{Add: true, Mode: 's'}}); err != nil {
				e.Fatalf("mode: %v", err)
			}
			for i := 2; i < 12; i++ {
				e.open(w.nodes[i], fmt.Sprint("user", i))
			}
			counts(w.nodes[0], 12, 2, 20)
			counts(w.nodes[11], 12, 2, 20)
			w.Crash(w.nodes[1].h)
			e.Eventually("the ring is whole", w.settled)
			e.Sleep(time.Minute) // for its lease and its users' grace
			counts(w.nodes[0], 11, 1, 19)
		})
	}
}

// TestCensusWithoutUsers: a node without sessions enters itself, and does not
// count.
func TestCensusWithoutUsers(t *testing.T) {
	w := newSimNet(t, 1)
	w.grow(4)
	w.run(func(e *simEnv) {
		e.Sleep(10 * time.Second)
		last := map[*simNode]time.Time{}
		for _, n := range w.nodes {
			last[n] = n.s.census.counted
			if last[n].IsZero() {
				e.T().Errorf("a node never counted, not even once for its first user")
			}
		}
		e.Sleep(5 * time.Minute)
		for _, n := range w.nodes {
			if got := n.s.census.counted; got != last[n] {
				e.T().Errorf("a node without users counted at %v, after %v", got, last[n])
			}
			if since := e.Now().Sub(n.s.census.renewed); since > renewEntry+10*time.Second {
				e.T().Errorf("a node entered itself %v ago", since)
			}
		}
	})
}

// TestDirectoryMergeLaws: entries of channels and nodes unite in any order.
func TestDirectoryMergeLaws(t *testing.T) {
	var nodes []overlay.Stream
	var channels []string
	for i := range 100 {
		if s := testStream(i, 0); shardOfNode(nodeID(s.Node)) == "0" {
			nodes = append(nodes, s)
		}
		if c := fmt.Sprint("#c", i); shardOf(c) == "0" {
			channels = append(channels, c)
		}
	}
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		var copies []*directoryObject
		for i := range 3 {
			d, k := newDirectoryObject("0"), newKeeperLog(i, seed)
			for range 30 {
				d.apply(k.turn(nodes[r.IntN(len(nodes))]), encode(&wire.Listings{
					Items:  []*wire.Listing{{Name: []byte(channels[r.IntN(len(channels))]), Count: r.Uint32N(9), CreatedMs: 1}},
					Census: []*wire.Census{{Users: r.Uint32N(9), Channels: r.Uint32N(9)}},
				}))
			}
			copies = append(copies, d)
		}
		united := func(list ...*directoryObject) *directoryObject {
			u := newDirectoryObject("0")
			for _, d := range list {
				if err := u.Merge(d.Snapshot()); err != nil {
					t.Fatal(err)
				}
			}
			return u
		}
		a, b, c := copies[0], copies[1], copies[2]
		want := string(united(a, b, c).Snapshot())
		if len(a.items) < 3 || len(a.census) < 3 {
			t.Fatalf("seed %d: too little was entered: %s", seed, a.Summary())
		}
		for i, other := range []*directoryObject{united(c, b, a), united(b, united(c, a)), united(united(a, b), c, a)} {
			if string(other.Snapshot()) != want {
				t.Errorf("seed %d: order %d gives another state", seed, i)
			}
		}
	}
}

// TestForeignCensus: a node enters itself, in its own shard, and nobody else.
func TestForeignCensus(t *testing.T) {
	s := testStream(1, 0)
	id := nodeID(s.Node)
	entry := encode(&wire.Listings{Census: []*wire.Census{{Node: []byte("another"), Users: 1}}})
	own, other := newDirectoryObject(shardOfNode(id)), newDirectoryObject(shardAt((id[0]>>4+1)%16))
	k := newKeeperLog(0, 1)
	own.apply(k.turn(s), entry)
	other.apply(k.turn(s), entry)
	if len(own.census) != 1 || own.census[string(id[:])] == nil || len(other.census) != 0 {
		t.Errorf("its shard has %v, another %v", own.census, other.census)
	}
	own.apply(k.turn(s), encode(&wire.Listings{Census: []*wire.Census{{Users: maxFigure + 1}}}))
	if got := own.census[string(id[:])].Users; got != 1 {
		t.Errorf("it claims to keep %d names", got)
	}
	k.now = k.now.Add(2 * listingLife * time.Millisecond)
	if !own.Empty(k.now) {
		t.Error("the entry does not lapse")
	}
}

// TestIdleTraffic: what a node of 16 sends at rest, in messages without the
// headers of packets, is a small part of the 500 bytes a second that it may.
func TestIdleTraffic(t *testing.T) {
	w := newSimNet(t, 1)
	w.grow(16)
	sent := func() (bytes float64) {
		for _, n := range w.nodes {
			bytes += float64(n.h.Traffic().SentBytes)
		}
		return bytes
	}
	rate := func() float64 {
		w.RunFor(time.Minute)
		before := sent()
		w.RunFor(5 * time.Minute)
		return (sent() - before) / 300 / 16
	}
	without := rate()
	w.run(func(e *simEnv) {
		for i, n := range w.nodes {
			e.open(n, fmt.Sprint("user", i))
		}
	})
	with := rate()
	t.Logf("a node sends %.0f bytes a second, with a user %.0f", without, with)
	if without > 100 || with > 150 {
		t.Errorf("a node sends %.0f bytes a second, with a user %.0f, want at most 100 and 150", without, with)
	}
}

// Who sees himself and others in several channels is counted once; so many as are here need no memory to be counted,
// since each is shown the figures when he comes.
func TestUsersAreCountedOnceAndWithoutAList(t *testing.T) {
	s := &Service{self: testStream(1, 0).Node, run: testStream(1, 0).Run, sessions: map[uint64]*session{}, views: map[string]*view{}}
	for n := range uint64(1000) {
		s.sessions[n+1] = &session{}
	}
	for _, name := range []string{"#a", "#b"} {
		st := newChannelObject(name).s
		for _, who := range []overlay.Stream{testStream(1, 1), testStream(1, 1001), testStream(2, 1), testStream(3, 1)} {
			st.members[who] = member{}
		}
		s.views[name] = &view{state: st}
	}
	s.views["#c"] = &view{} // not seen yet
	count := func() figures { return s.seenLocked([]string{"#b", "#d"}, map[host.PeerID]bool{s.self: true}) }
	if got, want := count(), (figures{users: 1003, channels: 3, nodes: 3}); got != want {
		t.Errorf("counted are %+v, want %+v", got, want)
	}
	if n := testing.AllocsPerRun(10, func() { count() }); n > 10 {
		t.Errorf("%v allocations to count 1000 users of this node", n)
	}
}
