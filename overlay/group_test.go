package overlay

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

// listener is a member of a group in these tests: what it heard, in order.
type listener struct {
	heard   []string // "sender: text"
	members []string // by name, as last told
	asked   int
}

// joinGroup makes a node a member and fails the test on an error.
func (n *node) joinGroup(w *world, name string) *listener {
	w.t.Helper()
	l := new(listener)
	err := n.o.JoinGroup(name, GroupHandler{
		Message: func(from host.PeerID, msg []byte) {
			l.heard = append(l.heard, w.nameOf(from)+": "+string(msg))
		},
		Any: func(host.PeerID, []byte) []byte {
			l.asked++
			return []byte(n.host.Name())
		},
		Members: func(nodes []host.PeerID) {
			l.members = nil
			for _, id := range nodes {
				l.members = append(l.members, w.nameOf(id))
			}
			slices.Sort(l.members)
		},
	}, 5*time.Second)
	if err != nil {
		w.t.Errorf("seed %d: %s joins %s: %v", w.Seed(), n.host.Name(), name, err)
	}
	return l
}

func (n *node) cast(w *world, name, text string) bool {
	w.t.Helper()
	err := n.o.Multicast(name, []byte(text), 5*time.Second)
	if err != nil {
		w.t.Errorf("seed %d: %s sends to %s: %v", w.Seed(), n.host.Name(), name, err)
	}
	return err == nil
}

func TestAGroupFromItsBeginningToItsEnd(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func() {
		w.grow(5)
		if err := w.nodes[0].o.Multicast("tea", []byte("hello?"), time.Second); !errors.Is(err, ErrNoMembers) {
			t.Error(err)
		}
		a := w.nodes[0].joinGroup(w, "tea")
		w.nodes[3].cast(w, "tea", "one")
		b := w.nodes[1].joinGroup(w, "tea")
		w.nodes[1].cast(w, "tea", "two")
		w.nodes[0].cast(w, "tea", "three")
		want := []string{"n3: one", "n1: two", "n0: three"}
		w.must("heard", func() bool { return slices.Equal(a.heard, want) && slices.Equal(b.heard, want[1:]) })
		w.must("members", func() bool {
			return slices.Equal(a.members, []string{"n0", "n1"}) && slices.Equal(b.members, a.members)
		})
		if err := w.nodes[1].o.JoinGroup("tea", GroupHandler{}, time.Second); !errors.Is(err, ErrInGroup) {
			t.Error(err)
		}
		if err := w.nodes[1].o.LeaveGroup("tea", time.Second); err != nil {
			t.Error(err)
		}
		if err := w.nodes[1].o.LeaveGroup("tea", time.Second); !errors.Is(err, ErrNotInGroup) {
			t.Error(err)
		}
		w.nodes[1].cast(w, "tea", "four")
		w.must("heard", func() bool { return len(a.heard) == 4 })
		w.must("members", func() bool { return slices.Equal(a.members, []string{"n0"}) })
		again := w.nodes[1].joinGroup(w, "tea")
		w.nodes[3].cast(w, "tea", "five")
		w.must("heard", func() bool { return slices.Equal(again.heard, []string{"n3: five"}) && len(a.heard) == 5 })
		if len(b.heard) != 2 {
			t.Errorf("after leaving: %q", b.heard)
		}
		for _, n := range w.nodes[:2] {
			if err := n.o.LeaveGroup("tea", time.Second); err != nil {
				t.Error(err)
			}
		}
		w.must("the empty group is dropped", func() bool { return w.settledHome("group", 0) })
		for _, n := range w.nodes {
			if len(n.o.holds) != 0 {
				t.Errorf("%s still holds something", n.host.Name())
			}
		}
	})
}

