package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"ircbridge/chat"
	"ircbridge/chat/chattest"
)

// setup is a Setup whose table [console] holds cfg.
func setup(cfg Config) chat.Setup {
	return chat.Setup{Service: chattest.NewService(chattest.Options{}), Decode: func(v any) error {
		*v.(*Config) = cfg
		return nil
	}}
}

func TestNewOffByDefault(t *testing.T) {
	f, err := New(chat.Setup{Decode: func(any) error { return nil }})
	if f != nil || err != nil {
		t.Errorf("without a word in the configuration: %v, %v", f, err)
	}
}

func TestNewErrors(t *testing.T) {
	for _, nick := range []string{"two words", "1st", strings.Repeat("n", 31)} {
		if _, err := New(setup(Config{Enabled: true, Nick: nick})); !errors.Is(err, chat.ErrBadNick) {
			t.Errorf("nick %q: %v", nick, err)
		}
	}
	unknown := errors.New("config.toml:3: unknown field")
	if _, err := New(chat.Setup{Decode: func(any) error { return unknown }}); !errors.Is(err, unknown) {
		t.Errorf("error of Decode became %v", err)
	}
}

func TestNewTakesLoginName(t *testing.T) {
	f, err := New(setup(Config{Enabled: true}))
	if err != nil || !chat.ValidNick(f.(*Console).nick) {
		t.Errorf("default nick: %+v, %v", f, err)
	}
	if err := f.Listen(); err != nil || len(f.Hints()) == 0 {
		t.Errorf("Listen: %v, Hints: %q", err, f.Hints())
	}
}

