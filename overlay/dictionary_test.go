package overlay

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

const hour = time.Hour

// put puts a value and fails the test on an error.
func (n *node) put(w *world, key, value string) {
	w.t.Helper()
	if err := n.o.Put(key, []byte(value), hour, 5*time.Second); err != nil {
		w.t.Errorf("seed %d: put %s under %s: %v", w.Seed(), value, key, err)
	}
}

// got is what a node finds under a key: "owner=value owner=value", owners by
// the names of their hosts.
func (n *node) got(w *world, key string) string {
	w.t.Helper()
	values, err := n.o.Get(key, 5*time.Second)
	if err != nil {
		w.t.Errorf("seed %d: get %s: %v", w.Seed(), key, err)
	}
	found := map[string]bool{}
	for _, v := range values {
		found[w.nameOf(v.Owner)+"="+string(v.Data)] = true
	}
	return strings.Join(sorted(found), " ")
}

func (w *world) nameOf(id host.PeerID) string {
	for _, n := range w.nodes {
		if n.host.Self().ID == id {
			return n.host.Name()
		}
	}
	return "?"
}

// nameKeptBy finds a name of a kind whose key lies with a node.
func (w *world) nameKeptBy(kind string, keeper *node) string {
	for i := range 10000 {
		name := fmt.Sprintf("name%d", i)
		if keeper.ring.Owns(Key(kind, name)) {
			return name
		}
	}
	w.t.Fatal("no such name")
	return ""
}

// settledHome: every object of a kind is kept once, by the owner of its key,
// and there are as many as wanted.
func (w *world) settledHome(kind string, want int) bool {
	total := 0
	for _, n := range w.nodes {
		if !n.host.Running() {
			continue
		}
		for _, name := range n.o.Kept(kind) {
			if total++; !n.ring.Owns(Key(kind, name)) {
				return false
			}
		}
	}
	return total == want
}

func TestPutGetRemove(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func() {
		w.grow(4)
		a, b, c := w.nodes[0], w.nodes[1], w.nodes[2]
		if got := c.got(w, "colour"); got != "" {
			t.Errorf("of nobody: %q", got)
		}
		a.put(w, "colour", "red")
		a.put(w, "colour", "blue")
		b.put(w, "colour", "red")
		b.put(w, "colour", "red")
		for _, n := range w.nodes {
			if got := n.got(w, "colour"); got != "n0=blue n0=red n1=red" {
				t.Errorf("%s finds %q", n.host.Name(), got)
			}
		}
		if err := a.o.Remove("colour", []byte("red"), time.Second); err != nil {
			t.Error(err)
		}
		if err := c.o.Remove("colour", []byte("red"), time.Second); err != nil {
			t.Error("nothing to remove: ", err)
		}
		if got := c.got(w, "colour"); got != "n0=blue n1=red" {
			t.Errorf("after a removal: %q", got)
		}
		for _, err := range []error{a.o.Remove("colour", []byte("blue"), time.Second), b.o.Remove("colour", []byte("red"), time.Second)} {
			if err != nil {
				t.Error(err)
			}
		}
		w.must("the empty record is dropped", func() bool { return w.settledHome("record", 0) })
		for _, n := range w.nodes {
			if len(n.o.holds) != 0 || len(n.o.dict.own) != 0 {
				t.Errorf("%s still holds something", n.host.Name())
			}
		}
	})
}

func TestPutRefuses(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func() {
		w.grow(2)
		o := w.nodes[0].o
		long, v := strings.Repeat("x", 65), []byte("v")
		for i, tt := range []struct {
			err, want error
		}{
			{o.Put("", v, hour, time.Second), ErrBadName},
			{o.Put(long, v, hour, time.Second), ErrBadName},
			{o.Put("\xff", v, hour, time.Second), ErrBadName},
			{o.Put("k", nil, hour, time.Second), ErrBadValue},
			{o.Put("k", make([]byte, MaxValue+1), hour, time.Second), ErrBadValue},
			{o.Put("k", v, MinTTL-1, time.Second), ErrBadTTL},
			{o.Put("k", v, MaxTTL+1, time.Second), ErrBadTTL},
			{o.Put(long[:64], make([]byte, MaxValue), MaxTTL, time.Second), nil},
			{o.Put("k", v, MinTTL, time.Second), nil},
		} {
			if !errors.Is(tt.err, tt.want) {
				t.Errorf("case %d: %v, want %v", i, tt.err, tt.want)
			}
		}
		for i := range MaxOwnerValues {
			if err := o.Put("many", []byte{byte(i + 1)}, hour, time.Second); err != nil {
				t.Error(err)
			}
		}
		if err := o.Put("many", []byte("more"), hour, time.Second); !errors.Is(err, ErrQuota) {
			t.Error(err)
		}
		if err := o.Put("many", []byte{1}, hour, time.Second); err != nil {
			t.Error("a value again: ", err)
		}
		if got := len(o.dict.own["many"]); got != MaxOwnerValues {
			t.Errorf("%d values are renewed", got)
		}
		bare := &Overlay{}
		if err := bare.Put("k", v, hour, time.Second); !errors.Is(err, ErrNotRegistered) {
			t.Error(err)
		}
	})
}

