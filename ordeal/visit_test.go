package ordeal

import (
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"ircbridge/history"
	"ircbridge/nodes"
)

// aVisit is a visit of ann to #tea and #bar, on a connection whose other side takes
// everything.
func aVisit(t *testing.T) *visit {
	ours, theirs := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, theirs) }()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	r := &run{channels: []string{"#tea", "#bar"}, history: history.New(), opts: Options{Log: io.Discard}, start: time.Now()}
	u := &user{r: r, node: new(nodes.Node), nick: "ann", here: make(chan struct{})}
	r.users = []*user{u}
	u.begin(ours)
	return &visit{u: u, conn: ours, present: map[string]map[string]bool{}, batches: map[string]string{}}
}

func (v *visit) takeAll(t *testing.T, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if err := v.take(t.Context(), parse(l), v.u.r.now()); err != nil {
			t.Fatalf("%s: %v", l, err)
		}
	}
}

var joins = []string{
	":ann!a@x JOIN #tea", ":s 353 ann = #tea :@bob ann", ":s 366 ann #tea :End",
	":ann!a@x JOIN #bar", ":s 353 ann = #bar :ann", ":s 366 ann #bar :End",
}

// What an IRC server shows is wrong when somebody comes who was there, or goes who was not,
// or when the user himself is taken out; coming and going is right.
func TestGhostsAreSeen(t *testing.T) {
	for _, test := range []struct {
		lines string
		wrong string // a part of what is complained of; "" is nothing
	}{
		{":carl!c@x JOIN #tea|:carl!c@x PART #tea|:bob!b@x QUIT :gone|:bob!b@x JOIN #tea|:s KICK #tea bob :out", ""},
		{":bob!b@x JOIN #bar", ""},
		{":bob!b@x JOIN #tea", "bob comes to #tea, and was there"},
		{":carl!c@x PART #tea", "carl goes from #tea, and was not there"},
		{":bob!b@x QUIT :gone|:bob!b@x QUIT :gone", "bob quits, and was in no channel"},
		{":s KICK #tea ann :no longer a member", "he is taken out of #tea"},
	} {
		v := aVisit(t)
		v.takeAll(t, joins...)
		v.takeAll(t, strings.Split(test.lines, "|")...)
		got := strings.Join(v.u.r.faulty, "; ")
		if test.wrong == "" && got != "" || !strings.Contains(got, test.wrong) {
			t.Errorf("%s: %q is complained of, want %q", test.lines, got, test.wrong)
		}
	}
}

// A message has its echo, or is refused by whatever else answers its label, also in
// a batch; each is known by the history.
func TestAnswersToMessages(t *testing.T) {
	v := aVisit(t)
	v.takeAll(t, joins...)
	for range 4 {
		v.u.say("#tea")
	}
	v.takeAll(t,
		"@label=m1 :ann!a@x PRIVMSG #tea :ann says 1",
		"@label=m2 :s 404 ann #tea :Cannot send",
		"@label=m3 :s BATCH +7 labeled-response", "@batch=7 :s FAIL PRIVMSG CANNOT_SEND #tea :late", ":s BATCH -7",
		":bob!b@x PRIVMSG #tea :bob says 9",
	)
	rep := v.u.r.history.Check(history.Rules{})
	if rep.Sent != 4 || rep.Acked != 1 || rep.Refused != 2 || rep.Unanswered != 1 || rep.Invented != 1 {
		t.Errorf("%v", rep)
	}
	if len(v.u.r.watch.echoes) != 1 {
		t.Errorf("%d echoes are measured", len(v.u.r.watch.echoes))
	}
}

// A user is there while he is in all channels.
func TestBeingThere(t *testing.T) {
	v := aVisit(t)
	there := func() bool {
		v.u.mu.Lock()
		defer v.u.mu.Unlock()
		select {
		case <-v.u.here:
			return true
		default:
			return false
		}
	}
	v.takeAll(t, joins[:3]...)
	if there() {
		t.Error("he is there with one channel of two")
	}
	v.takeAll(t, joins[3:]...)
	if !there() {
		t.Error("he is not there with all channels")
	}
	v.takeAll(t, ":s KICK #tea ann :out")
	if there() {
		t.Error("he is there, and was kicked")
	}
	v.takeAll(t, joins...)
	v.u.end()
	if there() {
		t.Error("he is there without a connection")
	}
}

func TestParse(t *testing.T) {
	l := parse("@label=m1;x :ann!a@h PRIVMSG #tea  :a  b :c")
	if l.tag("label") != "m1" || l.tag("x") != "" || l.nick() != "ann" || l.command != "PRIVMSG" || !slices.Equal(l.params, []string{"#tea", "", "a  b :c"}) && !slices.Equal(l.params, []string{"#tea", "a  b :c"}) {
		t.Errorf("%+v", l)
	}
	if l := parse("PING :x"); l.command != "PING" || l.param(0) != "x" || l.param(1) != "" || l.nick() != "" {
		t.Errorf("%+v", l)
	}
}
