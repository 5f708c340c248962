package p2p

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"ircbridge/host"
)

// openStore is a Store with its life cycle.
type openStore interface {
	host.Store
	start(t *tasks, stopped <-chan struct{})
	close(orderly bool) error
	state() StoreState
}

func newStore(cfg Config) (openStore, error) {
	if cfg.MemoryStore {
		return &store{}, nil
	}
	return openBolt(cfg.StorePath, cfg.Log)
}

const (
	storeBatch   = 8 << 20  // bytes that wait are committed before their time
	storeMost    = 64 << 20 // bytes that may wait for a disk that takes nothing
	storeEvery   = time.Second
	storeRetry   = 8 * time.Second // at most, from one try to the next on such a disk
	scanChunk    = 256
	storeTimeout = time.Second
	storeSlow    = 5 * time.Second  // a commit that takes longer is told of
	storeClosing = 10 * time.Second // for the last commit
)

// store keeps what is new in memory and commits it, synchronised to the disk,
// once a second, at the end, and at once when somebody waits for it (Sync). So a
// write costs no disk access, and a crash loses at most the last second, each
// Write whole. Without a path it keeps all in memory. While there is no database to
// be had, or it takes nothing, it goes on in memory up to a bound (see commit).
type store struct {
	path string // "": memory only
	log  *slog.Logger
	wake chan struct{} // somebody waits for a commit

	mu       sync.Mutex
	base     *database         // nil: memory only, or none at present
	lost     *database         // what was base, and is to be saved from; its damage is in why
	why      error             // of lost
	fresh    map[string][]byte // to be committed; a nil value deletes
	size     int               // bytes of fresh
	inCommit map[string][]byte // being committed
	inSize   int               // bytes of inCommit
	next     *round            // the commit of fresh, when somebody waits for it
	current  *round            // the commit of inCommit
	stopped  <-chan struct{}   // of the host; nil before start
	closed   bool
	began    time.Time // the commit that runs
	trouble  trouble
	last     time.Time // a commit succeeded; the zero time if none has

	commits sync.Mutex // held during a commit; not under mu
}

// openBolt opens the database at path. A damaged one is moved aside; when the
// disk is full or fails, the store begins in memory. Errors are those with which no
// node should start.
func openBolt(path string, log *slog.Logger) (*store, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("data directory cannot be made: %w", err)
	}
	s := &store{path: path, log: log, wake: make(chan struct{}, 1)}
	_ = os.Remove(path + ".new") // what a crash left of a database that was being made
	base, err := s.open()
	switch {
	case err == nil:
		s.base = base
	case refuses(err):
		return nil, err
	default:
		s.trouble.begin(s.wrap("open", err), s.log)
	}
	return s, nil
}

// Get implements host.Store.
func (s *store) Get(key string) ([]byte, error) {
	value, ok, base, err := s.recent(key)
	if ok || err != nil || base == nil {
		return value, err
	}
	if value, err = base.get(key); err != nil {
		return nil, s.wrap("read", s.broken(base, err))
	}
	// A commit that ended between the two looks has moved the value to where
	// the second one found it; one that began afterwards changes nothing.
	return value, nil
}

func (s *store) recent(key string) (value []byte, ok bool, base *database, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false, nil, s.wrap("read", host.ErrStopped)
	}
	if value, ok = s.fresh[key]; !ok {
		value, ok = s.inCommit[key]
	}
	return bytes.Clone(value), ok, s.base, nil
}

// Scan implements host.Store. f runs without a lock and may use the store;
// what is written meanwhile may or may not be seen.
func (s *store) Scan(prefix string, f func(key string, value []byte) bool) error {
	from := prefix
	for {
		chunk, more, err := s.chunk(prefix, from)
		if err != nil {
			return err
		}
		for _, c := range chunk {
			if c.Value != nil && !f(c.Key, c.Value) {
				return nil
			}
		}
		if !more {
			return nil
		}
		from = chunk[len(chunk)-1].Key + "\x00"
	}
}

