package mapping

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// What simulated rings (package ringsim) found wrong, each as a test of its own
// that no seed is needed for.

// viewOf is a node's view that has seen all that the keeper has.
func (k *keptChannel) viewOf(t *testing.T, who overlay.Stream) *view {
	t.Helper()
	st, err := decodeState(k.Snapshot(), "#tea")
	if err != nil {
		t.Fatal(err)
	}
	return &view{self: who.Node, run: who.Run, state: st}
}

// A quit that was given up, because no keeper could be reached, is known to the
// user's node only. Its view differs from the keeper's in just that; what the node
// does not name is gone all the same.
func TestWhoHisNodeDoesNotNameIsGone(t *testing.T) {
	k := newKept(0, 1)
	op, stays, quit := testStream(1, 1), testStream(2, 1), testStream(2, 2)
	for _, s := range []overlay.Stream{op, stays, quit} {
		k.ask(t, s, reqJoin(s, ""))
	}
	v := k.viewOf(t, quit)
	delete(v.state.members, quit)
	if k.renew(k.turn(overlay.Stream{}), quit.Node, quit.Run, encode(v.renewal())) {
		t.Error("the node, whose view differs, is not told")
	}
	if _, there := k.s.members[quit]; there {
		t.Error("who is not named is still a member")
	}
	if _, there := k.s.members[stays]; !there {
		t.Error("who is named is no member any more")
	}
}

// A rename came to a keeper from whose copy the member was gone just then, and
// another copy brought him back under his old name: his node puts it right.
func TestAMembersNodeCorrectsHisPerson(t *testing.T) {
	k := newKept(0, 1)
	op, bob := testStream(1, 1), testStream(2, 1)
	for _, s := range []overlay.Stream{op, bob} {
		k.ask(t, s, reqJoin(s, ""))
	}
	v := k.viewOf(t, bob)
	m := v.state.members[bob]
	m.person.nick, m.person.version = "robert", m.person.version+1
	v.state.members[bob] = m
	before := k.s.members[bob]
	if !k.renew(k.turn(overlay.Stream{}), bob.Node, bob.Run, encode(v.renewal())) {
		t.Error("the node is not known any more")
	}
	got := k.s.members[bob]
	if got.person != m.person {
		t.Errorf("the keeper has %+v, want %+v", got.person, m.person)
	}
	if got.joined != before.joined || got.status != before.status || got.join != before.join {
		t.Errorf("of the member more than the person changed: %+v, was %+v", got, before)
	}
	events := len(k.log)
	k.renew(k.turn(overlay.Stream{}), bob.Node, bob.Run, encode(v.renewal()))
	if len(k.log) != events {
		t.Error("the same renewal changes something again")
	}
}

// Of two sides of a split one has the lower stamps throughout. When there are more
// last messages than are kept, those said first are dropped, on whichever side.
func TestTheLastWordsOfBothSidesStay(t *testing.T) {
	said := func(epoch, n uint64, at int64) line {
		stamp := overlay.Stamp{Epoch: overlay.Epoch{Counter: epoch, Run: 7}, Number: n}
		return newLine(testStream(int(epoch), 1), n, stamp, at, &wire.Message{Text: fmt.Appendf(nil, "%d", n)})
	}
	a, b := newState(), newState()
	for n := range uint64(maxLines) {
		b.addLines([]line{said(2, n+1, int64(10*n))})
	}
	last := int64(10*maxLines - 5)
	a.addLines([]line{said(1, 1, -5), said(1, 2, last)})
	ab, ba := a.clone(), b.clone()
	ab.merge(b)
	ba.merge(a)
	has := func(s *state, at int64) bool {
		return slices.ContainsFunc(s.tail, func(l line) bool { return l.from == testStream(1, 1) && l.at == at })
	}
	for name, s := range map[string]*state{"one way": ab, "the other": ba} {
		if len(s.tail) != maxLines || !has(s, last) || has(s, -5) {
			t.Errorf("united %s: %d messages, the last one of the lower side there: %v, the first one: %v", name, len(s.tail), has(s, last), has(s, -5))
		}
		if !slices.IsSortedFunc(s.tail, func(a, b line) int { return a.stamp.Compare(b.stamp) }) {
			t.Errorf("united %s: the messages are not in the order of stamps", name)
		}
	}
}

