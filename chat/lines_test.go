package chat

import (
	"slices"
	"strings"
	"testing"
)

func TestValidLines(t *testing.T) {
	full := strings.Repeat("x", MaxText)
	for _, c := range []struct {
		what string
		text string
		more []Line
		want bool
	}{
		{"one line", "a", nil, true},
		{"nothing", "", nil, true}, // whether that can be said is not for this to say
		{"blank lines between", "", []Line{{}, {Text: "a"}, {}}, true},
		{"blank lines only", "", []Line{{}, {}}, false},
		{"a blank line that continues", "a", []Line{{Concat: true}}, false},
		{"as long as may be", full, nil, true},
		{"too long", full + "x", nil, false},
		{"too long by a line end", full[1:], []Line{{Text: "x"}}, false},
		{"not too long in one piece", full[1:], []Line{{Text: "x", Concat: true}}, true},
		{"as many as may be", "a", make([]Line, MaxLines-1), true},
		{"too many", "a", make([]Line, MaxLines), false},
	} {
		if got := ValidLines(c.text, c.more); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}

func TestLinesAsAReaderSeesThem(t *testing.T) {
	m := Message{Text: "how ", More: []Line{{Text: "are", Concat: true}, {}, {Text: "you?"}}}
	if got := m.Lines(); !slices.Equal(got, []string{"how are", "", "you?"}) {
		t.Errorf("%q", got)
	}
}
