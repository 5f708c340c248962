package ircd

import "strconv"

// maxLabel bounds a label, in bytes (IRCv3, "Labeled Responses"); a longer one
// is none.
const maxLabel = 64

// A response is the answer to a command that its client has labelled: one line
// with the label, or several in a batch, or ACK. Lines are not kept back until
// all are there: the first one waits only to see whether it is alone, and
// never while others may write.
//
// Who holds the turn has the response that is being written in conn.resp; it
// is nil while events are written.
type response struct {
	label   string
	holding bool   // the first line waits
	tags    string // of that line
	line    []byte // and the line itself, without tags
	batch   string // the batch's reference, once it is open
	handled bool   // the handler has ended
	pending int    // messages whose outcome is to come, and an open batch of the client's

	answered bool // by a batch that has the label itself
}

// alone reports whether nothing has been written of the response, and nothing
// more will be.
func (r *response) alone() bool { return r.handled && r.pending == 0 && !r.holding && r.batch == "" }

// begin makes what is written from now on the answer to a label, for clients
// that have negotiated labels ("Dependencies": batch too).
func (c *conn) begin(label string) *response {
	const need = capLabeledResponse | capBatch
	if label == "" || len(label) > maxLabel || c.caps&need != need {
		return nil
	}
	c.resp = &response{label: label}
	return c.resp
}

// handlerEnded ends the part of a response that the handler writes. ending:
// the connection ends with it.
func (c *conn) handlerEnded(r *response, ending bool) {
	if r == nil {
		return
	}
	c.resp, r.handled = nil, true
	if ending && !r.holding && r.batch == "" {
		return // ERROR is the answer
	}
	c.completeOrPark(r)
}

// completeOrPark ends a response, unless it waits for outcomes of messages.
func (c *conn) completeOrPark(r *response) {
	switch {
	case r.pending > 0 || !r.handled:
		c.park(r)
	case r.answered:
	case r.batch != "":
		c.writeBare("", c.srv.name, "BATCH", "-"+r.batch)
	case r.holding:
		c.release(r, appendTag([]byte(r.tags), "label", r.label))
	default:
		c.raw(string(appendTag([]byte(c.timeTag()), "label", r.label)), c.srv.name, "ACK", nil, "", false)
	}
}

// park lets others write: the first line goes out in a batch before theirs.
func (c *conn) park(r *response) {
	if r != nil && r.holding {
		c.openBatch(r)
	}
}

// aside runs f, whose lines are not part of the response.
func (c *conn) aside(f func()) {
	r := c.resp
	c.park(r)
	c.resp = nil
	f()
	c.resp = r
}

// respond writes or holds a line of the response.
func (c *conn) respond(r *response, tags, source, command string, params []string, text string, hasText bool) {
	if r.batch == "" && !r.holding {
		r.holding, r.tags = true, tags
		r.line = appendLine(nil, "", source, command, params, text, hasText)
		return
	}
	if r.batch == "" {
		c.openBatch(r)
	}
	c.raw(string(appendTag([]byte(tags), "batch", r.batch)), source, command, params, text, hasText)
}

// openBatch begins the batch with the line that waited, if one did.
func (c *conn) openBatch(r *response) {
	c.batches++
	r.batch = strconv.Itoa(c.batches)
	tags := appendTag([]byte(c.timeTag()), "label", r.label)
	c.raw(string(tags), c.srv.name, "BATCH", []string{"+" + r.batch, "labeled-response"}, "", false)
	if r.holding {
		c.release(r, appendTag([]byte(r.tags), "batch", r.batch))
	}
}

// nested runs f, whose lines are a batch of their own, within the response if there is one.
func (c *conn) nested(kind string, f func(), params ...string) {
	if c.resp != nil && c.resp.batch == "" {
		c.openBatch(c.resp)
	}
	c.batches++
	ref := strconv.Itoa(c.batches)
	c.writeBare("", c.srv.name, "BATCH", append([]string{"+" + ref, kind}, params...)...)
	c.inner = ref
	f()
	c.inner = ""
	c.writeBare("", c.srv.name, "BATCH", "-"+ref)
}

// release writes the line that waited.
func (c *conn) release(r *response, tags []byte) {
	line := buffers.Get().(*buffer)
	line.b = append(append(append(line.b, '@'), tags...), ' ')
	line.b = append(line.b, r.line...)
	r.holding, r.line = false, nil
	c.put(line.b)
	line.free()
}
