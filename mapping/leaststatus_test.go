package mapping

import (
	"fmt"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
)

// TestWhatIsForOperatorsStaysSoAfterASplit: what was said to operators, to half operators too
// and to the voiced on one side of a cut is brought to those of the other side when it mends, and to nobody else.
func TestWhatIsForOperatorsStaysSoAfterASplit(t *testing.T) {
	onHalves(t, 2, []string{"#a"}, func(h *halves) {
		ann, seed := h.users[0], h.w.Seed()
		if _, err := ann.SetMode(bg, "#a", []chat.ModeChange{{Add: true, Mode: 'o', Arg: "dan"}, {Add: true, Mode: 'v', Arg: "eve"}, {Add: true, Mode: 'h', Arg: "fay"}}); err != nil {
			h.Fatalf("seed %d: %v", seed, err)
		}
		for _, u := range h.users {
			h.sees(u, "#a", "@ann bob cat @dan +eve %fay")
		}
		h.cut()
		h.Sleep(40 * time.Second)
		h.forget()
		for _, m := range []chat.Outgoing{
			{Text: "all"}, {Text: "voiced", Least: chat.Voice}, {Text: "half", Least: chat.HalfOperator}, {Text: "operators", Least: chat.Operator},
		} {
			m.Target = "#a"
			if _, err := ann.Send(m); err != nil {
				h.Fatalf("seed %d: %v", seed, err)
			}
		}
		if err := ann.Flush(bg); err != nil {
			h.Fatalf("seed %d: %v", seed, err)
		}
		h.mend()
		for i, want := range []string{"[]", "[all]", "[all]", "[all voiced half operators]", "[all voiced]", "[all voiced half]"} {
			if u := h.users[i]; fmt.Sprint(u.texts()) != want {
				h.T().Errorf("seed %d: %s heard %v, want %s", seed, u.name, u.texts(), want)
			}
		}
	})
}

// TestNoSuchLeastStatus: a status that is none is refused, and no view takes it.
func TestNoSuchLeastStatus(t *testing.T) {
	k, op := newKept(0, 1), testStream(1, 1)
	k.ask(t, op, reqJoin(op, ""))
	for least, code := range map[uint32]wire.Code{0: wire.Code_OK, 1: wire.Code_OK, 2: wire.Code_OK, 3: wire.Code_CANNOT_SEND, 258: wire.Code_CANNOT_SEND} {
		m := &wire.Message{Text: []byte("x"), LeastStatus: least}
		wantCode(t, fmt.Sprint("least status ", least), k.ask(t, op, &wire.ChannelRequest{What: &wire.ChannelRequest_Message{Message: m}}), code)
		_, err := decodeEvent(encode(&wire.ChannelEvent{What: &wire.ChannelEvent_Message{Message: m}}), "#tea")
		if (err == nil) != (code == wire.Code_OK) {
			t.Errorf("an event for status %d: %v", least, err)
		}
		m.HalfOperators = true
		if err := checkMessage(m); (err == nil) != (least == uint32(chat.Operator)) {
			t.Errorf("for half operators besides status %d: %v", least, err)
		}
	}
}
