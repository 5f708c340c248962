package mapping

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"ircbridge/chat"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// A user's metadata is part of his person, and goes where that goes. A channel's
// is part of its state: each key for itself the latest change counts, as for its modes.

// metadata is a channel's, by key.
type metadata map[string]metaItem

// metaItem is a value, or (empty) that it was taken away.
type metaItem struct {
	value string
	stamp overlay.Stamp
}

// maxMetaItems bounds the keys that a channel remembers, those that were taken away too.
const maxMetaItems = 4 * chat.MaxMetaKeys

func laterMeta(a, b metaItem) bool {
	return cmp.Or(a.stamp.Compare(b.stamp), cmp.Compare(a.value, b.value)) > 0
}

// chat is what is set.
func (m metadata) chat() chat.Metadata {
	var list []chat.MetaItem
	for _, k := range sortedKeys(m) {
		list = append(list, chat.MetaItem{Key: k, Value: m[k].value})
	}
	return chat.Metadata("").With(list...)
}

// merge takes what is later in another copy.
func (m metadata) merge(other metadata) {
	for k, x := range other { // any order: maximum
		if old, ok := m[k]; !ok || laterMeta(x, old) {
			m[k] = x
		}
	}
}

// prune holds the bound: what was taken away goes first, and of that the oldest.
func (m metadata) prune() {
	over := len(m) - maxMetaItems
	if over <= 0 {
		return
	}
	keys := sortedKeys(m)
	slices.SortStableFunc(keys, func(a, b string) int {
		x, y := m[a], m[b]
		return cmp.Or(cmp.Compare(boolInt(x.value != ""), boolInt(y.value != "")), x.stamp.Compare(y.stamp))
	})
	for _, k := range keys[:over] {
		delete(m, k)
	}
}

func (m metadata) clone() metadata {
	if m == nil {
		return metadata{}
	}
	return maps.Clone(m)
}

func (m metadata) toWire(t *tables) (ws []*wire.MetaItem) {
	for _, k := range sortedKeys(m) {
		ws = append(ws, &wire.MetaItem{Key: []byte(k), Value: []byte(m[k].value), Stamp: t.stamp(m[k].stamp)})
	}
	return ws
}

func metadataFromWire(r *reader, ws []*wire.MetaItem) metadata {
	m := metadata{}
	for _, w := range ws {
		k, x := string(w.GetKey()), metaItem{value: string(w.GetValue()), stamp: r.stamp(w.GetStamp())}
		if !chat.ValidMetaKey(k) || !chat.ValidMetaValue(x.value) {
			r.fail("metadata %q", chat.Cut(k, 60))
			break
		}
		if old, ok := m[k]; !ok || laterMeta(x, old) {
			m[k] = x
		}
	}
	return m
}

// changesToWire and changesFromWire are for requests and events.
func changesToWire(changes []chat.MetaItem) *wire.SetMetadata {
	w := new(wire.SetMetadata)
	for _, c := range changes {
		w.Items = append(w.Items, &wire.Tag{Name: []byte(c.Key), Value: []byte(c.Value)})
	}
	return w
}

func changesFromWire(w *wire.SetMetadata) ([]chat.MetaItem, error) {
	list, err := itemsFromWire(w.GetItems(), 2*chat.MaxMetaKeys)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%w: no metadata", errWire)
	}
	return list, err
}

func itemsFromWire(ws []*wire.Tag, most int) ([]chat.MetaItem, error) {
	if len(ws) > most {
		return nil, fmt.Errorf("%w: %d keys of metadata", errWire, len(ws))
	}
	var list []chat.MetaItem
	for _, w := range ws {
		list = append(list, chat.MetaItem{Key: string(w.GetName()), Value: string(w.GetValue())})
	}
	if !chat.CheckMetaItems(list) {
		return nil, fmt.Errorf("%w: metadata", errWire)
	}
	return list, nil
}

// metaToWire and metaFromWire are for a person's.
func metaToWire(m chat.Metadata) []*wire.Tag { return changesToWire(m.Items()).Items }

func metaFromWire(ws []*wire.Tag) (chat.Metadata, error) {
	list, err := itemsFromWire(ws, chat.MaxMetaKeys)
	m := chat.Metadata("").With(list...)
	if err == nil && !m.Fits() {
		err = fmt.Errorf("%w: %d bytes of metadata", errWire, len(m))
	}
	return m, err
}

// setMetadata changes keys of the channel: all, or none.
func (c *channelObject) setMetadata(t turn, w *wire.SetMetadata) *wire.Result {
	m, on := c.s.members[t.From()]
	changes, err := changesFromWire(w)
	now := c.s.meta.chat()
	next := now.With(changes...)
	switch {
	case err != nil:
		return refuse(wire.Code_BAD_REQUEST)
	case !on:
		return refuse(wire.Code_NOT_ON_CHANNEL)
	case m.status&chat.Operator == 0:
		return refuse(wire.Code_NO_PRIVILEGES)
	case !next.Fits() && len(next) > len(now):
		return refuse(wire.Code_METADATA_FULL)
	}
	if changes = now.Changes(next); len(changes) == 0 {
		return &wire.Result{}
	}
	return c.emit(t, &wire.ChannelEvent{
		By: []byte(c.maskOf(t.From())), What: &wire.ChannelEvent_Metadata{Metadata: changesToWire(changes)},
	})
}

func (s *state) applyMetadata(st step, w *wire.SetMetadata) {
	changes, _ := changesFromWire(w) // decodeEvent has checked it
	for _, c := range changes {
		s.meta[c.Key] = metaItem{value: c.Value, stamp: st.stamp}
	}
	s.meta.prune()
}

// SetMetadata implements chat.Session.
func (se *session) SetMetadata(ctx context.Context, channel string, changes []chat.MetaItem) error {
	fail := func(err error) error {
		return fmt.Errorf("metadata of %q: %w", chat.Cut(channel, 2*chat.MaxChannel), err)
	}
	if !chat.CheckMetaItems(changes) {
		return fail(chat.ErrBadMetadata)
	}
	if channel != "" {
		if len(changes) == 0 {
			return nil
		}
		_, err := se.command(ctx, channel, &wire.ChannelRequest{What: &wire.ChannelRequest_Metadata{Metadata: changesToWire(changes)}})
		if err != nil {
			return fail(err)
		}
		return nil
	}
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	if err := se.beginLocked(ctx); err != nil {
		return err
	}
	me := se.me
	switch me.meta = me.meta.With(changes...); {
	case !me.meta.Fits():
		return fail(chat.ErrMetadataFull)
	case me != se.me:
		se.publishLocked(me)
	}
	return nil
}

// showMetadataLocked shows what is different in a channel from what was shown before.
func (v *view) showMetadataLocked(but overlay.Stream, old, now chat.Metadata, at time.Time) {
	if changes := old.Changes(now); len(changes) > 0 {
		v.showLocked(but, chat.MetadataChanged{Channel: v.display(), Changes: changes, At: at})
	}
}
