package mapping

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// story is what somebody was shown, in short.
func story(u *tester) string {
	var list []string
	for _, e := range u.events {
		switch e := e.(type) {
		case chat.Joined:
			list = append(list, e.Who.Nick+" joins "+e.Channel)
		case chat.Rejoined:
			list = append(list, "back: "+arrivals(e.Came))
		case chat.Parted:
			list = append(list, e.Who.Nick+" parts "+e.Channel)
		case chat.Quit:
			list = append(list, e.Who.Nick+" quits")
		case chat.Split:
			list = append(list, "split: "+nicksOf(e.Who))
		case chat.Renamed:
			list = append(list, e.Who.Nick+" is "+e.Nick)
		case chat.Message:
			list = append(list, e.From.Nick+" says "+e.Text)
		case chat.Effected:
			list = append(list, "done")
		default:
			list = append(list, inShort(e))
		}
	}
	return strings.Join(list, ", ")
}

// told fails unless somebody was shown just that since the last time.
func (p *pair) told(u *tester, want string) {
	p.T().Helper()
	p.quiet()
	if got := story(u); got != want {
		p.T().Errorf("seed %d: %s was shown %q, not %q", p.w.Seed(), u.name, got, want)
	}
	u.events = nil
}

// event has a channel's view on ann's node take an event of somebody's.
func (p *pair) event(channel string, from overlay.Stream, number uint64, ev *wire.ChannelEvent) {
	p.locked(func(*view) {
		v := p.s.views[channel]
		e := overlay.Entry{
			Stamp: overlay.Stamp{Epoch: overlay.Epoch{Counter: 1 << 40}, Number: number}, At: p.Now(), From: from, Number: number, Event: encode(ev),
		}
		v.takeLocked(e, ev)
	})
}

// comes has somebody join a channel under a nick.
func (p *pair) comes(channel string, who overlay.Stream, number uint64, nick string) {
	is := testPerson(who)
	is.nick = nick
	p.event(channel, who, number, &wire.ChannelEvent{What: &wire.ChannelEvent_Joined{Joined: &wire.Joined{Person: personToWire(is)}}})
}

// becomes has somebody take a nick, as a channel's keeper tells it.
func (p *pair) becomes(channel string, who overlay.Stream, number uint64, nick string) {
	p.s.mu.Lock()
	is, _ := p.s.knownLocked(who)
	p.s.mu.Unlock()
	is.nick, is.version = nick, is.version+1
	p.event(channel, who, number, &wire.ChannelEvent{What: &wire.ChannelEvent_Person{Person: personToWire(is)}})
}

// says has somebody say something.
func (p *pair) says(channel string, who overlay.Stream, number uint64, text string) {
	p.event(channel, who, number, &wire.ChannelEvent{What: &wire.ChannelEvent_Message{Message: &wire.Message{Text: []byte(text)}}})
}

// parts has somebody leave a channel.
func (p *pair) parts(channel string, who overlay.Stream, number uint64) {
	p.event(channel, who, number, &wire.ChannelEvent{What: &wire.ChannelEvent_Parted{Parted: &wire.Part{}}})
}

// next is the first session of bob's node when it has started again.
func (p *pair) next() overlay.Stream {
	return overlay.Stream{Node: p.who.Node, Run: p.who.Run + 1, Session: 1}
}

// TestTheNextSessionComesToAnotherChannelFirst: somebody's node has started again, and he is back in one channel before the
// other one's keeper says that the session before is gone. It is shown to be gone before he is shown to come.
func TestTheNextSessionComesToAnotherChannelFirst(t *testing.T) {
	onPair(t, func(p *pair) {
		p.ann.join("#b")
		p.comes("#b", p.next(), 1, "bob")
		p.told(p.ann, "")
		p.event("#a", overlay.Stream{}, 100, &wire.ChannelEvent{What: &wire.ChannelEvent_Gone{Gone: &wire.Gone{
			Sessions: []*wire.Session{sessionToWire(p.who)}, Reason: []byte(reasonRestarted),
		}}})
		p.told(p.ann, "bob quits, bob joins #b")
	})
}

