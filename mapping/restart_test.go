package mapping

import (
	"testing"
	"time"

	"ircbridge/chat"
)

// Nodes that die and come back with their disks.

// restart starts a node again, alone: it finds its ring by whom it remembers.
func (w *simNet) restart(n *simNode) {
	*n = *w.start(w.Restart(n.h))
}

// All nodes of a ring are killed at one instant and start again: the channel is
// as it was, for those who come back to it; its operator is its operator again,
// and nobody else; nobody is on it who is not there, and nicks are free for who
// had them.
func TestAllNodesKilledAndStartedAgain(t *testing.T) {
	for _, seed := range seeds(20) {
		w := newSimNet(t, seed)
		w.grow(4)
		w.run(func(e *simEnv) {
			ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
			ann.join("#tea")
			bob.join("#tea")
			if err := ann.SetTopic(bg, "#tea", "green only"); err != nil {
				e.Fatalf("topic: %v", err)
			}
			changes := []chat.ModeChange{{Add: true, Mode: 'm'}, {Add: true, Mode: 'b', Arg: "*!*@rude"}, {Add: true, Mode: 'k', Arg: "leaf"}}
			if _, err := ann.SetMode(bg, "#tea", changes); err != nil {
				e.Fatalf("modes: %v", err)
			}
			e.sees(bob, "#tea", "@ann bob")
			e.Sleep(3 * time.Second) // written and committed
			for _, n := range w.nodes {
				w.Crash(n.h)
			}
			e.Sleep(time.Duration(seed) * 100 * time.Millisecond)
			for _, n := range w.nodes {
				w.restart(n)
				e.Sleep(time.Duration(seed%4) * 200 * time.Millisecond)
			}
			began := e.Now()
			e.Eventually("the ring is whole", w.settled)
			bob = e.open(w.nodes[1], "bob")
			join := func(u *tester, key string) (c chat.Channel, err error) {
				e.Eventually(u.name+" gets an answer", func() bool {
					c, err = u.Join(bg, "#tea", key)
					return err == nil || key == ""
				})
				return c, err
			}
			if _, err := join(bob, ""); err == nil {
				t.Errorf("seed %d: who came without the key was let in", seed)
			}
			c, err := join(bob, "leaf")
			if err != nil || c.Topic.Text != "green only" || !c.Modes.Moderated || len(c.Bans) != 1 || len(c.Members) != 1 || c.Members[0].Status != 0 {
				t.Errorf("seed %d: bob came back to %+v, %v", seed, c, err)
			}
			if d := e.Now().Sub(began); d > 5*time.Second {
				t.Errorf("seed %d: the channel was back after %v", seed, d)
			}
			ann = e.open(w.nodes[0], "ann")
			ann.join("#tea")
			e.sees(bob, "#tea", "@ann bob")
			e.sees(ann, "#tea", "@ann bob")
			if len(eventsOf[chat.Renamed](ann))+len(eventsOf[chat.Renamed](bob)) > 0 {
				t.Errorf("seed %d: somebody lost his nick", seed)
			}
		})
	}
}

// The operator's node dies and comes back; others stayed on the channel.
func TestAnOperatorReturnsAfterACrash(t *testing.T) {
	for _, seed := range seeds(20) {
		w := newSimNet(t, seed)
		w.grow(5)
		w.run(func(e *simEnv) {
			ann, bob := e.open(w.nodes[1], "ann"), e.open(w.nodes[2], "bob")
			channel := e.channelOn(w.nodes[int(seed)%5])
			ann.join(channel)
			bob.join(channel)
			e.sees(bob, channel, "@ann bob")
			w.Crash(w.nodes[1].h)
			e.Sleep(time.Duration(seed) * time.Second)
			w.restart(w.nodes[1])
			e.Eventually("the ring is whole", w.settled)
			back := e.open(w.nodes[1], "ann")
			back.join(channel)
			e.sees(bob, channel, "@ann bob")
			e.sees(back, channel, "@ann bob")
		})
	}
}

// A node comes back with what its disk had of a channel that has ended since,
// and was founded anew by somebody else: that one keeps it.
func TestAnOldDiskTakesNoChannel(t *testing.T) {
	for _, seed := range seeds(10) {
		w := newSimNet(t, seed)
		w.grow(4)
		w.run(func(e *simEnv) {
			channel := e.channelOn(w.nodes[2])
			ann := e.open(w.nodes[0], "ann")
			ann.join(channel)
			if err := ann.SetTopic(bg, channel, "old"); err != nil {
				e.Fatalf("topic: %v", err)
			}
			e.Sleep(3 * time.Second)
			w.Crash(w.nodes[2].h)
			e.Sleep(30 * time.Second)
			ann.Close("enough")
			e.Sleep(10 * time.Second)
			e.Sleep(10 * time.Minute)
			bob := e.open(w.nodes[1], "bob")
			bob.join(channel)
			e.sees(bob, channel, "@bob")
			w.restart(w.nodes[2])
			e.Eventually("the ring is whole", w.settled)
			e.Sleep(time.Minute)
			e.sees(bob, channel, "@bob")
			if c, err := bob.Channel(bg, channel); err != nil || c.Topic.Text != "" {
				t.Errorf("seed %d: the channel is %+v, %v", seed, c, err)
			}
			if m := eventsOf[chat.ModeChanged](bob); len(m) > 0 {
				t.Errorf("seed %d: modes changed: %+v", seed, m)
			}
		})
	}
}
