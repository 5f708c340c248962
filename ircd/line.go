package ircd

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	irc "gopkg.in/irc.v4"
)

// Limits on a line, in bytes (RFC 2812, section 2.3; message-tags, "Size
// limit").
const (
	maxBody    = 510  // without tags and CRLF
	maxTagData = 4094 // what a client may put between the @ and the space
	maxTags    = 8191 // all tags of a line we write, with the @ and the space
	maxLine    = maxTags + maxBody + 2
)

// Why a line was not handed to the parser.
var (
	errLineTooLong = errors.New("line too long")
	errInvalidUTF8 = errors.New("line is not valid UTF-8")
	errControl     = errors.New("line holds a NUL or a carriage return")
	errNoCommand   = errors.New("line holds no command")
	errBlank       = errors.New("blank line")
)

// message is a line of a client, parsed.
type message struct {
	command string // in upper case
	params  []string
	tags    map[string]string // client-only tags, names with their +; nil if none
	label   string            // the label tag
	batch   string            // the batch tag
	concat  bool              // there is the tag of a line that continues the one before it
}

// param is the i-th parameter, or "".
func (m *message) param(i int) string {
	if i >= len(m.params) {
		return ""
	}
	return m.params[i]
}

// parseLine checks a line (without its line end) and parses it. It is the
// border: the parser behind it panics on some lines, has no limits and takes
// control characters, so it sees only what passed here.
func parseLine(line []byte) (*message, error) {
	body, err := checkLine(line)
	if err != nil {
		return nil, err
	}
	// The parser wants a line that begins with its command: what stands
	// before it has been read here.
	parsed, err := irc.ParseMessage(string(body))
	if err != nil {
		return nil, errNoCommand
	}
	m := &message{command: parsed.Command, params: parsed.Params}
	if tags, ok := bytes.CutPrefix(line, []byte("@")); ok {
		tags, _, _ = bytes.Cut(tags, []byte(" "))
		m.readTags(string(tags))
	}
	return m, nil
}

// checkLine checks a line and returns its part from the command on.
func checkLine(line []byte) ([]byte, error) {
	body := line
	if bytes.HasPrefix(line, []byte("@")) {
		tags, rest, found := bytes.Cut(line[1:], []byte(" "))
		if len(tags) > maxTagData {
			return nil, errLineTooLong
		}
		if !found {
			return nil, errNoCommand
		}
		body = rest
	}
	if len(body) > maxBody {
		return nil, errLineTooLong
	}
	if bytes.ContainsAny(line, "\x00\r\n") {
		return nil, errControl
	}
	if !utf8.Valid(line) {
		return nil, errInvalidUTF8
	}
	body = bytes.TrimLeft(body, " ")
	if len(body) == 0 {
		if len(bytes.TrimLeft(line, " ")) == 0 {
			return nil, errBlank
		}
		return nil, errNoCommand
	}
	if body[0] == ':' { // the source of a client's line means nothing
		_, rest, _ := bytes.Cut(body, []byte(" "))
		body = bytes.TrimLeft(rest, " ")
	}
	if len(body) == 0 || body[0] == ':' || body[0] == '@' { // tags come first or not at all
		return nil, errNoCommand
	}
	return body, nil
}

// labelOf is the label of a line that was refused, if its tags can be read.
func labelOf(line []byte) string {
	tags, ok := bytes.CutPrefix(line, []byte("@"))
	tags, _, found := bytes.Cut(tags, []byte(" "))
	if !ok || !found || len(tags) > maxTagData || bytes.ContainsAny(tags, "\x00\r\n") || !utf8.Valid(tags) {
		return ""
	}
	var m message
	m.readTags(string(tags))
	return m.label
}

// readTags finds the tags that mean something here, and keeps the client-only
// ones that are well formed (message-tags, "Format"): others are for servers to
// make, and are not passed on.
func (m *message) readTags(data string) {
	for name, value := range irc.ParseTags(data) {
		switch name {
		case "label":
			m.label = value
		case "batch":
			m.batch = value
		case concatTag:
			m.concat = true
		}
		if !validClientTag(name) || strings.ContainsAny(value, "\x00") {
			continue
		}
		if m.tags == nil {
			m.tags = map[string]string{}
		}
		m.tags[name] = value
	}
}

func validClientTag(name string) bool {
	if len(name) < 2 || name[0] != '+' {
		return false
	}
	vendor, key, found := strings.Cut(name[1:], "/")
	if !found {
		vendor, key = "", name[1:]
	} else if vendor == "" {
		return false
	}
	if key == "" {
		return false
	}
	for _, part := range []string{vendor, key} {
		for i := 0; i < len(part); i++ {
			c := part[i]
			ok := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.'
			if !ok {
				return false
			}
		}
	}
	return true
}

// lineReader cuts a stream into lines. Its buffer begins small, never
// exceeds the longest line, and goes with rest; a longer line is reported once and skipped.
type lineReader struct {
	src      io.Reader
	buf      []byte
	start    int // of what has not been returned yet
	end      int
	skipping bool // the rest of a line that was too long
}

// firstRead is how much a client that says nothing keeps ready: most lines fit.
const firstRead = 256

// rest gives up a buffer that has grown, as the client may say nothing for long now.
func (r *lineReader) rest() {
	if r.start == r.end && len(r.buf) > firstRead {
		r.buf, r.start, r.end = nil, 0, 0
	}
}

// next returns the next line without CR LF or LF; it is valid until the call
// after. An error of the source leaves what was read in place, so that after
// a deadline next may be called again.
func (r *lineReader) next() ([]byte, error) {
	searched := r.start
	for {
		if i := bytes.IndexByte(r.buf[searched:r.end], '\n'); i >= 0 {
			line := r.buf[r.start : searched+i]
			r.start = searched + i + 1
			if r.skipping {
				r.skipping = false
				searched = r.start
				continue
			}
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		searched = r.end
		if r.end-r.start > maxLine || r.skipping {
			first := !r.skipping
			r.skipping = true
			r.start, r.end, searched = 0, 0, 0
			if first {
				return nil, errLineTooLong
			}
		}
		if r.start > 0 {
			copy(r.buf, r.buf[r.start:r.end])
			r.end -= r.start
			searched -= r.start
			r.start = 0
		}
		if r.end == len(r.buf) {
			r.buf = append(r.buf, make([]byte, max(firstRead, len(r.buf)))...)
		}
		n, err := r.src.Read(r.buf[r.end:])
		r.end += n
		if n == 0 && err != nil {
			return nil, err
		}
	}
}
