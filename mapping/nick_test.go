package mapping

import (
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

var update = flag.Bool("update", false, "rewrite golden files")

func signedClaim(n int, s overlay.Stream, number uint64, nick string) *claim {
	c := &claim{nick: nick, owner: s, number: number, person: testPerson(s)}
	c.signature = signAs(n, claimBytes(nick, s, number))
	return c
}

func reqClaim(n int, s overlay.Stream, number uint64, nick string) []byte {
	return encode(&wire.NickRequest{What: &wire.NickRequest_Claim{Claim: signedClaim(n, s, number, nick).toWire(nil)}})
}

func reqRelease() []byte {
	return encode(&wire.NickRequest{What: &wire.NickRequest_Release{Release: &wire.Release{}}})
}

func reqWatch(off bool) []byte {
	return encode(&wire.NickRequest{What: &wire.NickRequest_Watch{Watch: &wire.Watch{Off: off}}})
}

func reqNickPerson(p person) []byte {
	return encode(&wire.NickRequest{What: &wire.NickRequest_Person{Person: personToWire(p)}})
}

type keptNick struct {
	*keeperLog
	*nickObject
}

func newKeptNick(keeper int, seed uint64) *keptNick {
	return &keptNick{newKeeperLog(keeper, seed), newNickObject("ada")}
}

func (k *keptNick) claimAs(t *testing.T, n int, s overlay.Stream, nick string) wire.Code {
	t.Helper()
	turn := k.turn(s)
	res := new(wire.Result)
	if err := decode(k.apply(turn, reqClaim(n, s, turn.n, nick)), res); err != nil {
		t.Fatal(err)
	}
	return res.Code
}

// TestNickClaims: the first live claim holds the name; a node's own later run
// takes it back; what was given up or belonged to a dead node is free.
func TestNickClaims(t *testing.T) {
	k := newKeptNick(0, 1)
	a, b := testStream(1, 1), testStream(2, 1)
	again := a
	again.Run = 1005
	check := func(what string, got, want wire.Code) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("first", k.claimAs(t, 1, a, "Ada"), wire.Code_OK)
	age := k.holder().birth
	check("second", k.claimAs(t, 2, b, "ada"), wire.Code_NICK_IN_USE)
	check("another run of the holder", k.claimAs(t, 1, again, "ADA"), wire.Code_OK)
	if k.holder().birth != age || k.holder().owner != again {
		t.Errorf("holder after the restart: %+v", k.holder())
	}
	k.apply(k.turn(a), reqRelease()) // of the dead run: changes nothing
	check("still held", k.claimAs(t, 2, b, "ada"), wire.Code_NICK_IN_USE)
	k.apply(k.turn(again), reqRelease())
	check("given up", k.claimAs(t, 2, b, "ada"), wire.Code_OK)
	k.nodeGone(k.turn(overlay.Stream{}), b.Node, b.Run)
	check("the run that is kept", k.claimAs(t, 1, again, "ada"), wire.Code_NICK_IN_USE)
	k.nodeGone(k.turn(overlay.Stream{}), b.Node, 0)
	check("dead node's", k.claimAs(t, 1, again, "ada"), wire.Code_OK)
}

// TestClaimLearnsPerson: the claim shows the latest version of its holder, by
// request or by renewal, and keeps its nick; others cannot change it.
func TestClaimLearnsPerson(t *testing.T) {
	k := newKeptNick(0, 1)
	a, b := testStream(1, 1), testStream(2, 1)
	k.claimAs(t, 1, a, "Ada")
	tell := func(s overlay.Stream, version uint64, realname string) wire.Code {
		p := testPerson(s)
		p.version, p.realname = version, realname
		res := new(wire.Result)
		if err := decode(k.apply(k.turn(s), reqNickPerson(p)), res); err != nil {
			t.Fatal(err)
		}
		return res.Code
	}
	expect := func(what, realname string) {
		t.Helper()
		if p := k.holder().person; p.realname != realname || p.nick != "Ada" {
			t.Errorf("%s: the claim shows %+v", what, p)
		}
	}
	events := len(k.log)
	if got := tell(a, 3, "new"); got != wire.Code_OK {
		t.Errorf("the holder's own: %v", got)
	}
	expect("a new version", "new")
	tell(a, 2, "old")
	expect("an old version", "new")
	if got := tell(b, 9, "forged"); got != wire.Code_NO_SUCH_NICK {
		t.Errorf("another's: %v", got)
	}
	expect("another's", "new")
	if len(k.log) != events {
		t.Errorf("%d events were made of it", len(k.log)-events)
	}
	c := *k.holder()
	c.person.version, c.person.realname = 4, "renewed"
	if !k.renew(k.turn(overlay.Stream{}), a.Node, a.Run, encode(c.toWire(nil))) {
		t.Error("the renewal is not known")
	}
	expect("renewed", "renewed")
}

// TestOlderClaimRenewed: the older claim counts, whichever copy the keeper has.
func TestOlderClaimRenewed(t *testing.T) {
	a, b := testStream(1, 1), testStream(2, 1)
	old, young := newKeptNick(0, 1), newKeptNick(3, 2)
	old.claimAs(t, 1, a, "ada")
	young.keeperLog.now = young.keeperLog.now.Add(time.Hour)
	young.claimAs(t, 2, b, "ada")
	renew := func(k *keptNick, c *claim) bool {
		return k.renew(k.turn(overlay.Stream{}), c.owner.Node, c.owner.Run, encode(c.toWire(nil)))
	}
	if renew(old, young.holder()) || old.holder().owner != a {
		t.Error("the younger claim was taken")
	}
	loser := young.holder()
	if !renew(young, old.holder()) || young.holder().owner != a {
		t.Error("the older claim was not taken")
	}
	if renew(young, loser) || len(young.log[len(young.log)-1].Event) == 0 {
		t.Error("the loser is not told")
	}
}

// TestWinnerHearsOfTheLoserWhoGaveUp: after two copies met, a node that is first to see both gives its
// claim back before the other one was shown anything; that one is shown it all the same. Who gives
// back a claim that is in force shows nothing.
func TestWinnerHearsOfTheLoserWhoGaveUp(t *testing.T) {
	a, b := testStream(1, 1), testStream(2, 1)
	for _, wins := range []bool{true, false} {
		old, young := newKeptNick(0, 1), newKeptNick(3, 2)
		old.claimAs(t, 1, a, "ada")
		young.keeperLog.now = young.keeperLog.now.Add(time.Hour)
		young.claimAs(t, 2, b, "ada")
		if err := old.Merge(young.Snapshot()); err != nil {
			t.Fatal(err)
		}
		leaves := b
		if !wins {
			leaves = a
		}
		w := encode(&wire.NickRequest{What: &wire.NickRequest_Release{Release: &wire.Release{}}})
		old.next[leaves] = 5
		if err := decode(old.apply(old.turn(leaves), w), new(wire.Result)); err != nil {
			t.Fatal(err)
		}
		last := old.log[len(old.log)-1].Event
		if !wins {
			if len(last) != 0 {
				t.Error("who is left alone is shown a claim that was in force")
			}
			continue
		}
		shown, err := decodeNick(last, "ada")
		if err != nil || shown.holder() == nil || shown.holder().owner != a || shown.claims.of(b) == nil {
			t.Errorf("the winner is shown %v (%v)", shown, err)
		}
	}
}

// TestForgedClaims: a claim of another session, node, name or number, or with
// a wrong signature, is refused.
func TestForgedClaims(t *testing.T) {
	a, b := testStream(1, 1), testStream(2, 1)
	for what, c := range map[string]*claim{
		"another's session": signedClaim(2, b, 1, "ada"),
		"another's key":     signedClaim(2, a, 1, "ada"),
		"another number":    signedClaim(1, a, 9, "ada"),
		"another name":      signedClaim(1, a, 1, "bob"),
		"no nick":           signedClaim(1, a, 1, "1ada"),
	} {
		k := newKeptNick(0, 1)
		res := new(wire.Result)
		w := &wire.NickRequest{What: &wire.NickRequest_Claim{Claim: c.toWire(nil)}}
		if err := decode(k.apply(k.turn(a), encode(w)), res); err != nil || res.Code != wire.Code_BAD_REQUEST || k.holder() != nil {
			t.Errorf("%s: %v %v, holder %v", what, res, err, k.holder())
		}
	}
}

// TestNickMergeLaws: as for channels; and the winner is the older claim.
func TestNickMergeLaws(t *testing.T) {
	copyOf := func(k *keptNick) *nickObject {
		n, err := decodeNick(k.Snapshot(), "ada")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	united := func(a, b *nickObject) *nickObject {
		c, err := decodeNick(a.Snapshot(), "ada")
		if err == nil {
			err = c.Merge(b.Snapshot())
		}
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	full, watchers := 0, 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 5))
		next := map[overlay.Stream]uint64{} // a stream's numbers are its own, whoever keeps the name
		var copies []*nickObject
		for i := range 3 {
			k := newKeptNick(i, seed)
			k.next = next
			for range 24 {
				n := r.IntN(3)
				s := testStream(n, uint64(1+r.IntN(2)))
				switch r.IntN(9) {
				case 8:
					s.Session = 0
					k.apply(k.turn(s), reqWatch(r.IntN(3) == 0))
				case 0, 1, 2:
					k.apply(k.turn(s), reqRelease())
				case 3:
					k.nodeGone(k.turn(overlay.Stream{}), testNode(n), 0)
				case 4:
					p := testPerson(s)
					p.version, p.realname = uint64(r.IntN(9)), fmt.Sprint("name ", r.IntN(9))
					k.apply(k.turn(s), reqNickPerson(p))
				case 5:
					k.nodeGone(k.turn(overlay.Stream{}), testNode(n), 0)
				default:
					k.claimAs(t, n, s, "Ada")
				}
			}
			copies = append(copies, copyOf(k))
		}
		a, b, c := copies[0], copies[1], copies[2]
		if x, y := united(a, b), united(b, a); string(x.Snapshot()) != string(y.Snapshot()) {
			t.Fatalf("seed %d: not commutative", seed)
		}
		if string(united(a, a).Snapshot()) != string(a.Snapshot()) {
			t.Fatalf("seed %d: not idempotent", seed)
		}
		x, y := united(united(a, b), c), united(a, united(b, c))
		if string(x.Snapshot()) != string(y.Snapshot()) {
			t.Fatalf("seed %d: not associative\n%v\n%v", seed, x.claims, y.claims)
		}
		full, watchers = max(full, len(x.past)), max(watchers, len(x.watchers))
		for _, c := range x.claims {
			if c.owner.Node != x.holder().owner.Node && c.senior(x.holder()) && x.of(c.owner.Node) == c {
				t.Fatalf("seed %d: %v is older than the holder", seed, c)
			}
		}
	}
	if watchers < 2 {
		t.Errorf("no more than %d nodes watched the name", watchers)
	}
	if full != maxPast {
		t.Errorf("no more than %d former holders were remembered, want %d at times", full, maxPast)
	}
}

