package mapping

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// goodChannel is a channel with something of everything.
func goodChannel(t testing.TB) *keptChannel {
	k := newKept(0, 1)
	op, other := testStream(1, 1), testStream(2, 1)
	for _, r := range []struct {
		from overlay.Stream
		req  *wire.ChannelRequest
	}{
		{op, reqJoin(op, "")}, {other, reqJoin(other, "")}, {op, reqTopic("tea")}, {op, reqSay(op, "hi")},
		{op, reqModes(modeChange(true, 'b', "x"), modeChange(true, 'e', "y"), modeChange(true, 'I', "z"), modeChange(true, 'k', "k"), modeChange(true, 'l', "9"))},
		{op, reqInvite(testStream(3, 1))}, {op, reqKick(other)}, {op, reqModes(modeChange(true, 'i', ""))}, {testStream(3, 2), reqKnock(testStream(3, 2))},
		{op, reqSay(op, "a mistake")}, {op, reqMeta("url", "x", "avatar", "y")},
	} {
		if k.apply(k.turn(r.from), encode(r.req)) == nil {
			t.Fatal("no result")
		}
	}
	k.apply(k.turn(op), encode(reqRedact(k.idOf(k.s.tail[1]))))
	return k
}

// FuzzChannelState: whatever decodes, merges and encodes again, to the same.
func FuzzChannelState(f *testing.F) {
	k := goodChannel(f)
	f.Add(k.Snapshot())
	f.Add(k.Query("", nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeState(b, "#tea")
		if err != nil {
			return
		}
		c := newChannelObject("#tea")
		c.s = s
		again, err := decodeState(c.Snapshot(), "#tea")
		if err != nil || string(encode(again.toWire())) != string(c.Snapshot()) {
			t.Fatalf("does not survive its codec: %v", err)
		}
		before := string(c.Snapshot())
		if err := c.Merge(c.Snapshot()); err != nil || string(c.Snapshot()) != before {
			t.Fatalf("not idempotent: %v", err)
		}
		_ = s.channel("#tea")
		_, _ = s.list(), s.digest()
	})
}

// FuzzChannelRequest: no request from anybody breaks a keeper, and the
// events it makes are taken by views.
func FuzzChannelRequest(f *testing.F) {
	for _, r := range []*wire.ChannelRequest{
		reqJoin(testStream(1, 2), "k"), reqPart(), reqQuit(), reqSay(testStream(1, 1), "x"), reqTopic("t"),
		reqModes(modeChange(true, 'b', "*"), statusChange(false, 'o', testStream(1, 1))), reqKick(testStream(2, 1)),
		reqInvite(testStream(2, 1)), reqKnock(testStream(1, 2)),
		{What: &wire.ChannelRequest_Message{Message: &wire.Message{Text: []byte("a"), More: []*wire.TextLine{{}, {Text: []byte("b")}, {Text: []byte("c"), Concat: true}}}}},
		reqRedact("x"), reqRedact(goodChannel(f).idOf(goodChannel(f).s.tail[0])),
		{What: &wire.ChannelRequest_Person{Person: personToWire(testPerson(testStream(1, 1)))}},
		{What: &wire.ChannelRequest_Merge{Merge: goodChannel(f).s.toWire()}},
		reqMeta("url", "x", "avatar", ""),
	} {
		f.Add(encode(r), uint8(1))
	}
	f.Fuzz(func(t *testing.T, req []byte, session uint8) {
		k := goodChannel(t)
		view := k.s.clone()
		n := len(k.log)
		for range 2 {
			k.apply(k.turn(testStream(1, uint64(session%3))), req)
		}
		for _, e := range k.log[n:] {
			ev, err := decodeEvent(e.Event, "#tea")
			if err != nil {
				t.Fatalf("a keeper emitted what no view takes: %v", err)
			}
			view.apply(stepOf(e), ev)
		}
		if view.digest() != k.s.digest() {
			t.Fatalf("view and keeper differ\n%v\n%v", view.toWire(), k.s.toWire())
		}
		if _, err := decodeState(k.Snapshot(), "#tea"); err != nil {
			t.Fatalf("a keeper's snapshot is malformed: %v", err)
		}
	})
}