// A user joins, and his node dies before any keeper answered: Join ends.
func TestJoinEndsWithItsNode(t *testing.T) {
	w := newSimNet(t, 1)
	w.grow(3)
	w.run(func(e *simEnv) {
		channel := e.channelOn(w.nodes[2])
		ann := e.open(w.nodes[1], "ann")
		w.Crash(w.nodes[2].h)
		w.Crash(w.nodes[0].h)
		done, err := false, error(nil)
		e.Go("join", func() {
			_, err = ann.Join(bg, channel, "")
			done = true
		})
		e.Sleep(100 * time.Millisecond)
		w.Crash(w.nodes[1].h)
		e.Sleep(time.Second)
		if !done || !errors.Is(err, chat.ErrStopped) && !errors.Is(err, chat.ErrUnreachable) && !errors.Is(err, chat.ErrClosed) {
			t.Errorf("the join ended: %v, with %v", done, err)
		}
	})
}

// The view showed a join, and Join said so; the keeper's answer to it never came.
// The user stays in.
func TestAJoinThatWasSeenStays(t *testing.T) {
	w := newSimNet(t, 1)
	w.grow(1)
	w.run(func(e *simEnv) {
		ann := e.open(w.nodes[0], "ann")
		ann.join("#a")
		s := w.nodes[0].s
		s.mu.Lock()
		se := s.nicks["ann"]
		ms := se.memberships["#a"]
		se.joinDoneLocked(ms, &job{err: chat.ErrUnreachable})
		s.mu.Unlock()
		e.Sleep(time.Second)
		if got := ann.Joined(); !slices.Equal(got, []string{"#a"}) {
			t.Errorf("she is on %q", got)
		}
		e.sees(ann, "#a", "@ann")
	})
}

// pushed is what a keeper of later epochs pushes to the one node of a ring, made
// by hand.
type pushed struct {
	t *testing.T
	s *Service
}

func (p pushed) stamp(epoch, n uint64) overlay.Stamp {
	return overlay.Stamp{Epoch: overlay.Epoch{Counter: 100 + epoch, Run: 7}, Number: n}
}

func (p pushed) message(from overlay.Stream, number, after, epoch, n uint64) line {
	return newLine(from, number, p.stamp(epoch, n), p.s.h.Now().UnixMilli(), &wire.Message{Text: fmt.Appendf(nil, "%s %d", testPerson(from).nick, number), After: after})
}

// reset gives a whole view: the channel as it is, with others in it, and some last
// messages.
func (p pushed) reset(channel string, members []overlay.Stream, tail []line, recent ...overlay.Entry) {
	p.s.mu.Lock()
	st := p.s.views[channel].state.clone()
	p.s.mu.Unlock()
	for i, who := range members {
		st.members[who] = member{join: 1, person: testPerson(who), joined: p.stamp(0, uint64(i+1))}
	}
	st.tail = tail
	channelViews{p.s}.Reset(channel, p.stamp(9, 9), encode(st.toWire()), recent)
}

