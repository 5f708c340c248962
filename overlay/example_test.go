package overlay_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/host/sim"
	"ircbridge/overlay"
)

// node is what an application has on each machine: a host, the ring on it,
// the overlay on that.
type node struct {
	*overlay.Overlay
	host *sim.Host
	ring *chord.Ring
}

// startNode puts the protocols on a host and enters the ring of the first
// node. On a real machine the host is host/p2p's, and the rest is the same.
// register says what the application uses; that comes before Run.
func startNode(w *sim.World, name string, first *node, register func(*node)) *node {
	n := &node{host: w.Add(name)}
	n.ring = chord.New(n.host, chord.Config{})
	n.Overlay = overlay.New(n.host, n.ring, overlay.Config{})
	register(n)
	w.Start(n.host, func() {
		n.ring.Run()
		n.Run()
		if first == nil {
			n.Create()
			return
		}
		for n.Join([]host.Peer{first.host.Self()}, 5*time.Second) != nil {
			if n.host.Sleep(100*time.Millisecond) != nil {
				return
			}
		}
	})
	return n
}

// startRing starts nodes called n0, n1, … and waits until they are one ring.
func startRing(w *sim.World, total int, register func(*node)) []*node {
	var nodes []*node
	for i := range total {
		var first *node
		if i > 0 {
			first = nodes[0]
		}
		nodes = append(nodes, startNode(w, fmt.Sprint("n", i), first, register))
	}
	w.Eventually(time.Minute, func() bool {
		for _, n := range nodes {
			if !n.ring.Member() {
				return false
			}
		}
		return true
	})
	w.Sleep(time.Second) // until each knows its neighbours
	return nodes
}

// nameOf is the name of the node with an identity.
func nameOf(nodes []*node, id host.PeerID) string {
	for _, n := range nodes {
		if n.host.Self().ID == id {
			return n.host.Name()
		}
	}
	return "?"
}

// Several nodes offer a service under one key; whoever looks finds all of
// them. A value stays while its owner runs, whoever keeps the key, and for its time
// to live afterwards.
func ExampleOverlay_Put() {
	w := sim.New(1, sim.Config{})
	defer w.Close()
	w.Go("example", func() {
		nodes := startRing(w, 6, func(n *node) { n.RegisterRecords() })
		show := func(when string) {
			values, err := nodes[5].Get("service/print", 5*time.Second)
			fmt.Println(when+":", err)
			for _, v := range values {
				fmt.Printf("  %s at %s\n", v.Data, nameOf(nodes, v.Owner))
			}
		}

		const ttl, patience = 5 * time.Minute, 5 * time.Second
		for _, p := range []struct {
			at    *node
			value string
		}{{nodes[0], "colour"}, {nodes[1], "laser"}, {nodes[2], "laser"}} {
			if err := p.at.Put("service/print", []byte(p.value), ttl, patience); err != nil {
				fmt.Println(err)
			}
		}
		w.Sleep(time.Second)

		if err := nodes[1].Remove("service/print", []byte("laser"), patience); err != nil {
			fmt.Println(err)
		}
		w.Crash(nodes[2].host)
		w.Sleep(time.Minute)
		show("a minute after a crash")

		w.Sleep(2 * ttl)
		show("when its time is over")
	})
	w.Run()
	// Unordered output:
	// a minute after a crash: <nil>
	//   colour at n0
	//   laser at n2
	// when its time is over: <nil>
	//   colour at n0
}

// The members of a group get each message once and all in one order. Who
// sends need not be a member.
func ExampleOverlay_Multicast() {
	w := sim.New(2, sim.Config{})
	defer w.Close()
	w.Go("example", func() {
		nodes := startRing(w, 5, func(n *node) { n.RegisterGroups() })
		heard := make([][]string, 3)
		for i, n := range nodes[:3] {
			err := n.JoinGroup("lights", overlay.GroupHandler{
				Message: func(from host.PeerID, msg []byte) {
					heard[i] = append(heard[i], nameOf(nodes, from)+" says "+string(msg))
				},
			}, 5*time.Second)
			if err != nil {
				fmt.Println(err)
			}
		}
		for i, text := range []string{"on", "off", "on"} {
			if err := nodes[i+2].Multicast("lights", []byte(text), 5*time.Second); err != nil {
				fmt.Println(err)
			}
		}
		if err := nodes[0].LeaveGroup("lights", 5*time.Second); err != nil {
			fmt.Println(err)
		}
		w.Eventually(time.Minute, func() bool { return len(heard[1]) == 3 && len(heard[2]) == 3 })
		for _, line := range heard[1] {
			fmt.Println(line)
		}
		fmt.Println("all heard the same:", slices.Equal(heard[1], heard[2]))
	})
	w.Run()
	// Output:
	// n2 says on
	// n3 says off
	// n4 says on
	// all heard the same: true
}

