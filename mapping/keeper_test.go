package mapping

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// testKey is the key of the n-th test node.
func testKey(n int) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Appendf(nil, "node %d", n))
	return ed25519.NewKeyFromSeed(seed[:])
}

func signAs(n int, msg []byte) []byte { return ed25519.Sign(testKey(n), msg) }

func testNode(n int) host.PeerID { return host.PeerIDFromKey(testKey(n).Public().(ed25519.PublicKey)) }

func testStream(n int, session uint64) overlay.Stream {
	return overlay.Stream{Node: testNode(n), Run: uint64(1000 + n), Session: session}
}

// keeperLog stands for the overlay around one object: it numbers, and keeps
// the events.
type keeperLog struct {
	epoch  overlay.Epoch
	number uint64
	now    time.Time
	rand   *rand.Rand
	log    []overlay.Entry
	next   map[overlay.Stream]uint64
}

func newKeeperLog(keeper int, seed uint64) *keeperLog {
	return &keeperLog{
		epoch: overlay.Epoch{Counter: 1, Keeper: chord.NodeID(testNode(keeper)), Run: 1},
		now:   time.UnixMilli(1_700_000_000_000 + int64(keeper)), rand: rand.New(rand.NewPCG(seed, uint64(keeper))),
		next: map[overlay.Stream]uint64{},
	}
}

type fakeTurn struct {
	*keeperLog
	from  overlay.Stream
	n     uint64
	resub bool
}

func (k *keeperLog) turn(from overlay.Stream) *fakeTurn {
	k.now = k.now.Add(time.Millisecond)
	if from == (overlay.Stream{}) {
		return &fakeTurn{keeperLog: k}
	}
	k.next[from]++
	return &fakeTurn{keeperLog: k, from: from, n: k.next[from]}
}

func (t *fakeTurn) From() overlay.Stream { return t.from }
func (t *fakeTurn) Number() uint64       { return t.n }
func (t *fakeTurn) Now() time.Time       { return t.now }
func (t *fakeTurn) Rand() uint64         { return t.rand.Uint64() }
func (t *fakeTurn) SubscribersChanged()  { t.resub = true }
func (t *fakeTurn) Stamp() overlay.Stamp {
	return overlay.Stamp{Epoch: t.epoch, Number: t.number + 1}
}
func (t *fakeTurn) EmitEarly(event []byte) overlay.Stamp { return t.Emit(event) }

func (t *fakeTurn) Emit(ev []byte) overlay.Stamp {
	s := t.Stamp()
	t.number++
	t.log = append(t.log, overlay.Entry{Stamp: s, At: t.now, From: t.from, Number: t.n, Event: ev})
	return s
}

// keptChannel is a channel with its keeper.
type keptChannel struct {
	*keeperLog
	*channelObject
}

func newKept(keeper int, seed uint64) *keptChannel {
	return &keptChannel{newKeeperLog(keeper, seed), newChannelObject("#tea")}
}

func (k *keptChannel) ask(t *testing.T, from overlay.Stream, req *wire.ChannelRequest) *wire.Result {
	t.Helper()
	res := new(wire.Result)
	if err := decode(k.apply(k.turn(from), encode(req)), res); err != nil {
		t.Fatal(err)
	}
	return res
}

func testPerson(s overlay.Stream) person {
	return person{nick: fmt.Sprintf("u%c%d", 'a'+rune(s.Run-1000), s.Session), username: "u", realname: "r", version: 1}
}

func reqJoin(s overlay.Stream, key string) *wire.ChannelRequest {
	return &wire.ChannelRequest{What: &wire.ChannelRequest_Join{Join: &wire.Join{
		Name: []byte("#Tea"), Key: []byte(key), Person: personToWire(testPerson(s)),
	}}}
}

func reqPart() *wire.ChannelRequest {
	return &wire.ChannelRequest{What: &wire.ChannelRequest_Part{Part: &wire.Part{}}}
}

func reqQuit() *wire.ChannelRequest {
	return &wire.ChannelRequest{What: &wire.ChannelRequest_Quit{Quit: &wire.Quit{}}}
}

