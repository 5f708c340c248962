package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/host/sim"
)

// TestEchoWaitsForAReplica: the keeper's own user is not told that his message
// was accepted, and nobody on his node is shown it, as long as his node alone
// has it and does not know that the others are gone.
func TestEchoWaitsForAReplica(t *testing.T) {
	for _, seed := range seeds(5) {
		w := newSimNet(t, seed)
		w.grow(4)
		w.run(func(e *simEnv) {
			keeper := w.nodes[3]
			channel := e.channelOn(keeper)
			ann, bob := e.open(keeper, "ann"), e.open(keeper, "bob")
			ann.join(channel)
			bob.join(channel)
			var others []*sim.Host
			for _, n := range w.nodes[:3] {
				others = append(others, n.h)
			}
			w.Partition(others, []*sim.Host{keeper.h})
			ann.send(channel, "is anybody there?")
			e.Eventually("she is told", func() bool {
				accepted := slices.ContainsFunc(eventsOf[chat.Sent](ann), func(s chat.Sent) bool { return s.Err == nil })
				told := accepted || len(bob.texts()) > 0
				if told && len(keeper.ring.Successors()) > 0 {
					e.Fatalf("seed %d: she is told %v, he is shown %v, and the node has replicas which do not have it",
						seed, eventsOf[chat.Sent](ann), bob.texts())
				}
				return told
			})
		})
	}
}

// TestOthersHearBeforeTheEcho: a message goes out to others at once, and its
// sender, on another node than the keeper, has it back when a replica has it, in
// the order of the channel.
func TestOthersHearBeforeTheEcho(t *testing.T) {
	for _, seed := range seeds(5) {
		w := newSimNet(t, seed)
		w.grow(6)
		w.run(func(e *simEnv) {
			keeper := w.nodes[5]
			channel := e.channelOn(keeper)
			replicas := map[[20]byte]bool{}
			for _, c := range keeper.ring.Successors()[:2] {
				replicas[c.ID] = true
			}
			var users []*tester
			for _, n := range w.nodes[:5] {
				if !replicas[n.ring.Self().ID] && len(users) < 2 {
					users = append(users, e.open(n, fmt.Sprint("u", len(users))))
				}
			}
			ann, bob := users[0], users[1]
			ann.join(channel)
			bob.join(channel)
			e.sees(bob, channel, "@u0 u1")
			for _, n := range w.nodes {
				if replicas[n.ring.Self().ID] {
					w.Pause(n.h)
				}
			}
			at := e.Now()
			ann.send(channel, "one")
			e.Eventually("bob hears her", func() bool { return len(bob.texts()) == 1 })
			if d := e.Now().Sub(at); d > 200*time.Millisecond || len(eventsOf[chat.Sent](ann)) != 0 {
				e.T().Errorf("seed %d: he hears her after %v, she is told %v", seed, d, eventsOf[chat.Sent](ann))
			}
			bob.send(channel, "two")
			e.Eventually("they are told", func() bool { return len(eventsOf[chat.Sent](ann))+len(eventsOf[chat.Sent](bob)) == 2 })
			e.Eventually("she hears him", func() bool { return len(ann.texts()) == 1 })
			if !before[chat.Sent, chat.Message](ann) || before[chat.Sent, chat.Message](bob) {
				e.T().Errorf("seed %d: %v and %v", seed, ann.events, bob.events)
			}
		})
	}
}

// TestReportedInTime: while nobody answers for a channel, each message is
// reported as not accepted when its time is over, neither sooner nor much later,
// however many wait; and of what arrives all the same, when the keeper that hung
// wakes, the sender is told.
func TestReportedInTime(t *testing.T) {
	const giveUp = time.Second // the ring takes longer to find a keeper that hangs
	refused, late := 0, 0
	for _, seed := range seeds(10) {
		w := newSimNet(t, seed)
		w.grow(5)
		w.run(func(e *simEnv) {
			keeper := w.nodes[4]
			channel := e.channelOn(keeper)
			w.nodes[0].s.cfg.GiveUp = giveUp
			ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
			ann.join(channel)
			bob.join(channel)
			e.sees(bob, channel, "@ann bob")
			w.Pause(keeper.h)
			const n = 40
			sent, told := map[uint64]time.Time{}, 0
			look := func() {
				for _, o := range eventsOf[chat.Sent](ann)[told:] {
					told++
					took := e.Now().Sub(sent[o.Number])
					if o.Err == nil {
						continue
					}
					refused++
					if !errors.Is(o.Err, chat.ErrUnreachable) || took < giveUp*9/10 || took > giveUp*12/10 {
						e.T().Errorf("seed %d: message %d: %v after %v", seed, o.Number, o.Err, took)
					}
				}
			}
			for i := range n {
				ann.send(channel, fmt.Sprint("ann ", i+1))
				sent[uint64(i+1)] = e.Now()
				for range 4 {
					e.Sleep(10 * time.Millisecond)
					look()
				}
			}
			e.Eventually("all have an outcome", func() bool { look(); e.Sleep(10 * time.Millisecond); return told == n })
			e.Sleep(3 * time.Second)
			w.Resume(keeper.h)
			e.Sleep(time.Minute)
			accepted := map[string]bool{}
			for _, o := range eventsOf[chat.Sent](ann) {
				accepted[o.Message.Text] = o.Err == nil
			}
			for _, text := range bob.texts() {
				if !accepted[text] {
					late++
					if !slices.Contains(ann.notices(), fmt.Sprintf(arrived, channel, text)) {
						e.T().Errorf("seed %d: %q was reported as not accepted, and arrived; she was told %v", seed, text, ann.notices())
					}
				}
			}
			for _, text := range ann.notices() {
				if text = text[len(fmt.Sprintf(arrived, channel, "")):]; !slices.Contains(bob.texts(), text) {
					e.T().Errorf("seed %d: she was told that %q has arrived, and it has not", seed, text)
				}
			}
		})
	}
	if refused == 0 {
		t.Error("nothing was reported")
	}
	t.Logf("%d reported, of which %d arrived", refused, late)
}