// TestANickThatAnotherOneIsShownWith: who takes it leaves, and comes back when the other one has given it up. What is
// new of him meanwhile is not shown.
func TestANickThatAnotherOneIsShownWith(t *testing.T) {
	onPair(t, func(p *pair) {
		p.ann.join("#b")
		cat, dan := testStream(9, 1), testStream(8, 1)
		p.comes("#b", cat, 1, "cat")
		p.comes("#b", dan, 1, "dan")
		p.comes("#b", p.who, 1, "bob")
		p.told(p.ann, "cat joins #b, dan joins #b, bob joins #b")
		p.becomes("#a", p.who, 100, "Cat")
		p.told(p.ann, "bob parts #a, bob parts #b")
		p.becomes("#a", p.who, 101, "cAt")
		p.told(p.ann, "")
		p.becomes("#b", cat, 2, "tac")
		p.told(p.ann, "cat is tac, cAt joins #a, cAt joins #b")
		p.becomes("#b", dan, 2, "cat")
		p.told(p.ann, "dan parts #b")
		p.becomes("#b", dan, 3, "nad")
		p.told(p.ann, "nad joins #b")
	})
}

// TestSomebodyMissingTakesANick that another one is shown with: he leaves, and comes back when that is over, though he is found before.
func TestSomebodyMissingTakesANick(t *testing.T) {
	onPair(t, func(p *pair) {
		cat := testStream(9, 1)
		p.comes("#a", cat, 1, "cat")
		p.told(p.ann, "cat joins #a")
		var was member
		p.locked(func(v *view) {
			was = v.state.members[p.who]
			p.s.missLocked(p.who)
		})
		p.told(p.ann, "")
		p.locked(func(v *view) {
			has := v.state.clone()
			was.person.nick, was.person.version = "cat", was.person.version+1
			has.members[p.who] = was
			v.differLocked(v.adoptLocked(has, p.Now()), p.Now())
		})
		p.told(p.ann, "bob parts #a")
		p.parts("#a", cat, 2)
		p.Sleep(2 * lookPause)
		p.told(p.ann, "cat parts #a, cat joins #a")
	})
}

// TestWhoSpeaksUnderANickThatIsShown is shown, and the other one is not until he speaks.
func TestWhoSpeaksUnderANickThatIsShown(t *testing.T) {
	onPair(t, func(p *pair) {
		p.ann.join("#b")
		cat := testStream(9, 1)
		p.comes("#b", cat, 1, "bob")
		p.Sleep(time.Minute)
		p.told(p.ann, "")
		p.says("#b", cat, 2, "hello")
		p.Sleep(2 * holdBack)
		p.told(p.ann, "bob parts #a, bob joins #b, bob says hello")
		p.parts("#a", p.who, 100)
		p.told(p.ann, "")
		p.comes("#a", p.who, 101, "bob")
		p.told(p.ann, "")
		p.says("#a", p.who, 102, "here")
		p.Sleep(2 * holdBack)
		p.told(p.ann, "bob parts #b, bob joins #a, bob says here")
	})
}

// TestOneTakesANickThatSomebodyIsShownWith: he leaves first, and what he says is not held up; he comes back when one has another nick.
func TestOneTakesANickThatSomebodyIsShownWith(t *testing.T) {
	onPair(t, func(p *pair) {
		se := p.ann.Session.(*session)
		take := func(nick string) {
			p.locked(func(*view) {
				me := se.me
				me.nick = nick
				se.publishLocked(me)
			})
		}
		take("bob")
		p.told(p.ann, "bob parts #a, done")
		p.says("#a", p.who, 100, "hello")
		p.told(p.ann, "bob says hello")
		take("ann")
		p.Sleep(2 * lookPause)
		p.told(p.ann, "done, bob joins #a")
	})
}

// TestTwoOfOneNickWhereOneComes: one who comes to a channel finds one of them there, and the other one comes when he has gone.
func TestTwoOfOneNickWhereOneComes(t *testing.T) {
	onPair(t, func(p *pair) {
		dan := p.open(p.w.nodes[0], "dan")
		dan.join("#b")
		cat := testStream(9, 1)
		p.comes("#b", cat, 1, "bob")
		p.told(dan, "bob joins #b")
		c, err := p.ann.Join(bg, "#b", "")
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(c.Members, func(m chat.Member) bool { return m.Nick == "bob" }) {
			t.Errorf("seed %d: ann finds %v, and sees another bob in #a", p.w.Seed(), c.Members)
		}
		p.told(p.ann, "")
		c, err = dan.Join(bg, "#a", "")
		if err != nil || slices.ContainsFunc(c.Members, func(m chat.Member) bool { return m.Nick == "bob" }) {
			t.Errorf("seed %d: dan finds %v, and sees another bob in #b: %v", p.w.Seed(), c.Members, err)
		}
		p.ann.events, dan.events = nil, nil
		p.event("#a", p.who, 100, &wire.ChannelEvent{What: &wire.ChannelEvent_Quit{Quit: &wire.Quit{}}})
		p.told(p.ann, "bob quits, bob joins #b")
		p.told(dan, "")
	})
}

