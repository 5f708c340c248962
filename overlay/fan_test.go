package overlay

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/host/sim"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

// say has lines said, one each tenth of a second, with something done before some of them.
func (c *hall) say(w *world, from, to int, before map[int]func()) (lines []string) {
	for i := from; i < to; i++ {
		if f := before[i]; f != nil {
			f()
		}
		line := fmt.Sprint("line ", i)
		lines = append(lines, line)
		c.says.do(w, c.name, "say "+line)
		w.Sleep(100 * time.Millisecond)
	}
	return lines
}

// relays are the listeners that are relays now.
func (c *hall) relays() (rs []*node) {
	for _, b := range c.object().branches {
		i := slices.IndexFunc(c.listeners, func(l *node) bool { return l.host.Self().ID == b.members[0] })
		rs = append(rs, c.listeners[i])
	}
	return rs
}

// all hear lines, once each and in their order (roomViews sees to that).
func (c *hall) all(w *world, lines []string, but ...*node) bool {
	return !slices.ContainsFunc(c.listeners, func(l *node) bool {
		return !slices.Contains(but, l) && !l.views.heard(c.name, lines...)
	})
}

// Relays die and hang in the middle of the talk: nobody else misses anything,
// and it takes a second or so.
func TestRelaysDie(t *testing.T) {
	for seed := range seeds(5) {
		w := newWorld(t, seed)
		w.run(func() {
			c := w.hall(100, nil)
			lines := c.say(w, 0, 10, nil)
			first := c.relays()
			if len(first) != 4 {
				t.Fatalf("%d relays of a hundred", len(first))
			}
			lines = append(lines, c.say(w, 10, 30, map[int]func(){
				12: func() { w.Crash(first[0].host) },
				15: func() { w.Pause(first[1].host) },
			})...)
			w.Sleep(2 * time.Second)
			if !c.all(w, lines, first[0], first[1]) {
				t.Errorf("seed %d: somebody missed something", seed)
			}
			if now := c.relays(); slices.Contains(now, first[0]) || slices.Contains(now, first[1]) {
				t.Errorf("seed %d: who is dead, or hangs, is a relay still", seed)
			}
			w.Resume(first[1].host)
			lines = append(lines, c.say(w, 30, 35, nil)...)
			w.must("who hung has all", func() bool { return c.all(w, lines, first[0]) })
			// Nothing follows that would have the keeper look again.
			hung := c.relays()[0]
			w.Pause(hung.host)
			lines = append(lines, c.say(w, 35, 36, nil)...)
			w.Sleep(2 * time.Second)
			if !c.all(w, lines, first[0], hung) {
				t.Errorf("seed %d: the last line is not with everybody", seed)
			}
		})
	}
}

// A member that is silent holds up the others of its branch once, for less
// than anybody notices.
func TestASilentMemberOfABranch(t *testing.T) {
	if testing.Short() {
		t.Skip("many nodes")
	}
	w := newWorld(t, 1)
	w.run(func() {
		c := w.hall(100, nil)
		c.say(w, 0, 3, nil)
		b := c.object().branches[0]
		silent := c.listeners[slices.IndexFunc(c.listeners, func(l *node) bool { return l.host.Self().ID == b.members[5] })]
		w.Pause(silent.host)
		said := map[string]time.Duration{}
		var worst time.Duration
		for _, l := range c.listeners {
			l.views.hears = func(text string) { worst = max(worst, w.Elapsed()-said[text]) }
		}
		for i := range 40 {
			said[fmt.Sprint(i)] = w.Elapsed()
			c.says.do(w, c.name, fmt.Sprint("say ", i))
			w.Sleep(20 * time.Millisecond)
		}
		w.must("all others have all", func() bool {
			return !slices.ContainsFunc(c.listeners, func(l *node) bool { return l != silent && len(l.views.said[c.name]) != 43 })
		})
		if t.Logf("a line took %v at most", worst); worst > 100*time.Millisecond {
			t.Errorf("a line took %v", worst)
		}
	})
}

// liar is the host of a node that says it passes batches on, and does not.
type liar struct {
	host.Host
	lies *bool
}

func (l *liar) HandleCall(m host.Method, f host.CallHandler) {
	if m.Number != methodFan.Number {
		l.Host.HandleCall(m, f)
		return
	}
	l.Host.HandleCall(m, func(from host.Peer, req []byte) ([]byte, error) {
		if *l.lies {
			return proto.Marshal(&wire.FanReply{Outcome: wire.FanReply_PASSED})
		}
		return f(from, req)
	})
}