func TestGroupsRefuse(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func() {
		w.grow(2)
		o, big := w.nodes[0].o, make([]byte, MaxGroupMessage+1)
		w.nodes[0].joinGroup(w, "tea")
		_, any := o.SendAny("tea", big, time.Second)
		bare := new(Overlay)
		for i, tt := range []struct{ err, want error }{
			{o.JoinGroup("", GroupHandler{}, time.Second), ErrBadName},
			{o.JoinGroup("\xff", GroupHandler{}, time.Second), ErrBadName},
			{o.Multicast(strings.Repeat("x", 65), nil, time.Second), ErrBadName},
			{o.Multicast("tea", big, time.Second), ErrBadMessage},
			{o.Multicast("tea", big[1:], time.Second), nil},
			{any, ErrBadMessage},
			{bare.JoinGroup("tea", GroupHandler{}, time.Second), ErrNotRegistered},
		} {
			if !errors.Is(tt.err, tt.want) {
				t.Errorf("case %d: %v, want %v", i, tt.err, tt.want)
			}
		}
	})
}

// A group that is full lets nobody in, and one that failed to join holds
// nothing.
func TestAFullGroup(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func() {
		w.grow(2)
		w.nodes[0].joinGroup(w, "tea")
		for _, n := range w.nodes {
			if ob := n.o.objects[ref{"group", "tea"}]; ob != nil {
				g := ob.obj.(*group)
				for i := 0; len(g.in) < MaxMembers; i++ {
					g.in[peer(i)] = membership{run: 1}
				}
			}
		}
		if err := w.nodes[1].o.JoinGroup("tea", GroupHandler{}, time.Second); !errors.Is(err, ErrGroupFull) {
			t.Error(err)
		}
		if len(w.nodes[1].o.holds) != 0 || len(w.nodes[1].o.groups.of) != 0 {
			t.Error("still held")
		}
	})
}

func TestSendAnyReachesOneLivingMember(t *testing.T) {
	for seed := range uint64(10) {
		w := newWorld(t, seed)
		w.run(func() {
			w.grow(6)
			if _, err := w.nodes[0].o.SendAny("tea", []byte("?"), time.Second); !errors.Is(err, ErrNoMembers) {
				t.Error(err)
			}
			var members []*listener
			for _, n := range w.nodes[:3] {
				members = append(members, n.joinGroup(w, "tea"))
			}
			ask := func(n *node, times int) map[string]int {
				by := map[string]int{}
				for range times {
					got, err := n.o.SendAny("tea", []byte("?"), 5*time.Second)
					if err != nil {
						t.Errorf("seed %d: %v", seed, err)
					}
					by[string(got)]++
				}
				return by
			}
			if by := ask(w.nodes[5], 60); by["n0"] < 8 || by["n1"] < 8 || by["n2"] < 8 {
				t.Errorf("seed %d: not shared: %v", seed, by)
			}
			if by := ask(w.nodes[0], 20); by["n0"] > 0 {
				t.Errorf("seed %d: a member asked itself though there were others: %v", seed, by)
			}
			if n := members[0].asked + members[1].asked + members[2].asked; n != 80 {
				t.Errorf("seed %d: 80 messages reached %d members", seed, n)
			}
			w.Crash(w.nodes[1].host)
			if by := ask(w.nodes[5], 20); by["n1"] > 0 || len(by) != 2 {
				t.Errorf("seed %d: after a death: %v", seed, by)
			}
			if err := w.nodes[2].o.LeaveGroup("tea", 5*time.Second); err != nil {
				t.Error(err)
			}
			if by := ask(w.nodes[0], 3); by["n0"] != 3 {
				t.Errorf("seed %d: the only one left: %v", seed, by)
			}
		})
	}
}

