package mapping

import (
	"fmt"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

func (k *keptChannel) statusOf(who overlay.Stream) chat.Status { return k.s.members[who].status }

func reqVanish() *wire.ChannelRequest {
	return &wire.ChannelRequest{What: &wire.ChannelRequest_Quit{Quit: &wire.Quit{Vanished: true}}}
}

// another is a later session of the same user: the same nick on the same node.
func another(who overlay.Stream) overlay.Stream {
	who.Session++
	return who
}

func reqJoinAs(of overlay.Stream, left bool) *wire.ChannelRequest {
	req := reqJoin(of, "")
	req.GetJoin().Left = left
	return req
}

// TestWhoVanishedReturnsToHisStatus, and who left by his own will or an operator's does not.
func TestWhoVanishedReturnsToHisStatus(t *testing.T) {
	ada, bob := testStream(1, 1), testStream(2, 1)
	for _, c := range []struct {
		what string
		goes func(k *keptChannel)
		left bool // his node says that he left, unheard
		want chat.Status
	}{
		{"he vanished", func(k *keptChannel) { k.ask(t, ada, reqVanish()) }, false, chat.Operator},
		{"his node was lost", func(k *keptChannel) { k.nodeGone(k.turn(overlay.Stream{}), ada.Node, 0) }, false, chat.Operator},
		{"he quit", func(k *keptChannel) { k.ask(t, ada, reqQuit()) }, false, 0},
		{"he parted", func(k *keptChannel) { k.ask(t, ada, reqPart()) }, false, 0},
		{"he quit, and nobody heard it", func(k *keptChannel) { k.nodeGone(k.turn(overlay.Stream{}), ada.Node, 0) }, true, 0},
	} {
		k := newKept(0, 1)
		k.ask(t, ada, reqJoin(ada, ""))
		k.ask(t, bob, reqJoin(bob, ""))
		c.goes(k)
		back := another(ada)
		k.ask(t, back, reqJoinAs(ada, c.left))
		if got := k.statusOf(back); got != c.want {
			t.Errorf("%s: he has status %d when he comes back, want %d", c.what, got, c.want)
		}
	}
}

// TestLeavingCountsOnBothSidesOfACut: one side has an operator as vanished, as he was cut off; on the other
// one he left. Whichever was noted later, he is no operator when he comes back.
func TestLeavingCountsOnBothSidesOfACut(t *testing.T) {
	ada, bob, eve := testStream(1, 1), testStream(2, 1), testStream(3, 1)
	for _, leaves := range []struct {
		what string
		how  func(k *keptChannel)
		want chat.Status
	}{
		{"quits", func(k *keptChannel) { k.ask(t, ada, reqQuit()) }, 0},
		{"parts", func(k *keptChannel) { k.ask(t, ada, reqPart()) }, 0},
		{"parts, and comes again as anybody", func(k *keptChannel) {
			k.ask(t, ada, reqPart())
			k.ask(t, ada, reqJoin(ada, ""))
			k.ask(t, ada, reqVanish())
		}, 0},
		{"is kicked", func(k *keptChannel) {
			k.ask(t, ada, reqModes(&wire.ModeChange{Add: true, Letter: 'o', Target: sessionToWire(eve)}))
			k.ask(t, eve, &wire.ChannelRequest{What: &wire.ChannelRequest_Kick{Kick: &wire.Kick{Target: sessionToWire(ada)}}})
		}, 0},
		{"vanishes here too", func(k *keptChannel) { k.ask(t, ada, reqVanish()) }, chat.Operator},
	} {
		for _, lateEpoch := range []bool{false, true} {
			k := newKept(0, 1)
			for _, who := range []overlay.Stream{ada, bob, eve} {
				k.ask(t, who, reqJoin(who, ""))
			}
			here, there := newKept(1, 2), newKept(2, 3)
			if lateEpoch {
				here, there = newKept(2, 2), newKept(1, 3)
			}
			for _, side := range []*keptChannel{here, there} {
				side.s = k.s.clone()
				for who, n := range k.next { // any order: each for itself
					side.next[who] = n
				}
			}
			leaves.how(here)
			there.nodeGone(there.turn(overlay.Stream{}), ada.Node, 0)
			if err := there.Merge(here.Snapshot()); err != nil {
				t.Fatal(err)
			}
			back := another(ada)
			there.ask(t, back, reqJoinAs(ada, false))
			if got := there.statusOf(back); got != leaves.want {
				t.Errorf("he %s: he has status %d when he comes back (the leaving is of the later epoch: %v), want %d",
					leaves.what, got, lateEpoch, leaves.want)
			}
		}
	}
}

// TestWhoWasNotLetInHasNotLeft: a node remembers whose leaving no keeper heard of, but not that somebody
// took back a join that nobody answered: he may have a status to return to.
func TestWhoWasNotLetInHasNotLeft(t *testing.T) {
	w := newSimNet(t, 1)
	w.grow(1)
	w.run(func(e *simEnv) {
		s := w.nodes[0].s
		unheard := &job{err: chat.ErrUnreachable}
		for i, test := range []struct {
			what       string
			in, orphan bool
			how        *job
			left       bool
		}{
			{"he left, and nobody heard it", true, false, unheard, true},
			{"he left, of a channel that its keeper did not know", true, false, &job{res: refuse(wire.Code_NOT_ON_CHANNEL)}, true},
			{"he left, and the keeper heard it", true, false, &job{res: &wire.Result{}}, false},
			{"he was not let in", false, false, unheard, false},
			{"he had gone before he was let in", true, true, unheard, false},
		} {
			channel := fmt.Sprint("#", i)
			ms := &membership{v: &view{name: channel}, in: test.in, orphan: test.orphan}
			s.mu.Lock()
			s.untoldLocked(ms, "Ada", test.how)
			left := s.leftUntoldLocked(channel, "ada")
			s.mu.Unlock()
			if left != test.left {
				t.Errorf("%s: he has left: %v", test.what, left)
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.untold.put(leaving{"#0", "ada"}, e.Now().Add(-formerLife*time.Millisecond))
		if s.leftUntoldLocked("#0", "ada") {
			t.Error("it is remembered for longer than anybody waits for him")
		}
	})
}
