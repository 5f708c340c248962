package chord

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"ircbridge/chord/wire"
	"ircbridge/host"
	"ircbridge/host/sim"
)

// tellsAll reports what keeps the tables from being complete: each has all
// living members and nobody else.
func (n *testNet) tellsAll() error {
	ms := n.members()
	for _, x := range ms {
		t := &x.r.table
		for _, e := range t.members {
			if !slices.ContainsFunc(ms, func(y *testNode) bool { return y.r.id == e.ID }) {
				return fmt.Errorf("the table of %s has %s, which is no member", x.name, n.name(e.ID))
			}
		}
		for _, y := range ms {
			if e := t.get(y.r.id); e == nil || e.incarnation != y.r.gossip.incarnation {
				return fmt.Errorf("the table of %s lacks %s, or has an earlier life of it", x.name, y.name)
			}
		}
	}
	return nil
}

func (n *testNet) awaitTables(d time.Duration) time.Duration {
	n.t.Helper()
	start := n.w.Elapsed()
	for ; ; n.w.RunFor(10 * time.Millisecond) {
		err := n.tellsAll()
		if err == nil {
			return n.w.Elapsed() - start
		}
		if n.w.Elapsed()-start >= d {
			n.fatalf("after %v: %v", d, err)
		}
	}
}

// TestTablesComplete: when it is quiet every table has all members, after a
// ring has formed in a moment and after churn.
func TestTablesComplete(t *testing.T) {
	if testing.Short() {
		t.Skip("a simulation of minutes")
	}
	for _, size := range []int{2, 5, 16, 17, 100} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			n := newNet(t, uint64(size), sim.Config{}, Config{})
			n.grow(size)
			t.Logf("%d nodes: all tables complete %v after the ring is", size, n.awaitTables(2*time.Minute))
		})
	}
	for seed := uint64(1); seed <= 10; seed++ {
		t.Run(fmt.Sprint("churn ", seed), func(t *testing.T) {
			x := newChurn(t, seed)
			x.run()
			x.awaitTables(3 * time.Minute)
		})
	}
}

// TestAllKnow: how long until all nodes know of a join, of a death, and of a
// node that left, in rings of 16 and of 64.
func TestAllKnow(t *testing.T) {
	for size, mark := range map[int]time.Duration{16: 2 * time.Second, 64: 4 * time.Second} {
		n := newNet(t, 1, sim.Config{}, Config{})
		n.grow(size)
		n.awaitTables(time.Minute)
		for range 5 {
			ms := n.members()
			n.join(n.add(), ms[3])
			n.w.RunFor(50 * time.Millisecond) // until it is a member itself
			join := n.awaitTables(mark)
			n.w.RunFor(10 * time.Second)
			n.w.Crash(n.members()[5].h)
			death := n.awaitTables(mark)
			n.w.RunFor(10 * time.Second)
			t.Logf("%d nodes: all know of a join after %v, of a death after %v", size, join, death)
		}
		v := n.members()[2]
		v.h.Go("leave", func() {
			v.r.Leave(time.Second)
			n.w.Go("stop", func() { n.w.Stop(v.h) })
		})
		n.w.RunFor(time.Second)
		n.awaitTables(mark)
	}
}

// TestRestartIsALaterLife: a node that restarts at another address replaces
// what the tables have of it, before anybody could notice its death.
func TestRestartIsALaterLife(t *testing.T) {
	n := newNet(t, 3, sim.Config{}, Config{})
	n.ring(12)
	n.awaitTables(time.Minute)
	x := n.nodes[7]
	before := x.r.gossip.incarnation
	n.w.Crash(x.h)
	x.h = n.w.Restart(x.h, sim.Addr("elsewhere"))
	n.start(x)
	n.join(x, n.nodes[0])
	n.awaitIdeal(12, 30*time.Second)
	n.awaitTables(10 * time.Second)
	for _, y := range n.members() {
		if e := y.r.table.get(x.r.id); e.incarnation <= before || e.Peer.Addrs[0] != x.h.Addr() {
			t.Errorf("%s has incarnation %d at %v, was %d", y.name, e.incarnation, e.Peer.Addrs, before)
		}
	}
}

