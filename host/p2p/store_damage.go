package p2p

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// refuses reports whether a database that cannot be opened for that reason
// keeps the node from starting: it may be whole, and somebody must decide.
func refuses(err error) bool {
	return errors.Is(err, ErrStoreLocked) || errors.Is(err, ErrStoreNewer) || errors.Is(err, fs.ErrPermission) || errors.Is(err, errNoFile)
}

// open opens the database at the store's path. A damaged one is moved aside and
// an empty one made: part of what a node kept could be older than what others
// have heard from it, and a node that forgot all is made good by its replicas.
func (s *store) open() (*database, error) {
	if info, err := os.Stat(s.path); err == nil && info.Mode().IsRegular() && info.Size() == 0 {
		s.log.Warn("the database is empty, as after a crash or on a full disk: the node goes on from its copies on other nodes", "path", s.path)
	}
	base, err := openDatabase(s.path)
	if !errors.Is(err, ErrStoreDamaged) {
		return base, err
	}
	aside, moved := setAside(s.path)
	if moved != nil {
		return nil, errors.Join(err, moved)
	}
	s.log.Error("the database is damaged and was moved aside: the node begins with an empty one and goes on from its copies on other nodes", "err", err, "moved_to", aside)
	return openDatabase(s.path)
}

// broken notes that a database was found damaged in use. It is made good by
// the task that commits.
func (s *store) broken(base *database, err error) error {
	if !errors.Is(err, ErrStoreDamaged) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.base == base && !s.closed {
		s.base, s.lost, s.why = nil, base, err
		s.signal()
	}
	return err
}

// ready finds the database to commit to, or makes one. It runs with s.commits held.
func (s *store) ready() (*database, error) {
	s.mu.Lock()
	base, lost, why := s.base, s.lost, s.why
	s.mu.Unlock()
	var err error
	switch {
	case base != nil && base.inPlace():
		return base, nil
	case base != nil:
		if _, err := os.Stat(filepath.Dir(s.path)); err != nil {
			return base, fmt.Errorf("the data directory is gone: %w", err)
		}
		lost, why = base, fmt.Errorf("%s was removed or replaced", s.path)
		fallthrough
	case lost != nil:
		base, err = s.remake(lost, why)
	default:
		base, err = s.open()
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.base, s.lost, s.why = base, nil, nil
	s.mu.Unlock()
	return base, nil
}

// remake makes the database anew while the node runs, from what can be read
// of the one that was lost. What the node wrote since is still in memory.
func (s *store) remake(lost *database, why error) (*database, error) {
	part := s.path + ".new"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	unread, err := copyRecords(part, lost)
	if err != nil {
		return nil, fmt.Errorf("%w (it is to be made anew, because %w)", err, why)
	}
	aside, err := setAside(s.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.Rename(part, s.path); err != nil {
		return nil, err
	}
	base, err := openDatabase(s.path)
	if err != nil {
		return nil, err
	}
	if errors.Is(why, ErrStoreDamaged) {
		lost.abandon()
	} else if err := lost.close(); err != nil {
		s.log.Warn("closing the lost database", "err", err)
	}
	s.log.Error("the database was lost under the running node and was made anew from what could be read of it",
		"err", why, "records", base.sizes().records, "unread", unread, "moved_to", aside)
	return base, nil
}

// copyRecords makes a database of what can be read of another.
func copyRecords(path string, from *database) (unread, err error) {
	to, err := openDatabase(path)
	if err != nil {
		return nil, err
	}
	batch, size := make(map[string][]byte), 0
	unread = from.records(func(k, v []byte) bool {
		batch[string(k)] = v
		if size += len(k) + len(v); size > storeBatch {
			err = to.put(batch)
			clear(batch)
			size = 0
		}
		return err == nil
	})
	if err == nil {
		err = to.put(batch)
	}
	return unread, errors.Join(err, to.close())
}

// maxAside is how many damaged files are kept.
const maxAside = 3

// setAside renames a database, for whoever wants to look at it, and removes
// the oldest of those that were moved aside before.
func setAside(path string) (name string, err error) {
	name = path + ".damaged-" + time.Now().UTC().Format("20060102T150405.000")
	if err := os.Rename(path, name); err != nil {
		return "", fmt.Errorf("database cannot be moved aside: %w", err)
	}
	for list := asides(path); len(list) > maxAside; list = list[1:] {
		_ = os.Remove(list[0]) // one too many does no harm
	}
	return name, nil
}

// asides are the damaged files beside the database, the oldest first.
func asides(path string) []string {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil
	}
	var list []string
	for _, e := range entries { // in the order of names, which is that of time
		if strings.HasPrefix(e.Name(), filepath.Base(path)+".damaged-") {
			list = append(list, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return list
}
