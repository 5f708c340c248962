package chattest

import (
	"context"
	"fmt"

	"ircbridge/chat"
)

// SetMetadata implements chat.Session.
func (se *session) SetMetadata(ctx context.Context, name string, changes []chat.MetaItem) error {
	fail := func(err error) error {
		return fmt.Errorf("metadata of %q: %w", chat.Cut(name, 2*chat.MaxChannel), err)
	}
	switch {
	case !chat.CheckMetaItems(changes):
		return fail(chat.ErrBadMetadata)
	case name == "":
		return se.setOwnMetadata(ctx, changes)
	}
	c, err := se.beginOn(ctx, name)
	if err != nil {
		return fail(err)
	}
	n := se.net
	defer n.mu.Unlock()
	if c.members[se]&chat.Operator == 0 {
		return fail(chat.ErrNoPrivileges)
	}
	if err := n.failLocked("SetMetadata", name); err != nil {
		return err
	}
	next := c.meta.With(changes...)
	if !next.Fits() && len(next) > len(c.meta) {
		return fail(chat.ErrMetadataFull)
	}
	n.settleLocked(se)
	if changes = c.meta.Changes(next); len(changes) > 0 {
		c.meta = next
		c.tellLocked(chat.MetadataChanged{Channel: c.name, Changes: changes, At: n.opt.Now()}, se)
		se.pushLocked(chat.Effected{})
	}
	return nil
}

func (se *session) setOwnMetadata(ctx context.Context, changes []chat.MetaItem) error {
	if err := se.begin(ctx); err != nil {
		return err
	}
	defer se.net.mu.Unlock()
	next := se.self.Meta.With(changes...)
	if !next.Fits() {
		return fmt.Errorf("metadata: %w", chat.ErrMetadataFull)
	}
	if changes = se.self.Meta.Changes(next); len(changes) == 0 {
		return nil
	}
	se.self.Meta = next
	e := chat.MetadataChanged{Who: se.self, Changes: changes, At: se.net.opt.Now()}
	for _, other := range se.aroundLocked() {
		other.pushLocked(e)
	}
	e.Watched = true
	for _, other := range se.watchersLocked() {
		other.pushLocked(e)
	}
	return nil
}