// Relays that lie delay what they withhold until the members' next renewals,
// and are relays no more.
func TestLyingRelays(t *testing.T) {
	if testing.Short() {
		t.Skip("many nodes")
	}
	for seed := range seeds(3) {
		w := newWorld(t, seed)
		w.run(func() {
			lies := false
			liars := map[*sim.Host]bool{}
			c := w.hall(100, func(i int, h *sim.Host) host.Host {
				if i%10 != 0 {
					return h
				}
				liars[h] = true
				return &liar{h, &lies}
			})
			lines := c.say(w, 0, 5, nil)
			ob := c.object()
			// The relay of every branch lies that has a liar.
			for _, b := range ob.branches {
				i := slices.IndexFunc(b.members, func(m host.PeerID) bool {
					return slices.ContainsFunc(c.listeners, func(l *node) bool { return l.host.Self().ID == m && liars[l.host] })
				})
				if i >= 0 {
					b.members[0], b.members[i], b.told = b.members[i], b.members[0], false
				}
			}
			before := slices.DeleteFunc(c.relays(), func(l *node) bool { return !liars[l.host] })
			lies = true
			lines = append(lines, c.say(w, 5, 60, nil)...)
			w.Sleep(35 * time.Second)
			if !c.all(w, lines) {
				t.Errorf("seed %d: after a round of renewals somebody lacks something", seed)
			}
			c.say(w, 60, 61, nil)
			for _, r := range before {
				if !ob.cursors[r.host.Self().ID].unfit || slices.Contains(c.relays(), r) {
					t.Errorf("seed %d: a liar is a relay still", seed)
				}
			}
		})
	}
}

// In a ring of nodes that all are members, some of which speak, come and go,
// all see the same in one order, and relays find the others by themselves.
func TestATreeWhoseMembersChange(t *testing.T) {
	if testing.Short() {
		t.Skip("many nodes")
	}
	for seed := range seeds(2) {
		w := newWorld(t, seed)
		w.run(func() {
			const members = 72
			w.grow(members)
			c := &hall{keeper: w.nodes[4], says: w.nodes[20], listeners: w.nodes}
			c.name = w.roomKeptBy(func(n *node) bool { return n == c.keeper })
			for _, n := range w.nodes {
				n.do(w, c.name, "join")
			}
			rides := 0
			for i := range 30 {
				who := w.nodes[(7*i)%members]
				switch {
				case i%10 == 3:
					who.views.in[c.name] = false
					who.do(w, c.name, "leave")
					who.o.Release("room", c.name)
				case i%10 == 8: // the one of five turns ago
					who = w.nodes[7*(i-5)%members]
					who.do(w, c.name, "join")
				default:
					who.do(w, c.name, fmt.Sprint("say ", i))
				}
				for _, b := range c.object().branches {
					if b.running {
						rides++
					}
				}
				w.Sleep(50 * time.Millisecond)
			}
			if rides == 0 {
				t.Errorf("seed %d: nothing was passed on by relays", seed)
			}
			w.must("all see the same", func() bool {
				return !slices.ContainsFunc(w.nodes, func(n *node) bool {
					return sortedLines(n.views.state[c.name]) != sortedLines(string(c.object().obj.View())) && n.views.in[c.name]
				})
			})
		})
	}
}

// Who speaks in a room with a tree hears himself when a replica has what he
// said, as in any other; the others do not wait for that.
func TestWhoSpeaksInATree(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func() {
		c := w.hall(100, nil)
		c.say(w, 0, 3, nil)
		for _, s := range []*node{c.relays()[0], c.listeners[99]} {
			var others int
			for _, l := range c.listeners {
				if l != s {
					l.views.hears = func(text string) {
						if text == "listen" {
							others++
						}
					}
				}
			}
			heard := false
			s.views.hears = func(text string) { heard = heard || text == "listen" }
			before := c.keeper.o.h.Now()
			var replicas []*node
			for id := range c.object().replicas {
				i := slices.IndexFunc(w.nodes, func(n *node) bool { return n.host.Self().ID == id })
				replicas = append(replicas, w.nodes[i])
			}
			for _, r := range replicas {
				w.Pause(r.host)
			}
			// While one line is on its way two more come, so that they go together.
			for _, n := range []*node{w.nodes[0], w.nodes[1], s} {
				text := "say what?"
				if n == s {
					text = "say listen"
				}
				w.Go("speaks", func() { n.do(w, c.name, text) })
				w.Sleep(time.Millisecond)
			}
			w.must("all others hear it", func() bool { return others == len(c.listeners)-1 })
			if d := c.keeper.o.h.Now().Sub(before); heard || d > 500*time.Millisecond {
				t.Errorf("the others heard it after %v; the speaker already: %v", d, heard)
			}
			for _, r := range replicas {
				w.Resume(r.host)
			}
			w.must("the speaker hears it", func() bool { return heard })
		}
	})
}