// FuzzChannelEvent: no event from a keeper breaks a view.
func FuzzChannelEvent(f *testing.F) {
	for _, e := range goodChannel(f).log {
		f.Add(e.Event)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ev, err := decodeEvent(b, "#tea")
		if err != nil {
			return
		}
		s := goodChannel(t).s
		s.apply(step{stamp: overlay.Stamp{Number: 99}, at: 1, from: testStream(1, 1), number: 99}, ev)
		if _, err := decodeState(encode(s.toWire()), "#tea"); err != nil {
			t.Fatalf("an event made a state that nobody can read: %v", err)
		}
	})
}

// FuzzRenewal: no renewal breaks a keeper.
func FuzzRenewal(f *testing.F) {
	k := goodChannel(f)
	v := &view{self: testNode(1), run: 1001, state: k.s}
	f.Add(encode(v.renewal()))
	f.Add(encode(signedClaim(1, testStream(1, 1), 1, "ada").toWire(nil)))
	f.Add(encode(&wire.Claim{Watching: true}))
	f.Fuzz(func(t *testing.T, b []byte) {
		k := goodChannel(t)
		k.renew(k.turn(overlay.Stream{}), testNode(1), 1001, b)
		if _, err := decodeState(k.Snapshot(), "#tea"); err != nil {
			t.Fatal(err)
		}
		n := newKeptNick(0, 1)
		n.renew(n.turn(overlay.Stream{}), testNode(1), 1001, b)
		if h := n.holder(); h != nil && h.check("ada") != nil {
			t.Fatal("a bad claim was taken")
		}
	})
}

// FuzzNick: snapshots, requests and answers about names.
func FuzzNick(f *testing.F) {
	k := newKeptNick(0, 1)
	s := testStream(1, 1)
	k.apply(k.turn(s), reqClaim(1, s, 1, "Ada"))
	f.Add(k.Snapshot())
	f.Add(reqClaim(1, s, 1, "Ada"))
	f.Add(reqRelease())
	f.Add(reqNickPerson(testPerson(s)))
	f.Add(reqWatch(false))
	k.apply(k.turn(testStream(2, 0)), reqWatch(false))
	f.Add(k.Snapshot())
	k.apply(k.turn(s), reqRelease())
	f.Add(k.Snapshot())
	f.Fuzz(func(t *testing.T, b []byte) {
		n := newKeptNick(0, 1)
		n.apply(n.turn(s), b)
		_ = n.Merge(b)
		for _, c := range n.claims {
			if err := c.check("ada"); err != nil {
				t.Fatalf("a bad claim was taken: %v", err)
			}
		}
		if _, err := decodeNick(n.Snapshot(), "ada"); err != nil {
			t.Fatal(err)
		}
		before := string(n.Snapshot())
		if err := n.Merge(n.Snapshot()); err != nil || string(n.Snapshot()) != before {
			t.Fatalf("not idempotent: %v", err)
		}
		_ = n.Query("", b)
		_ = n.Empty(time.Unix(0, 0))
	})
}

