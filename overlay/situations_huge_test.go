package overlay

import (
	"fmt"
	"testing"
	"time"

	"ircbridge/host/sim"
)

// A thousand member nodes hear ten lines a second of one room. There is no tree of relays: the keeper
// calls each of them, one call in flight for each, several lines in one where they
// come faster than the answers. The test measures what that costs the keeper, and how long
// a line takes; a simulated network has no bandwidth, so the time counts round trips only.
func TestAThousandMemberNodes(t *testing.T) {
	members := 1000
	if testing.Short() {
		members = 200
	}
	w := &world{World: sim.New(1, sim.Config{MaxConns: 2 * members}), t: t}
	t.Cleanup(w.Close)
	w.run(func() {
		w.grow(5)
		keeper := w.nodes[4]
		name := w.roomKeptBy(func(n *node) bool { return n == keeper })
		says := w.nodes[0]
		said := map[string]time.Duration{}
		var took []time.Duration
		says.do(w, name, "mark founded")
		ob := keeper.o.objects[ref{"room", name}]
		kept := ob.obj.(*room)
		for i := range members {
			l := w.listener(fmt.Sprint("m", i), keeper, name)
			l.views.hears = func(text string) { took = append(took, w.Elapsed()-said[text]) }
			kept.in[l.host.Self().ID] = l.host.Run()
		}
		w.Sleep(time.Second)
		// They are let in at once: a thousand joins, told to a thousand, are not what is measured.
		keeper.o.mu.Lock()
		keeper.o.leaseAllLocked(ob, keeper.host.Now())
		ob.subscribe()
		ob.united()
		keeper.o.pushLocked(ob)
		keeper.o.mu.Unlock()
		w.Sleep(5 * time.Second)
		before, began := keeper.host.Traffic(), w.Elapsed()
		const lines = 30
		for i := range lines {
			text := fmt.Sprintf("line %d of some fifty bytes, as people write them", i)
			said[text] = w.Elapsed()
			says.do(w, name, "say "+text)
			w.Sleep(began + time.Duration(i+1)*100*time.Millisecond - w.Elapsed())
		}
		w.must("all is heard", func() bool { return len(took) >= members*lines })
		after, d := keeper.host.Traffic(), (w.Elapsed() - began).Seconds()
		if len(took) != members*lines {
			t.Errorf("%d deliveries, want %d", len(took), members*lines)
		}
		out := float64(after.SentBytes-before.SentBytes) / d
		t.Logf("%d member nodes: the keeper sends %.0f KB a second in %.0f messages, and receives %.0f KB; a line takes p50 %v, p99 %v",
			members, out/1000, float64(after.SentMessages-before.SentMessages)/d, float64(after.ReceivedBytes-before.ReceivedBytes)/d/1000,
			percentile(took, 50), percentile(took, 99))
		if perLine := out / 10 / float64(members); perLine > 400 {
			t.Errorf("%.0f bytes for each line and member node", perLine)
		}
		if percentile(took, 99) > 100*time.Millisecond {
			t.Errorf("p99 %v", percentile(took, 99))
		}
	})
}

// listener is a member node that is no part of the ring: it knows the keeper, and has a view.
func (w *world) listener(name string, keeper *node, room string) *node {
	h := w.Add(name)
	n := w.dress(h)
	w.Start(h, n.o.Run)
	n.views.in[room] = true
	n.o.Hold("room", room)
	n.o.setKeeper(ref{"room", room}, keeper.ring.Self())
	w.Go("connects", func() { _, _ = h.Dial(keeper.host.Addr(), time.Second) })
	return n
}