func reqSay(s overlay.Stream, text string) *wire.ChannelRequest {
	return &wire.ChannelRequest{What: &wire.ChannelRequest_Message{Message: &wire.Message{
		Text: []byte(text), Person: personToWire(testPerson(s)),
	}}}
}

func reqRedact(id string) *wire.ChannelRequest {
	return &wire.ChannelRequest{What: &wire.ChannelRequest_Redact{Redact: &wire.Redact{Id: []byte(id)}}}
}

func (k *keptChannel) idOf(l line) string {
	return messageID(l.from, l.number, overlay.Key(kindChannel, k.name))
}

func reqTopic(text string) *wire.ChannelRequest {
	return &wire.ChannelRequest{What: &wire.ChannelRequest_Topic{Topic: &wire.SetTopic{Text: []byte(text)}}}
}

func reqModes(c ...*wire.ModeChange) *wire.ChannelRequest {
	return &wire.ChannelRequest{What: &wire.ChannelRequest_Modes{Modes: &wire.SetModes{Changes: c}}}
}

func modeChange(add bool, letter byte, arg string) *wire.ModeChange {
	return &wire.ModeChange{Add: add, Letter: uint32(letter), Arg: []byte(arg)}
}

func statusChange(add bool, letter byte, who overlay.Stream) *wire.ModeChange {
	return &wire.ModeChange{Add: add, Letter: uint32(letter), Target: sessionToWire(who)}
}

func reqKick(who overlay.Stream) *wire.ChannelRequest {
	return &wire.ChannelRequest{What: &wire.ChannelRequest_Kick{Kick: &wire.Kick{Target: sessionToWire(who)}}}
}

func reqInvite(who overlay.Stream) *wire.ChannelRequest {
	return &wire.ChannelRequest{What: &wire.ChannelRequest_Invite{Invite: &wire.Invite{Target: sessionToWire(who)}}}
}

func reqKnock(s overlay.Stream) *wire.ChannelRequest {
	return &wire.ChannelRequest{What: &wire.ChannelRequest_Knock{Knock: &wire.Knock{Person: personToWire(testPerson(s)), Text: []byte("please")}}}
}

func wantCode(t *testing.T, what string, res *wire.Result, code wire.Code) {
	t.Helper()
	if res.Code != code {
		t.Errorf("%s: %v (%s), want %v", what, res.Code, res.Detail, code)
	}
}

