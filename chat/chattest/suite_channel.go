package chattest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"ircbridge/chat"
)

func channelCases() []testCase {
	return []testCase{
		{"Found", 2, testFound},
		{"JoinSeen", 3, testJoinSeen},
		{"JoinErrors", 1, testJoinErrors},
		{"TooMany", 1, testTooMany},
		{"Spelling", 2, testSpelling},
		{"Part", 3, testPart},
		{"PartNothingFollows", 2, testPartNothingFollows},
		{"Rejoin", 2, testRejoin},
		{"LastOneOut", 2, testLastOneOut},
		{"VanishedReturns", 2, testVanishedReturns},
		{"Rests", 2, testRests},
		{"RestsForAll", 2, testRestsForAll},
		{"Topic", 3, testTopic},
		{"TopicErrors", 2, testTopicErrors},
		{"Kick", 3, testKick},
		{"KickErrors", 2, testKickErrors},
		{"List", 2, testList},
		{"ListTimes", 2, testListTimes},
		{"Keeper", 3, testKeeper},
		{"EqualEverywhere", 3, testEqualEverywhere},
	}
}

func testFound(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	c := a.join("#New")
	if c.Name != "#New" || c.Modes != (chat.Modes{TopicLock: true}) || c.Topic.Text != "" || len(c.Bans) != 0 || c.Secret || c.Count != 1 {
		w.T().Errorf("a new channel is %+v, want +t only", c)
	}
	if len(c.Members) != 1 || c.Members[0].Profile != a.Self() || c.Members[0].Status != chat.Operator {
		w.T().Errorf("members are %+v, want the founder as operator", c.Members)
	}
	if c.Created.IsZero() {
		w.T().Error("a channel has no time of creation")
	}
	_, err := b.Channel(context.Background(), "#none")
	w.want("channel that is none", err, chat.ErrNoSuchChannel)
	seen, err := b.Channel(context.Background(), "#new")
	w.must("channel from outside", err)
	if seen.Name != "#New" || !reflect.DeepEqual(nicksOf(seen), []string{"ann"}) || !seen.Created.Equal(c.Created) {
		w.T().Errorf("from outside it is %+v", seen)
	}
}

func testJoinSeen(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	a.join("#a")
	b.join("#a")
	got := c.join("#a")
	if want := []string{"ann", "bob", "cat"}; !reflect.DeepEqual(nicksOf(got), want) || got.Count != 3 {
		w.T().Errorf("the third sees %v (%d), want %v", nicksOf(got), got.Count, want)
	}
	for _, u := range []*user{a, b} {
		e := await(u, "cat joins", func(e chat.Joined) bool { return e.Who.Nick == "cat" })
		if e.Channel != "#a" || e.Who != c.Self() || e.Status != 0 {
			w.T().Errorf("joined is %+v, want %+v without status", e, c.Self())
		}
		u.sees("#a", "ann", "bob", "cat")
	}
	w.Sleep(quiet)
	for _, u := range []*user{a, b} {
		once(u, "the join", func(e chat.Joined) bool { return e.Who.Nick == "cat" })
	}
	none(c, "a join that is his own or was before", anyOf[chat.Joined])
	none(b, "a join that is his own or was before", func(e chat.Joined) bool { return e.Who.Nick != "cat" })
}

func testJoinErrors(w *world) {
	u := w.open(0, "ann")
	for _, name := range []string{"", "#", "a", "&a", "#a b", "#a,b", "#a\x07", "#\xff", "#" + strings.Repeat("c", chat.MaxChannel)} {
		_, err := u.Join(context.Background(), name, "")
		w.want(fmt.Sprintf("join %q", name), err, chat.ErrBadChannel)
	}
	u.join("#a")
	_, err := u.Join(context.Background(), "#A", "")
	w.want("join again", err, chat.ErrAlreadyJoined)
	if got := u.Joined(); !reflect.DeepEqual(got, []string{"#a"}) {
		w.T().Errorf("joined are %v", got)
	}
}

func testTooMany(w *world) {
	u := w.open(0, "ann")
	for i := range chat.MaxChannels {
		u.join(fmt.Sprintf("#%d", i))
	}
	_, err := u.Join(context.Background(), "#more", "")
	w.want("one channel more", err, chat.ErrTooManyChannels)
	got := u.Joined()
	if len(got) != chat.MaxChannels || got[0] != "#0" || got[99] != "#99" {
		w.T().Errorf("joined are %v, want them in the order of joining", got)
	}
	w.must("part", u.Part(context.Background(), "#50", ""))
	u.join("#more")
}

