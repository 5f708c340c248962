package ordeal

import (
	"io"
	"strings"
	"testing"
	"time"

	"ircbridge/history"
	"ircbridge/nodes"
)

// Only what was sent to the round's channel after the fault, by users who are waited for, says
// that it takes messages again; and only users on nodes that were not struck say how long an
// echo takes.
func TestWhatCountsAsAccepted(t *testing.T) {
	hit, well, also := &user{node: new(nodes.Node)}, &user{node: new(nodes.Node)}, &user{node: new(nodes.Node)}
	var w watch
	r := w.strike("#tea", []*nodes.Node{hit.node}, 10, map[*user]bool{well: true, also: true})
	w.accepted(well, sent{"#tea", "early", 11}, 12)
	w.done(20)
	w.accepted(well, sent{"#tea", "before the end of the fault", 19}, 21)
	w.accepted(well, sent{"#bar", "elsewhere", 22}, 23)
	w.accepted(hit, sent{"#tea", "on the struck node", 22}, 24)
	if len(r.first) != 0 {
		t.Errorf("%d users count", len(r.first))
	}
	w.accepted(well, sent{"#tea", "yes", 22}, 25)
	w.accepted(well, sent{"#tea", "again", 22}, 26)
	select {
	case <-r.all:
		t.Error("all are there, and one is not")
	default:
	}
	w.accepted(also, sent{"#tea", "yes too", 22}, 30)
	<-r.all
	if first, last := w.times(r); first != 15 || last != 20 {
		t.Errorf("first after %d, last after %d", first, last)
	}
	w.over(40)
	w.accepted(hit, sent{"#tea", "while it was struck", 39}, 50)
	if e := w.reset(); len(e) != 6 || e[0] != 1 {
		t.Errorf("%d echoes of nodes that were not struck: %v", len(e), e)
	}
}

// Times above their marks are violations, as is what history and users complain of.
func TestMarks(t *testing.T) {
	r := &run{history: history.New(), opts: Options{Log: io.Discard, Marks: Marks{FirstP50: 2 * time.Second, FirstP99: 3 * time.Second, EchoP99: time.Second}}}
	good := Report{First: []time.Duration{time.Second, 3 * time.Second}, Echo: []time.Duration{time.Second}}
	good.First[0], good.First[1] = 3*time.Second, time.Second // it is sorted for the marks
	if good.judge(r); len(good.Violations) != 0 {
		t.Errorf("all is well, and there are violations: %v", good.Violations)
	}
	r.history.Saw(1, "ann", "#tea", "nobody said that")
	r.wrong("a ghost")
	bad := Report{First: []time.Duration{3 * time.Second, 4 * time.Second}, Echo: []time.Duration{2 * time.Second}}
	bad.judge(r)
	text := bad.String()
	for _, want := range []string{"nobody said that", "a ghost", "again, p50: 3s, and may be 2s", "again, p99: 4s, and may be 3s", "echo, p99: 2s, and may be 1s"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
}

// What cannot be done is refused before anything is started.
func TestOptions(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"there is no fault": func(o *Options) { o.Fault = "flood" },
		"rounds are":        func(o *Options) { o.Rounds = 0 },
		"nodes are":         func(o *Options) { o.Nodes = 1 },
		"messages a second": func(o *Options) { o.Rate = 0 },
		"a time is below 0": func(o *Options) { o.Down = -1 },
	} {
		o := Defaults("kill")
		change(&o)
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	names, _ := Faults()
	for _, name := range names {
		o := Defaults(name)
		if err := o.check(); err != nil {
			t.Errorf("the defaults of %s: %v", name, err)
		}
	}
}
