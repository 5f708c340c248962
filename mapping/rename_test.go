package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

func reqRename(name string) *wire.ChannelRequest {
	return &wire.ChannelRequest{What: &wire.ChannelRequest_Rename{Rename: &wire.Rename{Name: []byte(name)}}}
}

// TestRenameRules: what the keeper of a channel's home makes of its names.
func TestRenameRules(t *testing.T) {
	k := newKept(0, 1)
	op, other := testStream(1, 1), testStream(2, 1)
	keeper, liar := testStream(0, 0), testStream(2, 0)
	k.ask(t, op, reqJoin(op, ""))
	k.ask(t, other, reqJoin(other, ""))
	joins := func(name string) *wire.ChannelRequest {
		req := reqJoin(testStream(3, 1), "")
		req.GetJoin().Name = []byte(name)
		return req
	}
	taken := reqRename("#Tea")
	taken.GetRename().Taken = true
	for _, c := range []struct {
		what string
		who  overlay.Stream
		req  *wire.ChannelRequest
		want wire.Code
		name string // that it has then
	}{
		{"no name", op, reqRename("cocoa"), wire.Code_BAD_REQUEST, "#Tea"},
		{"without status", other, reqRename("#cocoa"), wire.Code_NO_PRIVILEGES, "#Tea"},
		{"not there", testStream(3, 1), reqRename("#cocoa"), wire.Code_NOT_ON_CHANNEL, "#Tea"},
		{"another name", op, reqRename("#Cocoa"), wire.Code_OK, "#Cocoa"},
		{"the same again", op, reqRename("#Cocoa"), wire.Code_OK, "#Cocoa"},
		{"too soon", op, reqRename("#mate"), wire.Code_RENAMED_LATELY, "#Cocoa"},
		{"by the first name", testStream(3, 1), joins("#tea"), wire.Code_CHANNEL_RENAMED, "#Cocoa"},
		{"by another name", testStream(3, 1), joins("#mate"), wire.Code_CHANNEL_RENAMED, "#Cocoa"},
		{"by its name", testStream(3, 1), joins("#COCOA"), wire.Code_OK, "#Cocoa"},
		{"a user says that it is taken", op, taken, wire.Code_NO_PRIVILEGES, "#Cocoa"},
		{"another node says that it is taken", liar, taken, wire.Code_NO_PRIVILEGES, "#Cocoa"},
		{"its keeper says that it is taken", keeper, taken, wire.Code_OK, "#Tea"},
	} {
		res := k.ask(t, c.who, c.req)
		if res.Code != c.want || k.s.shown() != c.name || string(res.Name) != c.name {
			t.Errorf("%s: %v, and it is called %s", c.what, res, k.s.shown())
		}
	}
	k.keeperLog.now = k.keeperLog.now.Add(chat.RenamePause)
	if res := k.ask(t, op, reqRename("#mate")); res.Code != wire.Code_OK || k.s.shown() != "#mate" {
		t.Errorf("after a while: %v", res)
	}
	// What ends has no name; who comes by the alias then is told that there is nothing.
	for _, who := range []overlay.Stream{op, other, testStream(3, 1)} {
		k.ask(t, who, reqPart())
	}
	if res := k.ask(t, op, joins("#mate")); res.Code != wire.Code_NO_SUCH_CHANNEL || k.s.shown() != "" {
		t.Errorf("after its end: %v, %q", res, k.s.shown())
	}
	if res := k.ask(t, op, joins("#tea")); res.Code != wire.Code_OK || k.s.shown() != "#tea" {
		t.Errorf("founded anew: %v, %q", res, k.s.shown())
	}
}

