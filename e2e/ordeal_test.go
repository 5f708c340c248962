package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ircbridge/ordeal"
)

// TestOrdeals lets real nodes be killed, stopped and started again while users talk, a few times each; what
// they sent and saw must be whole. The times are those of `go run ./cmd/ircload`, on a machine that
// does nothing else (docs/figures.md); here other tests run beside, so the marks are wide.
func TestOrdeals(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	t.Parallel()
	for _, test := range []struct {
		fault  string
		rounds int
	}{
		{"kill", 5}, {"kill-two", 3}, {"kill-leaving", 3}, {"restart", 3}, {"stall", 1}, {"silence", 1}, {"restart-all", 2},
	} {
		t.Run(test.fault, func(t *testing.T) {
			t.Parallel()
			o := ordeal.Defaults(test.fault)
			o.Rounds, o.Marks = test.rounds, ordeal.Marks{FirstP99: 5 * time.Second}
			endure(t, o)
		})
	}
}

// endure runs an ordeal and fails the test with all that it has to complain of.
func endure(t *testing.T, o ordeal.Options) {
	t.Helper()
	var log bytes.Buffer
	o.Log = &log
	if o.Group.Program = program; program == "" {
		o.Group.Program = os.Getenv(programVariable)
	}
	if dir := os.Getenv("E2E_LOG"); dir != "" {
		o.Keep = filepath.Join(dir, filepath.Base(t.Name()))
	}
	rep, err := ordeal.Run(t.Context(), o)
	if err != nil || len(rep.Violations) > 0 {
		t.Errorf("%v\n%s\n%s", err, rep, log.String())
		return
	}
	t.Logf("\n%s", rep)
}
