package sim

import (
	"maps"
	"slices"
	"strings"
	"time"

	"ircbridge/host"
)

// A disk is what a node keeps through restarts.
type disk struct {
	world     *World
	live      map[string]string // as the node sees it
	committed map[string]string // as a crash leaves it
	pending   []batch           // written and not yet committed, oldest first
}

type batch struct {
	due     int64 // when it is durable
	changes []record
}

type record struct {
	key, value string
	deleted    bool
}

func newDisk(w *World) *disk {
	return &disk{world: w, live: make(map[string]string), committed: make(map[string]string)}
}

func apply(m map[string]string, r record) {
	if r.deleted {
		delete(m, r.key)
	} else {
		m[r.key] = r.value
	}
}

// commit makes durable what is due at the instant given.
func (d *disk) commit(until int64) {
	n := 0
	for n < len(d.pending) && d.pending[n].due <= until {
		for _, r := range d.pending[n].changes {
			apply(d.committed, r)
		}
		n++
	}
	d.pending = slices.Delete(d.pending, 0, n)
}

// crash forgets what was not committed.
func (d *disk) crash() {
	d.commit(d.world.now)
	d.pending = nil
	d.live = maps.Clone(d.committed)
}

// flush commits everything, as a graceful end does.
func (d *disk) flush() { d.commit(1<<63 - 1) }

// store is one run's access to its node's disk. It implements host.Store.
type store struct{ host *Host }

func (s store) check() error {
	if s.host.state >= stopping {
		return s.host.refuse("use the store", nil, host.ErrStopped)
	}
	return nil
}

// Get returns nil, nil for an absent key.
func (s store) Get(key string) ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	v, ok := s.host.node.disk.live[key]
	if !ok {
		return nil, nil
	}
	return append(make([]byte, 0, len(v)), v...), nil
}

// Scan calls f for the keys with the prefix, in order, as they were at the
// beginning of the scan.
func (s store) Scan(prefix string, f func(key string, value []byte) bool) error {
	if err := s.check(); err != nil {
		return err
	}
	live := s.host.node.disk.live
	var found []record
	for key, value := range live {
		if strings.HasPrefix(key, prefix) {
			found = append(found, record{key: key, value: value})
		}
	}
	slices.SortFunc(found, func(a, b record) int { return strings.Compare(a.key, b.key) })
	for _, r := range found {
		if !f(r.key, append(make([]byte, 0, len(r.value)), r.value...)) {
			break
		}
	}
	return nil
}

// Write applies the changes at once; they are durable Config.CommitDelay later.
func (s store) Write(changes ...host.Change) error {
	if err := s.check(); err != nil {
		return err
	}
	w, d := s.host.world, s.host.node.disk
	w.touch(s.host)
	b := batch{due: w.now + int64(max(w.cfg.CommitDelay, 0)), changes: make([]record, len(changes))}
	for i, c := range changes {
		b.changes[i] = record{key: c.Key, value: string(c.Value), deleted: c.Value == nil}
		apply(d.live, b.changes[i])
	}
	d.commit(w.now)
	d.pending = append(d.pending, b)
	return nil
}

// Sync waits until what was written is durable: Config.CommitDelay after the
// last Write.
func (s store) Sync(d time.Duration) error {
	h := s.host
	t, err := h.enter("Sync")
	if err != nil {
		return h.refuse("synchronise the store", nil, err)
	}
	left, expired := h.node.disk.left(), false
	if int64(max(d, 0)) < left {
		left, expired = int64(max(d, 0)), true
	}
	if left > 0 && t.block(h, left) == wakeStopped {
		return h.refuse("synchronise the store", nil, host.ErrStopped)
	}
	if expired {
		return h.refuse("synchronise the store", nil, host.ErrTimeout)
	}
	return nil
}

// left is the time until all that was written is durable.
func (d *disk) left() int64 {
	d.commit(d.world.now)
	if n := len(d.pending); n > 0 {
		return d.pending[n-1].due - d.world.now
	}
	return 0
}
