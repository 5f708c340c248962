package ringsim

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// scenario finds one by name.
func scenario(t *testing.T, name string) Scenario {
	t.Helper()
	all := Scenarios()
	i := slices.IndexFunc(all, func(s Scenario) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("there is no scenario %q", name)
	}
	return all[i]
}

// mustHold fails the test when anything was wrong with a run, and says how to make
// it again.
func mustHold(t *testing.T, r Result) {
	t.Helper()
	if len(r.Violations) > 0 {
		t.Errorf("%s, seed %d, %d nodes: %v\n  %s\n  again: %s", r.Scenario.Name, r.Seed, r.Size, r.Report, strings.Join(r.Violations, "\n  "), r.Replay())
	}
	if r.Report.Delivered == 0 {
		t.Errorf("%s, seed %d: nothing was delivered, so nothing was tested", r.Scenario.Name, r.Seed)
	}
}

// share runs one of several equal parts of some seeds, so that they go side by
// side.
func share(t *testing.T, name string, seeds int, options func(seed uint64) Options) {
	const parts = 8
	for part := range parts {
		t.Run(fmt.Sprintf("%s, part %d", name, part), func(t *testing.T) {
			t.Parallel()
			for seed := part + 1; seed <= seeds; seed += parts {
				mustHold(t, Simulate(options(uint64(seed))))
			}
		})
	}
}

// Faults of all kinds, alone and together, on rings of 5 to 50 nodes: nothing that was
// acknowledged is lost, nothing is shown twice or out of order, and all agree
// in the end.
func TestMixedFaults(t *testing.T) {
	mixed := scenario(t, "mixed")
	if testing.Short() {
		share(t, "small rings", 24, func(seed uint64) Options {
			return Options{Seed: seed, Scenario: mixed, Nodes: 5 + int(seed%3)}
		})
		return
	}
	share(t, "mixed", 300, func(seed uint64) Options { return Options{Seed: seed, Scenario: mixed} })
}

// Each kind of fault by itself.
func TestEachScenario(t *testing.T) {
	seeds := 3
	if testing.Short() {
		seeds = 1
	}
	for _, s := range Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			for seed := range seeds {
				mustHold(t, Simulate(Options{Seed: uint64(seed) + 1, Scenario: s, Nodes: 5 + 2*seed}))
			}
		})
	}
}

// After the faults messages pass soon, and all agree soon.
func TestLiveness(t *testing.T) {
	seeds := 4
	if testing.Short() {
		seeds = 1
	}
	for _, name := range []string{"keepers", "half", "blackout", "partition", "alone", "pauses"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range seeds {
				mustHold(t, Simulate(Options{Seed: uint64(seed) + 100, Scenario: scenario(t, name), Nodes: 5 + 3*seed, Mode: Liveness}))
			}
		})
	}
}

// A seed replays: the same events, to the byte, and the same report.
func TestReplay(t *testing.T) {
	for _, name := range []string{"mixed", "blackout", "partition"} {
		o := Options{Seed: 11, Scenario: scenario(t, name), Nodes: 6}
		a, b := Simulate(o), Simulate(o)
		if a.Digest != b.Digest || a.Events != b.Events || a.Report.String() != b.Report.String() {
			t.Errorf("%s: two runs of one seed differ: %x after %d events, %x after %d\n%v\n%v", name, a.Digest, a.Events, b.Digest, b.Events, a.Report, b.Report)
		}
		if o.Seed++; Simulate(o).Digest == a.Digest {
			t.Errorf("%s: another seed gives the same run", name)
		}
	}
}

// A run that lies is found out: the history of a run whose users are told
// something wrong breaks the rules.
func TestTheCheckerSeesTheRun(t *testing.T) {
	spoil := map[string]func(r *run){
		"lost": func(r *run) {
			r.history.Sent(20*time.Second, r.users[0].clients[0], channelName(0), "x")
			r.history.Acked(20*time.Second, r.users[0].clients[0], "x")
		},
		"invented": func(r *run) { r.history.Saw(20*time.Second, r.users[0].clients[0], channelName(0), "y") },
		"members":  func(r *run) { r.history.Members("somebody", channelName(0), []string{"nobody"}) },
		"ring":     func(r *run) { r.watch.fail("a ring that winds twice") },
		"operator": func(r *run) { clear(r.rules); r.aside = nil; r.net.Go("ask", r.askMembers); r.net.RunFor(time.Second) },
	}
	for want, f := range spoil {
		found := ""
		for seed := range uint64(5) { // not every run ends with an operator
			r := Simulate(Options{Seed: seed, Scenario: scenario(t, "quiet"), Nodes: 5, spoil: f})
			found += strings.Join(r.Violations, "\n")
		}
		if !strings.Contains(found, want) {
			t.Errorf("%s: found %q", want, found)
		}
	}
}

// What was wrong is told with the command that makes the run again.
func TestViolationsAreTold(t *testing.T) {
	var stderr bytes.Buffer
	r := Simulate(Options{Seed: 7, Scenario: scenario(t, "quiet"), Nodes: 5, Mode: Liveness, spoil: func(r *run) { r.watch.fail("a ring that winds twice") }})
	(&batch{stderr: &stderr}).tell(r)
	for _, want := range []string{"a ring that winds twice", "again: go run ./cmd/ringsim -scenario quiet -seed 7 -nodes 5 -mode liveness"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("%q is not told: %s", want, stderr.String())
		}
	}
}