func testSpelling(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	a.join("#Über|X")
	if c := b.join("#Über|x"); c.Name != "#Über|X" {
		w.T().Errorf("name is %s, want the founder's spelling", c.Name)
	}
	_, err := b.Channel(context.Background(), "#über|x")
	w.want("only ASCII letters fold", err, chat.ErrNoSuchChannel)
	a.said("#Über|x", "hello")
	if m := b.gets("hello"); m.Target != "#Über|X" {
		w.T().Errorf("target is %s, want the founder's spelling", m.Target)
	}
}

func testPart(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#a", a, b, c)
	w.must("part", b.Part(context.Background(), "#A", "so long"))
	if got := b.Joined(); len(got) != 0 {
		w.T().Errorf("after the part he is on %v", got)
	}
	for _, u := range []*user{a, c} {
		e := await(u, "bob leaves", anyOf[chat.Parted])
		if e.Channel != "#a" || e.Who != b.Self() || e.Reason != "so long" {
			w.T().Errorf("parted is %+v", e)
		}
		u.sees("#a", "ann", "cat")
	}
	w.want("part again", b.Part(context.Background(), "#a", ""), chat.ErrNotOnChannel)
	w.want("part of none", b.Part(context.Background(), "#none", ""), chat.ErrNotOnChannel)
	a.said("#a", "after")
	c.gets("after")
	w.Sleep(quiet)
	once(a, "the part", anyOf[chat.Parted])
	none(b, "his own part", anyOf[chat.Parted])
	none(b, "a message after his part", anyOf[chat.Message])
}

func testPartNothingFollows(w *world) {
	a, b := w.open(0, "ann"), w.openIdle(1, "bob")
	w.joinAll("#a", a, b)
	for i := range 20 {
		a.say("#a", fmt.Sprint(i))
	}
	w.must("flush", a.Flush(context.Background()))
	w.must("topic", a.SetTopic(context.Background(), "#a", "news"))
	w.must("part", b.Part(context.Background(), "#a", ""))
	b.pump() // takes what was queued before, and what comes
	w.meet(a, b)
	a.said("bob", "marker")
	b.gets("marker")
	w.Sleep(quiet)
	none(b, "a message of a channel he had left", func(e chat.Message) bool { return e.Target == "#a" })
	none(b, "a topic of a channel he had left", anyOf[chat.TopicChanged])
}

func testRejoin(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", a, b)
	a.said("#a", "before")
	b.gets("before")
	w.must("part", b.Part(context.Background(), "#a", ""))
	a.sees("#a", "ann")
	a.said("#a", "while away")
	w.must("topic", a.SetTopic(context.Background(), "#a", "new topic"))
	if c := b.join("#a"); c.Topic.Text != "new topic" || len(c.Members) != 2 {
		w.T().Errorf("after the second join it is %+v", c)
	}
	a.sees("#a", "ann", "bob")
	a.said("#a", "back")
	b.gets("back")
	w.Sleep(quiet)
	if got, want := b.texts("#a"), []string{"before", "back"}; !reflect.DeepEqual(got, want) {
		w.T().Errorf("he got %v, want %v", got, want)
	}
	none(b, "a topic from while he was out", anyOf[chat.TopicChanged])
	if joins := find(a, anyOf[chat.Joined]); len(joins) != 2 {
		w.T().Errorf("the other saw %d joins, want 2", len(joins))
	}
}

func testLastOneOut(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", a, b)
	a.mode("#a", plus('i', ""), plus('k', "secret"))
	w.must("part", b.Part(context.Background(), "#a", ""))
	w.must("part", a.Part(context.Background(), "#a", ""))
	w.Eventually("the empty channel is gone", func() bool {
		_, err := b.Channel(context.Background(), "#a")
		return errors.Is(err, chat.ErrNoSuchChannel)
	})
	c := b.join("#a")
	if len(c.Members) != 1 || c.Members[0].Status != chat.Operator || c.Modes != (chat.Modes{TopicLock: true}) {
		w.T().Errorf("founded anew it is %+v", c)
	}
}

