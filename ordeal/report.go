package ordeal

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"ircbridge/history"
)

// Report is what came of an ordeal.
type Report struct {
	Title       string
	First, Last []time.Duration // of each round: until a message is accepted again; until one of everybody is
	Woke        []time.Duration // of each waking: until the users there were heard again
	Echo        []time.Duration // from a message to its echo
	History     history.Report
	Violations  []string // all that is wrong
}

// judge asks the history, and looks at the marks.
func (rep *Report) judge(r *run) {
	rules := r.opts.Rules
	rep.History = r.history.Check(rules)
	rep.Violations = append(rep.Violations, rep.History.Violations...)
	r.mu.Lock()
	rep.Violations = append(rep.Violations, r.faulty...)
	if more := r.wrongs - len(r.faulty); more > 0 {
		rep.Violations = append(rep.Violations, fmt.Sprintf("and %d more such comings and goings", more))
	}
	r.mu.Unlock()
	for _, l := range [][]time.Duration{rep.First, rep.Last, rep.Woke, rep.Echo} {
		slices.Sort(l)
	}
	m := r.opts.Marks
	for _, mark := range []struct {
		name        string
		value, most time.Duration
	}{
		{"accepted again, p50", percentile(rep.First, 0.50), m.FirstP50},
		{"accepted again, p99", percentile(rep.First, 0.99), m.FirstP99},
		{"heard again, p99", percentile(rep.Woke, 0.99), m.WokeP99},
		{"echo, p99", percentile(rep.Echo, 0.99), m.EchoP99},
	} {
		if mark.most > 0 && mark.value > mark.most {
			rep.Violations = append(rep.Violations, fmt.Sprintf("%s: %v, and may be %v", mark.name, round3(mark.value), mark.most))
		}
	}
}

// percentile is the smallest value that at least that share of the sorted
// values do not exceed; 0 without values.
func percentile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(share*float64(len(sorted)) + 0.999999)
	return sorted[min(max(i, 1), len(sorted))-1]
}

// String is the table that a person reads.
func (rep Report) String() string {
	var b strings.Builder
	fmt.Fprintln(&b, rep.Title)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tp50\tp90\tp99\tmax")
	for _, l := range []struct {
		name string
		all  []time.Duration
	}{
		{"accepted again after the fault", rep.First},
		{"the same, for all users elsewhere", rep.Last},
		{"users on the struck node heard again after it woke", rep.Woke},
		{"from a message to its echo", rep.Echo},
	} {
		if len(l.all) == 0 {
			continue
		}
		fmt.Fprintf(w, "%s", l.name)
		for _, p := range []float64{0.50, 0.90, 0.99, 1} {
			fmt.Fprintf(w, "\t%v", round3(percentile(l.all, p)))
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	fmt.Fprintln(&b, rep.History)
	for _, v := range rep.Violations {
		fmt.Fprintln(&b, "VIOLATION:", v)
	}
	return b.String()
}

// round3 leaves three digits or so.
func round3(d time.Duration) time.Duration {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	case d >= 10*time.Millisecond:
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(time.Microsecond)
}