// groupChurn has five members speak for a virtual minute while other nodes come
// and go as depart says, and gives what each said and heard.
func groupChurn(t *testing.T, seed uint64, depart func(*world, *node)) (said [][]string, heard []*listener) {
	w := newWorld(t, seed)
	const members = 5
	said = make([][]string, members)
	w.run(func() {
		w.grow(members)
		for _, n := range w.nodes {
			heard = append(heard, n.joinGroup(w, "tea"))
		}
		stop, speaking := w.Elapsed()+time.Minute, members
		for i, n := range w.nodes {
			w.Go("speaker", func() {
				for k := 0; w.Elapsed() < stop; k++ {
					text := fmt.Sprint(k)
					if n.cast(w, "tea", text) {
						said[i] = append(said[i], n.host.Name()+": "+text)
					}
					w.Sleep(40 * time.Millisecond)
				}
				speaking--
			})
		}
		var others []*node
		for w.Elapsed() < stop {
			w.Sleep(time.Duration(200+w.nodes[0].host.Rand()%1500) * time.Millisecond)
			if len(others) < 3 || len(others) < 12 && w.nodes[0].host.Rand()%2 == 0 {
				others = append(others, w.add())
				continue
			}
			i := int(w.nodes[0].host.Rand() % uint64(len(others)))
			gone := others[i]
			others = slices.Delete(others, i, i+1)
			w.Go("depart", func() { depart(w, gone) })
		}
		w.must("all have spoken", func() bool { return speaking == 0 })
		w.nodes[0].cast(w, "tea", "the end")
		for _, l := range heard {
			w.must("the end is heard", func() bool {
				return len(l.heard) > 0 && l.heard[len(l.heard)-1] == "n0: the end"
			})
		}
	})
	return said, heard
}

// of are the lines of one speaker but the last line of all.
func (l *listener) of(i int) []string {
	var out []string
	for _, line := range l.heard {
		if strings.HasPrefix(line, fmt.Sprintf("n%d: ", i)) && line != "n0: the end" {
			out = append(out, line)
		}
	}
	return out
}

func TestGroupsLoseNothingInPoliteChurn(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			said, heard := groupChurn(t, seed, func(w *world, n *node) {
				n.o.Leave(5 * time.Second)
				n.ring.Leave(time.Second)
				w.Stop(n.host)
			})
			for m, l := range heard {
				for i := range said {
					if got := l.of(i); !slices.Equal(got, said[i]) {
						t.Errorf("n%d heard %d of %d messages of n%d, or not in order", m, len(got), len(said[i]), i)
					}
				}
				if !slices.Equal(l.heard, heard[0].heard) {
					t.Errorf("n%d heard another order", m)
				}
			}
		})
	}
}

func TestGroupsNeitherRepeatNorReorderWhenKeepersAreKilled(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			said, heard := groupChurn(t, seed, func(w *world, n *node) { w.Crash(n.host) })
			for m, l := range heard {
				for i := range said {
					if got := l.of(i); !isSubsequence(got, said[i]) {
						t.Errorf("n%d heard messages of n%d twice, or not in order", m, i)
					} else if len(got) < len(said[i])*95/100 {
						t.Errorf("n%d heard only %d of %d messages of n%d", m, len(got), len(said[i]), i)
					}
				}
			}
		})
	}
}

// The keeper is killed: the members bring the group back.
func TestMembersBringAGroupBack(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, seed)
			w.cfg.Copies = 1
			w.run(func() {
				w.grow(7)
				name := w.nameKeptBy("group", w.nodes[5])
				var members []*listener
				for _, n := range w.nodes[:4] {
					members = append(members, n.joinGroup(w, name))
				}
				w.nodes[6].cast(w, name, "before")
				for _, l := range members {
					w.must("heard", func() bool { return len(l.heard) == 1 })
				}
				w.Crash(w.nodes[5].host)
				began := w.Elapsed()
				w.nodes[6].cast(w, name, "after")
				for _, l := range members {
					w.must("heard", func() bool { return slices.Equal(l.heard, []string{"n6: before", "n6: after"}) })
				}
				if d := w.Elapsed() - began; d > 3*time.Second {
					t.Errorf("took %v", d)
				}
				for _, l := range members {
					w.must("members", func() bool { return slices.Equal(l.members, []string{"n0", "n1", "n2", "n3"}) })
				}
			})
		})
	}
}

