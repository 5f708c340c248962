package mapping

import (
	"testing"

	"ircbridge/chat"
)

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
