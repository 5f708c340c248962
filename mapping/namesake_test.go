package mapping

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// renames gives what a keeper pushes when a member takes another nick.
func (p pushed) renames(channel string, who overlay.Stream, nick string, n uint64) {
	renamed := testPerson(who)
	renamed.nick, renamed.version = nick, 2
	ev := encode(&wire.ChannelEvent{What: &wire.ChannelEvent_Person{Person: personToWire(renamed)}})
	channelViews{p.s}.Event(channel, overlay.Entry{Stamp: p.stamp(1, n), From: who, Number: n, Event: ev})
}

// Bob has given his nick up, and its keeper gives it to ann before the channel's keeper has said so: what
// a client with the nick is told of its former holder it would take for its own.
func TestANickIsTakenAfterItsFormerHolderWasSeenToGiveItUp(t *testing.T) {
	for _, test := range []struct {
		what  string
		after time.Duration // until the channel hears of his new nick
		want  string
	}{
		{"at once", namesakeWait / 2, "bob is robert, ann is ub1"},
		{"too late", 2 * namesakeWait, "ann is ub1, robert came"},
	} {
		w := newSimNet(t, 1)
		w.grow(1)
		w.run(func(e *simEnv) {
			ann := e.open(w.nodes[0], "ann")
			ann.join("#a")
			bob := testStream(1, 1)
			p := pushed{t, w.nodes[0].s}
			p.reset("#a", []overlay.Stream{bob}, nil)
			told := ""
			note := func(format string, args ...any) {
				if told != "" {
					told += ", "
				}
				told += fmt.Sprintf(format, args...)
			}
			seen := 0
			look := func() {
				for _, r := range eventsOf[chat.Renamed](ann)[seen:] {
					seen++
					if r.Who.Nick == testPerson(bob).nick {
						note("bob is %s", r.Nick)
					}
				}
			}
			e.Go("ann takes the nick", func() {
				if err := ann.SetNick(bg, testPerson(bob).nick); err != nil {
					t.Error(err)
				}
				e.Sleep(time.Millisecond) // her task takes what was queued before
				look()
				note("ann is %s", ann.Self().Nick)
			})
			e.Sleep(test.after)
			p.renames("#a", bob, "robert", 3)
			e.Sleep(namesakeWait)
			look()
			for _, j := range eventsOf[chat.Joined](ann) {
				if j.Who.Nick == "robert" {
					note("robert came")
				}
			}
			if told != test.want {
				t.Errorf("%s: %s, want %s", test.what, told, test.want)
			}
		})
	}
}

// A nick that is another's is refused at once, though he is shown with it.
func TestANickThatIsHeldIsRefusedAtOnce(t *testing.T) {
	w := newSimNet(t, 1)
	w.grow(2)
	w.run(func(e *simEnv) {
		ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
		ann.join("#a")
		bob.join("#a")
		e.sees(ann, "#a", "@ann bob")
		began := e.Now()
		if err := ann.SetNick(bg, "bob"); !errors.Is(err, chat.ErrNickInUse) {
			t.Errorf("she takes it: %v", err)
		}
		if took := e.Now().Sub(began); took > namesakeWait/2 {
			t.Errorf("she was told after %v", took)
		}
	})
}
