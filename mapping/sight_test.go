package mapping

import (
	"context"
	"errors"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// pair is ann on one node and bob on another, on #a, with ann's node's view of it.
type pair struct {
	*simEnv
	ann, bob *tester
	s        *Service
	who      overlay.Stream // bob
}

// onPair runs a body on a pair.
func onPair(t *testing.T, body func(p *pair)) {
	for _, seed := range seeds(2) {
		w := newSimNet(t, seed)
		w.grow(3)
		w.run(func(e *simEnv) {
			p := &pair{simEnv: e, ann: e.open(w.nodes[0], "ann"), bob: e.open(w.nodes[1], "bob"), s: w.nodes[0].s}
			p.who = p.bob.Session.(*session).stream
			p.ann.join("#a")
			p.bob.join("#a")
			e.sees(p.ann, "#a", "@ann bob")
			p.quiet()
			p.ann.events = nil
			body(p)
		})
	}
}

// quiet waits until ann has been given all events that there are.
func (p *pair) quiet() { p.Sleep(time.Millisecond) }

// locked runs f on ann's node's view, under the lock, and waits until she has been given what comes of it.
func (p *pair) locked(f func(v *view)) {
	p.s.mu.Lock()
	f(p.s.views["#a"])
	p.s.mu.Unlock()
	p.quiet()
}

// shows fails unless ann was shown just so many events since the last time.
func (p *pair) shows(n int) {
	p.T().Helper()
	if len(p.ann.events) != n {
		p.T().Fatalf("seed %d: ann was shown %v, not %d events", p.w.Seed(), p.ann.events, n)
	}
}

// rename has ann's node hear of a new nick of bob's.
func (p *pair) rename(nick string) {
	p.ann.events = nil
	p.locked(func(*view) {
		is, _ := p.s.knownLocked(p.who)
		is.nick, is.version = nick, is.version+1
		p.s.personLocked(p.who, is, p.Now())
	})
}

// TestWhoComesWhileSomebodyIsMissing did not find him there, and is shown that he is back; the others are not.
func TestWhoComesWhileSomebodyIsMissing(t *testing.T) {
	onPair(t, func(p *pair) {
		var was member
		p.locked(func(v *view) {
			was = v.state.members[p.who]
			p.s.missLocked(p.who)
		})
		cat := p.open(p.w.nodes[0], "cat")
		if c, err := cat.Join(bg, "#a", ""); err != nil || len(c.Members) != 2 {
			t.Fatalf("cat finds %v: %v", c.Members, err)
		}
		p.quiet()
		p.ann.events, cat.events = nil, nil
		p.locked(func(v *view) {
			v.state.members[p.who] = was
			if v.comesLocked(p.who, p.Now(), true) {
				t.Error("he is shown to all")
			}
		})
		p.shows(0)
		if came := eventsOf[chat.Joined](cat); len(cat.events) != 1 || len(came) != 1 || came[0].Who.Nick != "bob" {
			t.Errorf("cat was shown %v", cat.events)
		}
	})
}

// TestDoneAfterGivingUp: who was told that the network did not answer is shown what was done all the same.
func TestDoneAfterGivingUp(t *testing.T) {
	onPair(t, func(p *pair) {
		for _, n := range p.w.nodes[1:] {
			p.w.Pause(n.h)
		}
		ctx, giveUp := context.WithCancel(bg)
		p.w.Go("give up", func() {
			p.w.Sleep(50 * time.Millisecond)
			giveUp()
		})
		if err := p.ann.SetTopic(ctx, "#a", "late"); !errors.Is(err, context.Canceled) {
			t.Fatalf("seed %d: %v", p.w.Seed(), err)
		}
		p.w.Go("go on", func() {
			p.w.Sleep(time.Second)
			for _, n := range p.w.nodes[1:] {
				p.w.Resume(n.h)
			}
		})
		p.Eventually("the topic is shown", func() bool { return len(eventsOf[chat.TopicChanged](p.ann)) > 0 })
		p.ann.events = nil
		if err := p.ann.SetTopic(bg, "#a", "in time"); err != nil {
			t.Fatal(err)
		}
		p.quiet()
		if len(eventsOf[chat.TopicChanged](p.ann)) > 0 {
			t.Errorf("seed %d: ann was shown %v", p.w.Seed(), p.ann.events)
		}
	})
}

// TestAnEarlierRunDoesNotComeBack: who was on a node before it started again is over, whatever old copies say.
func TestAnEarlierRunDoesNotComeBack(t *testing.T) {
	onPair(t, func(p *pair) {
		p.w.Crash(p.w.nodes[1].h)
		p.w.Sleep(time.Second)
		p.w.nodes[1] = p.w.start(p.w.Restart(p.w.nodes[1].h), p.w.nodes[0])
		p.Eventually("bob is shown as gone", func() bool { return len(eventsOf[chat.Quit](p.ann)) > 0 })
		p.locked(func(v *view) {
			st := v.state.clone()
			st.members[p.who] = member{join: 1, person: testPerson(p.who)}
			if p.s.buryLocked(st); len(st.members) != 1 {
				t.Errorf("seed %d: he would be there again", p.w.Seed())
			}
		})
	})
}

// TestNamesake: a client is never shown that somebody else does something under its own nick which it would take for
// its own doing.
func TestNamesake(t *testing.T) {
	onPair(t, func(p *pair) {
		p.rename("Ann")
		p.shows(1)
		if left := eventsOf[chat.Parted](p.ann); len(left) != 1 || left[0].Who.Nick != "bob" {
			t.Errorf("ann was shown %v", p.ann.events)
		}
		p.rename("ann")
		p.shows(0)
		p.rename("rob")
		p.shows(1)
		if came := eventsOf[chat.Joined](p.ann); len(came) != 1 || came[0].Who.Nick != "rob" {
			t.Errorf("ann was shown %v", p.ann.events)
		}
		p.rename("ann")
		p.ann.events = nil
		parted := encode(&wire.ChannelEvent{What: &wire.ChannelEvent_Parted{Parted: &wire.Part{}}})
		p.locked(func(v *view) { p.take(v, 100, parted) })
		p.shows(0)
	})
}

// take has the view take an event of bob's.
func (p *pair) take(v *view, number uint64, event []byte) {
	ev, err := decodeEvent(event, v.name)
	if err != nil {
		p.T().Fatal(err)
	}
	stamp := overlay.Stamp{Epoch: overlay.Epoch{Counter: 1 << 40}, Number: number}
	v.takeLocked(overlay.Entry{Stamp: stamp, At: p.Now(), From: p.who, Number: number, Event: event}, ev)
}

// TestHiddenOneLeaves: who has not been shown is not shown as leaving.
func TestHiddenOneLeaves(t *testing.T) {
	onPair(t, func(p *pair) {
		p.locked(func(v *view) {
			v.hideLocked(p.who, false, true)
			p.take(v, 100, encode(&wire.ChannelEvent{What: &wire.ChannelEvent_Parted{Parted: &wire.Part{}}}))
			if len(p.s.sight.hidden) > 0 {
				t.Error("he is hidden still")
			}
		})
		p.shows(0)
	})
}

// TestHiddenOneIsRenamed: what he said before he was shown is shown with him, under the nick that he has then.
func TestHiddenOneIsRenamed(t *testing.T) {
	onPair(t, func(p *pair) {
		p.locked(func(v *view) {
			v.hideLocked(p.who, true, false)
			p.take(v, 100, encode(&wire.ChannelEvent{What: &wire.ChannelEvent_Message{Message: &wire.Message{Text: []byte("hello")}}}))
			is, _ := p.s.knownLocked(p.who)
			is.nick, is.version = "rob", is.version+1
			p.take(v, 101, encode(&wire.ChannelEvent{What: &wire.ChannelEvent_Person{Person: personToWire(is)}}))
		})
		p.Eventually("all is shown", func() bool { return len(p.ann.events) > 1 })
		p.shows(2)
		came, ok := p.ann.events[0].(chat.Joined)
		said, ok2 := p.ann.events[1].(chat.Message)
		if !ok || !ok2 || came.Who.Nick != "rob" || said.From.Nick != "rob" {
			t.Errorf("ann was shown %v", p.ann.events)
		}
	})
}

// TestWhoCameAgainOutOfSight without the status that he had: that it is gone is shown.
func TestWhoCameAgainOutOfSight(t *testing.T) {
	onPair(t, func(p *pair) {
		p.locked(func(v *view) {
			m := v.state.members[p.who]
			m.status = chat.Operator
			v.state.members[p.who] = m
			p.take(v, 100, encode(&wire.ChannelEvent{What: &wire.ChannelEvent_Joined{Joined: &wire.Joined{Person: personToWire(m.person)}}}))
		})
		p.shows(1)
		lost := chat.ModeChange{Mode: 'o', Arg: "bob"}
		if e, ok := p.ann.events[0].(chat.ModeChanged); !ok || len(e.Changes) != 1 || e.Changes[0] != lost {
			t.Errorf("ann was shown %v", p.ann.events)
		}
	})
}

// TestTheNickOfSomebodyMissing: who takes it is shown that the other one is gone before his own change has its place.
func TestTheNickOfSomebodyMissing(t *testing.T) {
	onPair(t, func(p *pair) {
		p.locked(func(*view) {
			p.s.missLocked(p.who)
			se := p.ann.Session.(*session)
			me := se.me
			me.nick = "bob"
			se.publishLocked(me)
		})
		p.shows(2)
		if !before[chat.Split, chat.Effected](p.ann) {
			t.Errorf("ann was shown %v", p.ann.events)
		}
	})
}

// TestWhoHasQuitDoesNotCome: nor does he quit a second time, when it is heard late that he had come to another channel.
func TestWhoHasQuitDoesNotCome(t *testing.T) {
	onPair(t, func(p *pair) {
		p.ann.join("#b")
		p.locked(func(v *view) {
			is, _ := p.s.knownLocked(p.who)
			quit := encode(&wire.ChannelEvent{What: &wire.ChannelEvent_Quit{Quit: &wire.Quit{}}})
			p.take(v, 100, quit)
			v = p.s.views["#b"]
			p.take(v, 1, encode(&wire.ChannelEvent{What: &wire.ChannelEvent_Joined{Joined: &wire.Joined{Person: personToWire(is)}}}))
			if len(v.state.members) != 1 {
				t.Error("he is there")
			}
			p.take(v, 2, quit)
		})
		p.shows(1)
	})
}

// TestStatusOfWhoHasAHiddenNamesake: it is shown, and does not bring the other one out.
func TestStatusOfWhoHasAHiddenNamesake(t *testing.T) {
	onPair(t, func(p *pair) {
		p.locked(func(v *view) {
			cat := testStream(9, 1)
			is := testPerson(cat)
			is.nick = "BOB"
			v.state.members[cat] = member{join: 1, person: is}
			v.hideLocked(cat, true, true)
			p.ann.Session.(*session).pushLocked(chat.ModeChanged{Channel: "#a", Changes: []chat.ModeChange{{Add: true, Mode: 'v', Arg: "bob"}}})
			if h := p.s.hiddenUnderLocked([]chat.ModeChange{{Add: true, Mode: 'v', Arg: "bob"}}); len(h) > 0 || len(p.s.sight.hidden) != 1 {
				t.Errorf("%v are taken for bob, %d are hidden", h, len(p.s.sight.hidden))
			}
			delete(v.state.members, p.who)
			if h := p.s.hiddenUnderLocked([]chat.ModeChange{{Add: true, Mode: 'v', Arg: "bob"}}); len(h) != 1 {
				t.Errorf("%v are found", h)
			}
			delete(v.state.members, cat)
			v.unhideLocked(cat)
		})
		p.shows(1)
	})
}

// TestANewNickOfSomebodyMissing: he is shown with it before he is shown as gone, if he is at all. The other way round he
// would be taken for gone under a nick that he was never shown with, and still be there under it.
func TestANewNickOfSomebodyMissing(t *testing.T) {
	for _, seed := range seeds(2) {
		w := newSimNet(t, seed)
		w.grow(2)
		w.run(func(e *simEnv) {
			ann, bob, cat := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob"), e.open(w.nodes[1], "cat")
			for _, u := range []*tester{ann, bob, cat} {
				u.join("#a")
			}
			e.sees(ann, "#a", "@ann bob cat")
			ann.events = nil
			s := w.nodes[0].s
			rename := func(u *tester, nick string) {
				who := u.Session.(*session).stream
				s.mu.Lock()
				defer s.mu.Unlock()
				x := s.sight.missing[who]
				if x == nil {
					t.Fatalf("seed %d: %s is not missing any more", seed, u.name)
				}
				p := x.person
				p.nick, p.version = nick, p.version+1
				s.personLocked(who, p, e.Now())
			}
			s.mu.Lock()
			for _, u := range []*tester{bob, cat} {
				s.missLocked(u.Session.(*session).stream)
			}
			s.mu.Unlock()
			rename(bob, "rob")
			e.Eventually("the new nick is shown", func() bool { return len(ann.events) > 0 })
			if r := eventsOf[chat.Renamed](ann); len(ann.events) != 1 || len(r) != 1 || r[0].Nick != "rob" {
				t.Errorf("seed %d: ann was shown %v", seed, ann.events)
			}
			rename(bob, "cat") // who is missing too
			e.Eventually("cat is shown as gone", func() bool { return len(ann.events) > 1 })
			if split := eventsOf[chat.Split](ann); len(ann.events) != 2 || len(split) != 1 || nicksOf(split[0].Who) != "cat rob" {
				t.Errorf("seed %d: ann was shown %v", seed, ann.events)
			}
		})
	}
}

// TestWhoLeftHereIsShownToLeaveOnce: a keeper that had lost somebody of this node, who has left, is told of him and
// then of his leaving.
func TestWhoLeftHereIsShownToLeaveOnce(t *testing.T) {
	onPair(t, func(p *pair) {
		cat := p.open(p.w.nodes[0], "cat")
		cat.join("#a")
		p.quiet()
		p.ann.events = nil
		p.locked(func(v *view) {
			se := p.s.nicks["cat"]
			ms := se.memberships["#a"]
			was := v.state.members[se.stream]
			se.leaveLocked(ms, reqPartOf("bye"))
			lacks := v.state.clone()
			delete(lacks.members, se.stream)
			v.differLocked(v.adoptLocked(lacks, p.Now()), p.Now())
			if p.s.sight.missing[se.stream] == nil {
				t.Fatal("nobody is out of sight")
			}
			has := lacks.clone()
			has.members[se.stream] = was
			v.differLocked(v.adoptLocked(has, p.Now()), p.Now())
		})
		p.Sleep(restOfReturn + 2*gatherSplit)
		if left := eventsOf[chat.Parted](p.ann); len(left) != 1 || left[0].Reason != "bye" || len(p.ann.events) != 1 {
			t.Errorf("seed %d: ann was shown %v", p.w.Seed(), p.ann.events)
		}
	})
}
