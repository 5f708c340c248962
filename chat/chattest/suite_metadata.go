package chattest

import (
	"context"
	"fmt"
	"strings"

	"ircbridge/chat"
)

// metadataCases: keys with values of users and channels.
func metadataCases() []testCase {
	return []testCase{
		{"OfAUser", 3, testMetadataOfAUser},
		{"Watched", 3, testMetadataWatched},
		{"FromTheStart", 2, testMetadataFromTheStart},
		{"OfAChannel", 3, testMetadataOfAChannel},
		{"WhoMay", 3, testMetadataWhoMay},
		{"Secret", 3, testMetadataSecret},
		{"Limits", 1, testMetadataLimits},
		{"Rests", 2, testMetadataRests},
		{"Split", 3, testMetadataSplit},
	}
}

func items(words ...string) (list []chat.MetaItem) {
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		list = append(list, chat.MetaItem{Key: key, Value: value})
	}
	return list
}

// sets sets metadata, his own or a channel's, and must succeed.
func (u *user) sets(channel string, words ...string) {
	u.w.T().Helper()
	u.w.must("set metadata", u.SetMetadata(context.Background(), channel, items(words...)))
}

// shownMeta are the changes of metadata that a user was told of: "ann url=x", "#a url=".
func (u *user) shownMeta() string {
	var list []string
	for _, e := range find(u, anyOf[chat.MetadataChanged]) {
		of := e.Channel + e.Who.Nick
		for _, c := range e.Changes {
			list = append(list, of+" "+c.Key+"="+c.Value)
		}
	}
	return strings.Join(list, ", ")
}

func (u *user) metaOf(channel string) chat.Metadata {
	c, err := u.Channel(context.Background(), channel)
	if err != nil {
		return "?"
	}
	return c.Meta
}

func testMetadataOfAUser(w *world) {
	ctx := context.Background()
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.meet(a, b, c)
	w.joinAll("#a", a, b)
	w.joinAll("#b", a, b)
	a.sets("", "url=http://a", "avatar=http://b")
	a.sets("", "url=http://a")
	a.sets("", "url", "never")
	if got := a.Self().Meta; got != chat.Metadata("").With(items("avatar=http://b")...) {
		w.T().Errorf("she has %q", got)
	}
	const want = "ann avatar=http://b, ann url=http://a, ann url="
	w.Eventually("he is told", func() bool { return len(b.shownMeta()) >= len(want) })
	w.Sleep(quiet)
	if got := b.shownMeta(); got != want {
		w.T().Errorf("he was told %s, want %s", got, want)
	}
	for _, e := range find(b, anyOf[chat.MetadataChanged]) {
		if e.Watched || e.At.IsZero() || e.Who.Session != a.Self().Session {
			w.T().Errorf("the event is %+v", e)
		}
	}
	none(b, "another change", anyOf[chat.ProfileChanged])
	none(a, "her own", anyOf[chat.MetadataChanged])
	none(c, "a stranger's", anyOf[chat.MetadataChanged])
	for _, u := range []*user{b, c} {
		w.Eventually("whois has it for "+u.Self().Nick, func() bool {
			who, err := u.Lookup(ctx, "ann")
			return err == nil && who.Profile == a.Self()
		})
	}
	c.join("#a")
	if view, err := c.Channel(ctx, "#a"); err != nil || view.Members[0].Meta.Get("avatar") != "http://b" {
		w.T().Errorf("who came later sees %+v, %v", view, err)
	}
	a.said("#b", "still here")
	if from := b.gets("still here").From; from != a.Self() {
		w.T().Errorf("a message is from %+v", from)
	}
}

func testMetadataWatched(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.meet(a, b, c)
	a.watches("+bob", "bob")
	c.watches("+bob", "bob")
	w.joinAll("#a", b, c)
	b.sets("", "status=here")
	e := await(a, "metadata", anyOf[chat.MetadataChanged])
	if !e.Watched || e.Who != b.Self() {
		w.T().Errorf("the event is %+v", e)
	}
	await(c, "metadata", func(e chat.MetadataChanged) bool { return !e.Watched })
	b.sets("", "status=")
	await(a, "metadata", func(e chat.MetadataChanged) bool { return e.Changes[0].Value == "" })
	w.Sleep(quiet)
	for _, u := range []*user{a, c} {
		if got := u.shownMeta(); got != "bob status=here, bob status=" {
			w.T().Errorf("%s was told %s", u.Self().Nick, got)
		}
	}
}

func testMetadataFromTheStart(w *world) {
	ctx := context.Background()
	u := userNamed("ann")
	u.Meta = chat.Metadata("").With(items("avatar=x")...)
	s, err := w.Service(0).Open(ctx, u)
	w.must("open", err)
	a := w.add(s)
	a.pump()
	b := w.open(1, "bob")
	w.joinAll("#a", a, b)
	if got := a.Self().Meta; got != u.Meta {
		w.T().Errorf("she has %q", got)
	}
	if c, err := b.Channel(ctx, "#a"); err != nil || c.Members[0].Meta != u.Meta {
		w.T().Errorf("he sees %+v, %v", c, err)
	}
}

