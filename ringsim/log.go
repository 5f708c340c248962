package ringsim

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// log prints what happens in a run, for people; everything in it may be nil.
type log struct {
	out    io.Writer // what is done, what users see, what nodes log
	events io.Writer // each event of the simulated network
	now    func() time.Duration
}

// say prints a line with the virtual time.
func (l *log) say(who, format string, args ...any) {
	if l.out != nil {
		fmt.Fprintf(l.out, "%12.6f %-6s %s\n", l.now().Seconds(), who, fmt.Sprintf(format, args...))
	}
}

// of is a node's log.
func (l *log) of(n *node) *slog.Logger {
	if l.out == nil {
		return nil
	}
	return slog.New(nodeLog{slog.DiscardHandler, l, n.name()})
}

// nodeLog prints a node's records.
type nodeLog struct {
	slog.Handler
	l    *log
	name string
}

func (nodeLog) Enabled(context.Context, slog.Level) bool { return true }

func (n nodeLog) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	n.l.say(n.name, "%s", text)
	return nil
}