// TestChannelRules walks through the rules of modes for senders on several
// nodes.
func TestChannelRules(t *testing.T) {
	k := newKept(0, 1)
	op, guest, other := testStream(1, 1), testStream(2, 1), testStream(3, 1)
	type row struct {
		what string
		from overlay.Stream
		req  *wire.ChannelRequest
		code wire.Code
	}
	for _, r := range []row{
		{"knock at no channel", op, reqKnock(op), wire.Code_NO_SUCH_CHANNEL},
		{"message to no channel", op, reqSay(op, "x"), wire.Code_NO_SUCH_CHANNEL},
		{"modes of no channel", op, reqModes(modeChange(true, 'i', "")), wire.Code_NO_SUCH_CHANNEL},
		{"part of no channel", op, reqPart(), wire.Code_NOT_ON_CHANNEL},
		{"founding", op, reqJoin(op, ""), wire.Code_OK},
		{"message from outside", guest, reqSay(guest, "x"), wire.Code_OK},
		{"topic from outside", guest, reqTopic("x"), wire.Code_NOT_ON_CHANNEL},
		{"join", guest, reqJoin(guest, ""), wire.Code_OK},
		{"topic by a member under +t", guest, reqTopic("x"), wire.Code_NO_PRIVILEGES},
		{"modes by a member", guest, reqModes(modeChange(true, 'm', "")), wire.Code_NO_PRIVILEGES},
		{"kick by a member", guest, reqKick(op), wire.Code_NO_PRIVILEGES},
		{"+n", op, reqModes(modeChange(true, 'n', "")), wire.Code_OK},
		{"message from outside under +n", other, reqSay(other, "x"), wire.Code_CANNOT_SEND},
		{"+m", op, reqModes(modeChange(true, 'm', "")), wire.Code_OK},
		{"message under +m", guest, reqSay(guest, "x"), wire.Code_CANNOT_SEND},
		{"+v", op, reqModes(statusChange(true, 'v', guest)), wire.Code_OK},
		{"message of the voiced", guest, reqSay(guest, "x"), wire.Code_OK},
		{"-v-m +b", op, reqModes(statusChange(false, 'v', guest), modeChange(false, 'm', ""), modeChange(true, 'b', "UC*")), wire.Code_OK},
		{"message of the banned", guest, reqSay(guest, "x"), wire.Code_CANNOT_SEND},
		{"part", guest, reqPart(), wire.Code_OK},
		{"join of the banned", guest, reqJoin(guest, ""), wire.Code_BANNED},
		{"-b+i", op, reqModes(modeChange(false, 'b', "uc*!*@*"), modeChange(true, 'i', "")), wire.Code_OK},
		{"knock by a member", op, reqKnock(op), wire.Code_ALREADY_JOINED},
		{"knock", guest, reqKnock(guest), wire.Code_OK},
		{"knock again", guest, reqKnock(guest), wire.Code_TOO_MANY_KNOCKS},
		{"join under +i", guest, reqJoin(guest, ""), wire.Code_INVITE_ONLY},
		{"invite", op, reqInvite(guest), wire.Code_OK},
		{"join of the invited", guest, reqJoin(guest, ""), wire.Code_OK},
		{"invite of a member", op, reqInvite(guest), wire.Code_USER_ON_CHANNEL},
		{"kick", op, reqKick(guest), wire.Code_OK},
		{"kick again", op, reqKick(guest), wire.Code_NOT_IN_CHANNEL},
		{"an invitation is used up", guest, reqJoin(guest, ""), wire.Code_INVITE_ONLY},
		{"-i+k", op, reqModes(modeChange(false, 'i', ""), modeChange(true, 'k', "sesame")), wire.Code_OK},
		{"knock at an open channel", guest, reqKnock(guest), wire.Code_CHANNEL_OPEN},
		{"join without key", guest, reqJoin(guest, "x"), wire.Code_BAD_KEY},
		{"-k+l", op, reqModes(modeChange(false, 'k', "x"), modeChange(true, 'l', "1")), wire.Code_OK},
		{"join over the limit", guest, reqJoin(guest, ""), wire.Code_CHANNEL_FULL},
		{"mute of all", op, reqModes(modeChange(true, 'b', "m:*"), modeChange(false, 'l', "")), wire.Code_OK},
		{"join of the muted", guest, reqJoin(guest, ""), wire.Code_OK},
		{"message of the muted", guest, reqSay(guest, "x"), wire.Code_CANNOT_SEND},
		{"an extended ban that is none", op, reqModes(modeChange(true, 'b', "z:*")), wire.Code_BAD_MODE_PARAM},
		{"part of the muted", guest, reqPart(), wire.Code_OK},
		{"+C", op, reqModes(modeChange(true, 'C', "")), wire.Code_OK},
		{"CTCP of an operator under +C", op, reqSay(op, "\x01PING 1\x01"), wire.Code_CANNOT_SEND},
		{"an action under +C", op, reqSay(op, "\x01ACTION waves\x01"), wire.Code_OK},
		{"-l+R", op, reqModes(modeChange(false, 'l', ""), modeChange(true, 'R', "")), wire.Code_OK},
		{"join under +R of one who has an account", guest, reqJoin(guest, ""), wire.Code_OK},
		{"part again", guest, reqPart(), wire.Code_OK},
		{"bad limit", op, reqModes(modeChange(true, 'l', "0")), wire.Code_BAD_MODE_PARAM},
		{"unknown mode", op, reqModes(modeChange(true, 'q', "")), wire.Code_UNKNOWN_MODE},
		{"status of a stranger", op, reqModes(statusChange(true, 'o', guest)), wire.Code_NOT_IN_CHANNEL},
		{"a part of the state from a session", op, &wire.ChannelRequest{What: &wire.ChannelRequest_Merge{Merge: &wire.ChannelState{}}}, wire.Code_BAD_REQUEST},
		{"nothing", op, &wire.ChannelRequest{}, wire.Code_BAD_REQUEST},
		{"last part", op, reqPart(), wire.Code_OK},
		{"founding anew", other, reqJoin(other, ""), wire.Code_OK},
		{"modes by the new founder", other, reqModes(modeChange(true, 'm', "")), wire.Code_OK},
	} {
		wantCode(t, r.what, k.ask(t, r.from, r.req), r.code)
	}
	if k.s.is('C') || k.s.is('l') || k.s.is('n') || !k.s.is('t') || len(k.s.members) != 1 {
		t.Errorf("founded anew with old modes: %+v", k.s.modes)
	}
}

