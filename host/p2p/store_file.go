package p2p

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"sync"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"ircbridge/host/p2p/boltfile"
)

// errNoFile: something else has the name of the database.
var errNoFile = errors.New("it is no regular file")

// Errors of the database.
var (
	// ErrStoreLocked: another process has the database open.
	ErrStoreLocked = errors.New("database is in use by another process")
	// ErrStoreNewer: the database was written by a later version of the program.
	ErrStoreNewer = errors.New("database is of a later version of the program")
	// ErrStoreDamaged: the file is no database, or a broken one.
	ErrStoreDamaged = errors.New("database is damaged")
)

// database is an open database file. bbolt maps it into memory, so that a page that
// is damaged, or gone, shows itself by a fault or a panic: each use is guarded. After
// ErrStoreDamaged it must not be used again but for records and abandon.
type database struct {
	db   *bbolt.DB
	file *os.File // bbolt's own
	path string

	mu   sync.Mutex
	size sizes // as of the last commit
}

// sizes is what a database holds.
type sizes struct {
	records int
	bytes   int64 // of keys and values
}

// openDatabase opens a database, and makes it if it is absent or empty. What is
// there is read through first: bbolt believes what it reads.
func openDatabase(path string) (*database, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("database cannot be read: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("database %s: %w", path, errNoFile)
	case info.Size() > 0:
		if err := examine(path); err != nil {
			return nil, err
		}
	}
	d, err := openFile(path, false)
	if err != nil {
		return nil, err
	}
	if err := d.prepare(); err != nil {
		if errors.Is(err, ErrStoreDamaged) {
			d.abandon()
			return nil, err
		}
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// examine reads the structure of the file, with the lock that keeps other
// processes from writing to it.
func examine(path string) error {
	d, err := openFile(path, true)
	if err != nil {
		return err
	}
	info, err := d.file.Stat()
	if err == nil {
		var f *boltfile.File
		if f, err = boltfile.Open(d.file, info.Size()); err == nil {
			err = f.Check()
		}
	}
	if err != nil { // a page that the disk cannot read is no better than a wrong one
		err = fmt.Errorf("%w: %s: %w", ErrStoreDamaged, path, err)
	}
	return errors.Join(err, d.close())
}

// openFile opens the file and gives bbolt's errors our words.
func openFile(path string, readOnly bool) (*database, error) {
	d := &database{path: path}
	options := bbolt.Options{
		Timeout: storeTimeout, FreelistType: bbolt.FreelistMapType, ReadOnly: readOnly, NoStatistics: true,
		OpenFile: func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
			f, err = os.OpenFile(name, flag, mode)
			d.file = f
			return f, err
		},
	}
	err := d.guarded(func() (err error) {
		d.db, err = bbolt.Open(path, 0o600, &options)
		return err
	})
	switch {
	case err == nil:
		return d, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%w: %s: stop the other node, or give this one a data directory of its own", ErrStoreLocked, path)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
		return nil, fmt.Errorf("%w: %s: %w", ErrStoreDamaged, path, err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("database %s may not be opened: %w", path, err)
	case errors.Is(err, ErrStoreDamaged):
		d.abandon()
		return nil, err
	}
	if info, statErr := os.Stat(path); readOnly && statErr == nil && info.Size() < int64(2*os.Getpagesize()) {
		return nil, fmt.Errorf("%w: %s: %w", ErrStoreDamaged, path, err)
	}
	return nil, fmt.Errorf("database %s cannot be opened: %w", path, err)
}

// guarded runs f and makes an error of the panics and memory faults with which
// bbolt meets damaged pages.
func (d *database) guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %s: %s", ErrStoreDamaged, d.path, cleanText(fmt.Sprint(r), 200))
		}
	}()
	return f()
}

// prepare makes the buckets of a new file, brings an older layout to the
// present one, and counts what is there.
func (d *database) prepare() error {
	layout, err := d.layout()
	if err != nil {
		return err
	}
	if layout > storeLayout {
		return fmt.Errorf("%w: %s has layout %d, this program knows layouts up to %d: start a later version of ircbridge, "+
			"or move the file away to start without what it holds", ErrStoreNewer, d.path, layout, storeLayout)
	}
	if layout < storeLayout {
		err := d.guarded(func() error { return d.db.Update(func(tx *bbolt.Tx) error { return upgrade(tx, layout) }) })
		if err != nil {
			return fmt.Errorf("database %s cannot be brought from layout %d to %d: %w", d.path, layout, storeLayout, err)
		}
	}
	return d.count()
}

// count reads all records once, which shows too whether they are whole.
func (d *database) count() error {
	var size sizes
	err := d.view(func(b *bbolt.Bucket) error {
		return b.ForEach(func(k, sealed []byte) error {
			v, err := unseal(k, sealed)
			size.records++
			size.bytes += int64(len(k) + len(v))
			return err
		})
	})
	d.setSizes(size)
	return err
}

func (d *database) sizes() sizes {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.size
}

func (d *database) setSizes(size sizes) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.size = size
}

// view runs f on the records as they are. What f keeps it must copy.
func (d *database) view(f func(b *bbolt.Bucket) error) error {
	return d.guarded(func() error {
		return d.db.View(func(tx *bbolt.Tx) error { return f(tx.Bucket(recordBucket)) })
	})
}

func (d *database) get(key string) (value []byte, err error) {
	err = d.view(func(b *bbolt.Bucket) error {
		sealed := b.Get([]byte(key))
		if sealed == nil {
			return nil
		}
		v, err := unseal([]byte(key), sealed)
		value = append([]byte{}, v...)
		return err
	})
	return value, err
}

// put makes the changes and waits until they are on the disk.
func (d *database) put(batch map[string][]byte) error {
	size := d.sizes()
	err := d.guarded(func() error {
		return d.db.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(recordBucket)
			for _, k := range slices.Sorted(maps.Keys(batch)) {
				if err := put(b, []byte(k), batch[k], &size); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err == nil {
		d.setSizes(size)
	}
	return err
}

func put(b *bbolt.Bucket, key, value []byte, size *sizes) error {
	if old := b.Get(key); old != nil {
		size.records--
		size.bytes -= int64(len(key) + len(old) - sealSize)
	}
	if value == nil {
		return b.Delete(key)
	}
	size.records++
	size.bytes += int64(len(key) + len(value))
	return b.Put(key, seal(key, value))
}

// records calls see for what can still be read of a database that is
// damaged, or whose file was removed while it was open.
func (d *database) records(see func(key, value []byte) bool) error {
	info, err := d.file.Stat()
	if err != nil {
		return err
	}
	f, err := boltfile.Open(d.file, info.Size())
	if err != nil {
		return err
	}
	var broken error
	err = f.Records(string(recordBucket), func(k, sealed []byte) bool {
		v, err := unseal(k, sealed)
		if err != nil {
			broken = err
			return true
		}
		return see(k, bytes.Clone(v))
	})
	return errors.Join(err, broken)
}

// inPlace reports whether the file is still found under its name.
func (d *database) inPlace() bool {
	there, err := os.Stat(d.path)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	open, err := d.file.Stat()
	return err != nil || os.SameFile(there, open)
}

func (d *database) close() error { return d.guarded(d.db.Close) }

// abandon gives back what can be given back of a database in which bbolt has
// met damage: it may hold its locks for ever, so it is not asked to close.
func (d *database) abandon() {
	if d.file != nil {
		_ = d.file.Close() // nothing is lost by it
	}
}
