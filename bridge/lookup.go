package bridge

import (
	"fmt"
	"time"

	"ircbridge/chat"
	"ircbridge/chord"
	"ircbridge/mapping"
	"ircbridge/overlay"
)

// lookupTime is how long the ring may take to say whose a key is.
const lookupTime = 10 * time.Second

// keyOf is the key under which a nick or a channel is kept.
func keyOf(name string) (chord.ID, error) {
	switch {
	case chat.ValidChannel(name):
		return overlay.Key(kindChannel, chat.Fold(name)), nil
	case chat.ValidNick(name):
		return overlay.Key(kindNick, chat.Fold(name)), nil
	}
	return chord.ID{}, fmt.Errorf("%q is neither a nick nor a channel (which begins with #)", name)
}

// keeper says in one line which node keeps a name.
func (p *parts) keeper(name string) string {
	key, err := keyOf(name)
	if err != nil {
		return err.Error() + "."
	}
	found, err := p.ring.Lookup(key, lookupTime)
	if err != nil {
		return fmt.Sprintf("The ring does not say now who keeps %s: %v.", name, err)
	}
	owner := fmt.Sprintf("%s (%s)", found.Owner.ID, mapping.VisibleHost(found.Owner.Peer.ID))
	if found.Owner.ID == p.ring.Self().ID {
		return fmt.Sprintf("%s is kept by this node, %s.", name, owner)
	}
	return fmt.Sprintf("%s is kept by node %s, found in %s.", name, owner, count(found.Hops, "hop"))
}
