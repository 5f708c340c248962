package mapping

import (
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
