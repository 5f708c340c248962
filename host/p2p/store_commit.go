package p2p

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"ircbridge/host"
)

// A round is one commit, for those who wait for its end.
type round struct {
	done chan struct{}
	err  error // set before done is closed
}

func newRound() *round { return &round{done: make(chan struct{})} }

func (r *round) end(err error) {
	if r != nil {
		r.err = err
		close(r.done)
	}
}

// trouble is a disk that takes nothing: said once in the log, tried again at
// growing distances, and said once more when it is over.
type trouble struct {
	err   error // nil: none
	since time.Time
	wait  time.Duration
	retry time.Time // not before
}

func (t *trouble) begin(err error, log *slog.Logger) {
	now := time.Now()
	if t.err == nil {
		*t = trouble{since: now, wait: storeEvery / 2}
		log.Error("the database takes nothing: the node goes on from memory and from its copies on other nodes, and tries again", "err", err)
	}
	t.err, t.wait = err, min(2*t.wait, storeRetry)
	t.retry = now.Add(t.wait)
}

func (t *trouble) end(log *slog.Logger, base *database) {
	if t.err != nil {
		log.Info("the database takes writes again, and has all that waited", "after", time.Since(t.since).Round(time.Second), "path", base.path, "records", base.sizes().records)
		*t = trouble{}
	}
}

// start begins the task that commits.
func (s *store) start(t *tasks, stopped <-chan struct{}) {
	s.mu.Lock()
	s.stopped = stopped
	s.mu.Unlock()
	if s.path == "" {
		return
	}
	t.start("commit to the database", func() {
		tick := time.NewTicker(storeEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-s.wake:
			case <-stopped:
				return
			}
			if s.mayTry() {
				_ = s.commit() // who waits is told
			}
		}
	})
}

// mayTry reports whether the disk is well, or it is time to try it again.
func (s *store) mayTry() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mayTryLocked()
}

func (s *store) mayTryLocked() bool {
	return s.trouble.err == nil || !time.Now().Before(s.trouble.retry)
}

// Sync implements host.Store. It is a group commit: whoever comes while one
// commit runs waits for the next, which takes all that was written until it begins.
// While the disk takes nothing, he is told at once, and not only by the next try.
func (s *store) Sync(d time.Duration) error {
	r, stopped, err := s.join()
	if r == nil || err != nil {
		return err
	}
	if stopped == nil { // before Start nobody else commits
		return s.commit()
	}
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-r.done:
		return r.err
	case <-stopped:
		return s.wrap("synchronise", host.ErrStopped)
	case <-timer.C:
		return s.wrap("synchronise", fmt.Errorf("%w: no commit within %v", host.ErrTimeout, d))
	}
}

// join finds the commit after which all that was written until now is durable;
// none when it is already.
func (s *store) join() (*round, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.stopped:
		return nil, nil, s.wrap("synchronise", host.ErrStopped)
	default:
	}
	switch {
	case s.closed:
		return nil, nil, s.wrap("synchronise", host.ErrStopped)
	case s.path == "":
		return nil, nil, nil
	case len(s.fresh) == 0 && s.current != nil:
		return s.current, s.stopped, nil
	case !s.mayTryLocked():
		return nil, nil, s.trouble.err
	case len(s.fresh) == 0 && s.trouble.err == nil && s.base != nil:
		return nil, nil, nil
	}
	if s.next == nil {
		s.next = newRound()
		s.signal()
	}
	return s.next, s.stopped, nil
}

// commit writes what is new to the disk. When that fails, it stays in memory
// for the next try.
func (s *store) commit() error {
	s.commits.Lock()
	defer s.commits.Unlock()
	if !s.begin() {
		return s.wrap("write", host.ErrStopped)
	}
	base, err := s.ready()
	s.mu.Lock()
	batch, r := s.fresh, s.next
	s.next = nil
	if err != nil || len(batch) == 0 {
		defer s.mu.Unlock()
		return s.endLocked(r, base, err)
	}
	if r == nil {
		r = newRound()
	}
	s.inCommit, s.inSize, s.current = batch, s.size, r
	s.fresh, s.size = nil, 0
	s.mu.Unlock()
	if err = base.put(batch); errors.Is(err, ErrStoreDamaged) {
		_ = s.broken(base, err)
		if base, err = s.ready(); err == nil {
			err = base.put(batch)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		maps.Copy(batch, s.fresh)
		s.fresh, s.size = batch, 0
		for k, v := range batch {
			s.size += len(k) + len(v)
		}
	}
	s.inCommit, s.inSize, s.current = nil, 0, nil
	return s.endLocked(r, base, err)
}

// begin notes that a commit runs, unless the database is closed. Nobody waits
// then: Sync is for tasks of the host, which have ended.
func (s *store) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.began = time.Now()
	return true
}

// endLocked ends a try to commit: for those who wait for it, and for the log.
func (s *store) endLocked(r *round, base *database, err error) error {
	if took := time.Since(s.began); took > storeSlow {
		s.log.Warn("the disk was slow to take what was new", "took", took.Round(time.Millisecond), "err", err)
	}
	s.began = time.Time{}
	if err != nil {
		err = s.wrap("write", err)
		s.trouble.begin(err, s.log)
	} else {
		s.last = time.Now()
		s.trouble.end(s.log, base)
	}
	r.end(err)
	return err
}

// errNoAnswer: a commit runs, and does not end.
var errNoAnswer = errors.New("the disk does not answer")

// StoreState is how a host's database is.
type StoreState struct {
	Path      string    // of the file; "" when all is kept in memory only
	Layout    int       // version of the file's layout
	Records   int       // committed
	Bytes     int64     // of their keys and values
	File      int64     // bytes of the file
	Waiting   int       // bytes that are not yet committed
	Committed time.Time // a commit last succeeded, or found nothing to do; zero: never
	Err       error     // why the disk takes nothing; nil when it does
	Since     time.Time // with Err
	Aside     []string  // damaged files that were moved aside, the oldest first
}

// Database tells how the host's database is.
func (h *Host) Database() StoreState { return h.store.state() }

func (s *store) state() StoreState {
	s.mu.Lock()
	st := StoreState{Path: s.path, Waiting: s.size + s.inSize, Committed: s.last, Err: s.trouble.err, Since: s.trouble.since}
	if !s.began.IsZero() && time.Since(s.began) > storeSlow && st.Err == nil {
		st.Err, st.Since = errNoAnswer, s.began
	}
	base := s.base
	s.mu.Unlock()
	if s.path == "" {
		return st
	}
	st.Layout, st.Aside = storeLayout, asides(s.path)
	if base != nil {
		size := base.sizes()
		st.Records, st.Bytes = size.records, size.bytes
		if info, err := base.file.Stat(); err == nil {
			st.File = info.Size()
		}
	}
	return st
}