// A member that dies is out after the grace time; one that comes back in
// another run is not in by itself.
func TestADeadMemberLeavesTheGroup(t *testing.T) {
	w := newWorld(t, 5)
	w.run(func() {
		w.grow(5)
		name := w.nameKeptBy("group", w.nodes[4])
		a := w.nodes[0].joinGroup(w, name)
		w.nodes[1].joinGroup(w, name)
		w.nodes[2].joinGroup(w, name)
		w.must("all in", func() bool { return len(a.members) == 3 })
		w.Crash(w.nodes[1].host)
		began := w.Elapsed()
		w.must("out", func() bool { return slices.Equal(a.members, []string{"n0", "n2"}) })
		if d := w.Elapsed() - began; d < 15*time.Second || d > 25*time.Second {
			t.Errorf("out after %v", d)
		}
	})
}

// A member that was asleep until it was taken for dead comes back by itself,
// under the handler that it joined with.
func TestAMemberThatSleptComesBack(t *testing.T) {
	w := newWorld(t, 6)
	w.run(func() {
		w.grow(5)
		name := w.nameKeptBy("group", w.nodes[4])
		a := w.nodes[0].joinGroup(w, name)
		b := w.nodes[1].joinGroup(w, name)
		w.must("both in", func() bool { return len(a.members) == 2 && len(b.members) == 2 })
		w.Pause(w.nodes[1].host)
		w.must("out", func() bool { return w.Elapsed() > 2*time.Minute || len(a.members) == 1 })
		w.Sleep(2 * time.Minute)
		w.nodes[0].cast(w, name, "missed")
		w.Resume(w.nodes[1].host)
		w.must("in again", func() bool { return len(a.members) == 2 && len(b.members) == 2 })
		w.nodes[0].cast(w, name, "after")
		w.must("heard", func() bool { return len(b.heard) > 0 && b.heard[len(b.heard)-1] == "n0: after" })
	})
}

func TestGroupsUnite(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 2))
	some := func() []byte {
		g := newGroup("some").(*group)
		for range rnd.IntN(6) {
			g.in[peer(rnd.IntN(6))] = membership{run: rnd.Uint64N(3), since: Stamp{Epoch{Counter: rnd.Uint64N(2)}, rnd.Uint64N(3)}}
		}
		return g.Snapshot()
	}
	merged := func(parts ...[]byte) string {
		g := newGroup("some")
		for _, p := range parts {
			if err := g.Merge(p); err != nil {
				t.Fatal(err)
			}
		}
		return string(g.Snapshot())
	}
	for range 2000 {
		a, b, c := some(), some(), some()
		if merged(a, b) != merged(b, a) {
			t.Fatal("not commutative")
		}
		if merged([]byte(merged(a, b)), c) != merged(a, []byte(merged(b, c))) {
			t.Fatal("not associative")
		}
		if merged(a, a) != merged(a) {
			t.Fatal("not idempotent")
		}
	}
}

func TestRepeatsForgetTheLongestSilent(t *testing.T) {
	r := newRepeats()
	speaker := Stream{Node: peer(0)}
	for i := range 3 * maxRepeats {
		if r.again(Stream{Node: peer(1), Run: uint64(i)}, 1) {
			t.Fatalf("stream %d is new", i)
		}
		if r.again(speaker, uint64(i+1)) || !r.again(speaker, uint64(i+1)) {
			t.Fatalf("message %d of one that speaks all the time", i)
		}
	}
	if len(r.last) > maxRepeats || len(r.used) > maxRepeats || len(r.order) > maxRepeats {
		t.Errorf("%d, %d, %d remembered", len(r.last), len(r.used), len(r.order))
	}
}

