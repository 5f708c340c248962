package ircd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"ircbridge/chat"
	"ircbridge/chat/chattest"
)

func TestParseLine(t *testing.T) {
	for _, test := range []struct {
		line    string
		command string
		params  string // joined with |
		err     error
	}{
		{"PING x", "PING", "x", nil},
		{"ping x y :z a", "PING", "x|y|z a", nil},
		{"PRIVMSG #c ::-) :", "PRIVMSG", "#c|:-) :", nil},
		{"@a=b;+c=d :src PRIVMSG #c :x", "PRIVMSG", "#c|x", nil},
		{"@a=b  :src  PRIVMSG  #c  :x", "PRIVMSG", "#c|x", nil},
		{"JOIN :", "JOIN", "", nil},
		{"", "", "", errBlank},
		{"   ", "", "", errBlank},
		{"@a=b ", "", "", errNoCommand},
		{"@a=b", "", "", errNoCommand},
		{"@ ", "", "", errNoCommand},
		{":src", "", "", errNoCommand},
		{":src ", "", "", errNoCommand},
		{"@a :src", "", "", errNoCommand},
		{": :", "", "", errNoCommand},
		{"PRIVMSG a :\x00", "", "", errControl},
		{"PRIVMSG a\rb", "", "", errControl},
		{"PRIVMSG \xc3", "", "", errInvalidUTF8},
		{strings.Repeat("x", maxBody), strings.ToUpper(strings.Repeat("x", maxBody)), "", nil},
		{strings.Repeat("x", maxBody+1), "", "", errLineTooLong},
	} {
		m, err := parseLine([]byte(test.line))
		if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
			t.Errorf("%q: error %v, want %v", test.line, err, test.err)
			continue
		}
		if err == nil && (m.command != test.command || strings.Join(m.params, "|") != test.params) {
			t.Errorf("%q: %s %q", test.line, m.command, m.params)
		}
	}
}

func TestLineReaderCutsLinesHoweverTheyArrive(t *testing.T) {
	text := "one\r\ntwo\n\nthree\r\n" + strings.Repeat("x", 3*maxLine) + "\nfour\n" + strings.Repeat("y", maxLine-1) + "\r\nleft over"
	want := []string{"one", "two", "", "three", "!", "four", strings.Repeat("y", maxLine-1)}
	for name, src := range map[string]io.Reader{
		"at once": strings.NewReader(text),
		"bytes":   iotest.OneByteReader(strings.NewReader(text)),
		"halves":  iotest.HalfReader(strings.NewReader(text)),
	} {
		t.Run(name, func(t *testing.T) {
			r := &lineReader{src: src}
			for i := 0; ; i++ {
				line, err := r.next()
				switch {
				case errors.Is(err, io.EOF) && i == len(want):
					return
				case i == len(want):
					t.Fatalf("more than was sent: %.20q", line)
				case errors.Is(err, errLineTooLong):
					line = []byte("!")
				case err != nil:
					t.Fatal(err)
				}
				if string(line) != want[i] {
					t.Fatalf("line %d is %.20q of %d bytes, want %.20q", i, line, len(line), want[i])
				}
				if cap(r.buf) > 4*maxLine {
					t.Fatalf("the buffer has grown to %d bytes", cap(r.buf))
				}
			}
		})
	}
}