// One message was brought back from an earlier keeper's time. It is shown in its
// place, so that what its sender said next need not wait for it, and everybody
// sees one order.
func TestWhatIsBroughtBackIsShownInItsPlace(t *testing.T) {
	w := newSimNet(t, 1)
	w.grow(1)
	w.run(func(e *simEnv) {
		ann := e.open(w.nodes[0], "ann")
		ann.join("#a")
		p := pushed{t, w.nodes[0].s}
		bob, eve := testStream(1, 1), testStream(2, 1)
		both := []overlay.Stream{bob, eve}
		first := p.message(bob, 2, 0, 1, 1)
		p.reset("#a", both, []line{first})
		back := p.message(bob, 3, 2, 1, 2)
		p.reset("#a", both, []line{first, back}, p.message(eve, 2, 0, 2, 3).entry(), p.message(bob, 4, 3, 2, 4).entry())
		e.Sleep(2 * time.Second)
		if got, want := ann.texts(), []string{"ub1 2", "ub1 3", "uc1 2", "ub1 4"}; !slices.Equal(got, want) {
			t.Errorf("she was shown %q, want %q", got, want)
		}
	})
}

// A keeper that had forgotten a user took his message, and gives it before it takes
// him in again: the others at his node are shown it.
func TestWhoWasForgottenIsHeardByHisOwnNode(t *testing.T) {
	w := newSimNet(t, 1)
	w.grow(1)
	w.run(func(e *simEnv) {
		ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[0], "bob")
		ann.join("#a")
		bob.join("#a")
		p := pushed{t, w.nodes[0].s}
		p.s.mu.Lock()
		v := p.s.views["#a"]
		who := p.s.nicks["bob"].stream
		delete(v.state.members, who)
		v.messageLocked(p.message(who, 100, 0, 1, 1).entry(), &wire.Message{Text: []byte("hello")})
		p.s.mu.Unlock()
		e.Sleep(time.Second)
		if got := ann.texts(); !slices.Equal(got, []string{"hello"}) {
			t.Errorf("she was shown %q", got)
		}
	})
}

// A message is brought back after its sender's rename, which has a later number, was
// seen: it is shown all the same, and once.
func TestAMessageIsShownAfterALaterRename(t *testing.T) {
	w := newSimNet(t, 1)
	w.grow(1)
	w.run(func(e *simEnv) {
		ann := e.open(w.nodes[0], "ann")
		ann.join("#a")
		p := pushed{t, w.nodes[0].s}
		bob := testStream(1, 1)
		first := p.message(bob, 2, 0, 1, 1)
		p.reset("#a", []overlay.Stream{bob}, []line{first})
		renamed := testPerson(bob)
		renamed.nick, renamed.version = "robert", 2
		rename := encode(&wire.ChannelEvent{What: &wire.ChannelEvent_Person{Person: personToWire(renamed)}})
		channelViews{p.s}.Event("#a", overlay.Entry{Stamp: p.stamp(2, 2), From: bob, Number: 4, Event: rename})
		late := p.message(bob, 3, 2, 1, 2)
		for range 2 {
			p.reset("#a", []overlay.Stream{bob}, []line{first, late})
		}
		e.Sleep(2 * time.Second)
		if got, want := ann.texts(), []string{"ub1 2", "ub1 3"}; !slices.Equal(got, want) {
			t.Errorf("she was shown %q, want %q", got, want)
		}
	})
}

// Who parts and comes again is not shown again what the last messages of the
// channel hold, though stamps of another ring's keeper are later than his join.
func TestWhoComesAgainIsShownNothingTwice(t *testing.T) {
	w := newSimNet(t, 1)
	w.grow(1)
	w.run(func(e *simEnv) {
		ann := e.open(w.nodes[0], "ann")
		ann.join("#a")
		p := pushed{t, w.nodes[0].s}
		bob := testStream(1, 1)
		said := []line{p.message(bob, 2, 0, 1, 1)}
		p.reset("#a", []overlay.Stream{bob}, said)
		e.Sleep(time.Second)
		if err := ann.Part(bg, "#a", ""); err != nil {
			e.Fatalf("part: %v", err)
		}
		e.Sleep(time.Second)
		ann.join("#a")
		p.reset("#a", []overlay.Stream{bob}, said)
		e.Sleep(2 * time.Second)
		if got := ann.texts(); len(got) != 1 {
			t.Errorf("she was shown %q", got)
		}
	})
}
