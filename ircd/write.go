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
		tags = encodeTags(c.caps&capServerTime, c.srv.now(), "", nil)
	}
	c.line = appendLine(c.line[:0], tags, source, command, params, text, hasText)
	c.out.put(c.line)
}

// write writes a line that ends with a text.
func (c *conn) write(tags, source, command string, middle []string, text string) {
	c.emit(tags, source, command, "", middle, text, true)
}

// writeBare writes a line of middle parameters only.
func (c *conn) writeBare(tags, source, command string, middle ...string) {
	c.emit(tags, source, command, "", middle, "", false)
}
