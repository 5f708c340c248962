package mapping

import (
	"fmt"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// directoryObject is the keeper's side of one shard of the directory: entries
// of channels and of nodes (overlay.Object). Entries that are not renewed lapse.
type directoryObject struct {
	shard  string
	items  map[string]*wire.Listing // by folded name
	census map[string]*wire.Census  // by node ID
	now    int64
}

// listingLife is how long an entry lasts without renewal, in ms.
const listingLife = 90_000

// Bounds of one shard, and of what one node may say that it keeps.
const (
	maxListings = 4096
	maxCensus   = 4096
	maxFigure   = 1 << 16
)

func newDirectoryObject(shard string) *directoryObject {
	return &directoryObject{shard: shard, items: map[string]*wire.Listing{}, census: map[string]*wire.Census{}}
}

// Apply enters what a channel's keeper says of it, and a node of itself.
func (d *directoryObject) Apply(t *overlay.Turn, req []byte) []byte { return d.apply(t, req) }

func (d *directoryObject) apply(t turn, req []byte) []byte {
	d.now = t.Now().UnixMilli()
	w, err := decodeListings(req)
	if err != nil {
		return encode(refuse(wire.Code_BAD_REQUEST))
	}
	for _, l := range w.Items {
		l.AtMs, l.Version = d.now, t.Number()
		if name := chat.Fold(string(l.Name)); shardOf(name) == d.shard && (len(d.items) < maxListings || d.items[name] != nil) {
			d.items[name] = l
		}
	}
	if id := nodeID(t.From().Node); len(w.Census) == 1 && shardOfNode(id) == d.shard {
		c := w.Census[0]
		c.Node, c.AtMs = id[:], d.now
		if len(d.census) < maxCensus || d.census[string(c.Node)] != nil {
			d.census[string(c.Node)] = c
		}
	}
	d.lapse()
	return encode(new(wire.Result))
}

func (d *directoryObject) lapse() {
	for k, l := range d.items { // any order: each for itself
		if l.AtMs < d.now-listingLife {
			delete(d.items, k)
		}
	}
	for k, c := range d.census { // any order: each for itself
		if c.AtMs < d.now-listingLife {
			delete(d.census, k)
		}
	}
}

// decodeListings reads entries and checks them; a node's ID is checked by who
// needs it.
func decodeListings(b []byte) (*wire.Listings, error) {
	w := new(wire.Listings)
	if err := decode(b, w); err != nil {
		return nil, err
	}
	if len(w.Items) > maxListings || len(w.Census) > maxCensus {
		return nil, fmt.Errorf("%w: %d listings, %d nodes", errWire, len(w.Items), len(w.Census))
	}
	for _, l := range w.Items {
		if !chat.ValidChannel(string(l.GetName())) || len(l.GetTopic()) > chat.MaxTopic || !oneLine(string(l.GetTopic())) {
			return nil, fmt.Errorf("%w: listing of %q", errWire, chat.Cut(string(l.GetName()), 60))
		}
	}
	for _, c := range w.Census {
		if c.GetUsers() > maxFigure || c.GetChannels() > maxFigure {
			return nil, fmt.Errorf("%w: a node with %d names and %d channels", errWire, c.GetUsers(), c.GetChannels())
		}
	}
	return w, nil
}

// Query answers with the shard's channels, or with the sum of its nodes.
func (d *directoryObject) Query(_ host.PeerID, q []byte) []byte {
	ask := new(wire.DirectoryQuery)
	if decode(q, ask) == nil && ask.Census {
		sum := &wire.Census{Nodes: uint32(len(d.census))}
		for _, c := range d.census { // any order: a sum
			sum.Users += c.Users
			sum.Channels += c.Channels
		}
		return encode(&wire.Listings{Total: sum})
	}
	return encode(&wire.Listings{Items: d.list()})
}

func (d *directoryObject) list() []*wire.Listing {
	var items []*wire.Listing
	for _, k := range sortedKeys(d.items) {
		items = append(items, d.items[k])
	}
	return items
}

func (d *directoryObject) Snapshot() []byte {
	w := &wire.Listings{Items: d.list()}
	for _, k := range sortedKeys(d.census) {
		w.Census = append(w.Census, d.census[k])
	}
	return encode(w)
}

// Merge keeps the later renewal of each entry.
func (d *directoryObject) Merge(snapshot []byte) error {
	w, err := decodeListings(snapshot)
	for _, c := range w.GetCensus() {
		if len(c.Node) != len(nodeID("")) && err == nil {
			err = fmt.Errorf("%w: node ID of %d bytes", errWire, len(c.Node))
		}
	}
	if err != nil {
		return fmt.Errorf("merge directory %s: %w", d.shard, err)
	}
	for _, l := range w.Items {
		name := chat.Fold(string(l.Name))
		old := d.items[name]
		if old == nil || l.AtMs > old.AtMs || l.AtMs == old.AtMs && string(encode(l)) > string(encode(old)) {
			d.items[name] = l
		}
	}
	for _, c := range w.Census {
		old := d.census[string(c.Node)]
		if old == nil || c.AtMs > old.AtMs || c.AtMs == old.AtMs && string(encode(c)) > string(encode(old)) {
			d.census[string(c.Node)] = c
		}
	}
	return nil
}

func (d *directoryObject) Renew(*overlay.Turn, host.PeerID, uint64, []byte) bool { return true }
func (d *directoryObject) NodeGone(*overlay.Turn, host.PeerID, uint64)           {}
func (d *directoryObject) Nodes() []host.PeerID                                  { return nil }
func (d *directoryObject) View() []byte                                          { return nil }

// Empty reports whether all entries have lapsed.
func (d *directoryObject) Empty(now time.Time) bool {
	d.now = max(d.now, now.UnixMilli())
	d.lapse()
	return len(d.items)+len(d.census) == 0
}

func (d *directoryObject) Summary() string {
	return fmt.Sprintf("directory %s, %d channels, %d nodes", d.shard, len(d.items), len(d.census))
}
