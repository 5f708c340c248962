package mapping

import (
	"slices"
	"testing"
	"time"

	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// heardIn is a ring of one node, on which ann is in #a, with bob and eve on other
// nodes if she is to know them. body gives her node what a keeper would push; want is what
// she is shown in the end.
func heardIn(t *testing.T, members []overlay.Stream, want []string, body func(e *simEnv, p pushed)) {
	t.Helper()
	w := newSimNet(t, 1)
	w.grow(1)
	w.run(func(e *simEnv) {
		ann := e.open(w.nodes[0], "ann")
		ann.join("#a")
		p := pushed{t, w.nodes[0].s}
		p.reset("#a", members, nil)
		body(e, p)
		e.Sleep(2 * holdNobody)
		if got := ann.texts(); !slices.Equal(got, want) {
			t.Errorf("she was shown %q, want %q", got, want)
		}
		p.s.mu.Lock()
		defer p.s.mu.Unlock()
		if n := len(p.s.views["#a"].held); n > 0 {
			t.Errorf("messages of %d senders still wait", n)
		}
	})
}

func (p pushed) event(l line) { channelViews{p.s}.Event("#a", l.entry()) }

// A view comes with messages of somebody whom only its state names: they are
// shown once he is known, each once and in order.
func TestWhoIsNamedByTheViewThatBringsHisWordsIsHeard(t *testing.T) {
	bob := testStream(1, 1)
	heardIn(t, nil, []string{"ub1 2", "ub1 3", "ub1 4"}, func(e *simEnv, p pushed) {
		said := []line{p.message(bob, 2, 0, 1, 1), p.message(bob, 3, 2, 1, 2)}
		p.reset("#a", []overlay.Stream{bob}, said, said[0].entry(), said[1].entry())
		p.event(p.message(bob, 4, 3, 1, 3))
	})
}

// A keeper knows somebody whom the view does not, and pushes what he says: the
// view asks, and shows it when it is told who he is.
func TestWhoSpeaksBeforeHeIsKnownIsHeard(t *testing.T) {
	bob := testStream(1, 1)
	heardIn(t, nil, []string{"ub1 2", "ub1 3"}, func(e *simEnv, p pushed) {
		p.event(p.message(bob, 2, 0, 1, 1))
		p.event(p.message(bob, 3, 2, 1, 2))
		e.Sleep(holdBack + holdBack/2)
		p.reset("#a", []overlay.Stream{bob}, nil)
	})
}

// Who is never named is not shown, and does not count as heard: when his words
// come again with his name, they are.
func TestWhatCouldNotBeShownIsNewWhenItComesAgain(t *testing.T) {
	bob := testStream(1, 1)
	heardIn(t, nil, []string{"ub1 2", "ub1 3"}, func(e *simEnv, p pushed) {
		first := p.message(bob, 2, 0, 1, 1)
		p.event(first)
		e.Sleep(holdNobody + time.Second)
		p.reset("#a", []overlay.Stream{bob}, []line{first})
		p.event(p.message(bob, 3, 2, 1, 2))
	})
}

// Of four messages the first and the third come late: each lets go what waits for
// it, and no more.
func TestEachGapIsWaitedForByItself(t *testing.T) {
	bob := testStream(1, 1)
	heardIn(t, []overlay.Stream{bob}, []string{"ub1 2", "ub1 3", "ub1 4", "ub1 5", "ub1 6"}, func(e *simEnv, p pushed) {
		p.event(p.message(bob, 2, 0, 1, 1))
		p.event(p.message(bob, 4, 3, 2, 3))
		e.Sleep(holdBack / 2)
		p.event(p.message(bob, 6, 5, 2, 4))
		p.reset("#a", []overlay.Stream{bob}, []line{p.message(bob, 3, 2, 1, 2)})
		e.Sleep(holdBack * 3 / 4)
		p.event(p.message(bob, 5, 4, 2, 5))
	})
}

// The keeper died that had taken a message; its sender's rename, and what he said
// next, came through another one before somebody brought it back.
func TestARenameDoesNotStandForWhatWasSaidBefore(t *testing.T) {
	bob := testStream(1, 1)
	heardIn(t, []overlay.Stream{bob}, []string{"ub1 2", "ub1 3", "ub1 5"}, func(e *simEnv, p pushed) {
		p.event(p.message(bob, 2, 0, 1, 1))
		renamed := testPerson(bob)
		renamed.nick, renamed.version = "robert", 2
		rename := encode(&wire.ChannelEvent{What: &wire.ChannelEvent_Person{Person: personToWire(renamed)}})
		channelViews{p.s}.Event("#a", overlay.Entry{Stamp: p.stamp(2, 3), From: bob, Number: 4, Event: rename})
		p.event(p.message(bob, 5, 3, 2, 4))
		p.reset("#a", []overlay.Stream{bob}, []line{p.message(bob, 3, 2, 1, 2)})
	})
}

// What somebody said first after he joined is waited for as all that he says later.
func TestTheFirstMessageIsWaitedForToo(t *testing.T) {
	bob := testStream(1, 1)
	heardIn(t, nil, []string{"ub1 2", "ub1 4"}, func(e *simEnv, p pushed) {
		join := encode(&wire.ChannelEvent{What: &wire.ChannelEvent_Joined{Joined: &wire.Joined{Person: personToWire(testPerson(bob))}}})
		channelViews{p.s}.Event("#a", overlay.Entry{Stamp: p.stamp(1, 1), From: bob, Number: 1, Event: join})
		rename := encode(&wire.ChannelEvent{What: &wire.ChannelEvent_Person{Person: personToWire(testPerson(bob))}})
		channelViews{p.s}.Event("#a", overlay.Entry{Stamp: p.stamp(2, 3), From: bob, Number: 3, Event: rename})
		p.event(p.message(bob, 4, 2, 2, 4))
		p.reset("#a", []overlay.Stream{bob}, []line{p.message(bob, 2, 0, 1, 2)})
	})
}

// Somebody is taken out by a kick. What he had said before, one message of which waits
// for another one, and that other one, which somebody brings back, are shown all the same.
func TestWhoIsKickedIsHeardOut(t *testing.T) {
	bob := testStream(1, 1)
	heardIn(t, []overlay.Stream{bob}, []string{"ub1 2", "ub1 3", "ub1 4"}, func(e *simEnv, p pushed) {
		p.event(p.message(bob, 2, 0, 1, 1))
		p.event(p.message(bob, 4, 3, 2, 3))
		kick := encode(&wire.ChannelEvent{By: []byte("ann!u@h"), What: &wire.ChannelEvent_Kicked{Kicked: &wire.Kick{Target: sessionToWire(bob), Join: 1}}})
		channelViews{p.s}.Event("#a", overlay.Entry{Stamp: p.stamp(2, 4), Event: kick})
		p.reset("#a", nil, []line{p.message(bob, 3, 2, 1, 2)})
	})
}

// A view learns at once that somebody has left, and what he had said before.
func TestTheLastWordsOfWhoLeftAreShown(t *testing.T) {
	bob := testStream(1, 1)
	heardIn(t, []overlay.Stream{bob}, []string{"ub1 2"}, func(e *simEnv, p pushed) {
		p.s.mu.Lock()
		st := p.s.views["#a"].state.clone()
		p.s.mu.Unlock()
		st.remove(bob, removal{join: 1, stamp: p.stamp(2, 2), kind: byPart})
		st.tail = []line{p.message(bob, 2, 0, 2, 1)}
		channelViews{p.s}.Reset("#a", p.stamp(9, 9), encode(st.toWire()), nil)
	})
}

// What only ann's node has heard, as the keeper that took it is cut off, goes to the present keeper when
// she comes to the channel again, though her view was closed meanwhile; and not if it is another channel by then.
func TestWhatAClosedViewHeardIsBroughtBack(t *testing.T) {
	for _, again := range []bool{true, false} {
		w := newSimNet(t, 1)
		w.grow(2)
		w.run(func(e *simEnv) {
			ann, cat, dan := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "cat"), e.open(w.nodes[1], "dan")
			for _, u := range []*tester{cat, dan, ann} {
				u.join("#a")
			}
			e.sees(ann, "#a", "ann @cat dan")
			p := pushed{t, w.nodes[0].s}
			from := cat.Session.(*session).stream
			words := &wire.Message{Text: []byte("only ann heard it")}
			p.event(newLine(from, 1000, p.stamp(1, 1), w.nodes[0].h.Now().UnixMilli(), words))
			e.Eventually("ann hears it", func() bool { return len(ann.texts()) == 1 })
			if !again {
				for _, u := range []*tester{cat, dan} {
					if err := u.Part(bg, "#a", ""); err != nil {
						t.Error(err)
					}
				}
			}
			if err := ann.Part(bg, "#a", ""); err != nil {
				t.Error(err)
			}
			e.Sleep(5 * time.Second)
			if !again {
				dan.join("#a")
			}
			ann.join("#a")
			e.Sleep(5 * time.Second)
			want := 0
			if again {
				want = 1
			}
			if got := dan.texts(); len(got) != want {
				t.Errorf("the same channel: %v; dan was shown %q", again, got)
			}
		})
	}
}
