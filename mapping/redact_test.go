package mapping

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
)

// TestRedactRules walks through who may redact what.
func TestRedactRules(t *testing.T) {
	k := newKept(0, 1)
	op, ann, other, outside := testStream(1, 1), testStream(2, 1), testStream(3, 1), testStream(4, 1)
	wantCode(t, "on no channel", k.ask(t, ann, reqRedact("x")), wire.Code_NO_SUCH_CHANNEL)
	k.ask(t, op, reqJoin(op, ""))
	k.ask(t, ann, reqJoin(ann, ""))
	k.ask(t, other, reqJoin(other, ""))
	said := func(text string) string {
		k.ask(t, ann, reqSay(ann, text))
		return k.idOf(k.s.tail[len(k.s.tail)-1])
	}
	one, two := said("the first secret"), said("the second secret")
	wantCode(t, "unknown", k.ask(t, ann, reqRedact("x")), wire.Code_UNKNOWN_MESSAGE)
	wantCode(t, "another's", k.ask(t, other, reqRedact(one)), wire.Code_NOT_YOUR_MESSAGE)
	wantCode(t, "from outside", k.ask(t, outside, reqRedact(one)), wire.Code_NOT_ON_CHANNEL)
	own := reqRedact(one)
	own.GetRedact().Own = true
	wantCode(t, "another node's word", k.ask(t, other, own), wire.Code_NOT_YOUR_MESSAGE)
	wantCode(t, "one's own", k.ask(t, ann, reqRedact(one)), wire.Code_OK)
	wantCode(t, "again", k.ask(t, op, reqRedact(one)), wire.Code_UNKNOWN_MESSAGE)
	wantCode(t, "by an operator", k.ask(t, op, reqRedact(two)), wire.Code_OK)
	if s := k.Snapshot(); bytes.Contains(s, []byte("secret")) || len(k.s.tail) != 2 {
		t.Errorf("after the redaction the channel holds %v", k.s.toWire())
	}
	// A later session of one user, by his node's word.
	three := said("the third")
	later := testStream(2, 2)
	k.ask(t, later, reqJoin(later, ""))
	own = reqRedact(three)
	wantCode(t, "a neighbour's", k.ask(t, later, own), wire.Code_NOT_YOUR_MESSAGE)
	own.GetRedact().Own = true
	wantCode(t, "an earlier session's", k.ask(t, later, own), wire.Code_OK)
	// What is in no copy any more is named by whose request it was.
	old := reqRedact(messageID(ann, 777, [20]byte{}))
	old.GetRedact().Author, old.GetRedact().Number = sessionToWire(ann), 777
	wantCode(t, "an ID of another channel", k.ask(t, ann, old), wire.Code_UNKNOWN_MESSAGE)
	old.GetRedact().Id = []byte(k.idOf(line{from: ann, number: 777}))
	wantCode(t, "old and another's", k.ask(t, other, old), wire.Code_NOT_YOUR_MESSAGE)
	wantCode(t, "old and one's own", k.ask(t, ann, old), wire.Code_OK)
	four := said("the fourth")
	k.keeperLog.now = k.keeperLog.now.Add(chat.RedactWindow + time.Second)
	wantCode(t, "too old", k.ask(t, ann, reqRedact(four)), wire.Code_MESSAGE_TOO_OLD)
	if n := len(k.s.redactions); n != 0 {
		t.Errorf("%d redactions are remembered after a day", n)
	}
}

// TestRedactionsAreBounded: the oldest are forgotten first.
func TestRedactionsAreBounded(t *testing.T) {
	k := newKept(0, 1)
	ann := testStream(1, 1)
	k.ask(t, ann, reqJoin(ann, ""))
	for range maxRedactions + 10 {
		k.ask(t, ann, reqSay(ann, "x"))
		wantCode(t, "redact", k.ask(t, ann, reqRedact(k.idOf(k.s.tail[len(k.s.tail)-1]))), wire.Code_OK)
	}
	if n := len(k.s.redactions); n != maxRedactions || k.s.redacted(origin{ann, 2}) {
		t.Errorf("%d redactions are remembered", n)
	}
}

