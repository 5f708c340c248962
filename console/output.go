package console

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"ircbridge/chat"
)

// screen writes lines. Each is one Write under a mutex, so lines never
// interleave. It is safe for use by many goroutines.
type screen struct {
	now  func() time.Time
	zone *time.Location // of the times shown

	mu  sync.Mutex
	out io.Writer
}

func newScreen(out io.Writer) *screen {
	return &screen{now: time.Now, zone: time.Local, out: out}
}

// say writes a line with the time at, or the present time if that is zero.
func (s *screen) say(at time.Time, format string, args ...any) {
	if at.IsZero() {
		at = s.now()
	}
	text := at.In(s.zone).Format("15:04:05 ") + harmless(fmt.Sprintf(format, args...)) + "\n"
	s.mu.Lock()
	defer s.mu.Unlock()
	// There is nowhere to tell of a terminal that takes no more.
	_, _ = io.WriteString(s.out, text)
}

// info writes what the user should know; fail, what did not work.
func (s *screen) info(format string, args ...any) { s.say(time.Time{}, "-- "+format, args...) }
func (s *screen) fail(format string, args ...any) { s.say(time.Time{}, "! "+format, args...) }

// harmless makes a text such that a terminal shows it and does nothing else:
// control characters in the caret notation, other characters without a
// picture of their own (direction overrides, line separators, …) and bytes
// that are no UTF-8 as escapes.
func harmless(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, "\\x%02x", text[i])
		case r == '\t':
			b.WriteByte(' ')
		case r < ' ' || r == 0x7f:
			b.WriteByte('^')
			b.WriteByte(byte(r) ^ 0x40)
		case unicode.IsPrint(r), unicode.Is(unicode.Zs, r), r == 0x200c, r == 0x200d:
			b.WriteRune(r) // the last two join letters and emoji, or do not
		case r > 0xffff:
			fmt.Fprintf(&b, "\\U%08x", r)
		default:
			fmt.Fprintf(&b, "\\u%04x", r)
		}
		i += size
	}
	return b.String()
}

// start is the beginning of a text, enough to recognise it by.
func start(text string) string {
	const most = 30
	if len(text) <= most {
		return `"` + text + `"`
	}
	return `"` + chat.Cut(text, most) + `…"`
}