// sortedLines is a state whose order does not count.
func sortedLines(state string) string {
	return strings.Join(slices.Sorted(strings.Lines(state)), "")
}

// Nobody takes from a relay what the keeper has not signed, nor what one has
// signed who is not taken for the keeper.
func TestARelayCannotChangeABatch(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func() {
		c := w.hall(2, nil)
		relay, member := c.listeners[0], c.listeners[1]
		ob := c.object()
		item := func(change func(*wire.Delivery)) []byte {
			d := &wire.Delivery{Ref: refToWire(ob.ref), Epoch: epochToWire(ob.epoch), After: ob.number}
			d.Entries = entriesToWire([]Entry{{Stamp: Stamp{ob.epoch, ob.number + 1}, At: c.keeper.host.Now(), From: Stream{Node: c.says.host.Self().ID, Run: c.says.host.Run()}, Number: 99, Event: []byte("say true")}})
			change(d)
			return must(proto.Marshal(&wire.Deliver{Items: []*wire.Delivery{d}}))
		}
		as := func(n *node, deliver []byte) *wire.Batch {
			return &wire.Batch{Keeper: []byte(n.host.Self().ID), Deliver: deliver, Signature: n.host.Sign(batchBytes(deliver))}
		}
		plain := func(*wire.Delivery) {}
		changed := as(c.keeper, item(plain))
		changed.Deliver = item(func(d *wire.Delivery) { d.Entries[0].Event = []byte("say a lie") })
		inItsName := as(relay, item(plain))
		inItsName.Keeper = []byte(c.keeper.host.Self().ID)
		for name, b := range map[string]*wire.Batch{
			"changed":                  changed,
			"signed by the relay":      inItsName,
			"of somebody else":         as(c.says, item(plain)),
			"a whole view":             as(c.keeper, item(func(d *wire.Delivery) { d.View = true })),
			"nothing":                  as(c.keeper, nil),
			"of a room nobody is in":   as(c.keeper, item(func(d *wire.Delivery) { d.Ref.Name = "elsewhere" })),
			"beyond what there is yet": as(c.keeper, item(func(d *wire.Delivery) { d.After += 5 })),
		} {
			ack := new(wire.Ack)
			reply, err := relay.host.Call(member.host.Self(), methodBatch, must(proto.Marshal(b)), time.Second)
			if err == nil {
				err = proto.Unmarshal(reply, ack)
			}
			if err != nil || ack.Kind == wire.Ack_HAVE || len(member.views.said[c.name]) != 0 {
				t.Errorf("%s: %v, %v; heard %q", name, ack, err, member.views.said[c.name])
			}
			// Nor does a relay pass it on, whoever asks.
			fan := &wire.Fan{Branch: 1, Batch: b, Members: []*wire.Node{nodeToWire(relay.host.Self()), nodeToWire(member.host.Self())}}
			answer := new(wire.FanReply)
			reply, err = c.says.host.Call(relay.host.Self(), methodFan, must(proto.Marshal(fan)), time.Second)
			if err == nil {
				err = proto.Unmarshal(reply, answer)
			}
			if err != nil || answer.Outcome != wire.FanReply_DECLINED || len(member.views.said[c.name]) != 0 {
				t.Errorf("%s, to be passed on: %v, %v", name, answer, err)
			}
		}
		reply, err := relay.host.Call(member.host.Self(), methodBatch, must(proto.Marshal(as(c.keeper, item(plain)))), time.Second)
		ack := new(wire.Ack)
		if err == nil {
			err = proto.Unmarshal(reply, ack)
		}
		w.Sleep(time.Second)
		if err != nil || ack.Kind != wire.Ack_HAVE || !member.views.heard(c.name, "true") {
			t.Errorf("the keeper's own: %v, %v; heard %q", ack, err, member.views.said[c.name])
		}
	})
}
