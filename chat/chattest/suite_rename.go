package chattest

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"ircbridge/chat"
)

// renameCases: channels that get another name.
func renameCases() []testCase {
	return []testCase{
		{"KeepsAll", 3, testRenameKeepsAll},
		{"Errors", 3, testRenameErrors},
		{"OldName", 3, testRenameOldName},
		{"FromOutside", 3, testRenameFromOutside},
		{"CaseOnly", 2, testRenameCaseOnly},
		{"AndBack", 2, testRenameAndBack},
		{"InOrder", 3, testRenameInOrder},
		{"Rests", 2, testRenameRests},
		{"Ends", 3, testRenameEnds},
		{"PartBeforeItIsShown", 2, testRenamePart},
	}
}

// rename must succeed, and waits until others have heard of it.
func (u *user) rename(channel, name, reason string, others ...*user) {
	u.w.T().Helper()
	if err := u.RenameChannel(context.Background(), channel, name, reason); err != nil {
		u.w.Fatalf("%s renames %s to %s: %v", u.Self().Nick, channel, name, err)
	}
	for _, o := range append(others, u) {
		await(o, "the new name "+name, func(e chat.ChannelRenamed) bool { return e.New == name })
	}
}

// All but the name stays, and everybody is told once, the one who did it too.
func testRenameKeepsAll(w *world) {
	ctx := context.Background()
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#Old", a, b, c)
	a.mode("#old", plus('v', "bob"), plus('k', "secret"), plus('b', "bad!*@*"))
	w.must("topic", a.SetTopic(ctx, "#old", "tea"))
	b.statusIs("#old", "bob", chat.Voice)
	await(c, "the topic", anyOf[chat.TopicChanged])
	before, err := b.Channel(ctx, "#old")
	w.must("channel", err)
	a.rename("#old", "#New", "a better one", b, c)
	for _, u := range []*user{a, b, c} {
		once(u, "the new name", anyOf[chat.ChannelRenamed])
		e := find(u, anyOf[chat.ChannelRenamed])[0]
		if e.Old != "#Old" || e.By != a.Self().Mask() || e.Reason != "a better one" || e.At.IsZero() {
			w.T().Errorf("%s got %+v", u.Self().Nick, e)
		}
		if got := u.Joined(); !slices.Equal(got, []string{"#New"}) {
			w.T().Errorf("%s is on %v", u.Self().Nick, got)
		}
	}
	after, err := b.Channel(ctx, "#new")
	w.must("channel", err)
	if before.Name = "#New"; !reflect.DeepEqual(after, before) {
		w.T().Errorf("the channel was %+v, and is %+v", before, after)
	}
	b.said("#new", "still here")
	if m := a.gets("still here"); m.Target != "#New" {
		w.T().Errorf("a message goes to %s", m.Target)
	}
	d := w.open(2, "dan")
	_, err = d.Join(ctx, "#new", "wrong")
	w.want("a wrong key", err, chat.ErrBadKey)
	d.joinKey("#new", "secret")
	a.sees("#New", "ann", "bob", "cat", "dan")
	w.Eventually("the list has the new name only", func() bool {
		list, err := d.List(ctx)
		w.must("list", err)
		return len(list) == 1 && list[0].Name == "#New"
	})
}

func testRenameErrors(w *world) {
	ctx := context.Background()
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#a", a, b)
	b.join("#taken")
	w.want("no name", a.RenameChannel(ctx, "#a", "none", ""), chat.ErrBadChannel)
	w.want("not on it", a.RenameChannel(ctx, "#taken", "#b", ""), chat.ErrNotOnChannel)
	w.want("no such channel", a.RenameChannel(ctx, "#none", "#b", ""), chat.ErrNotOnChannel)
	w.want("no operator", b.RenameChannel(ctx, "#a", "#b", ""), chat.ErrNoPrivileges)
	w.want("its own name", a.RenameChannel(ctx, "#a", "#a", ""), chat.ErrChannelInUse)
	w.want("another's name", a.RenameChannel(ctx, "#a", "#Taken", ""), chat.ErrChannelInUse)
	a.rename("#a", "#b", "", b)
	w.want("at once again", a.RenameChannel(ctx, "#b", "#c", ""), chat.ErrRenamedLately)
	c := w.open(2, "cat")
	c.join("#c") // what was refused left nothing behind
	w.Sleep(chat.RenamePause)
	w.want("a name that another was given", b.RenameChannel(ctx, "#taken", "#B", ""), chat.ErrChannelInUse)
	w.want("a name that another was founded under", b.RenameChannel(ctx, "#taken", "#a", ""), chat.ErrChannelInUse)
	none(b, "a new name of #taken", func(e chat.ChannelRenamed) bool { return e.Old == "#taken" })
}

