package load

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Figure is one measured number.
type Figure struct {
	Name  string
	Value float64
	Unit  string
}

// Report is the outcome of one run.
type Report struct {
	Title   string
	Figures []Figure
	Counts  Counts
}

func (r *Report) add(name string, value float64, unit string) {
	r.Figures = append(r.Figures, Figure{name, value, unit})
}

// times adds percentiles, in milliseconds; it sorts ds.
func (r *Report) times(name string, ds []time.Duration) {
	slices.Sort(ds)
	for _, p := range []struct {
		name  string
		share float64
	}{{"p50", 0.50}, {"p90", 0.90}, {"p99", 0.99}, {"max", 1}} {
		r.add(name+" "+p.name, milliseconds(percentile(ds, p.share)), "ms")
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// percentile is the smallest value that at least that share of the sorted
// values do not exceed; 0 without values.
func percentile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(share*float64(len(sorted)) + 0.999999)
	return sorted[min(max(i, 1), len(sorted))-1]
}

// Format prints the reports of equal runs: each figure's median, least and
// greatest, and the counts of all runs together.
func Format(runs []Report) string {
	if len(runs) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintln(&b, runs[0].Title)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	if len(runs) > 1 {
		fmt.Fprintf(w, "\tmedian of %d runs\tleast\tgreatest\n", len(runs))
	}
	var all Counts
	for _, r := range runs {
		all.add(r.Counts)
	}
	for i, f := range runs[0].Figures {
		var vs []float64
		for _, r := range runs {
			if i < len(r.Figures) {
				vs = append(vs, r.Figures[i].Value)
			}
		}
		slices.Sort(vs)
		fmt.Fprintf(w, "%s\t%s %s", f.Name, number(vs[len(vs)/2]), f.Unit)
		if len(runs) > 1 {
			fmt.Fprintf(w, "\t%s\t%s", number(vs[0]), number(vs[len(vs)-1]))
		}
		fmt.Fprintln(w)
	}
	if all.Sent > 0 {
		fmt.Fprintf(w, "messages\t%d expected: %d lost, %d doubled, %d out of order, %d altered\n",
			all.Sent, all.Lost, all.Doubled, all.Reordered, all.Altered)
	}
	w.Flush()
	return b.String()
}

// number has three digits at least where they mean something.
func number(v float64) string {
	switch {
	case v >= 100 || v == float64(int64(v)):
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3f", v)
}
