package mapping

import (
	"fmt"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

func reqMeta(words ...string) *wire.ChannelRequest {
	var changes []chat.MetaItem
	for i := 0; i < len(words); i += 2 {
		changes = append(changes, chat.MetaItem{Key: words[i], Value: words[i+1]})
	}
	return &wire.ChannelRequest{What: &wire.ChannelRequest_Metadata{Metadata: changesToWire(changes)}}
}

// TestChannelMetadata: what a keeper takes, and what becomes of it.
func TestChannelMetadata(t *testing.T) {
	k := newKept(0, 1)
	op, member, outsider := testStream(1, 1), testStream(2, 1), testStream(3, 1)
	expect := func(what string, res *wire.Result, code wire.Code, event bool, want ...chat.MetaItem) {
		t.Helper()
		if res.Code != code || res.Event != event {
			t.Errorf("%s: %v, event %v", what, res.Code, res.Event)
		}
		if got := k.s.meta.chat(); got != chat.Metadata("").With(want...) {
			t.Errorf("%s: the channel has %q", what, got)
		}
	}
	expect("no channel", k.ask(t, op, reqMeta("url", "x")), wire.Code_NOT_ON_CHANNEL, false)
	k.ask(t, op, reqJoin(op, ""))
	k.ask(t, member, reqJoin(member, ""))
	expect("a member", k.ask(t, member, reqMeta("url", "x")), wire.Code_NO_PRIVILEGES, false)
	expect("an outsider", k.ask(t, outsider, reqMeta("url", "x")), wire.Code_NOT_ON_CHANNEL, false)
	expect("a bad key", k.ask(t, op, reqMeta("a", "x", "U", "x")), wire.Code_BAD_REQUEST, false)
	expect("nothing", k.ask(t, op, reqMeta()), wire.Code_BAD_REQUEST, false)
	a, b := chat.MetaItem{Key: "a", Value: "1"}, chat.MetaItem{Key: "b", Value: "2"}
	before := k.s.digest()
	expect("an operator", k.ask(t, op, reqMeta("a", "1", "b", "2")), wire.Code_OK, true, a, b)
	if k.s.digest() == before {
		t.Error("the digest does not tell")
	}
	expect("the same", k.ask(t, op, reqMeta("a", "1", "c", "")), wire.Code_OK, false, a, b)
	expect("one less", k.ask(t, op, reqMeta("b", "")), wire.Code_OK, true, a)
	s, err := decodeState(k.Snapshot(), "#tea")
	if err != nil || len(s.meta) != 2 || s.meta["b"].value != "" || s.meta["b"].stamp == (overlay.Stamp{}) {
		t.Fatalf("a copy has %+v, %v", s.meta, err)
	}
	for i := range 3 * maxMetaItems {
		k.ask(t, op, reqMeta(fmt.Sprint("k", i), "v"))
		k.ask(t, op, reqMeta(fmt.Sprint("k", i), ""))
	}
	if len(k.s.meta) > maxMetaItems || k.s.meta["a"].value != "1" {
		t.Errorf("%d keys are remembered, a is %+v", len(k.s.meta), k.s.meta["a"])
	}
	for i := range chat.MaxMetaKeys - 1 {
		k.ask(t, op, reqMeta(fmt.Sprint("k", i), "v"))
	}
	if res := k.ask(t, op, reqMeta("more", "v")); res.Code != wire.Code_METADATA_FULL {
		t.Errorf("one too many: %v", res.Code)
	}
	// What rests, and is taken up, has it; what ends has not.
	view := k.s.clone()
	want := k.s.meta.chat()
	for _, who := range []overlay.Stream{member, op} {
		k.ask(t, who, &wire.ChannelRequest{What: &wire.ChannelRequest_Quit{Quit: &wire.Quit{Vanished: true}}})
	}
	if got := k.s.meta.chat(); got != "" || k.s.rest.meta.chat() != want {
		t.Errorf("at rest it has %q and %d", got, len(k.s.rest.meta))
	}
	if s, err = decodeState(k.Snapshot(), "#tea"); err != nil || s.rest.meta.chat() != want {
		t.Errorf("a copy of what rests: %v", err)
	}
	op2 := testStream(1, 1)
	op2.Session = 9
	j := reqJoin(op2, "")
	j.GetJoin().Person.Nick = personToWire(testPerson(op)).Nick
	k.ask(t, op2, j)
	if got := k.s.meta.chat(); got != want {
		t.Errorf("taken up it has %q", got)
	}
	k.ask(t, op2, reqPart())
	if got := k.s.meta.chat(); got != "" {
		t.Errorf("ended it has %q", got)
	}
	// Views apply the same events.
	for _, e := range k.log {
		ev, err := decodeEvent(e.Event, "#tea")
		if err != nil {
			t.Fatal(err)
		}
		if !view.heads.covers(e.Stamp) {
			view.apply(stepOf(e), ev)
		}
	}
	if view.digest() != k.s.digest() {
		t.Error("view and keeper differ")
	}
}

// TestPersonMetadata: what another node says of its user is bounded.
func TestPersonMetadata(t *testing.T) {
	p := testPerson(testStream(1, 1))
	p.meta = p.meta.With(chat.MetaItem{Key: "url", Value: "x"}, chat.MetaItem{Key: "avatar", Value: "y"})
	if got, err := personFromWire(personToWire(p)); err != nil || got != p {
		t.Errorf("%+v, %v", got, err)
	}
	long := string(make([]byte, 250))
	for what, items := range map[string][]string{
		"a bad key":   {"URL", "x"},
		"a bad value": {"url", "a\nb"},
		"NUL":         {"url", "a\x00b"},
		"too many": func() (l []string) {
			for i := range chat.MaxMetaKeys + 1 {
				l = append(l, fmt.Sprint("k", i), "v")
			}
			return l
		}(),
		"too long": {"a", long, "b", long, "c", long, "d", long, "e", long},
	} {
		w := personToWire(p)
		w.Meta = reqMeta(items...).GetMetadata().Items
		if _, err := personFromWire(w); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

// TestMetadataKeeperKilled: what was set of a channel and of a user outlives keepers that
// are killed, and is shown to nobody again.
func TestMetadataKeeperKilled(t *testing.T) {
	for _, seed := range seeds(5) {
		w := newSimNet(t, seed)
		w.grow(7)
		w.run(func(e *simEnv) {
			keeper := w.nodes[6]
			channel := e.channelOn(keeper)
			ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
			ann.join(channel)
			bob.join(channel)
			set := func(of, key, value string) {
				if err := ann.SetMetadata(bg, of, []chat.MetaItem{{Key: key, Value: value}}); err != nil {
					e.Fatalf("seed %d: set %s of %q: %v", seed, key, of, err)
				}
			}
			set(channel, "url", "x")
			set("", "status", "here")
			w.Crash(keeper.h)
			e.Eventually("the ring is whole", w.settled)
			e.Eventually("it can be set again", func() bool {
				return ann.SetMetadata(bg, channel, []chat.MetaItem{{Key: "color", Value: "red"}}) == nil
			})
			set("", "status", "")
			e.Sleep(time.Minute)
			dan := e.open(w.nodes[2], "dan")
			dan.join(channel)
			want := chat.Metadata("").With(chat.MetaItem{Key: "url", Value: "x"}, chat.MetaItem{Key: "color", Value: "red"})
			for _, u := range []*tester{ann, bob, dan} {
				if c, err := u.Channel(bg, channel); err != nil || c.Meta != want || c.Members[0].Meta != "" {
					t.Errorf("seed %d: %s sees %q, %v", seed, u.name, c.Meta, err)
				}
			}
			n := 0
			for _, ev := range bob.events {
				if _, ok := ev.(chat.MetadataChanged); ok {
					n++
				}
			}
			if n != 4 {
				t.Errorf("seed %d: he was told of %d changes of 4", seed, n)
			}
		})
	}
}
