package mapping

import (
	"testing"

	"ircbridge/chat"
	"ircbridge/overlay"
)

// TestRenewNeverRevives: a renewal or an old copy does not bring back who was
// kicked, and does bring back who was only lost.
func TestRenewNeverRevives(t *testing.T) {
	k := newKept(0, 1)
	op, kicked, lost := testStream(1, 1), testStream(2, 1), testStream(3, 1)
	for _, s := range []overlay.Stream{op, kicked, lost} {
		k.ask(t, s, reqJoin(s, ""))
	}
	before := k.Snapshot()
	renewal := func(who overlay.Stream, of *state) []byte {
		v := &view{self: who.Node, run: who.Run, state: of}
		return encode(v.renewal())
	}
	old, err := decodeState(before, "#tea")
	if err != nil {
		t.Fatal(err)
	}
	k.ask(t, op, reqKick(kicked))
	k.nodeGone(k.turn(overlay.Stream{}), lost.Node, 0)
	if k.renew(k.turn(overlay.Stream{}), kicked.Node, kicked.Run, renewal(kicked, old)) {
		t.Error("the kicked user's node was not told")
	}
	if !k.renew(k.turn(overlay.Stream{}), lost.Node, lost.Run, renewal(lost, old)) {
		t.Error("the node that was lost is not known again")
	}
	if err := k.Merge(before); err != nil {
		t.Fatal(err)
	}
	if _, there := k.s.members[kicked]; there {
		t.Error("the kicked user is back")
	}
	if _, there := k.s.members[lost]; !there {
		t.Error("the lost user is not back")
	}
	if got := k.s.members[op].status; got != chat.Operator {
		t.Errorf("operator has status %v", got)
	}
}
