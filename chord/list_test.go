package chord

import (
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"ircbridge/host/sim"
)

func idOf(n int64) (id ID) {
	big.NewInt(n).FillBytes(id[:])
	return id
}

func listOf(ns ...int64) (cs []Contact) {
	for _, n := range ns {
		cs = append(cs, Contact{ID: idOf(n)})
	}
	return cs
}

// TestIDArithmetic compares with math/big.
func TestIDArithmetic(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	mod := new(big.Int).Lsh(big.NewInt(1), bits)
	num := func(id ID) *big.Int { return new(big.Int).SetBytes(id[:]) }
	ids := []ID{{}, idOf(1), idOf(255), idOf(256)}
	for range 40 {
		var id ID
		for k := range id {
			id[k] = byte(rng.Uint32())
			if rng.IntN(8) == 0 {
				id[k] = 0xff
			}
		}
		ids = append(ids, id)
	}
	for _, a := range ids {
		for i := range bits {
			want := new(big.Int).Mod(new(big.Int).Add(num(a), new(big.Int).Lsh(big.NewInt(1), uint(i))), mod)
			if got := num(a.plusPower(i)); got.Cmp(want) != 0 {
				t.Fatalf("%s + 2^%d = %x, want %x", a, i, got, want)
			}
		}
		for _, b := range ids {
			dab := new(big.Int).Mod(new(big.Int).Sub(num(b), num(a)), mod)
			if got := num(Distance(a, b)); got.Cmp(dab) != 0 {
				t.Fatalf("distance %s %s = %x, want %x", a, b, got, dab)
			}
			for _, x := range ids {
				dax := new(big.Int).Mod(new(big.Int).Sub(num(x), num(a)), mod)
				open := dax.Sign() > 0 && (dax.Cmp(dab) < 0 || a == b)
				if Between(a, x, b) != open {
					t.Fatalf("Between(%s, %s, %s) = %v", a, x, b, !open)
				}
				if want := open || x == b || a == b; InRange(a, x, b) != want {
					t.Fatalf("InRange(%s, %s, %s) = %v", a, x, b, !want)
				}
				if nearer(a, x, b) != (dax.Cmp(dab) < 0) {
					t.Fatalf("nearer(%s, %s, %s)", a, x, b)
				}
			}
		}
	}
}