// TestDeadStayDead: contacts that are dead do not come back from the table of
// a node that was cut off while they died.
func TestDeadStayDead(t *testing.T) {
	n := newNet(t, 4, sim.Config{}, Config{})
	ms := n.ring(30)
	n.awaitTables(time.Minute)
	hung := ms[4]
	n.w.Pause(hung.h)
	for i := 10; i < 16; i++ {
		n.w.Crash(ms[i].h)
	}
	n.w.RunFor(2 * time.Minute)
	n.w.Resume(hung.h)
	n.w.RunFor(2 * time.Minute)
	for range 10 {
		n.w.RunFor(time.Minute)
		if err := n.tellsAll(); err != nil {
			n.fatalf("%v", err)
		}
	}
}

// TestTablesAfterMerge: of a ring that was cut in two, and is one again, all
// tables have all members again.
func TestTablesAfterMerge(t *testing.T) {
	n := newNet(t, 12, sim.Config{}, Config{})
	ms := n.ring(24)
	n.awaitTables(time.Minute)
	var half []*sim.Host
	for i, x := range ms {
		if i%2 == 0 {
			half = append(half, x.h)
		}
	}
	n.w.Partition(half)
	n.w.RunFor(time.Minute)
	if len(ms[0].r.table.members) == 24 {
		t.Error("the table still has the other half: this test shows nothing")
	}
	n.w.Heal()
	n.awaitIdeal(24, 2*time.Minute)
	t.Logf("complete %v after the ring is", n.awaitTables(3*time.Minute))
}

// tell hands an event to x as if a neighbour had passed it on for the whole
// ring.
func (n *testNet) tell(from, x *testNode, e *event) {
	req, err := encodeGossip([]batch{{events: []*event{e}, on: true, until: x.r.id}})
	if err != nil {
		n.fatalf("%v", err)
	}
	n.do(func() {
		if _, err := from.h.Call(x.h.Self(), methodGossip, req, time.Second); err != nil {
			n.t.Errorf("gossip: %v", err)
		}
	})
}

// TestFalseDeath: a living node that is said to be gone says that it lives, and
// all believe it.
func TestFalseDeath(t *testing.T) {
	n := newNet(t, 5, sim.Config{}, Config{})
	ms := n.ring(20)
	n.awaitTables(time.Minute)
	x := ms[9]
	was := x.r.gossip.incarnation
	n.tell(ms[0], ms[1], &event{Contact: x.r.Self(), incarnation: was, gone: true})
	n.w.RunFor(200 * time.Millisecond)
	if ms[2].r.table.get(x.r.id) != nil && ms[5].r.table.get(x.r.id) != nil {
		t.Error("nobody heard the lie: this test shows nothing")
	}
	n.awaitTables(40 * time.Second)
	if x.r.gossip.incarnation <= was {
		t.Error("its incarnation is the same")
	}
}

// TestInventedMember: a member that does not exist is found out by the node to
// which its place falls, and all forget it.
func TestInventedMember(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { inventMembers(t, seed) })
	}
}

func inventMembers(t *testing.T, seed uint64) {
	n := newNet(t, seed, sim.Config{}, Config{})
	ms := n.ring(20)
	n.awaitTables(time.Minute)
	for i := range byte(5) {
		c := NewContact(host.Peer{ID: peerN(10 + i), Addrs: []string{"sim:nowhere"}})
		n.tell(ms[0], ms[1], &event{Contact: c, incarnation: 1})
	}
	n.w.RunFor(30 * time.Millisecond)
	if len(ms[1].r.table.members) <= 20 {
		t.Fatalf("%d members: this test shows nothing", len(ms[1].r.table.members))
	}
	n.awaitTables(40 * time.Second) // whom the owner of its place never heard of, a comparison finds
	n.w.RunFor(5 * time.Minute)
	if err := n.tellsAll(); err != nil {
		t.Error(err)
	}
}