// TestViewFollows: a view that applies the log has what the keeper has.
func TestViewFollows(t *testing.T) {
	for seed := range uint64(30) {
		k := newKept(0, seed)
		randomHistory(t, k, 120)
		view := newState()
		for _, e := range k.log {
			ev, err := decodeEvent(e.Event, "#tea")
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			view.apply(stepOf(e), ev)
		}
		if got, want := string(encode(view.toWire())), string(k.Snapshot()); got != want {
			t.Fatalf("seed %d: the view differs from its keeper\n%v\n%v", seed, view.toWire(), k.s.toWire())
		}
	}
}

// randomHistory does n things to a channel.
func randomHistory(t *testing.T, k *keptChannel, n int) {
	t.Helper()
	for range n {
		s := testStream(k.rand.IntN(4), uint64(1+k.rand.IntN(3)))
		o := testStream(k.rand.IntN(4), uint64(1+k.rand.IntN(3)))
		var req *wire.ChannelRequest
		switch k.rand.IntN(21) {
		case 20:
			k.keeperLog.now = k.keeperLog.now.Add(chat.RenamePause)
			req = reqRename([]string{"#TEA", "#cocoa", "#mate"}[k.rand.IntN(3)])
		case 19:
			req = reqMeta(fmt.Sprint("k", k.rand.IntN(4)), []string{"", "x", "y"}[k.rand.IntN(3)])
		case 18:
			req = reqKnock(s)
		case 0, 1, 2, 3:
			req = reqJoin(s, "")
			if name := k.s.presentName(k.keeperLog.now.UnixMilli()); name != "" {
				req.GetJoin().Name = []byte(name)
			}
		case 4:
			req = reqPart()
		case 5:
			req = reqKick(o)
		case 6:
			req = reqTopic(fmt.Sprint("topic ", k.rand.IntN(100)))
		case 7:
			req = reqModes(modeChange(k.rand.IntN(2) == 0, chat.FlagModes[k.rand.IntN(len(chat.FlagModes))], ""))
		case 8:
			req = reqModes(statusChange(k.rand.IntN(2) == 0, chat.StatusModes[k.rand.IntN(3)], o))
		case 9:
			req = reqModes(modeChange(k.rand.IntN(3) > 0, chat.ListModes[k.rand.IntN(3)], fmt.Sprint([]string{"", "m:", "a:"}[k.rand.IntN(3)], "x", k.rand.IntN(6))))
		case 10:
			req = reqInvite(o)
		case 11:
			p := testPerson(s)
			p.version, p.away = uint64(k.rand.IntN(9)), fmt.Sprint("away ", k.rand.IntN(9))
			p.meta = p.meta.With(chat.MetaItem{Key: "k", Value: fmt.Sprint(k.rand.IntN(3))})
			req = &wire.ChannelRequest{What: &wire.ChannelRequest_Person{Person: personToWire(p)}}
		case 14, 15, 16:
			req = reqSay(s, fmt.Sprint("words ", k.rand.IntN(99)))
		case 17:
			if len(k.s.tail) == 0 {
				continue
			}
			req = reqRedact(k.idOf(k.s.tail[k.rand.IntN(len(k.s.tail))]))
		case 12:
			k.nodeGone(k.turn(overlay.Stream{}), testNode(k.rand.IntN(4)), 0)
			continue
		case 13:
			if k.rand.IntN(4) > 0 {
				continue
			}
			req = reqQuit()
			req.GetQuit().Vanished = k.rand.IntN(2) == 0
		}
		k.ask(t, s, req)
	}
}