func TestParseID(t *testing.T) {
	id := idOf(0x1234)
	if got, err := ParseID(id.String()); err != nil || got != id {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "12", id.String() + "00", "zz" + id.String()[2:]} {
		if _, err := ParseID(bad); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

func TestFollow(t *testing.T) {
	for _, c := range []struct {
		self, head int64
		next       []int64
		r          int
		list, rest []int64
	}{
		{10, 20, []int64{30, 40, 50}, 3, []int64{20, 30, 40}, nil},
		{10, 20, []int64{30, 40}, 4, []int64{20, 30, 40}, nil},
		{10, 20, []int64{30, 10, 20}, 4, []int64{20, 30}, []int64{10, 20}},
		{10, 20, []int64{30, 15, 17}, 4, []int64{20, 30}, []int64{15, 17}}, // round the ring, past self
		{10, 20, []int64{30, 5, 7, 12}, 8, []int64{20, 30, 5, 7}, []int64{12}},
		{10, 20, nil, 4, []int64{20}, nil},
		{10, 20, []int64{20, 20}, 4, []int64{20}, []int64{20, 20}}, // nobody is listed twice
		{10, 20, []int64{30}, 1, []int64{20}, nil},
	} {
		list, rest := follow(idOf(c.self), listOf(c.head)[0], listOf(c.next...), c.r)
		if !sameIDs(list, listOf(c.list...)) || !sameIDs(rest, listOf(c.rest...)) {
			t.Errorf("follow(%d, %d, %v, %d) = %v, %v", c.self, c.head, c.next, c.r, list, rest)
		}
	}
}

func TestInsert(t *testing.T) {
	for _, c := range []struct {
		list []int64
		x    int64
		r    int
		want []int64
	}{
		{nil, 20, 3, []int64{20}},
		{[]int64{20, 40}, 30, 3, []int64{20, 30, 40}},
		{[]int64{20, 40}, 5, 3, []int64{20, 40, 5}},
		{[]int64{20, 40, 60}, 30, 3, []int64{20, 30, 40}},
		{[]int64{20, 40, 60}, 70, 3, []int64{20, 40, 60}},
		{[]int64{20, 40}, 40, 3, []int64{20, 40}},
		{[]int64{20, 40}, 10, 3, []int64{20, 40}},
	} {
		before := listOf(c.list...)
		got := insert(idOf(10), before, listOf(c.x)[0], c.r)
		if !sameIDs(got, listOf(c.want...)) {
			t.Errorf("insert(%v, %d, %d) = %v", c.list, c.x, c.r, got)
		}
		if !sameIDs(before, listOf(c.list...)) {
			t.Errorf("insert changed its argument %v", c.list)
		}
	}
}

func TestCandidates(t *testing.T) {
	all := func(Contact) bool { return true }
	fingers := []finger{{9, listOf(600)[0]}, {8, listOf(300)[0]}}
	pred := listOf(5)[0]
	for _, c := range []struct {
		key  int64
		want []int64
	}{
		{35, []int64{40, 30, 20, 50}},            // its owner is in the list
		{30, []int64{30, 20, 40, 50}},            // a node's own place
		{400, []int64{300, 50, 40, 30, 20}},      // beyond the list
		{7, []int64{5, 600, 300, 50, 40, 30}},    // this node's own
		{300, []int64{300, 50, 40, 30, 20}},      // the finger itself
		{700, []int64{600, 300, 50, 40, 30, 20}}, // furthest
	} {
		got := candidates(idOf(10), idOf(c.key), listOf(20, 30, 40, 50), fingers, &pred, all)
		if !sameIDs(got, listOf(c.want...)) {
			t.Errorf("key %d: %v, want %v", c.key, got, c.want)
		}
	}
	none := func(c Contact) bool { return c.ID != idOf(40) }
	if got := candidates(idOf(10), idOf(35), listOf(20, 30, 40, 50), nil, nil, none); !sameIDs(got, listOf(50, 30, 20)) {
		t.Errorf("without the owner: %v", got)
	}
}

func TestPeerTable(t *testing.T) {
	var p peerTable
	p.init(Config{}.withDefaults())
	id := idOf(1)
	if d := p.timeout(id); d != time.Second {
		t.Errorf("never measured: %v", d)
	}
	for range 100 {
		p.answered(id, 2*time.Millisecond)
	}
	if d := p.timeout(id); d != 100*time.Millisecond {
		t.Errorf("fast peer: %v", d)
	}
	p.missed(id)
	if d := p.timeout(id); d != 200*time.Millisecond {
		t.Errorf("after a miss: %v", d)
	}
	slow := idOf(2)
	for i := range 100 {
		p.answered(slow, time.Duration(150+i%2*100)*time.Millisecond)
	}
	if d := p.timeout(slow); d < 300*time.Millisecond || d > 500*time.Millisecond {
		t.Errorf("200 ms and 50 ms deviation: %v", d)
	}
	for i := range int64(2 * maxPeers) {
		p.get(idOf(1000 + i))
	}
	if len(p.byID) != maxPeers || p.used.Len() != maxPeers {
		t.Errorf("%d peers kept", len(p.byID))
	}
	now := time.Unix(0, 0)
	p.setBad(id, now.Add(time.Second))
	if !p.isBad(id, now) || p.isBad(id, now.Add(2*time.Second)) {
		t.Error("bad for the wrong time")
	}
	p.heard(id)
	if p.isBad(id, now) {
		t.Error("bad although it spoke up")
	}
}

// TestFounderFindsBack: who began a ring and joined through nobody remembers
// its members as soon as it has them, so that it finds back although it dies soon.
func TestFounderFindsBack(t *testing.T) {
	n := newNet(t, 1, sim.Config{}, Config{})
	founder := n.add()
	founder.r.Create()
	for range 2 {
		n.join(n.add(), founder)
	}
	n.awaitIdeal(3, 10*time.Second)
	n.do(func() { n.w.Sleep(3 * time.Second) }) // a round of stabilization, and the store commits
	n.w.Crash(founder.h)
	n.restart(founder)
	for _, x := range n.nodes[1:] {
		if indexOf(founder.r.remembered, x.r.id) < 0 {
			t.Errorf("node %s is not remembered", x.name)
		}
	}
}

// TestRememberedIsBounded: however many peers a node meets.
func TestRememberedIsBounded(t *testing.T) {
	n := newNet(t, 1, sim.Config{}, Config{})
	x := n.add()
	n.do(func() {
		for i := range 200 {
			c := contactN(byte(i))
			x.r.Remember(c.Peer)
		}
		n.w.Sleep(time.Second) // the store commits
	})
	if len(x.r.remembered) != maxRemembered {
		t.Errorf("%d remembered", len(x.r.remembered))
	}
	before := slices.Clone(x.r.remembered)
	n.w.Crash(x.h)
	n.restart(x)
	if len(x.r.remembered) != len(before) {
		t.Errorf("%d remembered after a restart, %d before", len(x.r.remembered), len(before))
	}
	for _, c := range before {
		if indexOf(x.r.remembered, c.ID) < 0 {
			t.Errorf("%s forgotten", c)
		}
	}
}
