package mapping

import (
	"math/rand/v2"
	"slices"
	"testing"

	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// A view begins with the keeper's log and the last messages of its state, which have
// messages in common: who came before they were said is shown each of them once, and in order.
func TestMessagesInLogAndTailAreShownOnce(t *testing.T) {
	epoch := overlay.Epoch{Counter: 1, Run: 7}
	at := func(n uint64) overlay.Stamp { return overlay.Stamp{Epoch: epoch, Number: n} }
	ann, bob := testStream(1, 1), testStream(2, 1)
	log := []overlay.Entry{{Stamp: at(3), From: ann, Number: 5}, {Stamp: at(4), From: bob, Number: 5}}
	said := func(from overlay.Stream, number, stamp uint64) line {
		return newLine(from, number, at(stamp), 0, &wire.Message{Text: []byte("x")})
	}
	// Of bob's message the tail has the stamp that another keeper gave it.
	tail := []line{said(ann, 4, 2), said(ann, 5, 3), said(bob, 5, 1)}
	var got []overlay.Stamp
	for _, e := range once(log, tail) {
		got = append(got, e.Stamp)
	}
	if want := []overlay.Stamp{at(2), at(3), at(4)}; !slices.Equal(got, want) {
		t.Errorf("the stamps are %v, want %v", got, want)
	}
}

// Tags without a text do not become one of the last messages, and no message of
// their sender's waits for them.
func TestTagsOnlyAreNotInTheTail(t *testing.T) {
	k := newKept(0, 1)
	ann := testStream(1, 1)
	k.ask(t, ann, reqJoin(ann, ""))
	k.ask(t, ann, reqSay(ann, "one"))
	typing := &wire.Message{TagsOnly: true, Tags: []*wire.Tag{{Name: []byte("+typing"), Value: []byte("active")}}}
	wantCode(t, "tags only", k.ask(t, ann, &wire.ChannelRequest{What: &wire.ChannelRequest_Message{Message: typing}}), wire.Code_OK)
	k.ask(t, ann, reqSay(ann, "two"))
	if len(k.s.tail) != 2 || k.s.tail[0].number != 2 || k.s.tail[1].number != 4 {
		t.Errorf("the last messages are %+v", k.s.tail)
	}
	if after := k.s.tail[1].msg.After; after != 2 {
		t.Errorf("the message after the tags waits for %d, want 2", after)
	}
	if e := k.log[len(k.log)-2]; e.Number != 3 {
		t.Errorf("the tags are not in the log: %+v", e)
	}
	bad := &wire.Message{TagsOnly: true, Text: []byte("x")}
	wantCode(t, "tags only with a text", k.ask(t, ann, &wire.ChannelRequest{What: &wire.ChannelRequest_Message{Message: bad}}), wire.Code_CANNOT_SEND)
	w := k.s.toWire()
	w.Tail[0].Message = typing
	if _, err := stateFromWire(w); err == nil {
		t.Error("a state with tags only among the last messages was taken")
	}
}

// What is known of the tail from the message before changes nothing in what is kept: clocks
// that go back, long texts and pauses included.
func TestTheTailIsTrimmedAsIfItWereMeasuredAnew(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	ann, fast, slow := testStream(1, 1), &state{}, &state{}
	at, measured := int64(0), 0
	for n := range uint64(4000) {
		switch at += 10; rng.IntN(60) {
		case 0:
			at -= 1000
		case 1:
			at += rng.Int64N(2 * lineLife)
		}
		msg := &wire.Message{Text: make([]byte, rng.IntN(1+rng.IntN(4000)))}
		l := newLine(ann, n+1, overlay.Stamp{Epoch: overlay.Epoch{Counter: 1, Run: 7}, Number: n + 1}, at, msg)
		if fast.measured() {
			measured++
		}
		slow.measure = measuredTail{}
		fast.addLines([]line{l})
		slow.addLines([]line{l})
		if !slices.Equal(fast.tail, slow.tail) {
			t.Fatalf("after %d messages the tail has %d lines, want %d", n+1, len(fast.tail), len(slow.tail))
		}
	}
	if measured < 1000 {
		t.Errorf("the tail was measured before %d of 4000 messages only", measured)
	}
}
