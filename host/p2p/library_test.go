package p2p

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/gologshim"
)

// libp2p's errors come to the log of the host that started last and runs, at debug level.
func TestLibraryLog(t *testing.T) {
	var logs [3]records
	levels := []slog.Level{slog.LevelDebug, slog.LevelDebug, slog.LevelInfo}
	var nodes []*node
	start := func(i int) {
		nodes = append(nodes, startNode(t, config(func(c *Config) {
			c.Log = slog.New(slog.NewTextHandler(&logs[i], &slog.HandlerOptions{Level: levels[i]})).With("node", i)
		})))
	}
	start(0)
	if os.Getenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING") == "" {
		t.Error("QUIC's library may write to the standard log")
	}
	theirs := gologshim.Logger("trial").With("a", 1)
	theirs.Error("first", "b", 2)
	theirs.Warn("no error")
	start(1)
	theirs.WithGroup("g").Error("second", "c", 3)
	start(2)
	theirs.Error("not at this level")
	for _, i := range []int{2, 1} {
		if err := nodes[i].Close(); err != nil {
			t.Fatal(err)
		}
	}
	theirs.Error("third")
	if err := nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	theirs.Error("to nobody")
	for i, want := range [][]string{
		{`level=DEBUG msg="libp2p: first" node=0 logger=trial a=1 severity=ERROR b=2`, `msg="libp2p: third" node=0`},
		{`level=DEBUG msg="libp2p: second" node=1 logger=trial a=1 g.severity=ERROR g.c=3`},
		{},
	} {
		for _, line := range want {
			if logs[i].count(line) != 1 {
				t.Errorf("log of host %d has not once %q:\n%v", i, line, &logs[i])
			}
		}
		if got := logs[i].count(`logger=trial`); got != len(want) {
			t.Errorf("log of host %d has %d lines of libp2p, want %d:\n%v", i, got, len(want), &logs[i])
		}
	}
}

// Nothing that libp2p logs reaches standard error, even where it logs everything.
func TestStandardErrorIsSilent(t *testing.T) {
	other := startNode(t)
	// The one logger of libp2p that asks nobody, and is silent by default.
	n := startLabNode(t, nil, []string{"GOLOG_LOG_LEVEL=debug,canonical-log=error"}, labConfig{Overlay: "test", Listen: []string{"127.0.0.1:0"}})
	n.do("dial", "127.0.0.1:"+portOf(other))
	log, err := os.ReadFile(n.log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "libp2p: ") && !strings.Contains(line, "level=DEBUG") {
			t.Errorf("not at debug level: %s", line)
		}
	}
	if got := strings.Count(string(log), "libp2p: "); got < 5 {
		t.Errorf("%d lines of libp2p in its log:\n%s", got, log)
	}
	if got := n.stderr.String(); got != "" {
		t.Errorf("standard error: %s", got)
	}
}