// A node that does not register the kind refuses it, by name.
func TestANodeWithoutRecordsRefusesThem(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func() {
		w.grow(2)
		delete(w.nodes[1].o.kinds, recordKind)
		key := w.nameKeptBy("record", w.nodes[1])
		if err := w.nodes[0].o.Put(key, []byte("v"), hour, time.Second); !errors.Is(err, ErrRejected) {
			t.Error(err)
		}
	})
}

func TestAKeyHasABound(t *testing.T) {
	r := newRecord("full").(*record)
	put := func(owner int, value string) wire.Outcome_Code {
		id := peer(owner)
		req, _ := proto.Marshal(&wire.RecordRequest{What: &wire.RecordRequest_Put{Put: &wire.RecordPut{
			Value: []byte(value), TtlMs: uint64(hour.Milliseconds())}}})
		out := new(wire.Outcome)
		if err := proto.Unmarshal(r.Apply(&Turn{from: Stream{id, 1, sessionRecords}, number: 1}, req), out); err != nil {
			t.Fatal(err)
		}
		return out.Code
	}
	for i := range MaxValues {
		if code := put(i, "v"); code != wire.Outcome_DONE {
			t.Fatalf("value %d: %v", i, code)
		}
	}
	if code := put(MaxValues, "v"); code != wire.Outcome_FULL {
		t.Errorf("one more: %v", code)
	}
	if code := put(0, "v"); code != wire.Outcome_DONE {
		t.Errorf("one again: %v", code)
	}
}

// peer is some valid peer ID.
func peer(i int) host.PeerID {
	key := make([]byte, 32)
	key[0], key[1] = byte(i), byte(i>>8)
	return host.PeerIDFromKey(key)
}

// someRecord is a random state of few owners and values, so that two of them
// overlap.
func someRecord(r *rand.Rand) *record {
	s := newRecord("some").(*record)
	for range r.IntN(8) {
		id := peer(r.IntN(12))
		o := s.owners[id]
		if o == nil {
			o = &recordOwner{run: r.Uint64N(3), values: map[string]*recordValue{}}
			s.owners[id] = o
		}
		for range 1 + r.IntN(MaxOwnerValues) {
			if len(o.values) < MaxOwnerValues {
				o.values[fmt.Sprint(r.IntN(24))] = &recordValue{
					ttl: MinTTL + time.Duration(r.IntN(3))*time.Second, run: r.Uint64N(3), number: r.Uint64N(4),
				}
			}
		}
	}
	return s
}

// Merge is commutative, associative and idempotent, also where states are cut
// at their limits.
func TestRecordsUnite(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	merged := func(parts ...[]byte) []byte {
		r := newRecord("some")
		for _, p := range parts {
			if err := r.Merge(p); err != nil {
				t.Fatal(err)
			}
		}
		return r.Snapshot()
	}
	for range 2000 {
		a, b, c := someRecord(rnd).Snapshot(), someRecord(rnd).Snapshot(), someRecord(rnd).Snapshot()
		if x, y := merged(a, b), merged(b, a); string(x) != string(y) {
			t.Fatalf("not commutative:\n%x\n%x", x, y)
		}
		if x, y := merged(merged(a, b), c), merged(a, merged(b, c)); string(x) != string(y) {
			t.Fatalf("not associative:\n%x\n%x", x, y)
		}
		if x, y := merged(a), merged(a, a); string(x) != string(y) {
			t.Fatalf("not idempotent:\n%x\n%x", x, y)
		}
	}
}

// putEverywhere puts one value of each node under each of some keys, and says
// what each key then has.
func putEverywhere(w *world, owners []*node, keys int) (names []string, want string) {
	var all []string
	for _, n := range owners {
		all = append(all, n.host.Name()+"=v")
	}
	for i := range keys {
		names = append(names, fmt.Sprint("key", i))
		for _, n := range owners {
			n.put(w, names[i], "v")
		}
	}
	return names, strings.Join(all, " ")
}

