package console

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLine bounds one line of input, in bytes.
const maxLine = 8 << 10

// line is one line of input, or its end.
type line struct {
	text string
	bad  string // why the line is not taken
	end  bool
}

// readLines gives each line of in until its end or until done is closed. A
// line that is too long is skipped whole, never kept.
func readLines(in io.Reader, lines chan<- line, done <-chan struct{}) {
	r := bufio.NewReaderSize(in, maxLine+2) // room for CR LF
	for end := false; !end; {
		text, err := r.ReadSlice('\n')
		l := line{}
		switch {
		case err == bufio.ErrBufferFull:
			for err == bufio.ErrBufferFull {
				_, err = r.ReadSlice('\n')
			}
			l.bad = fmt.Sprintf("longer than %d bytes", maxLine)
		case err != nil && len(text) == 0:
			l.end = true
		default:
			l = checkLine(strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"))
		}
		select {
		case lines <- l:
		case <-done:
			return
		}
		if end = l.end || err != nil; end && !l.end {
			select {
			case lines <- line{end: true}:
			case <-done:
			}
		}
	}
}

// checkLine refuses what was hardly meant to be said: bytes that are no text,
// and the escape sequences that arrow keys leave in a line.
func checkLine(text string) line {
	switch {
	case len(text) > maxLine:
		return line{bad: fmt.Sprintf("longer than %d bytes", maxLine)}
	case !utf8.ValidString(text):
		return line{bad: "not UTF-8"}
	case strings.ContainsFunc(text, func(r rune) bool { return r != '\t' && unicode.IsControl(r) }):
		return line{bad: "control characters in it (of an arrow key?)"}
	}
	return line{text: text}
}

// word cuts the first word off a line. What follows it loses the one space
// that ends the word, no more: the text of a message is sent as it stands.
func word(s string) (first, rest string) {
	s = strings.TrimLeft(s, " \t")
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, ""
}