// TestAliasRules: what the keeper of a name makes of it that leads elsewhere.
func TestAliasRules(t *testing.T) {
	k := newKept(0, 1)
	node, user := testStream(1, 0), testStream(2, 1)
	lead := func(home string) *wire.Result { return k.ask(t, node, aliasRequest(home, false)) }
	for _, bad := range []string{"", "tea", "#Cocoa", "#tea"} {
		if res := lead(bad); res.Code != wire.Code_BAD_REQUEST {
			t.Errorf("an alias of %q: %v", bad, res)
		}
	}
	if res := lead("#cocoa"); res.Code != wire.Code_OK || lead("#cocoa").Code != wire.Code_OK || lead("#mate").Code != wire.Code_CHANNEL_IN_USE {
		t.Errorf("%v", res)
	}
	for _, req := range []*wire.ChannelRequest{reqJoin(user, ""), reqSay(user, "x"), reqTopic("x"), reqKnock(user)} {
		if res := k.ask(t, user, req); res.Code != wire.Code_ELSEWHERE || string(res.Home) != "#cocoa" {
			t.Errorf("%v: %v", req, res)
		}
	}
	if res := k.ask(t, user, reqPart()); res.Code != wire.Code_NOT_ON_CHANNEL {
		t.Errorf("part: %v", res)
	}
	answer := new(wire.ChannelAnswer)
	if err := decode(k.Query("", nil), answer); err != nil || answer.Exists || string(answer.Home) != "#cocoa" || k.Empty(k.keeperLog.now) {
		t.Errorf("asked about it: %v, %v", answer, err)
	}
	copied, err := decodeState(k.Snapshot(), "#tea")
	if err != nil || copied.alias != k.s.alias {
		t.Errorf("a copy has %v, %v", copied.alias, err)
	}
	// Who was sent on in vain founds a channel, and the name is its own.
	denied := reqJoin(user, "")
	denied.GetJoin().Denied = []byte("#cocoa")
	if res := k.ask(t, user, denied); res.Code != wire.Code_OK || k.s.alias != (alias{}) || lead("#cocoa").Code != wire.Code_CHANNEL_IN_USE {
		t.Errorf("founded: %v, %v", res, k.s.alias)
	}
	k.ask(t, user, reqPart())
	lead("#cocoa")
	k.ask(t, node, aliasRequest("#mate", true))
	if k.elsewhere() != "#cocoa" {
		t.Error("another's alias was taken back")
	}
	k.keeperLog.now = k.keeperLog.now.Add(aliasLife * time.Millisecond)
	if res := k.ask(t, user, reqSay(user, "x")); res.Code != wire.Code_NO_SUCH_CHANNEL || lead("#mate").Code != wire.Code_OK {
		t.Errorf("after its time: %v", res)
	}
	k.ask(t, node, aliasRequest("#mate", true))
	if k.elsewhere() != "" || !k.Empty(k.keeperLog.now.Add(time.Hour)) {
		t.Error("it is still there")
	}
}

// TestAliasesUnite: of two copies the later one counts, whatever the order.
func TestAliasesUnite(t *testing.T) {
	early, late, other := newState(), newState(), newState()
	early.alias, late.alias, other.alias = alias{"#a", 1}, alias{"#a", 2}, alias{"#b", 2}
	all := []*state{early, late, other}
	for i := range all {
		for j := range all {
			s := all[i].clone()
			s.merge(all[j])
			if want := all[max(i, j)].alias; s.alias != want {
				t.Errorf("%v and %v are %v", all[i].alias, all[j].alias, s.alias)
			}
		}
	}
}

// TestRenamedChannelOutlivesItsKeepers: the keeper of the channel, of its name, or
// both are killed at the moment of a rename, or later; nobody is told anything else,
// and who comes finds it.
func TestRenamedChannelOutlivesItsKeepers(t *testing.T) {
	for _, seed := range seeds(12) {
		w := newSimNet(t, seed)
		w.grow(7)
		w.run(func(e *simEnv) {
			home, to := w.nodes[6], w.nodes[5]
			old, name := e.channelOn(home), e.channelOn(to)
			ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
			ann.join(old)
			bob.join(old)
			e.sees(ann, old, "@ann bob")
			renamed := false
			e.Go("rename", func() {
				for !renamed {
					err := ann.RenameChannel(bg, old, name, "why")
					renamed = err == nil || slices.Equal(ann.Joined(), []string{name}) || errors.Is(err, chat.ErrClosed)
				}
			})
			if seed%3 == 0 {
				e.Eventually("it is renamed", func() bool { return renamed })
				e.Sleep(time.Duration(seed) * time.Second)
			} else {
				e.Sleep(time.Duration(seed) * 200 * time.Microsecond)
			}
			if seed%4 != 1 {
				w.Crash(home.h)
			}
			if seed%4 != 2 {
				w.Crash(to.h)
			}
			e.Eventually("it is renamed", func() bool { return renamed })
			e.Eventually("the ring is whole", w.settled)
			e.Sleep(40 * time.Second)
			cat := e.open(w.nodes[2], "cat")
			cat.join(name)
			for _, u := range []*tester{ann, bob, cat} {
				e.sees(u, name, "@ann bob cat")
			}
			cat.send(name, "hello")
			e.Eventually("it is heard", func() bool { return slices.Contains(bob.texts(), "hello") && slices.Contains(ann.texts(), "hello") })
			for _, u := range []*tester{ann, bob} {
				if got := eventsOf[chat.ChannelRenamed](u); len(got) != 1 || got[0].Old != old || got[0].New != name {
					t.Errorf("seed %d: %s was told %+v", seed, u.name, got)
				}
			}
			if _, err := cat.Join(bg, old, ""); !errors.Is(err, chat.ErrChannelRenamed) {
				t.Errorf("seed %d: by the old name: %v", seed, err)
			}
		})
	}
}

