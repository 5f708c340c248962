package mapping

import (
	"fmt"
	"testing"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// TestHalfOperatorsOnTheWire: what is for those with a status is so again when it is read; a node that knows
// no half operators takes it all the same, and shows it to operators.
func TestHalfOperatorsOnTheWire(t *testing.T) {
	for _, least := range []chat.Status{0, chat.Voice, chat.HalfOperator, chat.Operator} {
		m := wordsOf(chat.Outgoing{Target: "#tea", Text: "x", Least: least})
		if err := checkMessage(m); err != nil || leastOf(m) != least {
			t.Errorf("a message for %q is for %q, %v", least.Sign(), leastOf(m).Sign(), err)
		}
		if got := lowestOf(bitsFrom(least)); got != least {
			t.Errorf("a redaction for %q is for %q", least.Sign(), got.Sign())
		}
		early := least
		if least == chat.HalfOperator {
			early = chat.Operator
		}
		if m.LeastStatus != uint32(early) || chat.Status(bitsFrom(least))&earlyStatuses != early {
			t.Errorf("for %q a node without half operators takes %d and %d", least.Sign(), m.LeastStatus, bitsFrom(least))
		}
	}
	if got := statusFromWire(0xff); got != chat.EveryStatus {
		t.Errorf("of all bits there are %d", got)
	}
}

// TestRedactionForHalfOperators: it is for whom the message was for, in the event and in the state.
func TestRedactionForHalfOperators(t *testing.T) {
	k, op := newKept(0, 1), testStream(1, 1)
	k.ask(t, op, reqJoin(op, ""))
	m := wordsOf(chat.Outgoing{Target: "#tea", Text: "x", Least: chat.HalfOperator})
	k.ask(t, op, &wire.ChannelRequest{What: &wire.ChannelRequest_Message{Message: m}})
	said := k.s.tail[0]
	wantCode(t, "redact", k.ask(t, op, reqRedact(k.idOf(said))), wire.Code_OK)
	read, err := decodeState(k.Snapshot(), "#tea")
	if err != nil {
		t.Fatal(err)
	}
	for what, s := range map[string]*state{"keeper": k.s, "copy": read} {
		if got := s.redactions[said.origin()].least; got != chat.HalfOperator {
			t.Errorf("the %s has it for %q", what, got.Sign())
		}
	}
}

// TestEarlierNodesKnowNoHalfOperators: a view that drops their status is not sent a whole one with
// each renewal; one that lacks another status is.
func TestEarlierNodesKnowNoHalfOperators(t *testing.T) {
	k := newKept(0, 1)
	op, half := testStream(1, 1), testStream(2, 1)
	for _, s := range []overlay.Stream{op, half} {
		k.ask(t, s, reqJoin(s, ""))
	}
	k.ask(t, op, reqModes(statusChange(true, 'h', half), statusChange(true, 'v', op)))
	for lacks, want := range map[chat.Status]bool{0: true, chat.HalfOperator: true, chat.Voice: false, chat.EveryStatus: false} {
		seen := k.s.clone()
		for who, m := range seen.members {
			m.status &^= lacks
			seen.members[who] = m
		}
		renewal := encode((&view{self: half.Node, run: half.Run, state: seen}).renewal())
		if got := k.renew(k.turn(overlay.Stream{}), half.Node, half.Run, renewal); got != want {
			t.Errorf("a view without %q is as the keeper's: %v", lacks.Signs(), got)
		}
	}
}

// TestMergedStatusesAreTheLower: of copies of one member that differ though they are as old, as when
// one came from a node that knows no half operators, the lower status counts, in whatever order they meet.
func TestMergedStatusesAreTheLower(t *testing.T) {
	at := overlay.Stamp{Number: 7}
	of := func(s chat.Status) member {
		return member{join: 1, person: testPerson(testStream(1, 1)), status: s, statusAt: at}
	}
	for a := range chat.EveryStatus + 1 {
		for b := range chat.EveryStatus + 1 {
			got, back := mergeMember(of(a), of(b)).status, mergeMember(of(b), of(a)).status
			if got != back || got != a && got != b || !a.AtLeast(got) || !b.AtLeast(got) {
				t.Errorf("of %q and %q it is %q, the other way %q", a.Signs(), b.Signs(), got.Signs(), back.Signs())
			}
			for c := range chat.EveryStatus + 1 {
				left, right := mergeMember(mergeMember(of(a), of(b)), of(c)), mergeMember(of(a), mergeMember(of(b), of(c)))
				if left.status != right.status {
					t.Error(fmt.Sprintf("%q, %q, %q", a.Signs(), b.Signs(), c.Signs()), "do not unite alike")
				}
			}
		}
	}
}

// TestEachStatusThatDiffersIsShown: between two states of a channel the changes of every status are told.
func TestEachStatusThatDiffersIsShown(t *testing.T) {
	who := testStream(1, 1)
	of := func(s chat.Status) *state {
		st := newState()
		st.members[who] = member{join: 1, person: testPerson(who), status: s}
		return st
	}
	nick := testPerson(who).nick
	for _, row := range []struct {
		was, is chat.Status
		want    string
	}{
		{0, chat.EveryStatus, "[+o +h +v]"},
		{chat.EveryStatus, 0, "[-o -h -v]"},
		{chat.Operator, chat.HalfOperator, "[-o +h]"},
		{chat.HalfOperator | chat.Voice, chat.HalfOperator, "[-v]"},
		{chat.HalfOperator, chat.HalfOperator, "[]"},
	} {
		var got []string
		for _, c := range changesBetween(of(row.was), of(row.is)) {
			got = append(got, map[bool]string{true: "+", false: "-"}[c.Add]+string(rune(c.Mode)))
			if c.Arg != nick {
				t.Errorf("a change of %q", c.Arg)
			}
		}
		if fmt.Sprint(got) != row.want {
			t.Errorf("from %q to %q it is %v, want %s", row.was.Signs(), row.is.Signs(), got, row.want)
		}
	}
}

// TestWhoVanishedAsHalfOperator: the copy of another keeper knows it too.
func TestWhoVanishedAsHalfOperator(t *testing.T) {
	k := newKept(0, 1)
	op, half := testStream(1, 1), testStream(2, 1)
	for _, s := range []overlay.Stream{op, half} {
		k.ask(t, s, reqJoin(s, ""))
	}
	k.ask(t, op, reqModes(statusChange(true, 'h', half), modeChange(true, 'i', "")))
	k.ask(t, half, reqVanish())
	there := newKept(1, 2)
	if err := there.Merge(k.Snapshot()); err != nil {
		t.Fatal(err)
	}
	back := another(half)
	wantCode(t, "join under +i", there.ask(t, back, reqJoinAs(half, false)), wire.Code_OK)
	if got := there.statusOf(back); got != chat.HalfOperator {
		t.Errorf("he is %q", got.Sign())
	}
}