func testMetadataOfAChannel(w *world) {
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.meet(a, b, c)
	w.joinAll("#A", a, b)
	a.sets("#a", "url=http://a", "topic.color=red")
	a.sets("#A", "url=http://a")
	a.sets("#a", "url", "never")
	const want = "#A topic.color=red, #A url=http://a, #A url="
	w.Eventually("he is told", func() bool { return len(b.shownMeta()) >= len(want) })
	w.Sleep(quiet)
	if got := b.shownMeta(); got != want {
		w.T().Errorf("he was told %s, want %s", got, want)
	}
	none(a, "her own", anyOf[chat.MetadataChanged])
	set := chat.Metadata("").With(items("topic.color=red")...)
	for _, u := range []*user{a, b, c} {
		if got := u.metaOf("#a"); got != set {
			w.T().Errorf("%s sees %q", u.Self().Nick, got)
		}
	}
	c.join("#a")
	if got := c.metaOf("#a"); got != set {
		w.T().Errorf("who came later sees %q", got)
	}
	for _, u := range []*user{a, b, c} {
		w.must("part", u.Part(context.Background(), "#a", ""))
	}
	w.Eventually("it is a new channel", func() bool {
		c := b.join("#a")
		defer b.Part(context.Background(), "#a", "")
		return c.Meta == "" && len(c.Members) == 1
	})
}

func testMetadataWhoMay(w *world) {
	ctx := context.Background()
	a, b, c := w.open(0, "ann"), w.open(1, "bob"), w.open(2, "cat")
	w.meet(a, b, c)
	w.joinAll("#a", a, b)
	w.want("a member's", b.SetMetadata(ctx, "#a", items("url=x")), chat.ErrNoPrivileges)
	w.want("an outsider's", c.SetMetadata(ctx, "#a", items("url=x")), chat.ErrNotOnChannel)
	w.want("of no channel", a.SetMetadata(ctx, "#nowhere", items("url=x")), chat.ErrNotOnChannel)
	a.mode("#a", plus('o', "bob"))
	w.Eventually("an operator may", func() bool { return b.SetMetadata(ctx, "#a", items("url=y")) == nil })
	if e := await(a, "his change", anyOf[chat.MetadataChanged]); e.Changes[0].Value != "y" {
		w.T().Errorf("the event is %+v", e)
	}
}

func testMetadataSecret(w *world) {
	a, b := w.open(0, "ann"), w.open(1, "bob")
	w.meet(a, b)
	a.join("#s")
	a.sets("#s", "url=x")
	a.mode("#s", plus('s', ""))
	w.Eventually("it is secret", func() bool {
		c, err := b.Channel(context.Background(), "#s")
		return err == nil && c.Secret
	})
	if got := b.metaOf("#s"); got != "" {
		w.T().Errorf("an outsider sees %q", got)
	}
}

func testMetadataLimits(w *world) {
	ctx := context.Background()
	a := w.open(0, "ann")
	a.join("#a")
	for _, of := range []string{"", "#a"} {
		for _, bad := range [][]chat.MetaItem{
			items("Url=x"), items("=x"), {{Key: "url", Value: "a\nb"}}, {{Key: "url", Value: strings.Repeat("x", chat.MaxMetaValue+1)}},
		} {
			w.want(fmt.Sprint("bad ", bad), a.SetMetadata(ctx, of, bad), chat.ErrBadMetadata)
		}
		for i := range chat.MaxMetaKeys {
			a.sets(of, fmt.Sprintf("key%d=v", i))
		}
		w.want("one more", a.SetMetadata(ctx, of, items("more=v")), chat.ErrMetadataFull)
		a.sets(of, "key0=w", "key1", "more=v")
		long := strings.Repeat("x", chat.MaxMetaValue)
		w.want("too long together", a.SetMetadata(ctx, of, items("key0="+long, "key2="+long, "key3="+long, "key4="+long)), chat.ErrMetadataFull)
		a.sets(of)
	}
	if m := a.Self().Meta; len(m.Items()) != chat.MaxMetaKeys || m != a.metaOf("#a") || m.Get("key0") != "w" {
		w.T().Errorf("she has %.300q, the channel %.300q", m, a.metaOf("#a"))
	}
}

// testMetadataRests: what a channel rests with it has again.
func testMetadataRests(w *world) {
	a := w.open(0, "ann")
	a.join("#a")
	a.sets("#a", "url=x")
	a.Vanish("lost")
	b := w.open(0, "ann")
	if c := b.join("#a"); c.Meta.Get("url") != "x" {
		w.T().Errorf("the channel is %+v", c)
	}
}

// testMetadataSplit: of what both sides of a cut set the later is there in the end, and
// shown.
func testMetadataSplit(w *world) {
	a, b := w.open(0, "ann"), w.open(2, "bob")
	w.joinAll("#a", a, b)
	a.mode("#a", plus('o', "bob"))
	a.sets("#a", "url=first", "x=y")
	await(b, "it is set", anyOf[chat.MetadataChanged])
	mend := w.cut()
	for _, u := range []*user{a, b} {
		await(u, "the split", anyOf[chat.Split])
	}
	w.Eventually("one side sets it", func() bool { return a.SetMetadata(context.Background(), "#a", items("url=near")) == nil })
	a.sets("", "status=near")
	mend()
	w.Eventually("all see the same", func() bool {
		return a.metaOf("#a") == b.metaOf("#a") && b.metaOf("#a").Get("url") == "near" && b.metaOf("#a").Get("x") == "y"
	})
	w.Eventually("of users too", func() bool {
		c, err := b.Channel(context.Background(), "#a")
		return err == nil && len(c.Members) == 2 && c.Members[0].Meta == a.Self().Meta
	})
}