// TestRenamedInACut: a channel is renamed on one side of a cut, or on both, or its new name
// is founded on the other side. After the mend all agree; the later name counts, and
// a name belongs to who was founded under it.
func TestRenamedInACut(t *testing.T) {
	for _, seed := range seeds(5) {
		for _, how := range []string{"one side", "both sides", "founded there", "two channels"} {
			w := newSimNet(t, seed)
			w.grow(6)
			w.run(func(e *simEnv) {
				ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[4], "bob")
				zoe := e.open(w.nodes[5], "zoe")
				ann.join("#old")
				bob.join("#old")
				e.sees(ann, "#old", "@ann bob")
				if _, err := ann.SetMode(bg, "#old", []chat.ModeChange{{Add: true, Mode: 'o', Arg: "bob"}}); err != nil {
					e.Fatalf("seed %d: %v", seed, err)
				}
				e.sees(bob, "#old", "@ann @bob")
				w.cutAfter(3)
				e.Sleep(60 * time.Second)
				rename := func(u *tester, old, name string) {
					e.Eventually(u.name+" renames it", func() bool {
						err := u.RenameChannel(bg, old, name, "")
						return err == nil || slices.Contains(u.Joined(), name)
					})
				}
				want := "#new"
				rename(ann, "#old", "#new")
				e.Sleep(15 * time.Second)
				switch how {
				case "both sides":
					rename(bob, "#old", "#newer")
					want = ""
				case "founded there":
					zoe.join("#new")
					want = "#old"
				case "two channels":
					zoe.join("#mine")
					rename(zoe, "#mine", "#new")
					want = ""
				}
				e.Sleep(10 * time.Second)
				w.Heal()
				e.Eventually("the ring is whole", w.settled)
				e.Sleep(60 * time.Second)
				name := ann.Joined()[0]
				if want != "" && name != want {
					t.Errorf("seed %d, %s: it is called %s, want %s", seed, how, name, want)
				}
				for _, u := range []*tester{ann, bob} {
					e.sees(u, name, "@ann @bob")
					if got := u.Joined(); !slices.Equal(got, []string{name}) {
						t.Errorf("seed %d, %s: %s is on %v", seed, how, u.name, got)
					}
					// Each was told each step from where he was.
					at := "#old"
					for _, r := range eventsOf[chat.ChannelRenamed](u) {
						if r.Old != at {
							t.Errorf("seed %d, %s: %s was on %s and is told %+v", seed, how, u.name, at, r)
						}
						at = r.New
					}
					if at != name {
						t.Errorf("seed %d, %s: %s was told of %s last", seed, how, u.name, at)
					}
				}
				bob.send(name, "hello")
				e.Eventually("it is heard", func() bool { return slices.Contains(ann.texts(), "hello") })
				cat := e.open(w.nodes[1], "cat")
				cat.join(name)
				e.sees(bob, name, "@ann @bob cat")
				if strings.HasPrefix(how, "found") || strings.HasPrefix(how, "two") {
					other := zoe.Joined()[0]
					if chat.SameName(other, name) {
						t.Errorf("seed %d, %s: two channels are called %s", seed, how, name)
					}
					cat.join(other)
					e.sees(zoe, other, "cat @zoe")
				}
			})
		}
	}
}

// TestRenamedChannelIsOnDisk: when all nodes are killed and start again, a renamed channel is
// found by its name, and its first name leads there.
func TestRenamedChannelIsOnDisk(t *testing.T) {
	for _, seed := range seeds(5) {
		w := newSimNet(t, seed)
		w.grow(4)
		w.run(func(e *simEnv) {
			ann, bob := e.open(w.nodes[0], "ann"), e.open(w.nodes[1], "bob")
			ann.join("#old")
			bob.join("#old")
			if err := errors.Join(ann.SetTopic(bg, "#old", "green only"), ann.RenameChannel(bg, "#old", "#new", "")); err != nil {
				e.Fatalf("seed %d: %v", seed, err)
			}
			e.Sleep(3 * time.Second) // written and committed
			for _, n := range w.nodes {
				w.Crash(n.h)
			}
			for _, n := range w.nodes {
				w.restart(n)
			}
			e.Eventually("the ring is whole", w.settled)
			e.Sleep(10 * time.Second)
			ann = e.open(w.nodes[0], "ann")
			if _, err := ann.Join(bg, "#old", ""); !errors.Is(err, chat.ErrChannelRenamed) {
				t.Errorf("seed %d: by the old name: %v", seed, err)
			}
			c, err := ann.Join(bg, "#new", "")
			if err != nil || c.Name != "#new" || c.Topic.Text != "green only" || fmt.Sprint(ann.nicks("#new")) != "@ann" {
				t.Errorf("seed %d: she came back to %+v, %v", seed, c, err)
			}
		})
	}
}

// TestANewNameIsBroughtToAKeeperThatMissedIt: as all else that only a view has.
func TestANewNameIsBroughtToAKeeperThatMissedIt(t *testing.T) {
	k := newKept(0, 1)
	op := testStream(1, 1)
	k.ask(t, op, reqJoin(op, ""))
	missed := k.s.clone()
	k.ask(t, op, reqRename("#cocoa"))
	d := k.viewOf(t, testStream(2, 1)).lacking(missed)
	if d == nil {
		t.Fatal("the keeper is told nothing")
	}
	for _, part := range d.parts() {
		missed.merge(part)
	}
	if missed.shown() != "#cocoa" {
		t.Errorf("it is called %s there", missed.shown())
	}
}
