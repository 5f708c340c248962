package bridge

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/gofrs/flock"
)

// lockFile is the name of the lock in the data directory. It stays there
// when the node has ended; only the lock on it is given back.
const lockFile = "lock"

// LockedError says that another node runs on the data directory.
type LockedError struct{ Dir string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("another ircbridge runs on the data directory %s", e.Dir)
}

// dataDir is a data directory that this process has locked.
type dataDir struct {
	path string
	lock *flock.Flock
}

// openDataDir makes the directory if need be, sees to it that nobody else can
// read it, and locks it. Errors are one line with the remedy; *LockedError
// when another node has it.
func openDataDir(path string) (*dataDir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", path, err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("data directory %s cannot be made (%w); name another with -data DIR", path, cause(err))
	}
	if err := closeToOthers(path); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(path, lockFile))
	switch ok, err := lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("data directory %s cannot be used (%w); make it yours, or name another with -data DIR", path, cause(err))
	case !ok:
		return nil, &LockedError{Dir: path}
	}
	return &dataDir{path: path, lock: lock}, nil
}

// closeToOthers makes the directory 0700. A directory that holds other
// people's files is refused and not changed: -data /tmp must not close /tmp.
func closeToOthers(path string) error {
	if runtime.GOOS == "windows" {
		return nil // the user's profile is closed to others already
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("data directory %s cannot be read (%w); name another with -data DIR", path, cause(err))
	}
	if !info.IsDir() {
		return fmt.Errorf("data directory %s is a file; name a directory with -data DIR", path)
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("data directory %s cannot be read (%w); name another with -data DIR", path, cause(err))
	}
	if _, err := os.Lstat(filepath.Join(path, lockFile)); len(entries) > 0 && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("data directory %s is open to others and holds other files; name a directory of its own with -data DIR, or run: chmod 700 %s", path, path)
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return fmt.Errorf("data directory %s is open to others and cannot be closed (%w); name another with -data DIR", path, cause(err))
	}
	return nil
}

func (d *dataDir) close() error { return d.lock.Unlock() }

// inUse reports whether another node runs on the directory. It makes nothing.
func inUse(path string) bool {
	if _, err := os.Stat(filepath.Join(path, lockFile)); err != nil {
		return false
	}
	lock := flock.New(filepath.Join(path, lockFile))
	ok, err := lock.TryLock()
	if ok {
		err = lock.Unlock()
	}
	return !ok || err != nil
}
