package overlay

import (
	"fmt"
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/host/sim"
)

// A thousand member nodes hear ten lines a second of one room, which its keeper
// gives to some thirty of them, and those to the others. The test measures what that
// costs the keeper, and how long a line takes; a simulated network has no bandwidth, so
// the time counts round trips only.
func TestAThousandMemberNodes(t *testing.T) {
	members := 1000
	if testing.Short() {
		members = 200
	}
	w := &world{World: sim.New(1, sim.Config{MaxConns: 2 * members}), t: t}
	t.Cleanup(w.Close)
	w.run(func() {
		c := w.hall(members, nil)
		said := map[string]time.Duration{}
		var took []time.Duration
		for _, l := range c.listeners {
			l.views.hears = func(text string) { took = append(took, w.Elapsed()-said[text]) }
		}
		before, began := c.keeper.host.Traffic(), w.Elapsed()
		const lines = 30
		for i := range lines {
			text := fmt.Sprintf("line %d of some fifty bytes, as people write them", i)
			said[text] = w.Elapsed()
			c.says.do(w, c.name, "say "+text)
			w.Sleep(began + time.Duration(i+1)*100*time.Millisecond - w.Elapsed())
		}
		w.must("all is heard", func() bool { return len(took) >= members*lines })
		after, d := c.keeper.host.Traffic(), (w.Elapsed() - began).Seconds()
		if len(took) != members*lines {
			t.Errorf("%d deliveries, want %d", len(took), members*lines)
		}
		out := float64(after.SentBytes-before.SentBytes) / d
		t.Logf("%d member nodes: the keeper sends %.0f KB a second in %.0f messages, and receives %.0f KB; a line takes p50 %v, p99 %v",
			members, out/1000, float64(after.SentMessages-before.SentMessages)/d, float64(after.ReceivedBytes-before.ReceivedBytes)/d/1000,
			percentile(took, 50), percentile(took, 99))
		if perLine := out / 10 / float64(members); perLine > 25 {
			t.Errorf("%.0f bytes for each line and member node", perLine)
		}
		if percentile(took, 99) > 100*time.Millisecond {
			t.Errorf("p99 %v", percentile(took, 99))
		}
	})
}

// hall is a room with many member nodes.
type hall struct {
	keeper, says *node // says is no member
	name         string
	listeners    []*node
}

// hall makes a ring of five, and a room in which many others listen. on puts
// something between a listener and its host; nil for nothing.
func (w *world) hall(members int, on func(i int, h *sim.Host) host.Host) *hall {
	w.grow(5)
	c := &hall{keeper: w.nodes[4], says: w.nodes[0]}
	c.name = w.roomKeptBy(func(n *node) bool { return n == c.keeper })
	c.says.do(w, c.name, "mark founded")
	ob := c.object()
	for i := range members {
		h := w.Add(fmt.Sprint("m", i))
		var between host.Host = h
		if on != nil {
			between = on(i, h)
		}
		c.listeners = append(c.listeners, w.listener(w.dressOn(h, between), c.keeper, c.name))
		ob.obj.(*room).in[h.Self().ID] = h.Run()
	}
	w.Sleep(time.Second)
	// They are let in at once: a thousand joins, told to a thousand, are not what is meant here.
	c.keeper.o.mu.Lock()
	c.keeper.o.leaseAllLocked(ob, c.keeper.host.Now())
	ob.subscribe()
	for _, l := range c.listeners { // as their renewals say
		ob.cursors[l.host.Self().ID].addrs = l.host.Self().Addrs
	}
	ob.united()
	c.keeper.o.pushLocked(ob)
	c.keeper.o.mu.Unlock()
	w.Sleep(5 * time.Second)
	return c
}

func (c *hall) object() *object { return c.keeper.o.objects[ref{"room", c.name}] }

// listener makes a node a member node that is no part of the ring: it knows
// the keeper, and has a view.
func (w *world) listener(n *node, keeper *node, room string) *node {
	w.Start(n.host, n.o.Run)
	n.views.in[room] = true
	n.o.Hold("room", room)
	n.o.setKeeper(ref{"room", room}, keeper.ring.Self())
	w.Go("connects", func() { _, _ = n.host.Dial(keeper.host.Addr(), time.Second) })
	return n
}