// Whatever is in a request, a renewal, a state, a view or an event, neither
// kind panics, and what they take stays within its limits.
func FuzzKinds(f *testing.F) {
	for _, m := range []proto.Message{
		&wire.RecordRequest{What: &wire.RecordRequest_Put{Put: &wire.RecordPut{Value: []byte("v"), TtlMs: 1 << 63}}},
		&wire.RecordRequest{What: &wire.RecordRequest_Remove{}},
		&wire.RecordRenewal{Settled: 1 << 63, Held: []uint64{1, 1}},
		&wire.RecordState{Owners: []*wire.RecordOwner{{Node: []byte(peer(1)), Values: []*wire.RecordValue{{Value: []byte("v"), TtlMs: 90000}}}}},
		&wire.GroupRequest{What: &wire.GroupRequest_Join{}},
		&wire.GroupEvent{What: &wire.GroupEvent_Joined{}},
		&wire.GroupEvent{What: &wire.GroupEvent_Message{Message: []byte("m")}},
		&wire.GroupState{Members: []*wire.GroupMember{{Node: []byte(peer(1))}, {}}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	w := newWorld(f, 1)
	var n *node
	w.run(func() {
		w.grow(1)
		n = w.nodes[0]
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, session := range []uint64{sessionRecords, sessionGroups} {
			for _, kind := range []string{recordKind, groupKind} {
				ob := newObject(ref{kind, "x"}, n.o.kinds[kind].New("x"), Epoch{})
				turn := &Turn{cfg: Config{}.withDefaults(), ob: ob, from: Stream{peer(1), 1, session}, number: 1}
				ob.obj.Apply(turn, b)
				ob.obj.Query(peer(1), b)
				ob.obj.Renew(turn, peer(1), 1, b)
				before := ob.obj.Snapshot()
				if err := ob.obj.Merge(b); err != nil && string(ob.obj.Snapshot()) != string(before) {
					t.Errorf("%s: a malformed state changed it", kind)
				}
				if err := n.o.kinds[kind].New("x").Merge(ob.obj.Snapshot()); err != nil {
					t.Errorf("%s: its own state is malformed: %v", kind, err)
				}
				ob.obj.NodeGone(turn, peer(1), 0)
				ob.obj.Empty(time.Unix(1, 0))
			}
		}
		v := &groupView{members: map[host.PeerID]membership{}, seen: newRepeats()}
		v.take(Entry{Event: b})()
		n.o.groups.of["x"] = v
		n.o.groups.Reset("x", Stamp{}, b, []Entry{{Event: b}})
		n.o.groups.onAny(n.host.Self(), &wire.Any{Group: "x", Body: b})
		delete(n.o.groups.of, "x")
		n.o.dict.Reset("x", Stamp{}, b, nil)
		n.o.onRouted(n.host.Self(), &wire.Routed{Key: b, Body: b})
	})
}

// Of the log that comes with a view a member shows what is after its own join,
// and nothing twice, whatever stamp it comes under.
func TestAViewShowsWhatIsAfterTheJoinOnce(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func() {
		w.grow(1)
		n := w.nodes[0]
		l := n.joinGroup(w, "tea")
		w.must("a view", func() bool { return len(l.members) == 1 })
		me := n.host.Self().ID
		at := func(counter, number uint64) Stamp { return Stamp{Epoch{Counter: counter}, number} }
		said := func(s Stamp, number uint64, text string) Entry {
			event := deterministic(&wire.GroupEvent{What: &wire.GroupEvent_Message{Message: []byte(text)}})
			return Entry{Stamp: s, From: Stream{Node: me, Run: 1, Session: sessionGroups}, Number: number, Event: event}
		}
		state := groupState(map[host.PeerID]membership{me: {run: n.host.Run(), since: at(8, 5)}})
		n.o.groups.of["tea"].members = nil // as just joined
		n.o.groups.Reset("tea", at(8, 7), state, []Entry{
			said(at(8, 4), 1, "before"), said(at(8, 6), 2, "first"), said(at(8, 7), 3, "second"),
		})
		n.o.groups.Event("tea", said(at(8, 8), 4, "third"))
		n.o.groups.Reset("tea", at(9, 3), state, []Entry{
			said(at(9, 1), 3, "second"), said(at(9, 2), 4, "third"), said(at(9, 3), 5, "fourth"),
		})
		n.o.groups.Event("tea", said(at(9, 4), 5, "fourth"))
		if want := []string{"n0: first", "n0: second", "n0: third", "n0: fourth"}; !slices.Equal(l.heard, want) {
			t.Errorf("heard %q", l.heard)
		}
	})
}