// chunk returns some records with the prefix, in order, from a key on; a nil
// value stands for one that was deleted.
func (s *store) chunk(prefix, from string) (_ []host.Change, more bool, err error) {
	merged := make(map[string][]byte)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, false, s.wrap("read", host.ErrStopped)
	}
	base := s.base
	for _, layer := range []map[string][]byte{s.inCommit, s.fresh} {
		for k, v := range layer {
			if strings.HasPrefix(k, prefix) && k >= from {
				merged[k] = v // nobody changes it
			}
		}
	}
	s.mu.Unlock()
	end := "" // keys above it are for the next chunk
	if base != nil {
		if end, more, err = base.chunk(prefix, from, merged); err != nil {
			return nil, false, s.wrap("read", s.broken(base, err))
		}
	}
	var list []host.Change
	for _, k := range slices.Sorted(maps.Keys(merged)) {
		if !more || k <= end {
			list = append(list, host.Change{Key: k, Value: bytes.Clone(merged[k])})
		}
	}
	return list, more, nil
}

// chunk puts some records into merged, unless a newer one is there, and
// returns the key of the last.
func (d *database) chunk(prefix, from string, merged map[string][]byte) (end string, more bool, err error) {
	err = d.view(func(b *bbolt.Bucket) error {
		n := 0
		c := b.Cursor()
		for k, sealed := c.Seek([]byte(from)); k != nil && bytes.HasPrefix(k, []byte(prefix)); k, sealed = c.Next() {
			if n++; n > scanChunk {
				more = true
				return nil
			}
			v, err := unseal(k, sealed)
			if err != nil {
				return err
			}
			end = string(k)
			if _, newer := merged[end]; !newer {
				merged[end] = append([]byte{}, v...)
			}
		}
		return nil
	})
	return end, more, err
}

// Write implements host.Store. It never waits for the disk. While the disk takes
// nothing it refuses what goes beyond 64 MiB: memory has an end too.
func (s *store) Write(changes ...host.Change) error {
	if slices.ContainsFunc(changes, func(c host.Change) bool { return c.Key == "" || len(c.Key) > bbolt.MaxKeySize }) {
		return fmt.Errorf("store: a key must have 1 to %d bytes", bbolt.MaxKeySize)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return s.wrap("write", host.ErrStopped)
	case s.path != "" && s.size+s.inSize+s.growthLocked(changes) > storeMost:
		return s.wrap("write", errors.Join(fmt.Errorf("%w: %d MiB wait for the disk", host.ErrBusy, (s.size+s.inSize)>>20), s.trouble.err))
	}
	if s.fresh == nil {
		s.fresh = make(map[string][]byte)
	}
	for _, c := range changes {
		if old, ok := s.fresh[c.Key]; ok {
			s.size -= len(c.Key) + len(old)
			delete(s.fresh, c.Key)
		}
		if s.path == "" && c.Value == nil {
			continue
		}
		s.fresh[c.Key] = bytes.Clone(c.Value)
		s.size += len(c.Key) + len(c.Value)
	}
	if s.size > storeBatch {
		s.signal()
	}
	return nil
}

// growthLocked is how much more is to be committed with these changes. What
// changes again and again takes no more room than once.
func (s *store) growthLocked(changes []host.Change) (more int) {
	for _, c := range changes {
		if old, ok := s.fresh[c.Key]; ok {
			more += len(c.Value) - len(old)
		} else {
			more += len(c.Key) + len(c.Value)
		}
	}
	return more
}

// signal asks for a commit before its time.
func (s *store) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // asked for already; or nobody would listen (memory only)
	}
}

func (s *store) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	if s.path == "" {
		return fmt.Errorf("%s store: %w", what, err)
	}
	return fmt.Errorf("%s database: %w", what, err)
}

// close commits what is new, unless the end is not orderly (a test's crash).
func (s *store) close(orderly bool) error {
	s.mu.Lock()
	ended := s.closed
	s.closed = s.closed || !orderly || s.path == ""
	s.mu.Unlock()
	if ended || s.path == "" {
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- s.finish(orderly) }()
	select {
	case err := <-done:
		return err
	case <-time.After(storeClosing):
		return fmt.Errorf("write database %s: the disk takes longer than %v; what was new is lost", s.path, storeClosing)
	}
}

func (s *store) finish(orderly bool) (err error) {
	if orderly {
		err = s.commit()
	}
	s.commits.Lock() // none runs any more
	defer s.commits.Unlock()
	s.mu.Lock()
	s.closed = true
	base, lost := s.base, s.lost
	s.base, s.lost = nil, nil
	s.mu.Unlock()
	if lost != nil {
		lost.abandon()
	}
	if base != nil {
		err = errors.Join(err, base.close())
	}
	return err
}
