package script

import (
	"os"
	"strings"
	"testing"
)

// The examples of docs/scripts.md, read together, are one script, and show
// every statement.
func TestExamplesOfTheManual(t *testing.T) {
	text, err := os.ReadFile("../docs/scripts.md")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	inside := false
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.HasPrefix(line, "```"):
			inside = strings.TrimSpace(line) == "```session"
			line = "\n"
		case !inside:
			line = "\n" // so that line numbers are those of the page
		}
		all.WriteString(line)
	}
	s, err := Parse("docs/scripts.md", strings.NewReader(all.String()))
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	var walk func(steps []*step)
	walk = func(steps []*step) {
		for _, st := range steps {
			words := strings.Fields(st.text)
			if words[0] == "within" {
				words = words[2:]
			}
			for _, word := range words[:min(2, len(words))] {
				shown[word] = true
			}
			walk(stepsIn(st.do))
		}
	}
	walk(s.steps)
	for word, read := range keywords() {
		if read != nil && !shown[word] {
			t.Errorf("%s has no example", word)
		}
	}
	for verb := range actorVerbs() {
		if !shown[verb] {
			t.Errorf("%s has no example", verb)
		}
	}
	for verb := range entrances() {
		if !shown[verb] {
			t.Errorf("%s has no example", verb)
		}
	}
}
