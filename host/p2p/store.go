package p2p

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"ircbridge/host"
)

// Errors of the database.
var (
	// ErrStoreLocked: another process has the database open.
	ErrStoreLocked = errors.New("database is in use by another process")
	// ErrStoreDamaged: the file is no database, or a broken one.
	ErrStoreDamaged = errors.New("database is damaged")
)

// openStore is a Store with its life cycle.
type openStore interface {
	host.Store
	start(t *tasks, stopped <-chan struct{})
	close(orderly bool) error
}

func newStore(cfg Config) (openStore, error) {
	if cfg.MemoryStore {
		return &store{}, nil
	}
	return openBolt(cfg.StorePath)
}

const (
	storeBatch   = 8 << 20 // bytes that may wait for the next commit
	storeEvery   = time.Second
	scanChunk    = 256
	storeTimeout = time.Second
)

var bucketName = []byte("store")

// store keeps what is new in memory and commits it, synchronised to the disk,
// once a second, at the end, and at once when somebody waits for it (Sync). So a
// write costs no disk access, and a crash loses at most the last second, each
// Write whole. Without a database it keeps all in memory.
type store struct {
	db   *bbolt.DB     // nil: memory only
	wake chan struct{} // somebody waits for a commit

	mu       sync.Mutex
	fresh    map[string][]byte // to be committed; a nil value deletes
	size     int
	inCommit map[string][]byte // being committed
	next     *round            // the commit of fresh, when somebody waits for it
	current  *round            // the commit of inCommit
	stopped  <-chan struct{}   // of the host; nil before start
	closed   bool
	failed   error // of the last commit

	commits sync.Mutex // held during a commit; not under mu
}

func openBolt(path string) (*store, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("data directory cannot be made: %w", err)
	}
	if err := checkLength(path); err != nil {
		return nil, err
	}
	db, err := openFile(path, false)
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucketName)
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("database cannot be written: %w", err), db.Close())
	}
	return &store{db: db, wake: make(chan struct{}, 1)}, nil
}

// checkLength sees that an existing file is as long as it says. A shorter one
// would end the process at the first look beyond its end, because bbolt maps
// it into memory; opened for reading only, it looks at the first pages.
func checkLength(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("database cannot be read: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("database %s is no regular file", path)
	case info.Size() == 0:
		return nil
	}
	db, err := openFile(path, true)
	if err != nil {
		return err
	}
	err = db.View(func(tx *bbolt.Tx) error {
		if tx.Size() > info.Size() {
			return fmt.Errorf("%w: %s: %d bytes of %d are there: %s", ErrStoreDamaged, path, info.Size(), tx.Size(), storeRemedy)
		}
		return nil
	})
	return errors.Join(err, db.Close())
}

const storeRemedy = "move the file away to start without it"

// openFile opens the database and gives bbolt's errors, and the panics with which
// it meets some damaged files, our words.
func openFile(path string, readOnly bool) (db *bbolt.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %s: %s: %s", ErrStoreDamaged, path, cleanText(fmt.Sprint(r), 200), storeRemedy)
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: storeTimeout, FreelistType: bbolt.FreelistMapType, ReadOnly: readOnly})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%w: %s: stop the other node, or give this one a data directory of its own", ErrStoreLocked, path)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
		return nil, fmt.Errorf("%w: %s: %w: %s", ErrStoreDamaged, path, err, storeRemedy)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("database %s may not be opened: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %s: %w: %s", ErrStoreDamaged, path, err, storeRemedy)
	}
	return db, nil
}

// Get implements host.Store.
func (s *store) Get(key string) ([]byte, error) {
	if value, ok, err := s.recent(key); ok || err != nil {
		return value, err
	}
	if s.db == nil {
		return nil, nil
	}
	var value []byte
	err := s.db.View(func(tx *bbolt.Tx) error {
		value = bytes.Clone(tx.Bucket(bucketName).Get([]byte(key)))
		return nil
	})
	if err != nil {
		return nil, s.wrap("read", err)
	}
	// A commit that ended between the two looks has moved the value to where
	// the second one found it; one that began afterwards changes nothing.
	return value, nil
}

func (s *store) recent(key string) (value []byte, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false, s.wrap("read", host.ErrStopped)
	}
	if value, ok = s.fresh[key]; !ok {
		value, ok = s.inCommit[key]
	}
	return bytes.Clone(value), ok, nil
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
	for _, layer := range []map[string][]byte{s.inCommit, s.fresh} {
		for k, v := range layer {
			if strings.HasPrefix(k, prefix) && k >= from {
				merged[k] = bytes.Clone(v)
			}
		}
	}
	s.mu.Unlock()
	end := "" // keys above it are for the next chunk
	if s.db != nil {
		err = s.db.View(func(tx *bbolt.Tx) error {
			n := 0
			c := tx.Bucket(bucketName).Cursor()
			for k, v := c.Seek([]byte(from)); k != nil && bytes.HasPrefix(k, []byte(prefix)); k, v = c.Next() {
				if n++; n > scanChunk {
					more = true
					break
				}
				end = string(k)
				if _, newer := merged[end]; !newer {
					merged[end] = append([]byte{}, v...)
				}
			}
			return nil
		})
	}
	var list []host.Change
	for _, k := range slices.Sorted(maps.Keys(merged)) {
		if !more || k <= end {
			list = append(list, host.Change{Key: k, Value: merged[k]})
		}
	}
	return list, more, s.wrap("read", err)
}

// Write implements host.Store. It waits for the disk only when more than 8 MiB
// are not yet committed.
func (s *store) Write(changes ...host.Change) error {
	if slices.ContainsFunc(changes, func(c host.Change) bool { return c.Key == "" || len(c.Key) > bbolt.MaxKeySize }) {
		return fmt.Errorf("store: a key must have 1 to %d bytes", bbolt.MaxKeySize)
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return s.wrap("write", host.ErrStopped)
	}
	if s.failed != nil && s.size > storeBatch { // the disk takes nothing: memory has an end too
		defer s.mu.Unlock()
		return s.failed
	}
	if s.fresh == nil {
		s.fresh = make(map[string][]byte)
	}
	for _, c := range changes {
		if s.db == nil && c.Value == nil {
			delete(s.fresh, c.Key)
			continue
		}
		value := bytes.Clone(c.Value)
		s.fresh[c.Key] = value
		s.size += len(c.Key) + len(value)
	}
	full := s.size > storeBatch && s.db != nil
	failed := s.failed
	s.mu.Unlock()
	if full {
		return s.commit()
	}
	return failed
}

func (s *store) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	if s.db == nil {
		return fmt.Errorf("%s store: %w", what, err)
	}
	return fmt.Errorf("%s database: %w", what, err)
}

// close commits what is new, unless the end is not orderly (a test's crash).
func (s *store) close(orderly bool) error {
	var err error
	if orderly {
		err = s.commit()
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	if s.db != nil {
		err = errors.Join(err, s.db.Close())
	}
	return err
}