// TestWhoIsHiddenFromOneOnly: the others are shown that he leaves, or is out of sight.
func TestWhoIsHiddenFromOneOnly(t *testing.T) {
	for _, test := range []struct {
		how  uint8 // of his removal; 0: none
		want string
	}{{byPart, "bob parts #b"}, {0, "split: bob"}} {
		onPair(t, func(p *pair) {
			dan := p.open(p.w.nodes[0], "dan")
			dan.join("#b")
			cat := testStream(9, 1)
			p.comes("#b", cat, 1, "bob")
			p.ann.join("#b")
			p.told(dan, "bob joins #b, ann joins #b")
			p.ann.events = nil
			p.locked(func(*view) {
				v := p.s.views["#b"]
				st := v.state.clone()
				delete(st.members, cat)
				if test.how != 0 {
					st.removals[cat] = removal{join: 1, kind: test.how}
				}
				v.differLocked(v.adoptLocked(st, p.Now()), p.Now())
			})
			p.Sleep(2 * gatherSplit)
			p.told(dan, test.want)
			p.told(p.ann, "")
		})
	}
}

// TestWhoComesFindsWhoIsShown of two who are there under one nick, whichever came first; and who names the nick means him.
func TestWhoComesFindsWhoIsShown(t *testing.T) {
	for _, order := range [][]overlay.Stream{{testStream(8, 1), testStream(9, 1)}, {testStream(9, 1), testStream(8, 1)}} {
		onPair(t, func(p *pair) {
			for _, who := range order {
				p.comes("#a", who, 1, "cat")
			}
			p.told(p.ann, "cat joins #a")
			dan := p.open(p.w.nodes[0], "dan")
			c, err := dan.Join(bg, "#a", "")
			var cats []chat.SessionID
			for _, m := range c.Members {
				if m.Nick == "cat" {
					cats = append(cats, m.Session)
				}
			}
			if err != nil || len(cats) != 1 || cats[0] != sessionID(order[0]) {
				t.Errorf("seed %d: dan finds %v: %v", p.w.Seed(), c.Members, err)
			}
			if who, err := p.ann.Session.(*session).target(bg, "#a", "CAT"); err != nil || who != order[0] {
				t.Errorf("seed %d: ann means %v: %v", p.w.Seed(), who, err)
			}
		})
	}
}

// TestWhoIsHiddenLeavesOneChannel: that he leaves it is no reason to show him in another.
func TestWhoIsHiddenLeavesOneChannel(t *testing.T) {
	onPair(t, func(p *pair) {
		dan := p.open(p.w.nodes[0], "dan")
		cat := testStream(9, 1)
		for _, c := range []string{"#b", "#c"} {
			dan.join(c)
			p.comes(c, cat, 1, "bob")
			p.ann.join(c)
		}
		p.quiet()
		p.ann.events, dan.events = nil, nil
		p.parts("#b", cat, 2)
		p.told(dan, "bob parts #b")
		p.told(p.ann, "")
	})
}

// TestWhoIsHiddenDoesNotHurryOthers who come back, and are waited for by those who come with them.
func TestWhoIsHiddenDoesNotHurryOthers(t *testing.T) {
	onPair(t, func(p *pair) {
		p.comes("#a", testStream(9, 1), 1, "bob")
		p.Sleep(time.Minute)
		p.locked(func(v *view) {
			eve := testStream(8, 1)
			v.state.members[eve] = member{join: 1, person: testPerson(eve)}
			v.hideLocked(eve, true, true)
		})
		p.Sleep(gatherReturn - 2*lookPause)
		p.told(p.ann, "")
		p.Sleep(3 * lookPause)
		p.told(p.ann, testPerson(testStream(8, 1)).nick+" joins #a")
	})
}

// TestBearersAreForgotten who are in no view any more.
func TestBearersAreForgotten(t *testing.T) {
	onPair(t, func(p *pair) {
		p.locked(func(*view) {
			for n := range 10 * fewBearers {
				p.s.bearsLocked(testStream(9, uint64(n)), "cat")
			}
			if n := p.s.bearers.total; n > fewBearers || len(p.s.bearers.of["cat"]) > n {
				t.Errorf("%d are remembered", n)
			}
			if len(p.s.bearers.of["bob"]) != 1 {
				t.Error("bob is forgotten")
			}
		})
	})
}
