package mapping

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"ircbridge/chat"
	"ircbridge/overlay"
)

// A view of a channel that ended meets the state of the one that was founded
// after it, whose keeper saw the end: the old one claims nothing, so that its
// older birth takes no status away. A keeper that did not see it is told.
func TestAnEndedChannelClaimsNothing(t *testing.T) {
	epoch := overlay.Epoch{Counter: 1, Run: 7}
	at := func(n uint64) overlay.Stamp { return overlay.Stamp{Epoch: epoch, Number: n} }
	me := overlay.Stream{Node: testNode(1), Run: 1, Session: 1}
	ended := func() *state {
		s := newState()
		s.found(birth{at: 100, random: 1}, "#tea", at(1))
		s.members[me] = member{join: 1, status: chat.Operator, joined: at(1), statusAt: at(1)}
		s.heads.add(at(2))
		return s
	}
	founded := func(seen uint64) *state {
		s := newState()
		s.found(birth{at: 200, random: 2}, "#tea", at(4))
		s.members[me] = member{join: 3, status: chat.Operator, joined: at(4), statusAt: at(4)}
		s.removals[me] = removal{join: 1, stamp: at(3)}
		s.heads = heads{}
		s.heads.add(overlay.Stamp{Epoch: epoch, Number: seen})
		return s
	}
	v := &view{self: testNode(2), state: ended()}
	if d := v.lacking(founded(4)); d != nil {
		t.Errorf("the keeper saw it all, and is told of birth %v with %d modes", d.birth, len(d.modes))
	}
	if d := v.lacking(founded(1)); d == nil || d.birth.at != 100 {
		t.Error("the keeper did not see it all, and is told nothing of the older birth")
	}
}

// While the network was cut, somebody parted and came again. A keeper that missed
// both is told of both by a view that saw them, so that he goes out of no view: what
// he says then would be shown to nobody.
func TestWhoCameAgainIsToldToAKeeperThatMissedBoth(t *testing.T) {
	k := newKept(0, 1)
	op, bob := testStream(1, 1), testStream(2, 1)
	for _, s := range []overlay.Stream{op, bob} {
		k.ask(t, s, reqJoin(s, ""))
	}
	missed := k.s.clone()
	k.ask(t, bob, reqPart())
	k.ask(t, bob, reqJoin(bob, ""))
	k.ask(t, op, reqModes(statusChange(true, 'v', bob)))
	want := k.s.members[bob]
	for name, older := range map[string]int64{"one birth": 0, "the view's is older": 1, "the view's is younger": -1} {
		st := missed.clone()
		st.birth.at += older
		d := k.viewOf(t, testStream(3, 1)).lacking(st)
		if d == nil {
			t.Errorf("%s: the keeper is told nothing", name)
			continue
		}
		st.merge(d)
		m := want
		if older < 0 {
			m.status, m.statusAt = 0, overlay.Stamp{}
		}
		if got, there := st.members[bob]; !there || got != m {
			t.Errorf("%s: the keeper has %+v, want %+v", name, got, m)
		}
	}
}

// What a view tells its keeper fits into requests, however full its lists are,
// and is all of it.
func TestPartsOfAFullChannelFit(t *testing.T) {
	s := newState()
	s.found(birth{at: 100, random: 1}, "#tea", overlay.Stamp{Epoch: overlay.Epoch{Counter: 1}, Number: 1})
	at := overlay.Stamp{Epoch: overlay.Epoch{Counter: 1, Run: 7}, Number: 5}
	for i := range 250 {
		who := testStream(i%5, uint64(i))
		s.members[who] = member{join: 1, person: testPerson(who), joined: at, statusAt: at}
		s.removals[testStream(i%5, uint64(1000+i))] = removal{join: 1, stamp: at, kind: byKick, by: strings.Repeat("b", maxBy), reason: strings.Repeat("r", chat.MaxReason)}
	}
	for i := range s.lists {
		for k := range chat.MaxList + maxGoneMasks {
			mask := fmt.Sprintf("%d%s", k, strings.Repeat("x", chat.MaxMask-4))
			s.lists[i][mask] = listed{mask: mask, by: strings.Repeat("b", maxBy), gone: k >= chat.MaxList, stamp: at}
		}
	}
	s.heads.add(at)
	got := newState()
	for i, part := range s.parts() {
		w := part.toWire()
		if n := proto.Size(w); n > maxBatchBytes {
			t.Errorf("part %d has %d bytes", i, n)
		}
		if got.knows(s.heads) {
			t.Errorf("the keeper knows all before part %d", i)
		}
		p, err := stateFromWire(w)
		if err != nil {
			t.Fatal(err)
		}
		got.merge(p)
	}
	if string(encode(got.toWire())) != string(encode(s.toWire())) {
		t.Error("the parts together are not the whole")
	}
}
