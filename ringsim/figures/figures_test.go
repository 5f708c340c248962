package figures

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"ircbridge/chord"
)

func TestFiguresAreOfTheSeed(t *testing.T) {
	args := []string{"-sizes", "4,20", "-lookups", "50", "-events", "2", "-seed", "7", "-lists", "2", "-sessions", "2m", "-for", "1m", "short"}
	print := func() string {
		var stdout, stderr bytes.Buffer
		if status := Main(args, &stdout, &stderr); status != 0 {
			t.Fatalf("status %d: %s", status, stderr.String())
		}
		return stdout.String()
	}
	first := print()
	for _, want := range []string{"4 nodes", "20 nodes, join", "hops, mean", "greatest part/mean", "hung", "4, ring only", "every node, p50", "sessions of 1 h",
		"fullest", "found without repair", "20, ring only, r = 2, silent", "no answer in 10s", "20 nodes, 2m0s", "20 nodes, a tenth", "4 nodes, halves, wide network"} {
		if !strings.Contains(first, want) {
			t.Errorf("%q is missing in\n%s", want, first)
		}
	}
	if again := print(); again != first {
		t.Errorf("one seed, two outcomes:\n%s\n%s", first, again)
	}
}

// A name prints that figure and no other one.
func TestOneFigure(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if status := Main([]string{"-sizes", "64", "keys"}, &stdout, &stderr); status != 0 {
		t.Fatalf("status %d: %s", status, stderr.String())
	}
	if s := stdout.String(); !strings.Contains(s, "64 nodes") || strings.Contains(s, "hops") || strings.Count(s, "nodes") != 1 {
		t.Errorf("printed %q", s)
	}
}

// The figures are those of a ring: in one of 20, with 16 successors in each
// list, two hops find everything, the parts add up, and joins are noticed after
// something and not at once.
func TestRings(t *testing.T) {
	f, err := measure(1, 20, 200, 3, true)
	if err != nil {
		t.Fatal(err)
	}
	if f.wrong != 0 || f.meanHops < 0.5 || f.meanHops > 2 || f.maxHops > 3 {
		t.Errorf("lookups: %+v", f)
	}
	if f.churning < f.bytes/2 || f.bytes <= 0 || f.messages <= 0 || f.fullest <= 1 || f.fullest > 20 {
		t.Errorf("rest: %+v", f)
	}
	for _, x := range []noticed{f.join, f.death, f.hang} {
		if x.nearest.median <= 0 || x.all.median < x.nearest.median || x.all.longest < x.all.median || x.every.median <= 0 || x.every.longest < x.every.median {
			t.Errorf("noticed: %+v", x)
		}
	}
	if f.hang.nearest.median <= f.death.nearest.median {
		t.Errorf("a node that hangs is noticed sooner than one that died: %+v", f)
	}
}

// With one successor in each list half of the ring is not found when the other
// half has died; with twelve nearly all of it. The real lookups wait for the repair,
// and name nobody but the owner.
func TestHalves(t *testing.T) {
	short, err := halve(1, 200, 1, false, 200, false)
	if err != nil {
		t.Fatal(err)
	}
	long, err := halve(1, 200, 12, false, 200, false)
	if err != nil {
		t.Fatal(err)
	}
	if short.found > 0.8 || long.found < 0.95 {
		t.Errorf("found %.2f with one successor, %.2f with twelve", short.found, long.found)
	}
	if long.none > 0 || long.wrong > 0 || len(long.answered) != 200 || long.linked < 0 {
		t.Errorf("with twelve: %d answers, %d none, %d wrong, linked %v", len(long.answered), long.none, long.wrong, long.linked)
	}
}

func TestChurn(t *testing.T) {
	c, err := churn(1, 30, true, 5*time.Minute, 2*time.Minute, 500)
	if err != nil {
		t.Fatal(err)
	}
	if c.came < 3 || c.lookups() < 400 || c.wrong > 0 || len(c.took) < 400 || c.bytes <= 0 {
		t.Errorf("%d came, %d lookups, %d answered, %d wrong, %.0f bytes", c.came, c.lookups(), len(c.took), c.wrong, c.bytes)
	}
}

// An owner that another node has come before is none; one that died before the
// question neither; one that died after it was.
func TestOwnedAtSomeTime(t *testing.T) {
	n := newRing(1, ringConfig(0, false), nil)
	t.Cleanup(n.w.Close)
	if err := n.grow(4); err != nil {
		t.Fatal(err)
	}
	ms := n.sorted()
	for i, x := range ms {
		x.owns, x.died = time.Duration(i)*time.Minute, -1
	}
	id := func(i int) chord.ID { return ms[i].r.Self().ID }
	ms[3].died = 10 * time.Minute
	for _, tt := range []struct {
		owner, key int // keys are those of nodes
		from, to   time.Duration
		want       bool
	}{
		{1, 1, 2 * time.Minute, 3 * time.Minute, true},
		{2, 1, 2 * time.Minute, 3 * time.Minute, false},
		{1, 1, 10 * time.Second, 20 * time.Second, false}, // not let in yet
		{3, 2, 90 * time.Second, 3 * time.Minute, false},  // when 2 came 3 was none
		{0, 3, time.Minute, 2 * time.Minute, true},
		{0, 3, 4 * time.Minute, 9 * time.Minute, false},
		{0, 3, 4 * time.Minute, 10 * time.Minute, true}, // 3 died at last
		{3, 3, 10 * time.Minute, 11 * time.Minute, false},
		{3, 3, 9 * time.Minute, 11 * time.Minute, true},
	} {
		if got := ownedAtSomeTime(n.all, id(tt.owner), id(tt.key), tt.from, tt.to); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

func TestCut(t *testing.T) {
	m, err := cutOff(1, 12, 6, nil)
	if err != nil || m.linked <= 0 || m.lists < m.linked {
		t.Errorf("%+v, %v", m, err)
	}
}

// Of keys laid evenly by chance the fullest of 16 nodes has more than twice the
// mean, and of 1,000 nodes more than of 16.
func TestKeys(t *testing.T) {
	few, many := balanceOf(1, 16), balanceOf(1, 1000)
	if few.fullest < 2 || many.fullest < few.fullest || many.p99 > many.fullest || many.median > 1 || many.empty > 0.05 {
		t.Errorf("%+v\n%+v", few, many)
	}
}

func TestWrongCommandLine(t *testing.T) {
	for _, args := range [][]string{{"-sizes", "x"}, {"-sizes", "3"}, {"-sizes", "10001"}, {"-lookups", "0"}, {"-events", "-1"}, {"16"}, {"-frob"},
		{"-lists", "65"}, {"-sessions", "60"}, {"-for", "1s"}, {"-only", "x"}} {
		var stdout, stderr bytes.Buffer
		if status := Main(args, &stdout, &stderr); status != 2 || stderr.Len() == 0 {
			t.Errorf("%v: status %d, %q", args, status, stderr.String())
		}
	}
}

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if status := Main([]string{"-h"}, &stdout, &stderr); status != 0 || !strings.Contains(stderr.String(), "halves") {
		t.Errorf("status %d, %q", status, stderr.String())
	}
}
