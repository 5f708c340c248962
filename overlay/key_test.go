package overlay

import (
	"os"
	"regexp"
	"testing"

	"ircbridge/chat"
)

// The vectors are those that docs/protocol.md shows: the page and the code
// cannot part.
func TestKeyVectorsOfTheProtocolPage(t *testing.T) {
	page, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| (nick|channel|directory) \\| `(.+)` \\| `([0-9a-f]{40})` \\|$").FindAllSubmatch(page, -1)
	if len(rows) < 5 {
		t.Fatalf("%d vectors in docs/protocol.md", len(rows))
	}
	for _, row := range rows {
		if got := Key(string(row[1]), chat.Fold(string(row[2]))).String(); got != string(row[3]) {
			t.Errorf("%s %s: key %s, the page says %s", row[1], row[2], got, row[3])
		}
	}
}