func TestRecordsMoveToAJoiner(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, seed)
			w.run(func() {
				w.grow(3)
				keys, want := putEverywhere(w, w.nodes[:3], 16)
				for len(w.nodes) < 9 {
					last := w.add()
					for i := 0; !last.o.open || !last.ring.Member(); i++ {
						w.Sleep(time.Millisecond)
						if got := w.nodes[0].got(w, keys[i%16]); got != want {
							t.Errorf("while one joins, %s has %q", keys[i%16], got)
						}
					}
				}
				w.grow(9)
				w.must("each record at its keeper", func() bool { return w.settledHome("record", 16) })
				for _, k := range keys {
					if got := w.nodes[8].got(w, k); got != want {
						t.Errorf("%s has %q", k, got)
					}
				}
			})
		})
	}
}

func TestRecordsMoveFromALeaver(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, seed)
			w.run(func() {
				w.grow(6)
				keys, want := putEverywhere(w, w.nodes[:2], 16)
				left := 0
				for _, gone := range w.nodes[2:5] {
					w.Go("leave", func() {
						gone.o.Leave(5 * time.Second)
						gone.ring.Leave(time.Second)
						w.Stop(gone.host)
						left++
					})
				}
				for i := 0; left < 3; i++ {
					w.Sleep(time.Millisecond)
					if got := w.nodes[5].got(w, keys[i%16]); got != want {
						t.Errorf("while some leave, %s has %q", keys[i%16], got)
					}
				}
				for _, k := range keys {
					if got := w.nodes[5].got(w, k); got != want {
						t.Errorf("%s has %q", k, got)
					}
				}
			})
		})
	}
}

// A killed keeper's records come back from their owners where there are no
// copies, at once, all but its own values and those that were removed.
func TestOwnersBringBackWhatAKilledKeeperHad(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, seed)
			w.cfg.Copies = 1
			w.run(func() {
				w.grow(7)
				key := w.nameKeptBy("record", w.nodes[5])
				for _, n := range w.nodes[:4] {
					n.put(w, key, "kept")
					n.put(w, key, "removed")
				}
				w.nodes[5].put(w, key, "its own")
				for _, n := range w.nodes[:4] {
					if err := n.o.Remove(key, []byte("removed"), time.Second); err != nil {
						t.Error(err)
					}
				}
				w.Crash(w.nodes[5].host)
				began := w.Elapsed()
				want := "n0=kept n1=kept n2=kept n3=kept"
				w.must("back", func() bool { return w.nodes[6].got(w, key) == want })
				if d := w.Elapsed() - began; d > 3*time.Second {
					t.Errorf("took %v", d)
				}
				w.Sleep(2 * time.Minute)
				if got := w.nodes[4].got(w, key); got != want {
					t.Errorf("later: %q", got)
				}
			})
		})
	}
}

// A joiner takes a key over and is killed right after: the owners know it as
// their keeper without waiting for their next renewal.
func TestANewKeeperIsKnownToTheOwners(t *testing.T) {
	for seed := range uint64(10) {
		w := newWorld(t, seed)
		w.run(func() {
			w.grow(4)
			keys, want := putEverywhere(w, w.nodes[:2], 32)
			last := w.add()
			w.grow(5)
			w.must("each record at its keeper", func() bool { return w.settledHome("record", 32) })
			w.Sleep(100 * time.Millisecond)
			w.Crash(last.host)
			began := w.Elapsed()
			for _, k := range keys {
				w.must("back", func() bool { return w.nodes[3].got(w, k) == want })
			}
			if d := w.Elapsed() - began; d > 4*time.Second {
				t.Errorf("seed %d: took %v", seed, d)
			}
		})
	}
}

// The owner is gone: its values have their time to live, from the last
// renewal, and no more; a living owner's stay.
func TestValuesLapseAfterTheirTimeToLive(t *testing.T) {
	for seed := range uint64(10) {
		w := newWorld(t, seed)
		w.run(func() {
			w.grow(5)
			key := w.nameKeptBy("record", w.nodes[4])
			w.nodes[0].put(w, key, "lives")
			if err := w.nodes[1].o.Put(key, []byte("short"), 3*time.Minute, time.Second); err != nil {
				t.Fatal(err)
			}
			if err := w.nodes[1].o.Put(key, []byte("long"), 10*time.Minute, time.Second); err != nil {
				t.Fatal(err)
			}
			w.Sleep(5 * time.Minute) // renewed
			if got := w.nodes[2].got(w, key); got != "n0=lives n1=long n1=short" {
				t.Errorf("while the owner lives: %q", got)
			}
			w.Crash(w.nodes[1].host)
			for _, step := range []struct {
				sleep time.Duration
				want  string
			}{
				{145 * time.Second, "n0=lives n1=long n1=short"},
				{45 * time.Second, "n0=lives n1=long"}, // 190 s
				{370 * time.Second, "n0=lives n1=long"},
				{50 * time.Second, "n0=lives"}, // 610 s
			} {
				w.Sleep(step.sleep)
				if got := w.nodes[2].got(w, key); got != step.want {
					t.Errorf("seed %d: %v after %v: %q", seed, w.Elapsed(), step.sleep, got)
				}
			}
		})
	}
}