// Who vanished and returns has his status again; who asked to leave has not.
func testVanishedReturns(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", a, b)
	a.Vanish("connection lost")
	b.sees("#a", "bob")
	back := w.open(0, "Ann")
	if c := back.join("#a"); len(c.Members) != 2 || c.Members[0].Status != chat.Operator {
		w.T().Errorf("after he returned it is %+v", c)
	}
	b.sees("#a", "Ann", "bob")
	w.Eventually("the other sees an operator come", func() bool {
		e := find(b, anyOf[chat.Joined])
		return len(e) == 1 && e[0].Status == chat.Operator
	})
	back.Close("enough")
	b.sees("#a", "bob")
	if c := w.open(0, "ann").join("#a"); len(c.Members) != 2 || c.Members[0].Status != 0 {
		w.T().Errorf("after he left and came again it is %+v", c)
	}
}

// A channel whose operator vanished keeps its topic, modes and bans for him,
// while nobody is on it; another who comes first is not its operator, and
// obeys them.
func testRests(w *world) {
	ctx := context.Background()
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#Rest", a)
	w.must("topic", a.SetTopic(ctx, "#rest", "kept"))
	_, err := a.SetMode(ctx, "#rest", []chat.ModeChange{{Add: true, Mode: 'k', Arg: "sesame"}})
	w.must("key", err)
	a.Vanish("node stopped")
	w.Eventually("nobody is on it", func() bool {
		_, err := b.Channel(ctx, "#rest")
		return errors.Is(err, chat.ErrNoSuchChannel)
	})
	if _, err := b.Join(ctx, "#rest", ""); !errors.Is(err, chat.ErrBadKey) {
		w.T().Errorf("without the key: %v", err)
	}
	c, err := b.Join(ctx, "#rest", "sesame")
	w.must("join", err)
	if c.Name != "#Rest" || c.Topic.Text != "kept" || c.Modes.Key != "sesame" || len(c.Members) != 1 || c.Members[0].Status != 0 {
		w.T().Errorf("who came first found %+v", c)
	}
	if c := w.open(0, "ann").join("#rest"); len(c.Members) != 2 || c.Members[0].Status != chat.Operator {
		w.T().Errorf("the operator returned to %+v", c)
	}
}

// On a channel that rests without an operator the first one is its operator;
// and once all have left it as they wanted, it ends.
func testRestsForAll(w *world) {
	ctx := context.Background()
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", a, b)
	w.must("topic", a.SetTopic(ctx, "#a", "kept"))
	w.must("part", a.Part(ctx, "#a", ""))
	b.sees("#a", "bob")
	b.Vanish("connection lost")
	w.Eventually("nobody is on it", func() bool {
		_, err := a.Channel(ctx, "#a")
		return errors.Is(err, chat.ErrNoSuchChannel)
	})
	if c := a.join("#a"); c.Topic.Text != "kept" || len(c.Members) != 1 || c.Members[0].Status != chat.Operator {
		w.T().Errorf("who came first found %+v", c)
	}
	if c := w.open(1, "bob").join("#a"); len(c.Members) != 2 || c.Members[1].Status != 0 {
		w.T().Errorf("who vanished without status returned to %+v", c)
	}
}

func testTopic(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#a", a, b)
	w.must("topic", a.SetTopic(context.Background(), "#A", "Grüße \x02bold"))
	e := await(b, "topic", anyOf[chat.TopicChanged])
	if e.Channel != "#a" || e.Topic.Text != "Grüße \x02bold" || e.Topic.By != a.Self().Mask() || e.Topic.At.IsZero() {
		w.T().Errorf("topic is %+v", e)
	}
	if got := c.join("#a"); !sameTopic(got.Topic, e.Topic) {
		w.T().Errorf("who joins later sees %+v, want %+v", got.Topic, e.Topic)
	}
	own, err := a.Channel(context.Background(), "#a")
	w.must("channel", err)
	if !sameTopic(own.Topic, e.Topic) {
		w.T().Errorf("who set it sees %+v, want %+v", own.Topic, e.Topic)
	}
	w.must("no topic", a.SetTopic(context.Background(), "#a", ""))
	await(b, "topic taken away", func(e chat.TopicChanged) bool { return e.Topic.Text == "" })
	w.Eventually("cat sees no topic", func() bool {
		v, err := c.Channel(context.Background(), "#a")
		return err == nil && v.Topic.Text == ""
	})
	none(a, "a topic he set himself", anyOf[chat.TopicChanged])
}