// TestSmallBudget: a storm of joins in a ring with a budget far too small. No
// node spends more than its budget and what it had saved, the table thins out
// evenly, lookups are right all the time, and when it is quiet the table fills
// again.
func TestSmallBudget(t *testing.T) {
	if testing.Short() {
		t.Skip("a simulation of minutes")
	}
	const budget = 40
	n := newNet(t, 7, sim.Config{}, Config{TableBudget: budget})
	n.grow(20)
	n.w.RunFor(time.Minute)
	spent := func(x *testNode) int { return x.r.meter.spent }
	before, start := map[*testNode]int{}, n.w.Elapsed()
	for _, x := range n.members() {
		before[x] = spent(x)
	}
	for range 40 {
		ms := n.members()
		for range 2 {
			n.join(n.add(), ms[int(ms[0].h.Rand()%uint64(len(ms)))])
		}
		n.w.RunFor(time.Second)
	}
	n.w.RunFor(30 * time.Second)
	seconds := int((n.w.Elapsed() - start) / time.Second)
	thin := 0
	for _, x := range n.members() {
		if x.r.table.level > 0 {
			thin++
		}
		if most := budget*(seconds+burst) + 16<<10; spent(x)-before[x] > most {
			t.Errorf("%s sent %d bytes in %d s, at most %d", x.name, spent(x)-before[x], seconds, most)
		}
	}
	if thin == 0 {
		t.Error("no table was thinned out: this test shows nothing")
	}
	t.Logf("%d of %d tables are thinned out; %s has %d contacts at level %d", thin, len(n.members()), n.nodes[0].name, n.nodes[0].r.Table().Contacts, n.nodes[0].r.table.level)
	n.awaitIdeal(100, time.Minute)
	n.checkLookups(300)
	n.w.RunFor(20 * time.Minute)
	for _, x := range n.members() {
		if have := x.r.Table().Contacts; x.r.table.level != 0 || have < 90 {
			t.Errorf("%s: %d contacts at level %d, long after", x.name, have, x.r.table.level)
		}
	}
}

// TestNoTable: rings with and without tables are one ring.
func TestNoTable(t *testing.T) {
	n := newNet(t, 8, sim.Config{}, Config{})
	for i := range 40 {
		if n.cfg.TableBudget = 1000; i%2 == 0 {
			n.cfg.TableBudget = -1
		}
		x := n.add()
		if i == 0 {
			x.r.Create()
		} else {
			n.join(x, n.nodes[0])
		}
		n.w.RunFor(200 * time.Millisecond)
	}
	n.awaitIdeal(40, time.Minute)
	n.checkLookups(200)
	n.w.RunFor(2 * time.Minute)
	for i, x := range n.nodes {
		s := x.r.Table()
		if i%2 == 0 && (s.Contacts != 0 || s.Budget != 0) || i%2 == 1 && s.Contacts < 15 {
			t.Errorf("%s: %+v", x.name, s)
		}
	}
}

// TestDeadContactDoesNotDelay: a contact of the table that is silent, and to
// which there is no connection, delays no lookup: the ring answers meanwhile.
func TestDeadContactDoesNotDelay(t *testing.T) {
	n := newNet(t, 9, sim.Config{}, Config{})
	ms := n.ring(60)
	n.awaitTables(time.Minute)
	ghost := n.w.Add("ghost")
	n.w.Start(ghost, nil)
	n.w.Pause(ghost)
	c := NewContact(ghost.Self())
	asker := slices.IndexFunc(ms, func(x *testNode) bool { return InRange(x.r.id, c.ID, ms[(slices.Index(ms, x)+1)%60].r.id) })
	x := ms[(asker+30)%60]
	x.r.table.learn(&event{Contact: c, incarnation: 1}, x.h.Now())
	n.do(func() {
		start := n.w.Elapsed()
		f, err := x.r.Lookup(c.ID, 5*time.Second)
		if took := n.w.Elapsed() - start; err != nil || f.Owner.ID != owner(ms, c.ID).r.id || took > 50*time.Millisecond {
			t.Errorf("owner %s after %v, %v", f.Owner, took, err)
		}
	})
}