// TestChannelMergeLaws: merge is commutative, associative and idempotent on
// copies with a common past, with none, and with merges in between.
func TestChannelMergeLaws(t *testing.T) {
	united := func(a, b *keptChannel) string {
		c := a.s.clone()
		c.merge(b.s)
		return string(encode(c.toWire()))
	}
	for seed := range uint64(150) {
		past := newKept(0, seed)
		randomHistory(t, past, int(seed%3)*20)
		var copies []*keptChannel
		for i := range 3 {
			k := newKept(i+1, seed)
			k.number, k.keeperLog.now = past.number, past.keeperLog.now.Add(time.Duration(i)*time.Second)
			if i < int(seed%4) {
				k.s = past.s.clone()
			}
			for s, n := range past.next { // any order: copied
				k.next[s] = n
			}
			randomHistory(t, k, 30)
			copies = append(copies, k)
		}
		a, b, c := copies[0], copies[1], copies[2]
		if united(a, b) != united(b, a) {
			t.Fatalf("seed %d: not commutative\n%v\n%v", seed, a.s.toWire(), b.s.toWire())
		}
		if united(a, a) != string(a.Snapshot()) {
			t.Fatalf("seed %d: not idempotent", seed)
		}
		ab, bc := &keptChannel{a.keeperLog, &channelObject{s: a.s.clone()}}, &keptChannel{b.keeperLog, &channelObject{s: b.s.clone()}}
		ab.s.merge(b.s)
		bc.s.merge(c.s)
		if x, y := united(ab, c), united(a, bc); x != y {
			t.Fatalf("seed %d: not associative", seed)
		}
		back, err := decodeState(ab.Snapshot(), "#tea")
		if err != nil || string(encode(back.toWire())) != string(ab.Snapshot()) {
			t.Fatalf("seed %d: a snapshot does not survive its codec: %v", seed, err)
		}
	}
}

// TestTakingUpARestIsNoOlder: who takes up a channel that rests without an
// operator, cut off from those who are still on it, is theirs no more after the mend.
func TestTakingUpARestIsNoOlder(t *testing.T) {
	here := newKept(1, 1)
	a, b, c := testStream(1, 1), testStream(2, 1), testStream(3, 1)
	here.ask(t, a, reqJoin(a, ""))
	here.ask(t, b, reqJoin(b, ""))
	here.ask(t, a, reqTopic("ours"))
	here.ask(t, a, reqPart())
	there := newKept(2, 2)
	there.number, there.keeperLog.now = here.number, here.keeperLog.now.Add(time.Minute)
	there.s = here.s.clone()
	there.nodeGone(there.turn(overlay.Stream{}), testNode(2), 0)
	there.ask(t, c, reqJoin(c, ""))
	if m := there.s.members; len(m) != 1 || m[c].status != chat.Operator || there.s.topic.text != "ours" || there.s.birth == here.s.birth {
		t.Errorf("taken up: %v", there.s.toWire())
	}
	if err := there.Merge(here.Snapshot()); err != nil {
		t.Fatal(err)
	}
	if m := there.s.members; len(m) != 2 || m[b].status|m[c].status != 0 || there.s.birth != here.s.birth || there.s.topic.text != "ours" {
		t.Errorf("after the mend: %v", there.s.toWire())
	}
}

// TestMergeOlderBirthCounts: nobody gains status by riding a split.
func TestMergeOlderBirthCounts(t *testing.T) {
	old, young := newKept(1, 1), newKept(2, 2)
	young.keeperLog.now = old.keeperLog.now.Add(time.Hour)
	a, b, c := testStream(1, 1), testStream(2, 1), testStream(3, 1)
	old.ask(t, a, reqJoin(a, ""))
	old.ask(t, a, reqModes(modeChange(true, 'n', "")))
	young.ask(t, b, reqJoin(b, ""))
	young.ask(t, c, reqJoin(c, ""))
	young.ask(t, b, reqTopic("ours"))
	if err := young.Merge(old.Snapshot()); err != nil {
		t.Fatal(err)
	}
	m := young.s.members
	if len(m) != 3 || m[a].status != chat.Operator || m[b].status != 0 || young.s.topic.text != "" || !young.s.is('n') {
		t.Errorf("merged: %v", young.s.toWire())
	}
}
