package bridge

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// The log in the data directory: at most two files of this size in bytes.
const (
	logFile    = "ircbridge.log"
	oldSuffix  = ".1"
	maxLogFile = 4 << 20
)

// rotatingFile is a log file of bounded size: when it is full it becomes
// NAME.1, in place of the one before, and a new one begins.
type rotatingFile struct {
	path string
	max  int64 // bytes

	mu   sync.Mutex // guards what follows
	file *os.File
	size int64
}

func openRotating(path string, max int64) (*rotatingFile, error) {
	r := &rotatingFile{path: path, max: max}
	if err := r.openLocked(); err != nil {
		return nil, fmt.Errorf("log file %s cannot be opened (%w); check who may write it", path, cause(err))
	}
	return r, nil
}

// Write appends one line of the log. It never splits it over two files.
func (r *rotatingFile) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return 0, os.ErrClosed
	}
	if r.size > 0 && r.size+int64(len(line)) > r.max {
		if err := r.rotateLocked(); err != nil {
			return 0, err
		}
	}
	n, err := r.file.Write(line)
	r.size += int64(n)
	return n, err
}

func (r *rotatingFile) rotateLocked() error {
	if err := r.file.Close(); err != nil {
		return fmt.Errorf("closing the full log: %w", err)
	}
	r.file = nil
	if err := os.Rename(r.path, r.path+oldSuffix); err != nil {
		// Better to lose the old log than to have none, or one without end.
		if err := os.Truncate(r.path, 0); err != nil {
			return fmt.Errorf("emptying the full log: %w", err)
		}
	}
	return r.openLocked()
}

func (r *rotatingFile) openLocked() error {
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	r.file, r.size = f, info.Size()
	return nil
}

// Close ends it; later lines are dropped.
func (r *rotatingFile) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}

// switchWriter lets the log change its place while the node starts: only the
// front-ends' configuration tells whether one of them uses the terminal.
type switchWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (s *switchWriter) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.to.Write(b)
}

func (s *switchWriter) set(w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = w
}
