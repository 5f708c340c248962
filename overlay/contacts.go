package overlay

import (
	"ircbridge/chord"
	"ircbridge/host"
)

// contacts remembers a node for each of a bounded number of objects; the
// oldest are forgotten. What it says is a hint that its use corrects.
type contacts struct {
	of    map[ref]chord.Contact
	order []ref // of being put, oldest first; may name what was dropped
	max   int
}

func newContacts(max int) contacts {
	return contacts{of: make(map[ref]chord.Contact), max: max}
}

func (c *contacts) get(r ref) (chord.Contact, bool) {
	x, ok := c.of[r]
	return x, ok
}

func (c *contacts) put(r ref, to chord.Contact) {
	if _, ok := c.of[r]; !ok {
		c.order = append(c.order, r)
	}
	c.of[r] = to
	for len(c.order) > c.max {
		delete(c.of, c.order[0])
		c.order = c.order[1:]
	}
}

func (c *contacts) drop(r ref) { delete(c.of, r) }

// dropNode forgets everything about one node.
func (c *contacts) dropNode(id host.PeerID) {
	// any order: each is dropped or not for itself
	for r, to := range c.of {
		if to.Peer.ID == id {
			delete(c.of, r)
		}
	}
}
