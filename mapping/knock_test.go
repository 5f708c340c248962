package mapping

import (
	"testing"
	"time"

	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// TestKnocksOutliveTheirKeeper: who takes the channel over knows who knocked, and so
// do two copies that become one; outsiders are not told.
func TestKnocksOutliveTheirKeeper(t *testing.T) {
	k, op, b, c := newKept(0, 1), testStream(1, 1), testStream(2, 1), testStream(3, 1)
	k.ask(t, op, reqJoin(op, ""))
	k.ask(t, op, reqModes(modeChange(true, 'i', "")))
	other := newKept(1, 2)
	other.s = k.s.clone()
	wantCode(t, "knock", k.ask(t, b, reqKnock(b)), wire.Code_OK)
	other.number = k.number
	wantCode(t, "knock at the other copy", other.ask(t, c, reqKnock(c)), wire.Code_OK)
	if err := other.Merge(k.Snapshot()); err != nil {
		t.Fatal(err)
	}
	for _, s := range []overlay.Stream{b, c} {
		wantCode(t, "again", other.ask(t, s, reqKnock(s)), wire.Code_TOO_MANY_KNOCKS)
	}
	a := new(wire.ChannelAnswer)
	if err := decode(other.Query("", nil), a); err != nil || len(a.State.Knocks) != 0 {
		t.Errorf("an outsider is told %v (%v)", a.State.GetKnocks(), err)
	}
	other.keeperLog.now = other.keeperLog.now.Add(time.Minute)
	wantCode(t, "later", other.ask(t, b, reqKnock(b)), wire.Code_OK)
	if len(other.s.knocks) != 1 {
		t.Errorf("remembered: %v", other.s.knocks)
	}
}