// The members of a group share work: each message goes to one that lives.
func ExampleOverlay_SendAny() {
	w := sim.New(3, sim.Config{})
	defer w.Close()
	w.Go("example", func() {
		nodes := startRing(w, 6, func(n *node) { n.RegisterGroups() })
		done := map[string]int{}
		for _, n := range nodes[:3] {
			err := n.JoinGroup("workers", overlay.GroupHandler{
				Any: func(from host.PeerID, job []byte) []byte {
					done[n.host.Name()]++
					return append([]byte("done: "), job...)
				},
			}, 5*time.Second)
			if err != nil {
				fmt.Println(err)
			}
		}
		w.Crash(nodes[1].host)
		for i := range 20 {
			reply, err := nodes[4].SendAny("workers", fmt.Append(nil, "job ", i), 5*time.Second)
			if i == 19 {
				fmt.Printf("%s, %v\n", reply, err)
			}
		}
		fmt.Println("by", slices.Sorted(maps.Keys(done)))
	})
	w.Run()
	// Output:
	// done: job 19, <nil>
	// by [n0 n2]
}

// A message goes to whoever owns a key now; nothing is kept.
func ExampleOverlay_Route() {
	w := sim.New(4, sim.Config{})
	defer w.Close()
	w.Go("example", func() {
		nodes := startRing(w, 5, func(n *node) {
			n.HandleRoute(func(from host.PeerID, key chord.ID, msg []byte) []byte {
				return append(msg, ", it is mine"...)
			})
		})
		key := overlay.Key("question", "who has this key?")
		for _, n := range nodes[:2] {
			reply, err := n.Route(key, []byte("whoever you are"), 5*time.Second)
			fmt.Printf("%s, %v\n", reply, err)
		}
	})
	w.Run()
	// Output:
	// whoever you are, it is mine, <nil>
	// whoever you are, it is mine, <nil>
}

// tally is a kind of object of this application: a counter. When a ring was cut
// in two, two keepers may have counted on, and their copies must unite without
// counting anything twice or losing it. So it keeps a count for each epoch: in
// one epoch one keeper counts, and of two copies of it the larger is the later.
type tally struct{ of map[overlay.Epoch]uint64 }

func (c *tally) Apply(t *overlay.Turn, _ []byte) []byte {
	c.of[t.Stamp().Epoch]++
	return nil
}

func (c *tally) Query(host.PeerID, []byte) []byte {
	var sum uint64
	for _, n := range c.of {
		sum += n
	}
	return fmt.Append(nil, sum)
}

// A count is 44 bytes: counter, keeper and run of the epoch, count.
func (c *tally) Snapshot() (b []byte) {
	for _, e := range slices.SortedFunc(maps.Keys(c.of), overlay.Epoch.Compare) {
		b = binary.BigEndian.AppendUint64(b, e.Counter)
		b = append(b, e.Keeper[:]...)
		b = binary.BigEndian.AppendUint64(b, e.Run)
		b = binary.BigEndian.AppendUint64(b, c.of[e])
	}
	return b
}

func (c *tally) Merge(snapshot []byte) error {
	if len(snapshot)%44 != 0 {
		return fmt.Errorf("tally of %d bytes", len(snapshot))
	}
	for b := range slices.Chunk(snapshot, 44) {
		e := overlay.Epoch{Counter: binary.BigEndian.Uint64(b), Keeper: chord.ID(b[8:28]), Run: binary.BigEndian.Uint64(b[28:])}
		c.of[e] = max(c.of[e], binary.BigEndian.Uint64(b[36:]))
	}
	return nil
}

// What is not needed here: nobody holds a stake, so nobody is told, nothing is
// renewed, and nothing comes back when a keeper is killed.
func (c *tally) Renew(*overlay.Turn, host.PeerID, uint64, []byte) bool { return true }
func (c *tally) NodeGone(*overlay.Turn, host.PeerID, uint64)           {}
func (c *tally) Nodes() []host.PeerID                                  { return nil }
func (c *tally) View() []byte                                          { return nil }
func (c *tally) Empty(time.Time) bool                                  { return len(c.of) == 0 }
func (c *tally) Summary() string                                       { return fmt.Sprintf("tally of %d epochs", len(c.of)) }

// An application's own kind of object: a counter that all nodes share. It is
// registered, asked with numbered requests, which count once however often they
// are repeated, and moves when its keeper leaves.
func ExampleKind() {
	w := sim.New(5, sim.Config{})
	defer w.Close()
	w.Go("example", func() {
		nodes := startRing(w, 5, func(n *node) {
			n.Register(overlay.Kind{
				Name: "tally",
				New:  func(string) overlay.Object { return &tally{of: make(map[overlay.Epoch]uint64)} },
			})
		})
		for _, n := range nodes[:3] {
			stream := overlay.Stream{Node: n.host.Self().ID, Run: n.host.Run(), Session: 1}
			for number := uint64(1); number <= 4; number++ {
				if _, err := n.Request("tally", "visits", stream, number, [][]byte{nil}, 5*time.Second); err != nil {
					fmt.Println(err)
				}
			}
		}
		for _, n := range nodes[1:] {
			if n.KeepsNow("tally", "visits") {
				n.Leave(5 * time.Second)
				n.ring.Leave(time.Second)
				w.Stop(n.host)
			}
		}
		visits, found, _, err := nodes[0].Query("tally", "visits", nil, 5*time.Second)
		fmt.Printf("%s visits, %v, %v\n", visits, found, err)
	})
	w.Run()
	// Output:
	// 12 visits, true, <nil>
}