// TestNearestOfEqual: of contacts that are equally good for a lookup the one
// with the shortest round trip comes first, and one with a connection before
// those without.
func TestNearestOfEqual(t *testing.T) {
	near := map[string]bool{"n5": true, "n17": true, "n29": true}
	n := newNet(t, 10, sim.Config{Latency: func(_ *rand.Rand, from, to string) time.Duration {
		if near[from] || near[to] {
			return time.Millisecond
		}
		return 20 * time.Millisecond
	}}, Config{SuccessorListLen: 8})
	ms := n.ring(60)
	n.awaitTables(2 * time.Minute)
	x := n.nodes[40]
	at := slices.Index(ms, x)
	for i := range ms {
		n.do(func() { _, _ = x.r.ping(ms[i].r.Self(), time.Second) }) // dials
		n.do(func() { _, _ = x.r.ping(ms[i].r.Self(), time.Second) }) // measures
	}
	chosen := 0
	for off := 20; off < 55; off++ {
		key := ms[(at+off)%60].r.id
		x.r.mu.Lock()
		p := passing{ring: x.r, q: find{key: key}, asked: map[ID]bool{x.r.id: true}}
		x.r.mu.Unlock()
		if apart := p.refill(); apart != nil || p.next[0].ID != key {
			t.Fatal("the owner, which has a connection, does not come first")
		}
		var best time.Duration
		for k := 1; k <= 8; k++ {
			if d, ok := x.r.RTT(ms[(at+off-k)%60].h.Self().ID); ok && (best == 0 || d < best) {
				best = d
			}
		}
		got, _ := x.r.RTT(p.next[1].Peer.ID)
		if got != best {
			t.Errorf("key %d places on: asks one of %v, there is one of %v", off, got, best)
		}
		if best < 10*time.Millisecond {
			chosen++
		}
	}
	if chosen == 0 {
		t.Error("no near node was among those: this test shows nothing")
	}
}

// TestTableReplays: equal seeds give equal runs, with the table.
func TestTableReplays(t *testing.T) {
	run := func() uint64 {
		x := newChurn(t, 77)
		x.run()
		x.w.RunFor(time.Minute)
		return x.w.Digest()
	}
	if a, b := run(), run(); a != b {
		t.Errorf("one seed, two runs: %x, %x", a, b)
	}
}

// TestLearn: of two events the one of the later life holds, of one life the
// death.
func TestLearn(t *testing.T) {
	now := time.Unix(0, 0)
	ev := func(n uint64, gone bool) *event { return &event{Contact: contactN(1), incarnation: n, gone: gone} }
	for _, c := range []struct {
		first, then *event
		news, in    bool
	}{
		{ev(1, false), ev(1, false), false, true},
		{ev(1, false), ev(2, false), true, true},
		{ev(2, false), ev(1, false), false, true},
		{ev(1, false), ev(1, true), true, false},
		{ev(2, false), ev(1, true), false, true},
		{ev(1, true), ev(1, false), false, false},
		{ev(1, true), ev(2, false), true, true},
		{ev(1, true), ev(1, true), false, false},
		{ev(1, true), ev(2, true), true, false},
	} {
		var tb table
		tb.reset()
		tb.learn(c.first, now)
		news := tb.learn(c.then, now)
		if in := tb.get(c.first.ID) != nil; news != c.news || in != c.in {
			t.Errorf("%d, gone %v, then %d, gone %v: news %v, in the table %v", c.first.incarnation, c.first.gone, c.then.incarnation, c.then.gone, news, in)
		}
	}
	var tb table
	tb.reset()
	tb.learn(ev(3, true), now)
	for i := range maxGraves + 10 {
		var c Contact
		c.ID[0], c.ID[1], c.ID[2] = 1, byte(i>>8), byte(i)
		tb.learn(&event{Contact: c, incarnation: 1, gone: true}, now.Add(time.Second))
	}
	if len(tb.graves) > maxGraves || len(tb.buried) > maxGraves || tb.ended(contactN(1).ID, 3) {
		t.Errorf("%d graves, at most %d, the oldest first", len(tb.graves), maxGraves)
	}
}

