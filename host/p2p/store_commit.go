package p2p

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"ircbridge/host"
)

// A round is one commit, for those who wait for its end.
type round struct {
	done chan struct{}
	err  error // set before done is closed
}

func newRound() *round { return &round{done: make(chan struct{})} }

// start begins the task that commits.
func (s *store) start(t *tasks, stopped <-chan struct{}) {
	s.mu.Lock()
	s.stopped = stopped
	s.mu.Unlock()
	if s.db == nil {
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
			_ = s.commit() // who waits is told, and every later Write
		}
	})
}

// Sync implements host.Store. It is a group commit: whoever comes while one
// commit runs waits for the next, which takes all that was written until it begins.
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
	case s.db == nil:
		return nil, nil, nil
	case len(s.fresh) == 0:
		return s.current, s.stopped, nil
	}
	if s.next == nil {
		s.next = newRound()
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	return s.next, s.stopped, nil
}

// commit writes what is new to the disk. When that fails, it stays in
// memory for the next try, and Write returns the error meanwhile.
func (s *store) commit() error {
	s.commits.Lock()
	defer s.commits.Unlock()
	s.mu.Lock()
	batch, size, r := s.fresh, s.size, s.next
	s.next = nil
	if r == nil {
		r = newRound()
	}
	if len(batch) == 0 || s.db == nil {
		s.mu.Unlock()
		close(r.done)
		return nil
	}
	s.inCommit, s.fresh, s.size, s.current = batch, nil, 0, r
	s.mu.Unlock()
	err := s.wrap("write", s.put(batch))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = err
	if err != nil {
		maps.Copy(batch, s.fresh)
		s.fresh, s.size = batch, s.size+size
	}
	s.inCommit, s.current = nil, nil
	r.err = err
	close(r.done)
	return err
}

// put makes the changes in the database and waits until they are on the disk.
func (s *store) put(batch map[string][]byte) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketName)
		for _, k := range slices.Sorted(maps.Keys(batch)) {
			var err error
			if v := batch[k]; v == nil {
				err = b.Delete([]byte(k))
			} else {
				err = b.Put([]byte(k), v)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
