package bridge

import "strings"

// suggest is the remedy for an unknown name: the known one that it was
// probably meant to be, or else all of them. left and right enclose each name.
func suggest(name string, known []string, left, right, have string) string {
	best, least := "", 1+len(name)/3
	for _, k := range known {
		if d := distance(strings.ToLower(name), k); d <= least {
			best, least = k, d-1
		}
	}
	if best != "" {
		if left == "" {
			left, right = `"`, `"`
		}
		return "did you mean " + left + best + right + "?"
	}
	return have + " " + joinList(known, left, right)
}

func joinList(names []string, left, right string) string {
	if len(names) == 0 {
		return "none"
	}
	return left + strings.Join(names, right+", "+left) + right
}

// distance is the least number of letters to insert, drop, change or swap with
// their neighbour that makes b of a (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