func sameTopic(a, b chat.Topic) bool { return a.Text == b.Text && a.By == b.By && a.At.Equal(b.At) }

func testTopicErrors(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	a.join("#a")
	w.want("topic from outside", b.SetTopic(context.Background(), "#a", "x"), chat.ErrNotOnChannel)
	w.want("topic of none", b.SetTopic(context.Background(), "#none", "x"), chat.ErrNotOnChannel)
	b.join("#a")
	w.want("topic under +t", b.SetTopic(context.Background(), "#a", "x"), chat.ErrNoPrivileges)
	a.mode("#a", minus('t', ""))
	w.must("topic under -t", b.SetTopic(context.Background(), "#a", "x"))
	await(a, "topic", func(e chat.TopicChanged) bool { return e.Topic.Text == "x" && e.Topic.By == b.Self().Mask() })
}

func testKick(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.meet(a, b, c)
	w.joinAll("#a", a, b, c)
	w.must("kick", a.Kick(context.Background(), "#A", "BOB", "enough"))
	for _, u := range []*user{b, c} {
		e := await(u, "kick", anyOf[chat.Kicked])
		if e.Channel != "#a" || e.Who.Nick != "bob" || e.By != a.Self().Mask() || e.Reason != "enough" {
			w.T().Errorf("%s saw %+v", u.Self().Nick, e)
		}
	}
	await(a, "whom he has kicked", func(e chat.Effected) bool { return e.Kicked == "bob" })
	a.sees("#a", "ann", "cat")
	c.sees("#a", "ann", "cat")
	w.Eventually("bob is on no channel", func() bool { return len(b.Joined()) == 0 })
	w.want("part of who was kicked", b.Part(context.Background(), "#a", ""), chat.ErrNotOnChannel)
	a.said("#a", "after the kick")
	c.gets("after the kick")
	w.Sleep(quiet)
	none(a, "his own kick", anyOf[chat.Kicked])
	none(b, "a message after his kick", anyOf[chat.Message])
	none(c, "a part of who was kicked", anyOf[chat.Parted])
	once(c, "the kick", anyOf[chat.Kicked])
	b.join("#a")
	a.sees("#a", "ann", "bob", "cat")
}

func testKickErrors(w *world) {
	ctx := context.Background()
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(1, "cat")
	w.meet(a, b, c)
	w.joinAll("#a", a, b)
	w.want("kick from outside", c.Kick(ctx, "#a", "ann", ""), chat.ErrNotOnChannel)
	w.want("kick without being operator", b.Kick(ctx, "#a", "ann", ""), chat.ErrNoPrivileges)
	w.want("kick of nobody", a.Kick(ctx, "#a", "nobody", ""), chat.ErrNoSuchNick)
	w.want("kick of who is not there", a.Kick(ctx, "#a", "cat", ""), chat.ErrNotInChannel)
	a.sees("#a", "ann", "bob")
}

func testList(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	for _, name := range []string{"#c", "#A", "#b", "#hidden"} {
		a.join(name)
	}
	b.join("#b")
	w.must("topic", a.SetTopic(context.Background(), "#b", "topic of b"))
	a.mode("#hidden", plus('s', ""))
	open := []chat.Listed{{Name: "#A", Count: 1}, {Name: "#b", Topic: "topic of b", Count: 2}, {Name: "#c", Count: 1}}
	b.lists(open...)
	a.lists(append(open, chat.Listed{Name: "#hidden", Count: 1})...)
	w.must("part", a.Part(context.Background(), "#c", ""))
	b.lists(open[:2]...)
}

func testListTimes(w *world) {
	ctx := context.Background()
	a, b := w.open(0, "ann"), w.open(1, "bob")
	a.join("#quiet")
	a.join("#a")
	listed := func(u *user, name string, want chat.Channel) {
		w.T().Helper()
		want = plainTimes(want)
		w.Eventually(fmt.Sprintf("%s lists %s with its times", u.Self().Nick, name), func() bool {
			list, err := u.List(ctx)
			i := slices.IndexFunc(list, func(l chat.Listed) bool { return l.Name == name })
			return err == nil && i >= 0 && list[i].Created.Equal(want.Created) && list[i].TopicAt.Equal(want.Topic.At)
		})
	}
	for _, topic := range []string{"first", "second", "second", ""} {
		w.Sleep(time.Second)
		w.must("topic", a.SetTopic(ctx, "#a", topic))
		for _, name := range []string{"#a", "#quiet"} {
			view, err := a.Channel(ctx, name)
			w.must("channel", err)
			if view.Topic.Text == "" {
				view.Topic.At = time.Time{}
			}
			if view.Created.IsZero() || view.Topic.At.IsZero() != (view.Topic.Text == "") {
				w.T().Errorf("the view is %+v", view)
			}
			listed(a, name, view)
			listed(b, name, view)
		}
	}
}

