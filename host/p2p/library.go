package p2p

import (
	"bytes"
	"context"
	"io"
	"log"
	"log/slog"
	"os"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/gologshim"
)

// libraryLog takes what libp2p logs, which would go to standard error
// otherwise, in the midst of what a front-end shows there. libp2p knows one log
// for the whole process: it goes to the host that started last and still runs,
// at debug level whatever libp2p calls it, because what matters to people is
// logged by this package. What is taken is what libp2p would have written:
// errors, or what the environment variable GOLOG_LOG_LEVEL says.
var libraryLog struct {
	install sync.Once
	mu      sync.Mutex
	to      []*slog.Logger // of the hosts that run, in the order of their starts
}

// takeLibraryLog lets libp2p's log go to l until the function returned is called.
func takeLibraryLog(l *slog.Logger) (release func()) {
	c := &libraryLog
	c.install.Do(func() { // before libp2p logs for the first time: each of its loggers asks once
		gologshim.SetDefaultHandler(libraryHandler{from: slog.LevelError})
		// QUIC's library advises each user, by the standard log, to raise a limit of the
		// system for speeds that chat does not need.
		log.SetOutput(standardLog{log.Writer()})
		const advice = "QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING"
		if _, set := os.LookupEnv(advice); !set {
			_ = os.Setenv(advice, "true")
		}
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.to = append(c.to, l)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if i := slices.Index(c.to, l); i >= 0 {
			c.to = slices.Delete(c.to, i, i+1)
		}
	}
}

// standardLog is the standard log's output without the lines of the library of
// multicast DNS, which says there that a machine has no IPv6. They go the way of libp2p's.
type standardLog struct{ rest io.Writer }

// Write implements io.Writer.
func (s standardLog) Write(line []byte) (int, error) {
	if !bytes.Contains(line, []byte("zeroconf")) {
		return s.rest.Write(line)
	}
	if to := libraryTarget(); to != nil {
		slog.New(to).Debug("libp2p: " + cleanText(string(bytes.TrimSpace(line)), 300))
	}
	return len(line), nil
}

// libraryTarget is where libp2p's log goes now; nil: nowhere.
func libraryTarget() slog.Handler {
	libraryLog.mu.Lock()
	defer libraryLog.mu.Unlock()
	if n := len(libraryLog.to); n > 0 {
		return libraryLog.to[n-1].Handler()
	}
	return nil
}

// libraryHandler is the slog.Handler of one of libp2p's loggers. It is made
// once, while the target changes, so attributes are kept and added each time.
type libraryHandler struct {
	from slog.Level // libp2p's level from which on records are taken
	with []func(slog.Handler) slog.Handler
}

// Enabled implements slog.Handler.
func (h libraryHandler) Enabled(ctx context.Context, level slog.Level) bool {
	if level < h.from {
		return false
	}
	to := libraryTarget()
	return to != nil && to.Enabled(ctx, slog.LevelDebug)
}

// Handle implements slog.Handler.
func (h libraryHandler) Handle(ctx context.Context, r slog.Record) error {
	to := libraryTarget()
	if to == nil || !to.Enabled(ctx, slog.LevelDebug) {
		return nil
	}
	for _, with := range h.with {
		to = with(to)
	}
	ours := slog.NewRecord(r.Time, slog.LevelDebug, "libp2p: "+r.Message, r.PC)
	ours.AddAttrs(slog.String("severity", r.Level.String()))
	r.Attrs(func(a slog.Attr) bool {
		ours.AddAttrs(a)
		return true
	})
	return to.Handle(ctx, ours)
}

// WithAttrs implements slog.Handler. The first attribute of each of libp2p's
// loggers is its name, by which GOLOG_LOG_LEVEL may set a level of its own.
func (h libraryHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		if a.Key == "logger" {
			h.from = gologshim.ConfigFromEnv().LevelForSystem(a.Value.String())
		}
	}
	h.with = append(slices.Clip(h.with), func(to slog.Handler) slog.Handler { return to.WithAttrs(attrs) })
	return h
}

// WithGroup implements slog.Handler.
func (h libraryHandler) WithGroup(name string) slog.Handler {
	h.with = append(slices.Clip(h.with), func(to slog.Handler) slog.Handler { return to.WithGroup(name) })
	return h
}