// FuzzDirectory: entries from anybody.
func FuzzDirectory(f *testing.F) {
	f.Add(encode(&wire.Listings{Items: []*wire.Listing{{Name: []byte("#tea"), Topic: []byte("x"), Count: 3}}}))
	f.Add(encode(&wire.Listings{Census: []*wire.Census{{Users: 3, Channels: 2}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, k := newDirectoryObject(shardOf("#tea")), newKeeperLog(0, 1)
		_ = d.Query("", b)
		d.apply(k.turn(testStream(1, 1)), b)
		_ = d.Merge(b)
		if _, err := decodeListings(d.Snapshot()); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzDirect: what another node says directly.
func FuzzDirect(f *testing.F) {
	from := sessionToWire(testStream(1, 1))
	p := personToWire(testPerson(testStream(1, 1)))
	for _, m := range []*wire.Direct{
		{What: &wire.Direct_Letters{Letters: &wire.Letters{From: from, Person: p, Nick: []byte("ann"), Items: []*wire.Letter{{Number: 1, Text: []byte("x")}}}}},
		{What: &wire.Direct_Letters{Letters: &wire.Letters{From: from, Person: p, Items: []*wire.Letter{{Number: 1, Text: []byte("x")}}}}},
		{What: &wire.Direct_Whois{Whois: &wire.WhoisAsk{Nick: []byte("ann"), Asker: from}}},
		{What: &wire.Direct_Letters{Letters: &wire.Letters{From: from, Person: p, Nick: []byte("ann"), Items: []*wire.Letter{{Number: 1, Text: []byte("x"), More: []*wire.TextLine{{Text: []byte("y"), Concat: true}}}}}}},
		{What: &wire.Direct_Redact{Redact: &wire.LetterRedact{From: from, Person: p, Nick: []byte("ann"), Id: []byte("x")}}},
		{What: &wire.Direct_Invited{Invited: &wire.Invited{From: from, Person: p, Target: from, Channel: []byte("#tea")}}},
	} {
		f.Add(encode(m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newSimNet(t, 1)
		w.grow(1)
		w.run(func(e *simEnv) {
			u := e.open(w.nodes[0], "ann")
			reply := new(wire.DirectReply)
			if err := decode(w.nodes[0].s.onDirect(w.nodes[0].h.Self(), b), reply); err != nil {
				t.Error(err)
			}
			u.Close("over")
		})
	})
}

// liar is an object whose keeper answers queries with anything.
type liar struct {
	overlay.Object
	answer []byte
}

func (l liar) Query(host.PeerID, []byte) []byte { return l.answer }

// FuzzAnswers: what keepers and other nodes answer.
func FuzzAnswers(f *testing.F) {
	who := testStream(1, 1)
	p := personToWire(testPerson(who))
	for _, m := range []proto.Message{
		&wire.ChannelAnswer{Exists: true, Count: 1 << 31, State: &wire.ChannelState{Name: []byte("#tea"), Members: []*wire.Member{{Node: 9}}}},
		&wire.NickAnswer{Claim: &wire.Claim{Nick: []byte("bob"), Owner: sessionToWire(who), Person: p}},
		&wire.Listings{Items: []*wire.Listing{{Name: []byte("no channel")}, nil}},
		&wire.DirectReply{Nick: []byte("bob"), Away: []byte("a\nb"), AtMs: []int64{1 << 62, 2}},
		&wire.DirectReply{Whois: &wire.WhoisReply{Session: sessionToWire(who), Person: p, IdleMs: -1, Channels: [][]byte{[]byte("@#tea"), nil}}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newSimNet(t, 1)
		w.grow(1)
		n := w.nodes[0]
		n.o.HandleDirect(func(host.Peer, []byte) []byte { return b })
		w.run(func(e *simEnv) {
			u := e.open(n, "ann")
			lie := func(kind string, views overlay.Views, empty func(string) overlay.Object) {
				n.o.Register(overlay.Kind{Name: kind, Views: views, New: func(name string) overlay.Object { return liar{empty(name), b} }})
			}
			lie(kindChannel, channelViews{n.s}, func(name string) overlay.Object { return newChannelObject(name) })
			lie(kindNick, nickViews{n.s}, func(name string) overlay.Object { return newNickObject(name) })
			lie(kindDirectory, nil, func(name string) overlay.Object { return newDirectoryObject(name) })
			self := overlay.Stream{Node: n.h.Self().ID, Run: n.h.Run(), Session: 7}
			for kind, name := range map[string]string{kindChannel: "#tea", kindNick: "bob", kindDirectory: shardOf("#tea")} {
				if _, err := n.o.Request(kind, name, self, 1, [][]byte{nil}, time.Second); err != nil { // founds it
					t.Fatal(err)
				}
			}
			_, _ = u.Channel(bg, "#tea")
			_, _ = u.Keeper(bg, "#tea")
			_, _ = u.Lookup(bg, "bob")
			_, _ = u.Lookup(bg, "ann")
			_, _ = u.List(bg)
			_, _ = u.Whowas(bg, "bob", 0)
			_, _ = u.Watch(bg, []string{"bob"})
			n.s.countOverlay()
			_ = n.s.Counts()
			for _, target := range []string{"bob", "ann", n.s.Node().ID} {
				_, _ = u.Send(chat.Outgoing{Target: target, Text: "x"})
			}
			_ = u.Flush(bg)
			u.Close("over")
		})
	})
}
