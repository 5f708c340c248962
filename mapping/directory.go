package mapping

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// The directory is sixteen objects, "0" to "f". The keeper of each channel
// that is not secret enters its name, topic and number of members, and renews
// that; entries that are not renewed lapse. LIST reads all sixteen.

const shards = "0123456789abcdef"

// listingLife is how long an entry lasts without renewal, in ms.
const listingLife = 90_000

// maxListings bounds one shard.
const maxListings = 4096

func shardOf(channel string) string {
	sum := sha256.Sum256([]byte(channel))
	return shards[sum[0]>>4 : sum[0]>>4+1]
}

// listing is an entry, as this node last entered it.
type listing struct {
	topic   string
	count   int
	renewed time.Time
}

// directoryObject is the keeper's side of one shard (overlay.Object).
type directoryObject struct {
	shard string
	items map[string]*wire.Listing // by folded name
	now   int64
}

func newDirectoryObject(shard string) *directoryObject {
	return &directoryObject{shard: shard, items: map[string]*wire.Listing{}}
}

// Apply enters what a channel's keeper says.
func (d *directoryObject) Apply(t *overlay.Turn, req []byte) []byte { return d.apply(t, req) }

func (d *directoryObject) apply(t turn, req []byte) []byte {
	d.now = t.Now().UnixMilli()
	items, err := decodeListings(req)
	if err != nil {
		return encode(refuse(wire.Code_BAD_REQUEST))
	}
	for _, l := range items {
		l.AtMs, l.Version = d.now, t.Number()
		if name := chat.Fold(string(l.Name)); shardOf(name) == d.shard && (len(d.items) < maxListings || d.items[name] != nil) {
			d.items[name] = l
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
}

func decodeListings(b []byte) ([]*wire.Listing, error) {
	w := new(wire.Listings)
	if err := decode(b, w); err != nil {
		return nil, err
	}
	if len(w.Items) > maxListings {
		return nil, fmt.Errorf("%w: %d listings", errWire, len(w.Items))
	}
	for _, l := range w.Items {
		if !chat.ValidChannel(string(l.GetName())) || len(l.GetTopic()) > chat.MaxTopic || !oneLine(string(l.GetTopic())) {
			return nil, fmt.Errorf("%w: listing of %q", errWire, chat.Cut(string(l.GetName()), 60))
		}
	}
	return w.Items, nil
}

func (d *directoryObject) Query(host.PeerID, []byte) []byte { return d.Snapshot() }

func (d *directoryObject) Snapshot() []byte {
	w := new(wire.Listings)
	for _, k := range sortedKeys(d.items) {
		w.Items = append(w.Items, d.items[k])
	}
	return encode(w)
}

// Merge keeps the later renewal of each entry.
func (d *directoryObject) Merge(snapshot []byte) error {
	items, err := decodeListings(snapshot)
	if err != nil {
		return fmt.Errorf("merge directory %s: %w", d.shard, err)
	}
	for _, l := range items {
		name := chat.Fold(string(l.Name))
		old := d.items[name]
		if old == nil || l.AtMs > old.AtMs || l.AtMs == old.AtMs && string(encode(l)) > string(encode(old)) {
			d.items[name] = l
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
	return len(d.items) == 0
}

func (d *directoryObject) Summary() string {
	return fmt.Sprintf("directory %s, %d channels", d.shard, len(d.items))
}

// directoryLoop enters the channels that this node keeps: within seconds when
// something changed, else every 30.
func (s *Service) directoryLoop() {
	for s.h.Sleep(2*time.Second+time.Duration(s.h.Rand()%uint64(time.Second))) == nil {
		s.enterListings()
	}
}

func (s *Service) enterListings() {
	byShard := map[string][]*wire.Listing{}
	kept := map[string]bool{}
	for _, name := range s.o.Kept(kindChannel) {
		raw, found, _, err := s.o.Query(kindChannel, name, nil, s.cfg.GiveUp)
		a := new(wire.ChannelAnswer)
		if err != nil || !found || decode(raw, a) != nil {
			continue
		}
		kept[name] = true
		l := &wire.Listing{Name: a.GetState().GetName(), Topic: a.GetState().GetTopic().GetText(), Count: a.Count}
		l.Gone = !a.Exists || a.Secret
		if l.Gone {
			l.Name, l.Topic, l.Count = []byte(name), nil, 0
		}
		if s.listingChanged(name, l) {
			byShard[shardOf(name)] = append(byShard[shardOf(name)], l)
		}
	}
	s.mu.Lock()
	for name := range s.listings { // any order: each for itself
		if !kept[name] {
			delete(s.listings, name)
		}
	}
	s.mu.Unlock()
	for _, shard := range sortedKeys(byShard) {
		s.enterShard(shard, byShard[shard])
	}
}

// listingChanged reports whether an entry is new, different or to be renewed.
// What is gone and was never entered is none.
func (s *Service) listingChanged(name string, l *wire.Listing) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, now := s.listings[name], s.h.Now()
	if l.Gone {
		delete(s.listings, name)
		return old != nil
	}
	if old != nil && old.topic == string(l.Topic) && old.count == int(l.Count) && now.Sub(old.renewed) < 30*time.Second {
		return false
	}
	s.listings[name] = &listing{topic: string(l.Topic), count: int(l.Count), renewed: now}
	return true
}

// enterShard sends entries to a shard, a few at a time.
func (s *Service) enterShard(shard string, items []*wire.Listing) {
	const few = 64
	for len(items) > 0 {
		part := items[:min(few, len(items))]
		items = items[len(part):]
		s.mu.Lock()
		s.lastNode++
		number := s.lastNode
		s.mu.Unlock()
		req := encode(&wire.Listings{Items: part})
		if _, err := s.o.Request(kindDirectory, shard, s.stream(0), number, [][]byte{req}, s.cfg.GiveUp); err != nil {
			s.mu.Lock()
			for _, l := range part {
				delete(s.listings, chat.Fold(string(l.Name)))
			}
			s.mu.Unlock()
		}
	}
}

// directory reads all shards at once. One that does not answer is left out;
// when none answers the network is unreachable.
func (s *Service) directory(ctx context.Context) ([]chat.Listed, error) {
	d := host.Budget(ctx, s.h.Now(), s.cfg.GiveUp)
	done, left, failed := s.h.NewEvent(), len(shards), 0
	var all []*wire.Listing
	for i := range shards {
		shard := shards[i : i+1]
		s.h.Go("mapping list", func() {
			raw, found, _, err := s.o.Query(kindDirectory, shard, nil, d)
			items, bad := decodeListings(raw)
			s.mu.Lock()
			defer s.mu.Unlock()
			switch {
			case err != nil:
				failed++
			case found && bad == nil:
				all = append(all, items...)
			}
			if left--; left == 0 {
				done.Signal()
			}
		})
	}
	if err := done.Wait(ctx, d+time.Second); err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if failed == len(shards) {
		return nil, fmt.Errorf("list: %w", chat.ErrUnreachable)
	}
	var list []chat.Listed
	for _, l := range all {
		if !l.Gone {
			list = append(list, chat.Listed{Name: string(l.Name), Topic: string(l.Topic), Count: int(l.Count)})
		}
	}
	return list, nil
}
