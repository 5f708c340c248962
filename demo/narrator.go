package demo

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// narrator tells the story, a line for each thing that happens, with the time
// since the beginning.
type narrator struct {
	out   io.Writer
	clock func() time.Duration
	mu    sync.Mutex
}

// say tells one thing that has just happened.
func (n *narrator) say(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintf(n.out, "%5.1f s  %s\n", n.clock().Seconds(), fmt.Sprintf(format, args...))
}

// chapter begins a part of the story.
func (n *narrator) chapter(title string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintf(n.out, "\n%s\n", title)
}

// and lists words as a sentence does: a, b and c.
func and(words []string) string {
	switch len(words) {
	case 0:
		return "nobody"
	case 1:
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// nodesText names nodes by their numbers: node 3, or nodes 1, 2 and 5.
func nodesText(numbers []int) string {
	var words []string
	for _, n := range numbers {
		words = append(words, strconv.Itoa(n))
	}
	if len(words) == 1 {
		return "node " + words[0]
	}
	return "nodes " + and(words)
}

// spell is a small number in letters.
func spell(n int) string {
	small := []string{"no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"}
	if n < len(small) {
		return small[n]
	}
	return strconv.Itoa(n)
}

// seconds is a duration for people: 0.34 s, 2.1 s.
func seconds(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// capital writes the first letter large.
func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
