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
	gone      int               // batches that were pending, and are not any more
	state     Disk
}

type batch struct {
	due     int64 // when it is durable
	changes []record
}

type record struct {
	key, value string
	deleted    bool
}

// never is when a full disk commits.
const never = 1<<63 - 1

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
	d.gone += n
}

// crash forgets what was not committed.
func (d *disk) crash() {
	d.commit(d.world.now)
	d.gone += len(d.pending)
	d.pending = nil
	d.live = maps.Clone(d.committed)
}

// flush commits everything, as a graceful end does; a full disk takes nothing.
func (d *disk) flush() {
	if d.state.Full {
		d.crash()
		return
	}
	d.commit(never)
}

// due is when what is written now is durable.
func (d *disk) due() int64 {
	delay := d.state.Delay
	if delay == 0 {
		delay = d.world.cfg.CommitDelay
	}
	if d.state.Full {
		return never
	}
	return d.world.now + int64(max(delay, 0))
}

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
	if d.state.Refuses {
		return s.host.refuse("write to the store", nil, host.ErrBusy)
	}
	d.commit(w.now)
	b := batch{due: d.due(), changes: make([]record, len(changes))}
	if n := len(d.pending); n > 0 {
		b.due = max(b.due, d.pending[n-1].due) // nothing is durable before what was written earlier
	}
	for i, c := range changes {
		b.changes[i] = record{key: c.Key, value: string(c.Value), deleted: c.Value == nil}
		apply(d.live, b.changes[i])
	}
	d.pending = append(d.pending, b)
	return nil
}

// Sync waits until what was written is durable: Config.CommitDelay after the
// last Write, or what World.SetDisk says.
func (s store) Sync(d time.Duration) error {
	h := s.host
	t, err := h.enter("Sync")
	if err != nil {
		return h.refuse("synchronise the store", nil, err)
	}
	w, disk := h.world, h.node.disk
	disk.commit(w.now)
	last := len(disk.pending) + disk.gone // what is written later is for others
	until := w.now + int64(max(d, 0))
	if until < w.now {
		until = never
	}
	for {
		left := disk.left(last)
		switch {
		case left == 0:
			return nil
		case disk.state.Full:
			return h.refuse("synchronise the store", nil, ErrDiskFull)
		case w.now >= until:
			return h.refuse("synchronise the store", nil, host.ErrTimeout)
		}
		if t.block(h, min(left, until-w.now)) == wakeStopped {
			return h.refuse("synchronise the store", nil, host.ErrStopped)
		}
	}
}

// left is the time until the first n batches that were ever written are durable.
func (d *disk) left(n int) int64 {
	d.commit(d.world.now)
	if n <= d.gone {
		return 0
	}
	return d.pending[n-1-d.gone].due - d.world.now
}