// Who joins by the old name is told the new one; what is said by the old one arrives.
func testRenameOldName(w *world) {
	ctx := context.Background()
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#old", a, b)
	a.rename("#old", "#New", "", b)
	for _, u := range []*user{b, c} {
		_, err := u.Join(ctx, "#OLD", "")
		var renamed *chat.ChannelRenamedError
		if !errors.As(err, &renamed) || renamed.Name != "#New" || !errors.Is(err, chat.ErrChannelRenamed) {
			w.T().Errorf("%s joins by the old name: %v", u.Self().Nick, err)
		}
	}
	c.join("#new")
	w.want("a topic by the old name", a.SetTopic(ctx, "#old", "tea"), chat.ErrNotOnChannel)
	_, err := a.SetMode(ctx, "#old", []chat.ModeChange{plus('m', "")})
	w.want("a mode by the old name", err, chat.ErrNoSuchChannel)
	if sent := b.said("#old", "by the old name"); sent.Message.Target != "#New" {
		w.T().Errorf("what was said by the old name went to %s", sent.Message.Target)
	}
	c.gets("by the old name")
	w.want("part by the old name", c.Part(ctx, "#old", ""), chat.ErrNotOnChannel)
	a.sees("#new", "ann", "bob", "cat")
}

// Who is not on the channel finds it by its new name, wherever he is.
func testRenameFromOutside(w *world) {
	ctx := context.Background()
	a, c := w.open(0, "ann"), w.open(2, "cat")
	a.join("#old")
	a.rename("#old", "#new", "")
	for _, text := range numbered("out", 20) {
		c.say("#new", text)
	}
	a.gets("out 19")
	if got := a.texts("#new"); !reflect.DeepEqual(got, numbered("out", 20)) {
		w.T().Errorf("she got %v", got)
	}
	seen, err := c.Channel(ctx, "#NEW")
	if w.must("channel", err); seen.Name != "#new" || len(seen.Members) != 1 {
		w.T().Errorf("from outside it is %+v", seen)
	}
	keeper, err := c.Keeper(ctx, "#new")
	if w.must("keeper", err); !keeper.Known || keeper.Count != 1 {
		w.T().Errorf("its keeper is %+v", keeper)
	}
	a.mode("#new", plus('i', ""))
	_, err = c.Join(ctx, "#new", "")
	w.want("not invited", err, chat.ErrInviteOnly)
	w.must("knock", c.Knock(ctx, "#new", "let me in"))
	await(a, "the knock", func(e chat.Knocked) bool { return e.Channel == "#new" })
	_, err = a.Invite(ctx, "cat", "#new")
	w.must("invite", err)
	await(c, "the invitation", func(e chat.Invited) bool { return e.Channel == "#new" })
	c.join("#new")
	sent := c.said("#new", "no")
	a.gets("no")
	w.must("part", c.Part(ctx, "#new", ""))
	_, err = c.Redact(ctx, "#new", sent.ID, "")
	w.must("redact", err)
	await(a, "the redaction", func(e chat.Redacted) bool { return e.ID == sent.ID && e.Target == "#new" })
}

func testRenameCaseOnly(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#tea", a, b)
	a.rename("#tea", "#Tea", "", b)
	if got := b.Joined(); !slices.Equal(got, []string{"#Tea"}) {
		w.T().Errorf("he is on %v", got)
	}
	c := w.open(1, "cat")
	if got := c.join("#TEA"); got.Name != "#Tea" {
		w.T().Errorf("who joins is on %s", got.Name)
	}
}