// TestVectors fixes what nodes must agree on to the byte.
func TestVectors(t *testing.T) {
	var b strings.Builder
	for _, k := range [][2]string{{"nick", "Ada"}, {"nick", "[x]^~"}, {"channel", "#Tea"}, {"channel", "#ÄPFEL"}, {"directory", "0"}} {
		fmt.Fprintf(&b, "key %s %q = %v\n", k[0], k[1], overlay.Key(k[0], chat.Fold(k[1])))
	}
	node := testNode(1)
	s := overlay.Stream{Node: node, Run: 0x0102030405060708, Session: 3}
	fmt.Fprintf(&b, "node key seed = %x\n", testKey(1).Seed())
	fmt.Fprintf(&b, "node peer ID = %v = %x\n", node, string(node))
	fmt.Fprintf(&b, "node ID = %v\nvisible host = %s\n", chord.NodeID(node), VisibleHost(node))
	msg := claimBytes("Ada", s, 7)
	fmt.Fprintf(&b, "claim of Ada, run 0x%016x, session %d, number 7 = %x\n", s.Run, s.Session, msg)
	fmt.Fprintf(&b, "claim signature = %s\n", hex.EncodeToString(signAs(1, msg)))
	fmt.Fprintf(&b, "message ID, request 9 of that session to #Tea = %s\n", messageID(s, 9, overlay.Key("channel", "#tea")))
	const file = "testdata/vectors.txt"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("vectors differ from %s:\n%s", file, b.String())
	}
	doc, err := os.ReadFile("../docs/objects.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if !strings.Contains(string(doc), line) {
			t.Errorf("docs/objects.md lacks: %s", line)
		}
	}
	if !host.PeerID(node).Verify(msg, signAs(1, msg)) {
		t.Error("the signature does not verify")
	}
}
