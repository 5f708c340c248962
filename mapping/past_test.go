package mapping

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// former asks for former holders as a node would: user name, session and how
// long ago.
func (k *keptNick) former(t *testing.T, max uint32) string {
	t.Helper()
	a := new(wire.NickAnswer)
	if err := decode(k.Query("", encode(&wire.NickQuery{Past: max})), a); err != nil {
		t.Fatal(err)
	}
	l, err := pastsFromWire(a.Past, "ada")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, p := range l {
		ago := time.Duration(k.keeperLog.now.UnixMilli()-p.until) * time.Millisecond
		words = append(words, fmt.Sprintf("%s-%d-%v", p.person.nick, p.owner.Session, ago.Round(time.Minute)))
	}
	return strings.Join(words, " ")
}

func (k *keptNick) pass(d time.Duration) {
	k.keeperLog.now = k.keeperLog.now.Add(d)
	k.Empty(k.keeperLog.now)
}

func (k *keptNick) expectFormer(t *testing.T, what, want string) {
	t.Helper()
	if got := k.former(t, maxPast); got != want {
		t.Errorf("%s: former holders are %q, want %q", what, got, want)
	}
}

// TestFormerHolders: whose claim ends is remembered, the latest first, ten of
// them, for a day; then the name itself is empty.
func TestFormerHolders(t *testing.T) {
	k := newKeptNick(0, 1)
	one, two, other := testStream(1, 1), testStream(1, 2), testStream(2, 1)
	k.claimAs(t, 1, one, "Ada")
	k.expectFormer(t, "held", "")
	if k.claimAs(t, 2, other, "ada") != wire.Code_NICK_IN_USE {
		t.Fatal("a held name was claimed")
	}
	k.claimAs(t, 1, one, "ADA")
	k.expectFormer(t, "written differently by the same user", "")
	k.claimAs(t, 1, two, "ada")
	k.expectFormer(t, "taken over by another user of the node", "ADA-1-0s")
	k.pass(time.Hour)
	k.apply(k.turn(two), reqRelease())
	k.expectFormer(t, "given up", "ada-2-0s ADA-1-1h0m0s")
	if got := k.former(t, 1); got != "ada-2-0s" {
		t.Errorf("one of them: %q", got)
	}
	if got := k.former(t, 0); got != "" {
		t.Errorf("none of them: %q", got)
	}
	k.apply(k.turn(two), reqRelease())
	k.expectFormer(t, "given up again", "ada-2-0s ADA-1-1h0m0s")
	k.pass(24*time.Hour - time.Minute)
	k.expectFormer(t, "a day later", "ada-2-23h59m0s")
	if k.Empty(k.keeperLog.now) {
		t.Error("empty with a former holder")
	}
	k.pass(time.Hour)
	k.expectFormer(t, "more than a day later", "")
	if !k.Empty(k.keeperLog.now) {
		t.Error("not empty without former holders")
	}
	for i := range 2 * maxPast {
		s := testStream(1, uint64(i))
		k.claimAs(t, 1, s, "ada")
		k.apply(k.turn(s), reqRelease())
	}
	k.expectFormer(t, "the last ten", "ada-19-0s ada-18-0s ada-17-0s ada-16-0s ada-15-0s ada-14-0s ada-13-0s ada-12-0s ada-11-0s ada-10-0s")
}

// TestFormerHolderIsBack: a node that was believed gone and renews its claim
// has not given the name up.
func TestFormerHolderIsBack(t *testing.T) {
	k := newKeptNick(0, 1)
	a := testStream(1, 1)
	k.claimAs(t, 1, a, "ada")
	c := *k.holder()
	k.nodeGone(k.turn(overlay.Stream{}), a.Node, 0)
	k.expectFormer(t, "gone", "ada-1-0s")
	k.renew(k.turn(overlay.Stream{}), a.Node, a.Run, encode(c.toWire(nil)))
	k.expectFormer(t, "back", "")
	k.pass(time.Hour)
	k.apply(k.turn(a), reqRelease())
	k.expectFormer(t, "given up", "ada-1-0s")
}

// TestFormerHoldersMove: they are part of what a keeper hands over, and not of
// what it pushes to the holder's node.
func TestFormerHoldersMove(t *testing.T) {
	k := newKeptNick(0, 1)
	a, b := testStream(1, 1), testStream(2, 1)
	k.claimAs(t, 1, a, "ada")
	k.apply(k.turn(a), reqRelease())
	k.claimAs(t, 2, b, "ada")
	next := newKeptNick(3, 2)
	if err := next.Merge(k.Snapshot()); err != nil {
		t.Fatal(err)
	}
	next.expectFormer(t, "handed over", "ada-1-0s")
	view, err := decodeNick(k.View(), "ada")
	if err != nil || len(view.past) != 0 || view.holder() == nil {
		t.Errorf("the view has %+v, %v", view, err)
	}
}

// TestHistoryIsBounded: however many names a node keeps, it remembers so many
// former holders, and forgets those who gave up first.
func TestHistoryIsBounded(t *testing.T) {
	const most, names = 80, 1000
	h := newHistory(most)
	var all []*nickObject
	log := newKeeperLog(0, 1)
	for i := range names {
		n := newNickObject(fmt.Sprintf("flood%d", i))
		n.history = h
		s := testStream(1, uint64(i))
		turn := log.turn(s)
		c := signedClaim(1, s, turn.n, n.name)
		c.person.nick = n.name
		if res := n.claim(turn, c.toWire(nil)); res.Code != wire.Code_OK {
			t.Fatal(res)
		}
		n.release(log.turn(s))
		all = append(all, n)
	}
	log.now = log.now.Add(time.Duration(releasedLife) * time.Millisecond)
	kept := 0
	for i, n := range all {
		empty := n.Empty(log.now)
		if !empty {
			kept++
		}
		if empty && i >= names-most*7/8 {
			t.Errorf("name %d of %d was forgotten", i, names)
		}
	}
	if kept > most || h.total != kept || len(h.ends) != kept {
		t.Errorf("%d names are kept and %d of %d counted, want at most %d", kept, h.total, len(h.ends), most)
	}
	for _, n := range all {
		n.setPast(nil)
	}
	if h.total != 0 || len(h.ends) != 0 {
		t.Errorf("after all is forgotten %d of %d are counted", h.total, len(h.ends))
	}
}