func TestNickFrom(t *testing.T) {
	for name, want := range map[string]string{
		"ann": "ann", `HOME\Ann Lee`: "AnnLee", "änne.müller": "nnemller", "007-bond": "bond", "_www": "_www",
		"": "guest", "42": "guest", "漢字": "guest", strings.Repeat("long", 20): strings.Repeat("long", 20)[:30],
	} {
		if got := nickFrom(name); got != want || !chat.ValidNick(got) {
			t.Errorf("nickFrom(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestHarmless(t *testing.T) {
	for text, want := range map[string]string{
		"plain, Grüße 漢字":            "plain, Grüße 漢字",
		"\x1b]52;c;aGk=\x07":         "^[]52;c;aGk=^G",
		"\u009b31m":                  `\u009b31m`,
		"\x9b31m":                    `\x9b31m`,
		"a\tb\r\nc\x00\x7f":          "a b^M^Jc^@^?",
		"\u202egpj.exe\u2066":        `\u202egpj.exe\u2066`,
		"\u2028line\ufeff\U000e0041": `\u2028line\ufeff\U000e0041`,
		"👩‍💻 \u3000\u00a0":           "👩‍💻 \u3000\u00a0",
		"\ufffd":                     "\ufffd",
	} {
		if got := harmless(text); got != want {
			t.Errorf("harmless(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzHarmless(f *testing.F) {
	f.Add("\x1b[2J\u009b\x9b\u202e\xff")
	f.Fuzz(func(t *testing.T, text string) {
		got := harmless(text)
		bad := func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }
		if !utf8.ValidString(got) || strings.ContainsFunc(got, bad) {
			t.Errorf("harmless(%q) = %q", text, got)
		}
	})
}

// collect reads all lines of in.
func collect(in io.Reader) []line {
	lines, done := make(chan line), make(chan struct{})
	defer close(done)
	go readLines(in, lines, done)
	var all []line
	for {
		l := <-lines
		all = append(all, l)
		if l.end {
			return all
		}
	}
}

func TestReadLines(t *testing.T) {
	longest := strings.Repeat("x", maxLine)
	for _, row := range []struct {
		in   string
		want []line
	}{
		{"", nil},
		{"a\nb\r\n\nc", []line{{text: "a"}, {text: "b"}, {}, {text: "c"}}},
		{longest + "\r\n" + longest + "\n", []line{{text: longest}, {text: longest}}},
		{longest + "x\nnext\n", []line{{bad: "longer than 8192 bytes"}, {text: "next"}}},
		{strings.Repeat(longest, 5) + "\nnext", []line{{bad: "longer than 8192 bytes"}, {text: "next"}}},
		{strings.Repeat(longest, 5), []line{{bad: "longer than 8192 bytes"}}},
		{"a\xff\nb", []line{{bad: "not UTF-8"}, {text: "b"}}},
		{"a\x1b[A\nta\tb", []line{{bad: "control characters in it (of an arrow key?)"}, {text: "ta\tb"}}},
	} {
		got := collect(strings.NewReader(row.in))
		want := append(row.want, line{end: true})
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%.40q gives %.200s, want %.200s", row.in, fmt.Sprint(got), fmt.Sprint(want))
		}
	}
}

func FuzzReadLines(f *testing.F) {
	f.Add([]byte("join go\r\nsend go \x1b\n\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, l := range collect(bytes.NewReader(in)) {
			if len(l.text) > maxLine || !utf8.ValidString(l.text) || strings.ContainsAny(l.text, "\r\n\x00\x1b") {
				t.Errorf("took %q", l.text)
			}
		}
	})
}

func TestWord(t *testing.T) {
	for _, row := range [][3]string{
		{"send go  text", "send", "go  text"}, {"  a", "a", ""}, {"", "", ""}, {"a ", "a", ""}, {"a\tb c", "a", "b c"}, {"a  b", "a", " b"},
	} {
		if first, rest := word(row[0]); first != row[1] || rest != row[2] {
			t.Errorf("word(%q) = %q, %q", row[0], first, rest)
		}
	}
}

// wholeLines checks that each Write is one line.
type wholeLines struct {
	t *testing.T
	n int
}

func (w *wholeLines) Write(b []byte) (int, error) {
	w.n++
	if bytes.IndexByte(b, '\n') != len(b)-1 {
		w.t.Errorf("not one line: %q", b)
	}
	return len(b), nil
}

func TestLinesDoNotInterleave(t *testing.T) {
	out := &wholeLines{t: t}
	s := newScreen(out)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				s.say(time.Time{}, "%s\n%s", "two", "lines")
			}
		})
	}
	wg.Wait()
	if out.n != 400 {
		t.Errorf("%d lines, want 400", out.n)
	}
}

// TestFileAsInput feeds far more at once than may wait in the session's queue
// of sends: nothing is lost, and the end of the input waits for the outcomes.
func TestFileAsInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 2500
		svc := chattest.NewService(chattest.Options{})
		bob, err := svc.Open(context.Background(), chat.User{Nick: "bob", Username: "bob"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bob.Join(context.Background(), "#go", ""); err != nil {
			t.Fatal(err)
		}
		var in strings.Builder
		for i := range n {
			fmt.Fprintf(&in, "send go %d\n", i)
		}
		s := setup(Config{Enabled: true, Nick: "me"})
		s.Service = svc
		out := &wholeLines{t: t}
		f, err := On(strings.NewReader(in.String()), out)(s)
		if err != nil {
			t.Fatal(err)
		}
		svc.Hold()
		time.AfterFunc(3*time.Second, svc.Release)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := f.Serve(ctx); err != nil {
			t.Errorf("Serve: %v", err)
		}
		for i := range n {
			e, err := bob.Next(ctx)
			if m, ok := e.(chat.Message); err != nil && !errors.Is(err, context.DeadlineExceeded) || ok && m.Text != fmt.Sprint(i) || !ok {
				t.Fatalf("event %d is %+v, %v", i, e, err)
			}
		}
		if out.n != n+2 { // with the first line and the last
			t.Errorf("%d lines were written, want %d", out.n, n+2)
		}
		bob.Close("")
	})
}