// TestAHungKeeperAndOtherChannels: while the keeper of one channel hangs, what is
// said there is answered within three seconds, and what the same users say in
// channels of other keepers is not delayed.
func TestAHungKeeperAndOtherChannels(t *testing.T) {
	var here, elsewhere []time.Duration
	for _, seed := range seeds(8) {
		w := newSimNet(t, seed)
		w.grow(8)
		w.run(func(e *simEnv) {
			hung, other := e.channelOn(w.nodes[7]), e.channelOn(w.nodes[5])
			ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
			for _, c := range []string{hung, other} {
				ann.join(c)
				bob.join(c)
			}
			e.Sleep(20 * time.Second)
			sent, told := map[uint64]time.Time{}, 0
			look := func() {
				for _, o := range eventsOf[chat.Sent](ann)[told:] {
					told++
					took := e.Now().Sub(sent[o.Number])
					if o.Err != nil {
						e.T().Errorf("seed %d: %v after %v", seed, o.Err, took)
					}
					if o.Message.Target == hung {
						here = append(here, took)
					} else {
						elsewhere = append(elsewhere, took)
					}
				}
			}
			w.Pause(w.nodes[7].h)
			const n = 200
			for i := range n {
				for k, c := range []string{hung, other} {
					ann.send(c, fmt.Sprint("ann ", i+1))
					sent[uint64(2*i+k+1)] = e.Now()
				}
				for range 5 {
					e.Sleep(5 * time.Millisecond)
					look()
				}
			}
			e.Eventually("all have an outcome", func() bool { look(); return told == 2*n })
		})
	}
	slices.Sort(here)
	slices.Sort(elsewhere)
	p99 := func(d []time.Duration) time.Duration { return d[len(d)*99/100] }
	t.Logf("%d messages to the hung keeper's channel: p99 %v, max %v; elsewhere: p99 %v, max %v",
		len(here), p99(here), here[len(here)-1], p99(elsewhere), elsewhere[len(elsewhere)-1])
	if p99(here) > 3*time.Second || p99(elsewhere) > 100*time.Millisecond {
		t.Errorf("p99 %v, and %v elsewhere", p99(here), p99(elsewhere))
	}
}

// TestCommandsEndInTime: what a user asks of a channel whose keeper does not
// answer ends with an error that says so when its time is over; a join is taken
// back, and all see the same when the keeper wakes.
func TestCommandsEndInTime(t *testing.T) {
	const giveUp = time.Second
	for _, seed := range seeds(5) {
		w := newSimNet(t, seed)
		w.grow(5)
		w.run(func(e *simEnv) {
			keeper := w.nodes[4]
			channel := e.channelOn(keeper)
			w.nodes[0].s.cfg.GiveUp = giveUp
			ann, bob, cat := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob"), e.open(w.nodes[0], "cat")
			ann.join(channel)
			bob.join(channel)
			e.sees(ann, channel, "@ann bob")
			commands := map[string]func() error{
				"topic": func() error { return ann.SetTopic(bg, channel, "lost") },
				"mode": func() error {
					_, err := ann.SetMode(bg, channel, []chat.ModeChange{{Add: true, Mode: 'm'}})
					return err
				},
				"kick": func() error { return ann.Kick(bg, channel, "bob", "") },
				"join": func() error {
					_, err := cat.Join(bg, channel, "")
					return err
				},
			}
			w.Pause(keeper.h)
			left := len(commands)
			for _, name := range sortedKeys(commands) {
				e.Go(name, func() {
					at := e.Now()
					err := commands[name]()
					if took := e.Now().Sub(at); !errors.Is(err, chat.ErrUnreachable) || took > giveUp*13/10 {
						e.T().Errorf("seed %d: %s: %v after %v", seed, name, err, took)
					}
					left--
				})
			}
			e.Eventually("all are answered", func() bool { return left == 0 })
			if got := cat.Joined(); len(got) != 0 {
				e.T().Errorf("seed %d: cat is on %v", seed, got)
			}
			e.Sleep(10 * time.Second)
			w.Resume(keeper.h)
			e.Sleep(time.Minute)
			a, b := ann.nicks(channel), bob.nicks(channel)
			ca, _ := ann.Channel(bg, channel)
			cb, _ := bob.Channel(bg, channel)
			if strings.Contains(a, "cat") || len(bob.Joined()) == 1 && (a != b || ca.Topic != cb.Topic || ca.Modes != cb.Modes) {
				e.T().Errorf("seed %d: ann sees %q, bob %q; %+v and %+v", seed, a, b, ca.Modes, cb.Modes)
			}
		})
	}
}
