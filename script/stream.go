package script

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of what is kept of one connection or process, so that a server that
// never stops talking cannot take all memory.
const (
	maxLine        = 64 << 10
	maxStreamLines = 400_000
	maxStreamBytes = 64 << 20
)

// stream is the lines that came from one side: a connection, the output or the log of
// a process. It is guarded by play.mu.
type stream struct {
	lines []string
	taken []bool // for logs: the line has satisfied a step
	pos   int    // for connections: lines before it have been passed
	bytes int
	ended bool  // no more lines will come
	err   error // why, when it was not the other side's wish
}

func (s *stream) add(line string) {
	if s.ended {
		return
	}
	if len(s.lines) >= maxStreamLines || s.bytes+len(line) > maxStreamBytes {
		s.end(fmt.Errorf("more than %d lines or %d bytes came", maxStreamLines, maxStreamBytes))
		return
	}
	s.lines = append(s.lines, line)
	s.taken = append(s.taken, false)
	s.bytes += len(line)
}

func (s *stream) end(err error) {
	if !s.ended {
		s.ended, s.err = true, err
	}
}

// tail is the last n lines, each with two spaces in front.
func (s *stream) tail(n int) string {
	if len(s.lines) == 0 {
		return "  (nothing)\n"
	}
	var b strings.Builder
	for _, line := range s.lines[max(0, len(s.lines)-n):] {
		b.WriteString("  " + printable(line) + "\n")
	}
	return b.String()
}

// printable shows what is not text as escapes.
func printable(line string) string {
	for _, r := range line {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			q := fmt.Sprintf("%q", line)
			return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
		}
	}
	return line
}

// readLines gives each line of r to f until r ends, and returns why it ended
// (nil at a clean end).
func readLines(r io.Reader, f func(string)) error {
	in := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 {
			f(strings.TrimRight(string(line), "\r\n"))
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("a line of more than %d bytes came", maxLine)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
