package ircd

import (
	"strconv"
	"strings"
	"time"

	"ircbridge/chat"
)

// Messages of several lines (IRCv3, "Multiline messages"): a client sends one as
// a batch, which is one message for the network, and goes out when the batch is
// closed. Others who know the capability get a batch, the rest line by line.

const (
	multilineType = "draft/multiline"
	concatTag     = "draft/multiline-concat"
	capMultilines = capMultiline | capBatch
	// batchTimeout is how long a client may be silent in a batch.
	batchTimeout = 30 * time.Second
	maxReference = 64 // bytes of a batch's reference
)

// A clientBatch is a batch that the client has opened.
type clientBatch struct {
	ref    string
	target string
	tags   map[string]string
	lines  []chat.Line
	bytes  int       // of lines, with a line end between two
	kind   string    // PRIVMSG or NOTICE, as the first line said
	resp   *response // of the label of the opening line, till there is an answer
	over   bool      // it was refused: what is left of it is ignored
	last   time.Time // when something of it came
}

func cmdBatch(c *conn, m *message) error {
	switch word := m.params[0]; {
	case word[0] == '+':
		c.openClientBatch(m, word[1:])
	case c.opened != nil && word == "-"+c.opened.ref:
		b := c.opened
		c.opened = nil
		c.sendBatch(b)
	case c.opened != nil:
		c.refuseBatch(c.opened, "MULTILINE_INVALID", "This batch is not open")
	default:
		c.standard(replyFail, "BATCH", "MULTILINE_INVALID", "This batch is not open")
	}
	return nil
}

func (c *conn) openClientBatch(m *message, ref string) {
	fail := func(text string) { c.standard(replyFail, "BATCH", "MULTILINE_INVALID", text) }
	letter := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-'
	}
	switch {
	case c.opened != nil && !c.opened.over:
		c.refuseBatch(c.opened, "MULTILINE_INVALID", "A batch cannot be opened within another")
	case ref == "" || len(ref) > maxReference || strings.ContainsFunc(ref, func(r rune) bool { return !letter(r) }):
		fail("The reference of a batch is 1 to 64 letters, digits and hyphens")
	case m.param(1) != multilineType:
		fail("There are batches of the type " + multilineType + " only")
	case m.param(2) == "" || strings.Contains(m.param(2), ","):
		fail("A batch has one target")
	default:
		c.opened = &clientBatch{ref: ref, target: m.param(2), resp: c.resp, last: time.Now()}
		if c.caps&capMessageTags != 0 {
			c.opened.tags = m.tags
		}
		if c.resp != nil {
			c.resp.pending++ // its answer is what becomes of the message
		}
	}
}

// batched looks at a line while a batch is open, or that says it is of one, and
// reports whether nothing else is to be done with it.
func (c *conn) batched(m *message) bool {
	b := c.opened
	if b != nil && !b.over && time.Since(b.last) > batchTimeout {
		c.refuseBatch(b, "TIMEOUT", "The batch was left open for too long", b.ref)
	}
	switch {
	case m.command == "BATCH" || m.command == "PING" || m.command == "PONG" || m.command == "QUIT":
		return false
	case b != nil && m.batch == b.ref:
		b.last = time.Now()
		if !b.over {
			c.batchLine(b, m)
		}
		return true
	case m.batch != "":
		c.standard(replyFail, "BATCH", "MULTILINE_INVALID", "This batch is not open")
		return true
	case b != nil && !b.over:
		c.refuseBatch(b, "MULTILINE_INVALID", "A line that is not of the batch came while it was open")
	}
	return false
}