// TestRedactedTextDoesNotComeBack: a copy that has the text brings it to none that
// knows of the redaction, in whatever order they meet, and loses it itself.
func TestRedactedTextDoesNotComeBack(t *testing.T) {
	here := newKept(1, 1)
	ann := testStream(1, 1)
	here.ask(t, ann, reqJoin(ann, ""))
	here.ask(t, ann, reqSay(ann, "the secret"))
	there := newKept(2, 2)
	there.s = here.s.clone()
	here.ask(t, ann, reqRedact(here.idOf(here.s.tail[0])))
	for i, pair := range [][2]*state{{here.s, there.s}, {there.s, here.s}} {
		s := pair[0].clone()
		s.merge(pair[1])
		if b := encode(s.toWire()); bytes.Contains(b, []byte("secret")) || !s.redacted(origin{ann, 2}) || len(s.tail) != 1 {
			t.Errorf("merge %d: %v", i, s.toWire())
		}
	}
	// Also when the redaction itself is not remembered any more.
	forgotten := here.s.clone()
	clear(forgotten.redactions)
	forgotten.merge(there.s)
	if bytes.Contains(encode(forgotten.toWire()), []byte("secret")) {
		t.Error("an empty place was filled again")
	}
	if !bytes.Contains(encode(there.s.toWire()), []byte("secret")) {
		t.Fatal("the test shows nothing")
	}
}

// TestAnEmptyPlaceIsNotShown: a view that has forgotten of a redaction shows no text that another
// copy brings for the empty place.
func TestAnEmptyPlaceIsNotShown(t *testing.T) {
	k := newKept(1, 1)
	ann := testStream(1, 1)
	k.ask(t, ann, reqJoin(ann, ""))
	k.ask(t, ann, reqSay(ann, "the secret"))
	full := k.s.clone().tail
	k.ask(t, ann, reqRedact(k.idOf(full[0])))
	clear(k.s.redactions)
	if got := k.s.blanked(full); got[0].msg != nil || full[0].msg == nil {
		t.Errorf("it would show %v, and has changed %v", got, full)
	}
}

// said says something that must be accepted, and returns its ID.
func (u *tester) said(channel, text string) (id string) {
	u.e.T().Helper()
	u.send(channel, text)
	u.e.Eventually("it is accepted: "+text, func() bool {
		for _, s := range eventsOf[chat.Sent](u) {
			if s.Message.Text == text && s.Err == nil {
				id = s.ID
			}
		}
		return id != ""
	})
	return id
}

// redacts asks for a redaction that must succeed.
func (u *tester) redacts(channel, id string) {
	u.e.T().Helper()
	if _, err := u.Redact(context.Background(), channel, id, ""); err != nil {
		u.e.Fatalf("redact: %v", err)
	}
}

// TestRedactionInACut: what was said and redacted behind a cut is shown to nobody on the
// other side, and what was redacted there holds here.
func TestRedactionInACut(t *testing.T) {
	onHalves(t, 3, []string{"#tea"}, func(h *halves) {
		ann, bob, eve := h.users[0], h.users[1], h.users[4]
		before := ann.said("#tea", "said before")
		h.Eventually("eve has it", func() bool { return slices.Contains(eve.texts(), "said before") })
		h.cut()
		h.Sleep(60 * time.Second)
		secret := ann.said("#tea", "the secret")
		bob.said("#tea", "what may be known")
		ann.redacts("#tea", secret)
		ann.redacts("#tea", before)
		eve.said("#tea", "on the other side")
		h.mend()
		h.Eventually("all is shown", func() bool {
			return slices.Contains(eve.texts(), "what may be known") && slices.Contains(ann.texts(), "on the other side")
		})
		for _, u := range h.users[3:] {
			if slices.Contains(u.texts(), "the secret") {
				h.T().Errorf("%s was shown it", u.Self().Nick)
			}
			var told []string
			for _, r := range eventsOf[chat.Redacted](u) {
				told = append(told, r.ID)
			}
			if !slices.Equal(told, []string{before}) {
				h.T().Errorf("%s is told of %v, want %s alone", u.Self().Nick, told, before)
			}
		}
	})
}

// TestRedactionOutlivesItsKeeper: the keeper is killed at once after it.
func TestRedactionOutlivesItsKeeper(t *testing.T) {
	for _, seed := range seeds(5) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newSimNet(t, seed)
			w.grow(6)
			w.run(func(e *simEnv) {
				name := e.channelOn(w.nodes[5])
				ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
				ann.join(name)
				bob.join(name)
				e.sees(bob, name, "@ann bob")
				id := ann.said(name, "the secret")
				e.Eventually("bob has it", func() bool { return slices.Contains(bob.texts(), "the secret") })
				ann.redacts(name, id)
				w.Crash(w.nodes[5].h)
				e.Sleep(20 * time.Second)
				if told := eventsOf[chat.Redacted](bob); len(told) != 1 || told[0].ID != id {
					e.T().Errorf("bob is told %v", told)
				}
				_, err := ann.Redact(context.Background(), name, id, "")
				if err == nil || !strings.Contains(err.Error(), chat.ErrUnknownMessage.Error()) {
					e.T().Errorf("the new keeper says %v", err)
				}
			})
		})
	}
}
