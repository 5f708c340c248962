package mapping

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"
)

// The directory is sixteen objects, "0" to "f". The keeper of each channel
// that is not secret enters its name, topic and number of members, and renews
// that; entries that are not renewed lapse. LIST reads all sixteen. Nodes enter
// themselves too, for what LUSERS counts (census.go).

const shards = "0123456789abcdef"

// shardOf is the shard of a channel's folded name.
func shardOf(channel string) string {
	sum := sha256.Sum256([]byte(channel))
	return shardAt(sum[0] >> 4)
}

// shardOfNode is the shard in which a node enters itself.
func shardOfNode(id [20]byte) string { return shardAt(id[0] >> 4) }

func shardAt(i byte) string { return shards[i : i+1] }

// listing is a channel's entry, as this node last entered it.
type listing struct {
	name    string // the channel's, then
	what    string // the entry's canonical form
	renewed time.Time
}

// renewEntry is the pause between two renewals of an entry that stays the same.
const renewEntry = 30 * time.Second

// directoryLoop enters the channels that this node keeps, and itself: within
// seconds when something changed, else every 30; and counts the overlay.
func (s *Service) directoryLoop() {
	for s.h.Sleep(2*time.Second+time.Duration(s.h.Rand()%uint64(time.Second))) == nil {
		s.enterListings()
		s.enterSelf()
		s.countOverlay()
	}
}

func (s *Service) enterListings() {
	byShard := map[string][]entry{}
	kept := map[string]*wire.Listing{}
	var renamed []renamed
	s.o.Visit(kindChannel, func(name string, obj overlay.Object) {
		if c, ok := obj.(*channelObject); ok {
			kept[name] = c.listing()
			if r, ok := c.renamed(); ok {
				renamed = append(renamed, r)
			}
		}
	})
	s.mu.Lock()
	for _, name := range sortedKeys(kept) {
		for _, l := range s.newListingsLocked(name, kept[name]) {
			shard := shardOf(chat.Fold(string(l.Name)))
			byShard[shard] = append(byShard[shard], entry{name, l})
		}
	}
	s.keepAliasesLocked(renamed)
	for name := range s.listings { // any order: each for itself
		if kept[name] == nil {
			delete(s.listings, name)
		}
	}
	s.mu.Unlock()
	for _, shard := range sortedKeys(byShard) {
		s.enterShard(shard, byShard[shard])
	}
}

// listing is the channel's entry in the directory. One that nobody may see is
// entered as gone.
func (c *channelObject) listing() *wire.Listing {
	if len(c.s.members) == 0 || c.s.is('s') {
		return &wire.Listing{Name: []byte(c.name), Gone: true}
	}
	l := &wire.Listing{
		Name: []byte(c.s.shown()), Topic: []byte(c.s.topic.text), Count: uint32(len(c.s.members)), CreatedMs: c.s.birth.at,
	}
	if c.s.topic.text != "" {
		l.TopicAtMs = c.s.topic.at
	}
	return l
}

// entry is what is new of a channel, by its home.
type entry struct {
	home    string
	listing *wire.Listing
}

// newListingsLocked is what is to be entered of a channel: its listing when that is new,
// different or to be renewed; and that the name is gone which it had when it was entered
// last. What is gone and was never entered is nothing.
func (s *Service) newListingsLocked(home string, l *wire.Listing) (list []*wire.Listing) {
	old, now := s.listings[home], s.h.Now()
	if old != nil && (l.Gone || !chat.SameName(old.name, string(l.Name))) {
		list = append(list, &wire.Listing{Name: []byte(old.name), Gone: true})
	}
	if l.Gone {
		delete(s.listings, home)
		return list
	}
	what := string(encode(l))
	if old != nil && old.what == what && now.Sub(old.renewed) < renewEntry {
		return nil
	}
	s.listings[home] = &listing{name: string(l.Name), what: what, renewed: now}
	return append(list, l)
}

// enterShard sends entries of channels to a shard, a few at a time.
func (s *Service) enterShard(shard string, entries []entry) {
	const few = 64
	for part := range slices.Chunk(entries, few) {
		w := new(wire.Listings)
		for _, e := range part {
			w.Items = append(w.Items, e.listing)
		}
		if s.enter(shard, w) != nil {
			s.mu.Lock()
			for _, e := range part {
				delete(s.listings, e.home)
			}
			s.mu.Unlock()
		}
	}
}

// enter sends entries to a shard.
func (s *Service) enter(shard string, entries *wire.Listings) error {
	s.mu.Lock()
	s.lastNode++
	number := s.lastNode
	s.mu.Unlock()
	_, err := s.o.Request(kindDirectory, shard, s.stream(0), number, [][]byte{encode(entries)}, s.cfg.GiveUp)
	return err
}

// readDirectory asks all shards at once, and gives what each answered to take,
// under the lock; absent shards are empty. It waits for at most d and a second,
// or until ctx ends, and returns how many did not answer.
func (s *Service) readDirectory(ctx context.Context, q *wire.DirectoryQuery, d time.Duration, take func(shard int, w *wire.Listings)) (failed int) {
	done, left, ask, over := s.h.NewEvent(), len(shards), encode(q), false
	for i := range shards {
		s.h.Go("mapping read directory", func() {
			raw, found, _, err := s.o.Query(kindDirectory, shardAt(byte(i)), ask, d)
			w := new(wire.Listings)
			if err == nil && found {
				w, err = decodeListings(raw)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if err == nil && !over {
				take(i, w)
			}
			if err != nil {
				failed++
			}
			if left--; left == 0 {
				done.Signal()
			}
		})
	}
	_ = done.Wait(ctx, d+time.Second)
	s.mu.Lock()
	defer s.mu.Unlock()
	over = true
	return failed + left
}

// directory lists all channels. A shard that does not answer is left out; when
// none answers the network is unreachable.
func (s *Service) directory(ctx context.Context) ([]chat.Listed, error) {
	var list []chat.Listed
	failed := s.readDirectory(ctx, &wire.DirectoryQuery{}, host.Budget(ctx, s.h.Now(), s.cfg.GiveUp), func(_ int, w *wire.Listings) {
		for _, l := range w.Items {
			if !l.Gone {
				list = append(list, listedFromWire(l))
			}
		}
	})
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case failed == len(shards):
		return nil, fmt.Errorf("list: %w", chat.ErrUnreachable)
	}
	return list, nil
}

func listedFromWire(l *wire.Listing) chat.Listed {
	out := chat.Listed{Name: string(l.Name), Topic: string(l.Topic), Count: int(l.Count)}
	if l.CreatedMs != 0 {
		out.Created = time.UnixMilli(l.CreatedMs)
	}
	if l.TopicAtMs != 0 && out.Topic != "" {
		out.TopicAt = time.UnixMilli(l.TopicAtMs)
	}
	return out
}