// batchLine takes a line of the message.
func (c *conn) batchLine(b *clientBatch, m *message) {
	line := chat.Line{Text: m.param(1), Concat: m.concat && len(b.lines) > 0}
	size := len(line.Text)
	if len(b.lines) > 0 && !line.Concat {
		size++
	}
	switch {
	case m.command != "PRIVMSG" && m.command != "NOTICE" || b.kind != "" && b.kind != m.command:
		c.refuseBatch(b, "MULTILINE_INVALID", "A batch is of PRIVMSG lines or of NOTICE lines")
	case !chat.SameName(m.param(0), b.target):
		c.refuseBatch(b, "MULTILINE_INVALID_TARGET", "A line has another target than its batch", b.target, m.param(0))
	case m.concat && line.Text == "":
		c.refuseBatch(b, "MULTILINE_INVALID", "A blank line continues none")
	case len(b.lines) == chat.MaxLines:
		c.refuseBatch(b, "MULTILINE_MAX_LINES", "The message has too many lines", strconv.Itoa(chat.MaxLines))
	case b.bytes+size > chat.MaxText:
		c.refuseBatch(b, "MULTILINE_MAX_BYTES", "The message is too long", strconv.Itoa(chat.MaxText))
	default:
		b.kind, b.lines, b.bytes = m.command, append(b.lines, line), b.bytes+size
	}
}

// sendBatch sends the message of a batch that its client has closed.
func (c *conn) sendBatch(b *clientBatch) {
	switch {
	case b.over:
	case len(b.lines) == 0 || !chat.ValidLines(b.lines[0].Text, b.lines[1:]): // its bounds are held
		c.refuseBatch(b, "MULTILINE_INVALID", "The message has blank lines only")
	default:
		c.answerBatch(b, func() {
			c.sayTo(b.target, chat.Outgoing{Notice: b.kind == "NOTICE", Text: b.lines[0].Text, More: b.lines[1:], Tags: b.tags})
		})
	}
}

// refuseBatch says what is wrong with a batch. What else comes of it is ignored.
func (c *conn) refuseBatch(b *clientBatch, code, text string, about ...string) {
	b.over, b.lines = true, nil
	c.answerBatch(b, func() { c.standard(replyFail, "BATCH", code, text, about...) })
}

// answerBatch has f write the answer to a batch, under the label of its opening line.
func (c *conn) answerBatch(b *clientBatch, f func()) {
	c.aside(func() {
		r := b.resp
		b.resp, c.resp = nil, r
		f()
		c.resp = nil
		if r != nil {
			r.pending--
			c.completeOrPark(r)
		}
	})
}

// writeLines writes a message of several lines: as a batch, or for those who do
// not know such ones the lines that are not blank, of which the first has the tags.
func (c *conn) writeLines(e chat.Message) {
	source, command, target := e.From.Mask(), commandOf(&e), []string{e.Address()}
	tags := encodeTags(c.caps, e.At, e.From.Account, e.ID, e.Tags)
	lines := append([]chat.Line{{Text: e.Text}}, e.More...)
	if c.caps&capMultilines == capMultilines {
		at := encodeTags(c.caps&capServerTime, e.At, "", "", nil)
		c.writeBatch(tags, source, []string{multilineType, e.Address()}, func(ref string) {
			for _, l := range lines {
				own := appendTag([]byte(at), "batch", ref)
				if l.Concat {
					own = appendTag(own, concatTag, "")
				}
				c.raw(string(own), source, command, target, l.Text, true)
			}
		})
		return
	}
	for _, l := range lines {
		if l.Text != "" {
			c.write(tags, source, command, target, l.Text)
			tags = encodeTags(c.caps, e.At, e.From.Account, "", nil)
		}
	}
}

// writeBatch writes a batch, whose lines f writes. Where it is all of a response its
// opening line has the label; else it is nested in what is being written.
func (c *conn) writeBatch(tags, source string, params []string, f func(ref string)) {
	c.batches++
	ref, closing := strconv.Itoa(c.batches), c.timeTag()
	outer := c.group
	switch r := c.resp; {
	case r == nil:
	case r.alone():
		tags, r.answered = string(appendTag([]byte(tags), "label", r.label)), true
	default:
		if r.batch == "" {
			c.openBatch(r)
		}
		outer = r.batch
	}
	if outer != "" {
		tags = string(appendTag([]byte(tags), "batch", outer))
		closing = string(appendTag([]byte(closing), "batch", outer))
	}
	c.raw(tags, source, "BATCH", append([]string{"+" + ref}, params...), "", false)
	f(ref)
	c.raw(closing, c.srv.name, "BATCH", []string{"-" + ref}, "", false)
}