func TestAppendLineFitsAndStaysOneLine(t *testing.T) {
	for _, test := range []struct {
		middle []string
		text   string
		want   string
	}{
		{[]string{"#a"}, "x", ":src PRIVMSG #a :x\r\n"},
		{[]string{""}, "", ":src PRIVMSG * :\r\n"},
		{[]string{":a", "b c", "d\r\nQUIT"}, "e\r\nQUIT\x00f", ":src PRIVMSG * b d :e  QUIT f\r\n"},
		{nil, "\xff", ":src PRIVMSG :\uFFFD\r\n"},
	} {
		if got := string(appendLine(nil, "", "src", "PRIVMSG", test.middle, test.text, true)); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
	for n := 480; n < 520; n++ { // every place of the cut within runes of 2, 3 and 4 bytes
		for _, r := range []string{"ä", "€", "𝄞"} {
			line := appendLine(nil, "time=x", "src", "PRIVMSG", []string{"#a"}, strings.Repeat("x", n%7)+strings.Repeat(r, n/len(r)), true)
			body := strings.TrimPrefix(string(line), "@time=x ")
			if len(body) > maxBody+2 || !utf8.ValidString(body) || !strings.HasSuffix(body, "\r\n") {
				t.Fatalf("%d bytes: %q", len(body), body)
			}
		}
	}
}

func TestTagsAreBounded(t *testing.T) {
	tags := map[string]string{}
	for _, name := range []string{"+a", "+b", "+c", "+d", "bad name", "+", "+x;y"} {
		tags[name] = strings.Repeat(`\`, 2000) // doubles when escaped
	}
	got := encodeTags(capMessageTags|capServerTime, time.Unix(0, 0), "", "id", tags)
	if len(got) > maxTags-2 || !strings.HasPrefix(got, "time=1970-01-01T00:00:00.000Z;msgid=id;+a=") || strings.Contains(got, "bad") {
		t.Errorf("%d bytes: %.60s", len(got), got)
	}
	for i := range 300 { // small ones fill the room that there is, but for a label's
		tags[fmt.Sprint("+z", i)] = "0123456789012345678901234567890123456789"
	}
	const room = maxTags - 2 - maxResponseTag - len(";bot")
	if n := len(encodeTags(capMessageTags, time.Time{}, "", "id", tags)); n > room || n < room-60 {
		t.Errorf("%d bytes, room for %d", n, room)
	}
	if got := encodeTags(capServerTime, time.Unix(0, 0), "", "id", tags); got != "time=1970-01-01T00:00:00.000Z" {
		t.Error(got)
	}
}

// FuzzLine: no line makes the border panic, and what passes it can be written
// as one line again.
func FuzzLine(f *testing.F) {
	for _, line := range []string{
		"PING x", "@a=b ", "@a=b :", ":a ", "@+a=\\:\\s\\\\\\r\\n;+b;c PRIVMSG #c :\x01ACTION x\x01", "@", ": ", "JOIN 0", "\x00", "\xff", "MODE #c +kl a 1",
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := parseLine(line)
		if err != nil {
			return
		}
		tags := encodeTags(capMessageTags|capServerTime, time.Unix(1, 0), "", "id", m.tags)
		out := appendLine(nil, tags, "nick!user@host", m.command, m.params, string(line), true)
		if bytes.Count(out, []byte("\n")) != 1 || bytes.Count(out, []byte("\r")) != 1 || bytes.IndexByte(out, 0) >= 0 || !utf8.Valid(out) {
			t.Errorf("%q became %q", line, out)
		}
		if len(out) > maxTags+maxBody+2 {
			t.Errorf("%d bytes", len(out))
		}
		if m.command == "" || len(line) > maxTags+maxBody {
			t.Errorf("%q passed the border", line)
		}
	})
}

// FuzzConnection: whatever a client sends, every line that comes back is one,
// and the connection ends when he closes his side.
func FuzzConnection(f *testing.F) {
	f.Add([]byte("NICK a\r\nUSER a 0 * :a\r\nJOIN #a,#b k\r\nPRIVMSG #a :x\r\nMODE #a +b-o x a\r\nWHO *\r\nPART #a :bye\r\nQUIT :x\r\n"))
	f.Add([]byte("CAP LS 302\nCAP REQ :server-time message-tags echo-message\nNICK a\nUSER a 0 * :a\nCAP END\n@+a=b PRIVMSG a :x\nKICK #a a\nLIST >1\nTOPIC #x y\n"))
	f.Add([]byte("CAP REQ :batch labeled-response echo-message standard-replies\n@label=1 NICK a\nUSER a 0 * :a\n@label=2 CAP END\n@label=3 JOIN #a,#b\n@label=4 PRIVMSG #a,a,b :x\n@label=5 NAMES #c,#a\n@label=\xff PING x\n@label=6 NOTICE b :x\n@label=7 CAP REQ -batch"))
	f.Add([]byte("NICK \x00\n@a=b \n:\nNICK a\nUSER a a a a\nMODE a +i\nMODE #a bbb\nINVITE a #a\nWHOIS a,b\nISON a b\nUSERHOST :a\nNAMES ,\nKICK , ,\nJOIN ,"))
	f.Add([]byte("CAP REQ :setname account-tag message-tags echo-message\nNICK a\nUSER a 0 * :a\nSETNAME :b\nWHOWAS a,,b -1 *\nLIST C<1,T>,!,>x\nPRIVMSG *bridge,a :\x01\nNOTICE *bridge :x\nWHOIS *bridge\nNICK b\nWHOWAS a\nADMIN"))
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) > 1<<14 {
			return
		}
		setup := chat.Setup{
			Service: chattest.NewService(chattest.Options{Accounts: true}),
			Ask:     func(_ context.Context, question string) []string { return []string{question} },
		}
		srv, err := newServer(setup, defaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			srv.ServeConn(context.Background(), server)
		}()
		go func() {
			client.Write(input)
			client.Write([]byte("\r\nQUIT\r\n"))
		}()
		client.SetReadDeadline(time.Now().Add(10 * time.Second))
		lines := bufio.NewReader(client)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("the connection did not end with ERROR: %v", err)
			}
			body, ok := strings.CutSuffix(line, "\r\n")
			if !ok || strings.ContainsAny(body, "\r\n\x00") || !utf8.ValidString(body) {
				t.Errorf("not a line: %q", line)
			}
			if strings.HasPrefix(line, "ERROR ") {
				break
			}
		}
		client.Close()
		<-done
	})
}

// A long line's buffer does not stay with a client that says nothing more; what has come of the next line does.
func TestALineReaderRests(t *testing.T) {
	src := strings.NewReader(strings.Repeat("x", 2000) + "\nab")
	r := &lineReader{src: src}
	if line, err := r.next(); err != nil || len(line) != 2000 {
		t.Fatalf("%d bytes, %v", len(line), err)
	}
	if _, err := r.next(); err != io.EOF {
		t.Fatal(err)
	}
	r.rest()
	src.Reset("c\n")
	if line, err := r.next(); err != nil || string(line) != "abc" {
		t.Fatalf("%q, %v", line, err)
	}
	if r.rest(); len(r.buf) != 0 {
		t.Errorf("%d bytes are kept", len(r.buf))
	}
	src.Reset("d\n")
	if line, err := r.next(); err != nil || string(line) != "d" || len(r.buf) > firstRead {
		t.Errorf("%q, %v, in %d bytes", line, err, len(r.buf))
	}
}
