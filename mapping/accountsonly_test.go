package mapping

import (
	"errors"
	"testing"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// TestAccountsOnly: who wants private messages from users with an account only shuts out the others,
// which no user of a node is, and not himself.
func TestAccountsOnly(t *testing.T) {
	me, other, none := testStream(1, 1), testStream(2, 1), overlay.Stream{Run: 1, Session: 2}
	for _, only := range []bool{false, true} {
		se := &session{stream: me, only: only}
		if se.shutsOut(me) || se.shutsOut(other) || se.shutsOut(none) != only {
			t.Errorf("accounts only: %v; shut out are %v, %v, %v", only, se.shutsOut(me), se.shutsOut(other), se.shutsOut(none))
		}
	}
	own := &session{stream: none, only: true}
	if own.shutsOut(none) {
		t.Error("he shuts himself out")
	}
	for _, r := range letterResults(make([]*job, 2), &wire.DirectReply{Code: wire.Code_NEED_ACCOUNT}) {
		var why *chat.SendError
		if err := errorOf(r); !errors.As(err, &why) || why.Mode != "+R" {
			t.Errorf("a letter to such a user fails with %v", err)
		}
	}
}