// lists waits until the user's List is this one, but for the times.
func (u *user) lists(want ...chat.Listed) {
	u.w.T().Helper()
	u.w.Eventually(fmt.Sprintf("%s lists %v", u.Self().Nick, want), func() bool {
		got, err := u.List(context.Background())
		for i := range got {
			got[i].Created, got[i].TopicAt = time.Time{}, time.Time{}
		}
		return err == nil && reflect.DeepEqual(got, want)
	})
}

func testKeeper(w *world) {
	users := []*user{w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")}
	_, err := users[0].Keeper(context.Background(), "none")
	w.want("keeper of what is no channel", err, chat.ErrBadChannel)
	w.joinAll("#a", users[:2]...)
	for i, u := range users {
		node := w.Service(i).Node()
		w.Eventually("all name one keeper", func() bool {
			first, err1 := users[0].Keeper(context.Background(), "#a")
			k, err2 := u.Keeper(context.Background(), "#A")
			return err1 == nil && err2 == nil && k.Node == first.Node && k.Host == first.Host &&
				k.Known && k.Count == 2 && k.Self == (k.Node == node.ID)
		})
	}
	k, err := users[2].Keeper(context.Background(), "#unknown")
	w.must("keeper of an unknown channel", err)
	if k.Known || k.Count != 0 || len(k.Node) != 40 {
		w.T().Errorf("keeper of an unknown channel is %+v", k)
	}
}

func testEqualEverywhere(w *world) {
	users := []*user{w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")}
	w.meet(users...)
	w.joinAll("#a", users...)
	ctx := context.Background()
	a, b, c := users[0], users[1], users[2]
	a.mode("#a", plus('o', "bob"), plus('b', "x!*@*"), plus('k', "key"), plus('l', "9"))
	await(b, "he is operator", anyOf[chat.ModeChanged])
	b.mode("#a", plus('v', "cat"), plus('m', ""), minus('t', ""))
	await(c, "he has voice", func(e chat.ModeChanged) bool { return e.By == b.Self().Mask() })
	w.must("topic", c.SetTopic(ctx, "#a", "by cat"))
	w.must("nick", b.SetNick(ctx, "Bo"))
	w.must("away", c.SetAway(ctx, "tea"))
	w.must("part", c.Part(ctx, "#a", ""))
	c.joinKey("#a", "key")
	var views [3]chat.Channel
	w.Eventually("all see the same channel", func() bool {
		for i, u := range users {
			v, err := u.Channel(ctx, "#a")
			if err != nil {
				return false
			}
			views[i] = plainTimes(v)
		}
		return reflect.DeepEqual(views[0], views[1]) && reflect.DeepEqual(views[1], views[2]) && len(views[0].Members) == 3
	})
	v := views[0]
	if !reflect.DeepEqual(nicksOf(v), []string{"ann", "Bo", "cat"}) || v.Members[1].Status != chat.Operator || v.Members[2].Status != 0 || v.Members[2].Away != "tea" {
		w.T().Errorf("members are %+v", v.Members)
	}
	if (v.Modes != chat.Modes{Moderated: true, Key: "key", Limit: 9}) || v.Topic.Text != "by cat" || len(v.Bans) != 1 {
		w.T().Errorf("the channel is %+v", v)
	}
}

// plainTimes makes times comparable: without zone and monotonic clock.
func plainTimes(c chat.Channel) chat.Channel {
	c.Created, c.Topic.At = c.Created.UTC().Round(0), c.Topic.At.UTC().Round(0)
	for _, list := range []*[]chat.ListEntry{&c.Bans, &c.Excepts, &c.Invexes} {
		*list = append([]chat.ListEntry{}, *list...)
		for i, e := range *list {
			(*list)[i].At = e.At.UTC().Round(0)
		}
	}
	return c
}
