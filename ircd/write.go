package ircd

// emit writes one line: with target (if not empty) before the middle
// parameters. The caller holds the turn. A line that comes after the end of
// the connection is dropped.
func (c *conn) emit(tags, source, command, target string, middle []string, text string, hasText bool) {
	var room [16]string
	params := room[:0]
	if target != "" {
		params = append(params, target)
	}
	params = append(params, middle...)
	if tags == "" { // server-time is for each line
		tags = c.timeTag()
	}
	if c.inner != "" {
		c.raw(string(appendTag([]byte(tags), "batch", c.inner)), source, command, params, text, hasText)
		return
	}
	if c.resp != nil {
		c.respond(c.resp, tags, source, command, append([]string(nil), params...), text, hasText)
		return
	}
	if c.group != "" {
		tags = string(appendTag([]byte(tags), "batch", c.group))
	}
	c.raw(tags, source, command, params, text, hasText)
}

// raw writes a line whose tags are all there.
func (c *conn) raw(tags, source, command string, params []string, text string, hasText bool) {
	line := buffers.Get().(*buffer)
	line.b = appendLine(line.b, tags, source, command, params, text, hasText)
	c.put(line.b)
	line.free()
}

// put hands a line over to the writer. It may be used again afterwards.
func (c *conn) put(line []byte) {
	c.traffic.linesOut.Add(1)
	c.traffic.bytesOut.Add(int64(len(line)))
	if c.batch != nil {
		c.batch.b = append(c.batch.b, line...)
		return
	}
	c.out.put(line)
}

// timeTag is the tag of a line that is written now, if the client wants it.
func (c *conn) timeTag() string {
	return encodeTags(c.caps&capServerTime, c.srv.now(), "", "", nil)
}

// write writes a line that ends with a text.
func (c *conn) write(tags, source, command string, middle []string, text string) {
	c.emit(tags, source, command, "", middle, text, true)
}

// writeBare writes a line of middle parameters only.
func (c *conn) writeBare(tags, source, command string, middle ...string) {
	c.emit(tags, source, command, "", middle, "", false)
}

// The kinds of standard replies (IRCv3, "Standard Replies").
const (
	replyFail = "FAIL"
	replyWarn = "WARN"
	replyNote = "NOTE"
)

// standard writes a standard reply: about a command (or * for none), with a
// code for programs, what it is about, and a text for people.
func (c *conn) standard(kind, command, code, text string, about ...string) {
	c.write("", c.srv.name, kind, append([]string{command, code}, about...), text)
}