// A channel may have its first name again, and nobody else can have it meanwhile.
func testRenameAndBack(w *world) {
	ctx := context.Background()
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(1, "cat")
	w.joinAll("#one", a, b)
	a.rename("#one", "#two", "", b)
	_, err := c.Join(ctx, "#one", "")
	w.want("the first name", err, chat.ErrChannelRenamed)
	w.Sleep(chat.RenamePause)
	a.rename("#two", "#three", "", b)
	w.Sleep(chat.RenamePause)
	a.rename("#three", "#One", "", b)
	c.join("#one")
	a.sees("#one", "ann", "bob", "cat")
	if c.said("#one", "back"); a.gets("back").Target != "#One" {
		w.T().Error("a message goes by another name")
	}
}

// What is said while a channel is renamed is lost by nobody, comes in order, and goes by
// the name that the channel has for its receiver then.
func testRenameInOrder(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.joinAll("#old", a, b, c)
	want := numbered("bob", 60)
	w.Go("speak", func() {
		for i, text := range want {
			if i%10 == 9 {
				w.Sleep(chat.RenamePause / 1000)
			}
			b.say("#old", text)
		}
	})
	b.outcome(20)
	a.rename("#old", "#new", "", b, c)
	for _, u := range []*user{a, c} {
		u.gets(want[len(want)-1])
		name, got := "#old", []string{}
		for _, e := range u.all() {
			switch e := e.(type) {
			case chat.ChannelRenamed:
				name = e.New
			case chat.Message:
				if got = append(got, e.Text); e.Target != name {
					w.T().Errorf("%s got %q to %s, and knows the channel as %s", u.Self().Nick, e.Text, e.Target, name)
				}
			}
		}
		if !reflect.DeepEqual(got, want) {
			w.T().Errorf("%s got %v", u.Self().Nick, got)
		}
	}
}

// A renamed channel that rests has its name, and leads there from the first.
func testRenameRests(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.joinAll("#old", a, b)
	a.rename("#old", "#new", "", b)
	w.must("topic", a.SetTopic(context.Background(), "#new", "tea"))
	w.must("part", b.Part(context.Background(), "#new", ""))
	a.sees("#new", "ann")
	a.Vanish("connection lost")
	c := w.open(1, "cat")
	w.Eventually("nobody is on it", func() bool {
		_, err := c.Channel(context.Background(), "#new")
		return errors.Is(err, chat.ErrNoSuchChannel)
	})
	_, err := c.Join(context.Background(), "#old", "")
	w.want("by the old name", err, chat.ErrChannelRenamed)
	if got := c.join("#new"); got.Name != "#new" || got.Topic.Text != "tea" {
		w.T().Errorf("who comes finds %+v", got)
	}
	again := w.open(0, "ann")
	again.join("#new")
	again.statusIs("#new", "ann", chat.Operator)
}

// When the last has left, both names are free.
func testRenameEnds(w *world) {
	ctx := context.Background()
	a, b := w.open(0, "ann"), w.open(1, "bob")
	a.join("#old")
	w.must("topic", a.SetTopic(ctx, "#old", "tea"))
	a.rename("#old", "#new", "")
	w.must("part", a.Part(ctx, "#new", ""))
	w.Eventually("it is no more", func() bool {
		_, err := b.Channel(ctx, "#new")
		return errors.Is(err, chat.ErrNoSuchChannel)
	})
	b.refused(chat.ErrNoSuchChannel, "#new", "anybody there?")
	for _, name := range []string{"#new", "#old"} {
		if got := b.join(name); got.Name != name || got.Topic.Text != "" || len(got.Members) != 1 || got.Members[0].Status != chat.Operator {
			w.T().Errorf("%s is %+v", name, got)
		}
	}
	b.said("#new", "mine")
	c := w.open(2, "cat")
	c.join("#new")
	c.sees("#new", "bob", "cat")
}

// Who parts before he has taken the news of the new name is told of nothing more, by
// either name.
func testRenamePart(w *world) {
	a, b := w.open(0, "ann"), w.openIdle(1, "bob")
	a.join("#old")
	b.join("#old")
	a.sees("#old", "ann", "bob")
	a.said("#old", "before")
	a.rename("#old", "#new", "")
	a.said("#new", "after")
	w.Eventually("he is on the new one", func() bool { return slices.Equal(b.Joined(), []string{"#new"}) })
	w.must("part", b.Part(context.Background(), "#new", ""))
	b.pump()
	a.sees("#new", "ann")
	b.said("#new", "from outside")
	for _, e := range b.all() {
		if _, ok := e.(chat.Sent); !ok {
			w.T().Errorf("he got %+v", e)
		}
	}
}