// An owner that was away longer than its values lived puts them again.
func TestAnOwnerThatSleptPutsItsValuesAgain(t *testing.T) {
	w := newWorld(t, 3)
	w.run(func() {
		w.grow(5)
		key := w.nameKeptBy("record", w.nodes[4])
		w.nodes[0].put(w, key, "other")
		if err := w.nodes[1].o.Put(key, []byte("v"), MinTTL, time.Second); err != nil {
			t.Fatal(err)
		}
		w.Pause(w.nodes[1].host)
		w.Sleep(3 * time.Minute)
		if got := w.nodes[2].got(w, key); got != "n0=other" {
			t.Errorf("while it sleeps: %q", got)
		}
		w.Resume(w.nodes[1].host)
		w.must("put again", func() bool { return w.nodes[2].got(w, key) == "n0=other n1=v" })
	})
}

// What an owner gave up, and what a union of two copies revived, goes at the
// next renewal.
func TestARenewalTakesAwayWhatIsNotNamed(t *testing.T) {
	w := newWorld(t, 4)
	w.run(func() {
		w.grow(3)
		key := w.nameKeptBy("record", w.nodes[2])
		w.nodes[0].put(w, key, "stays")
		w.nodes[0].put(w, key, "revived")
		w.nodes[1].put(w, key, "other")
		old := w.nodes[2].o.objects[ref{"record", key}].obj.Snapshot()
		if err := w.nodes[0].o.Remove(key, []byte("revived"), time.Second); err != nil {
			t.Fatal(err)
		}
		w.nodes[2].o.mu.Lock()
		err := w.nodes[2].o.objects[ref{"record", key}].obj.Merge(old)
		w.nodes[2].o.mu.Unlock()
		if got := w.nodes[1].got(w, key); err != nil || got != "n0=revived n0=stays n1=other" {
			t.Errorf("united: %q, %v", got, err)
		}
		w.Sleep(35 * time.Second)
		if got := w.nodes[1].got(w, key); got != "n0=stays n1=other" {
			t.Errorf("after a renewal: %q", got)
		}
	})
}

// A keeper that lost a value while it has the key is told by the renewal.
func TestAValueThatTheKeeperLostIsPutAgain(t *testing.T) {
	w := newWorld(t, 7)
	w.run(func() {
		w.grow(3)
		key := w.nameKeptBy("record", w.nodes[2])
		w.nodes[0].put(w, key, "a")
		w.nodes[0].put(w, key, "b")
		w.Sleep(time.Second)
		w.nodes[2].o.mu.Lock()
		delete(w.nodes[2].o.objects[ref{"record", key}].obj.(*record).owners[w.nodes[0].host.Self().ID].values, "a")
		w.nodes[2].o.mu.Unlock()
		if got := w.nodes[1].got(w, key); got != "n0=b" {
			t.Errorf("lost: %q", got)
		}
		w.Sleep(35 * time.Second)
		if got := w.nodes[1].got(w, key); got != "n0=a n0=b" {
			t.Errorf("after a renewal: %q", got)
		}
	})
}

// A removal that nobody acknowledged ends the renewals all the same.
func TestARemovalThatFailedIsMadeByTheNextRenewal(t *testing.T) {
	w := newWorld(t, 8)
	w.run(func() {
		w.grow(3)
		key := w.nameKeptBy("record", w.nodes[2])
		w.nodes[0].put(w, key, "stays")
		w.nodes[0].put(w, key, "goes")
		// Others wait in the line; the removal's time is over before its turn.
		w.Pause(w.nodes[2].host)
		w.Go("put", func() { _ = w.nodes[0].o.Put(key, []byte("first"), hour, 300*time.Millisecond) })
		w.Sleep(time.Millisecond)
		if err := w.nodes[0].o.Remove(key, []byte("goes"), 100*time.Millisecond); !errors.Is(err, ErrNoKeeper) {
			t.Errorf("%v", err)
		}
		w.Sleep(200 * time.Millisecond)
		w.Resume(w.nodes[2].host)
		w.must("gone", func() bool { return !strings.Contains(w.nodes[1].got(w, key), "goes") })
		if got := w.nodes[1].got(w, key); !strings.Contains(got, "n0=stays") {
			t.Errorf("%q", got)
		}
	})
}
