package ircd

import (
	"strconv"
	"strings"

	"ircbridge/chat"
)

// How a netsplit shows (IRCv3, "netsplit and netjoin Batch Types"): QUIT lines
// whose reason is the two servers that have lost each other, and JOIN lines when
// it is over. Clients with batch get each of the two in one. The others know a
// netsplit by the form of the reason alone, "here.tld there.tld", and fold such
// lines into one; so nobody else's reason may have it.

// split writes the QUITs of those who are out of sight.
func (c *conn) split(e chat.Split) {
	here := c.splitName(e.Here)
	c.inBatch("netsplit", here, e.There, func() {
		for _, who := range e.Who {
			c.write(c.tagsOf(who, e.At), who.Mask(), "QUIT", nil, here+" "+e.There)
		}
	})
}

// rejoined writes the JOINs of those who are back, then what they have.
func (c *conn) rejoined(e chat.Rejoined) {
	here := c.splitName(e.Here)
	var came []chat.Arrival
	for _, a := range e.Came {
		if c.on(a.Channel) {
			came = append(came, a)
		}
	}
	if len(came) == 0 {
		return
	}
	c.inBatch("netjoin", here, e.There, func() {
		for _, a := range came {
			c.writeJoin(c.tagsOf(a.Profile, e.At), a.Profile, a.Channel)
		}
		for len(came) > 0 {
			channel, n := came[0].Channel, 0
			var modes []chat.ModeChange
			for n < len(came) && came[n].Channel == channel {
				modes = append(modes, statusChanges(came[n].Member)...)
				n++
			}
			c.writeModes(c.tags(e.At), e.There, channel, modes)
			for _, a := range came[:n] {
				if a.Away != "" {
					c.away(a.Profile, e.At)
				}
				if c.metaAware() {
					c.syncOne(a.Nick, a.Meta, c.subscribed)
				}
			}
			came = came[n:]
		}
	})
}

// inBatch has f write its lines in a batch, for clients that know batches. The
// lines are those of events: no response is being written.
func (c *conn) inBatch(kind, here, there string, f func()) {
	if c.caps&capBatch == 0 {
		f()
		return
	}
	c.batches++
	ref := strconv.Itoa(c.batches)
	c.writeBare("", c.srv.name, "BATCH", "+"+ref, kind, here, there)
	c.group = ref
	f()
	c.group = ""
	c.writeBare("", c.srv.name, "BATCH", "-"+ref)
}

// splitName is this server's name in a netsplit: the one that its clients know
// it by, if clients can take it for a server's, else that of the node.
func (c *conn) splitName(node string) string {
	if isDomain(c.srv.name) {
		return c.srv.name
	}
	return node
}

// isDomain reports whether a word has the form by which clients know a server
// in the reason of a QUIT: labels with dots between them, the last of two letters
// or more.
func isDomain(word string) bool {
	labels := strings.Split(word, ".")
	last := labels[len(labels)-1]
	for _, l := range labels {
		if l == "" || strings.ContainsAny(l, " :/") {
			return false
		}
	}
	notLetter := func(r rune) bool { return (r|0x20 < 'a' || r|0x20 > 'z') }
	return len(labels) > 1 && len(last) >= 2 && !strings.ContainsFunc(last, notLetter)
}

// quitReason is a reason that no client takes for a netsplit.
func quitReason(reason string) string {
	a, b, two := strings.Cut(reason, " ")
	if two && isDomain(a) && isDomain(b) {
		return "Quit: " + reason
	}
	return reason
}