// TestSamples: a level halves the table, and the sums of two tables are equal
// at the level of the thinner one.
func TestSamples(t *testing.T) {
	var a, b table
	a.reset()
	b.reset()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		var c Contact
		for i := range c.ID {
			c.ID[i] = byte(rng.Uint32())
		}
		a.learn(&event{Contact: c, incarnation: 1}, time.Time{})
		b.learn(&event{Contact: c, incarnation: 1}, time.Time{})
	}
	b.setLevel(2)
	if n := len(b.members); n < 200 || n > 300 {
		t.Errorf("%d of 1000 at level 2", n)
	}
	if a.sum(2) != b.sum(2) || a.sum(0) == b.sum(0) || !slices.Equal(a.sums(2, 5), b.sums(2, 5)) {
		t.Error("sums")
	}
	total := 0
	for i := range 1 << 5 {
		total += len(a.segment(0, 5, i))
	}
	if total != 1000 || len(a.segment(0, 0, 0)) != 1000 {
		t.Errorf("segments hold %d, and the one of one %d", total, len(a.segment(0, 0, 0)))
	}
}

// TestBadTableMessages: messages that break a bound are refused whole.
func TestBadTableMessages(t *testing.T) {
	good := eventToWire(&event{Contact: contactN(1), incarnation: 1})
	many := slices.Repeat([]*wire.Event{good}, 200)
	refused := func(name string, err error) {
		t.Helper()
		if !errors.Is(err, errMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, m := range map[string]*wire.GossipRequest{ // any order: each for itself
		"too many events":         {Batches: []*wire.Batch{{Events: many}}},
		"too many in all":         {Batches: []*wire.Batch{{Events: many[:40]}, {Events: many[:40]}}},
		"short ID":                {Batches: []*wire.Batch{{Events: many[:1], Until: []byte("x")}}},
		"foreign peer ID":         {Batches: []*wire.Batch{{Events: []*wire.Event{{Peer: []byte("x"), Incarnation: 1}}}}},
		"no incarnation":          {Batches: []*wire.Batch{{Events: []*wire.Event{{Peer: good.Peer}}}}},
		"incarnation without end": {Batches: []*wire.Batch{{Events: []*wire.Event{{Peer: good.Peer, Incarnation: 1 << 60}}}}},
		"too many addresses":      {Batches: []*wire.Batch{{Events: []*wire.Event{{Peer: good.Peer, Incarnation: 1, Addrs: slices.Repeat([]string{"a"}, 9)}}}}},
		"doubt of nobody":         {Doubts: [][]byte{[]byte("x")}},
		"too many doubts":         {Doubts: slices.Repeat([][]byte{good.Peer}, 65)},
		"too many batches":        {Batches: slices.Repeat([]*wire.Batch{{}}, 65)},
	} {
		_, _, err := decodeGossip(mustEncode(t, m))
		refused(name, err)
	}
	_, err := decodeTable(mustEncode(t, &wire.TableReply{Members: many}), ID{})
	refused("chunk too large", err)
	_, err = decodeTable(mustEncode(t, &wire.TableReply{Members: many[:2]}), ID{})
	refused("chunk out of order", err)
	_, err = decodeTable(mustEncode(t, &wire.TableReply{}), ID{})
	refused("chunk without end", err)
	_, err = decodeCompare(mustEncode(t, &wire.CompareRequest{Bits: 30}))
	refused("too many segments", err)
	_, err = decodeCompare(mustEncode(t, &wire.CompareRequest{Bits: 1, Segments: []*wire.Segment{{Index: 2}}}))
	refused("no such segment", err)
	_, err = decodeCompare(mustEncode(t, &wire.CompareRequest{Segments: []*wire.Segment{{Places: []uint64{1}}}}))
	refused("place without incarnation", err)
	_, err = decodeCompared(mustEncode(t, &wire.CompareReply{Bits: 3, Sums: []uint32{1}}))
	refused("sums missing", err)
	_, err = decodeNext(mustEncode(t, &wire.NextReply{Outcome: 9}))
	refused("no such outcome", err)
}
