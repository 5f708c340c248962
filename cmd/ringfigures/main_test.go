package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestFigures(t *testing.T) {
	args := []string{"-sizes", "4,20", "-lookups", "50", "-events", "2", "-seed", "7"}
	print := func() string {
		var stdout, stderr bytes.Buffer
		if status := command(args, &stdout, &stderr); status != 0 {
			t.Fatalf("status %d: %s", status, stderr.String())
		}
		return stdout.String()
	}
	first := print()
	for _, want := range []string{"4 nodes", "20 nodes, join", "hops, mean", "fullest node/mean", "hung", "4, ring only", "every node, p50", "sessions of 1 h"} {
		if !strings.Contains(first, want) {
			t.Errorf("%q is missing in\n%s", want, first)
		}
	}
	if again := print(); again != first {
		t.Errorf("one seed, two outcomes:\n%s\n%s", first, again)
	}
}

// The figures are those of a ring: in one of 20, with 16 successors in each
// list, two hops find everything, the parts add up, and joins are noticed after
// something and not at once.
func TestMeasure(t *testing.T) {
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

func TestWrongCommandLine(t *testing.T) {
	for _, args := range [][]string{{"-sizes", "x"}, {"-sizes", "3"}, {"-sizes", "10001"}, {"-lookups", "0"}, {"-events", "-1"}, {"16"}, {"-frob"}} {
		var stdout, stderr bytes.Buffer
		if status := command(args, &stdout, &stderr); status != 2 || stderr.Len() == 0 {
			t.Errorf("%v: status %d, %q", args, status, stderr.String())
		}
	}
}
