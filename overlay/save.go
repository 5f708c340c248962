package overlay

import (
	"time"

	"ircbridge/host"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

// What a node keeps, and what it has copies of, is in its database: a record
// for each object, written whole. Of an object that changes all the time a
// record is written once in a second, a large one less often, and one in which only
// was spoken after ten seconds, to spare the disk: others have copies. A node without replicas writes at once what it is asked for, and
// answers when that is on the disk; many requests share one such write. When
// the disk takes nothing, it answers all the same: there is nothing better to
// wait for.

const objectPrefix = "overlay/object/"

func recordKey(r ref) string { return objectPrefix + r.kind + "/" + r.name }

// Bounds of one write, and the size for which an object waits one pause more.
const (
	maxSaveItems = 256
	maxSaveBytes = 1 << 20
	saveSlice    = 128 << 10
	quietSaves   = 10 // pauses for which messages alone may wait
)

// unsaved are the objects whose record is out of date, in the order of becoming so.
type unsaved struct {
	in    map[ref]bool
	order []ref
}

func (u *unsaved) add(r ref) {
	if u.in[r] {
		return
	}
	if u.in == nil {
		u.in = make(map[ref]bool)
	}
	u.in[r] = true
	u.order = append(u.order, r)
}

// touchLocked notes that an object's record is out of date.
func (o *Overlay) touchLocked(r ref) {
	if !o.kinds[r.kind].Volatile {
		o.unsaved.add(r)
	}
}

// spokenLocked is touchLocked after messages, which leave nothing in the state
// that cannot wait.
func (o *Overlay) spokenLocked(ob *object) {
	if !o.unsaved.in[ob.ref] {
		ob.saveNext = o.h.Now().Add(quietSaves * o.cfg.Save)
		o.touchLocked(ob.ref)
	}
}

// changedLocked is touchLocked after a change of the state.
func (o *Overlay) changedLocked(ob *object) {
	if ob.saveNext.After(ob.saveFrom) {
		ob.saveNext = ob.saveFrom
	}
	o.touchLocked(ob.ref)
}

// saveLoop writes records every pause, and when somebody waits.
func (o *Overlay) saveLoop() {
	for {
		_ = o.wait(o.saveNow, o.jitter(o.cfg.Save))
		if o.stopped() {
			return
		}
		o.save()
	}
}

// written is an object as it went into a record; without ob, the record's end.
type written struct {
	ref     ref
	ob      *object
	epoch   Epoch
	version uint64
}

// save writes what is out of date and due.
func (o *Overlay) save() {
	for {
		o.mu.Lock()
		changes, list, urgent := o.nextRecordsLocked()
		o.mu.Unlock()
		if len(changes) == 0 {
			return
		}
		refused := o.h.Store().Write(changes...)
		err := refused
		if err == nil && urgent {
			err = o.h.Store().Sync(o.patienceWithDisk())
		}
		if o.stopped() {
			return
		}
		o.mu.Lock()
		if refused != nil || urgent { // else nobody knows what becomes of them
			o.noteDiskLocked(err)
		}
		for _, w := range list {
			if w.ob != nil && w.ob.epoch == w.epoch {
				w.ob.durable = max(w.ob.durable, w.version)
				o.safeLocked(w.ob)
			}
			if refused != nil {
				o.touchLocked(w.ref)
			}
		}
		o.mu.Unlock()
		if refused != nil {
			return // until the next pause
		}
	}
}

// patienceWithDisk is how long a request waits for a disk: less than its sender
// does, and hardly at all for one that took nothing the last time.
func (o *Overlay) patienceWithDisk() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.saveFailed {
		return o.cfg.GiveUp / 4
	}
	return o.cfg.GiveUp / 2
}

func (o *Overlay) noteDiskLocked(err error) {
	failed := err != nil
	switch {
	case failed && !o.saveFailed:
		o.log.Warn("the database takes nothing; what this node keeps is in its memory, and at its replicas, only", "err", err)
	case !failed && o.saveFailed:
		o.log.Info("the database takes records again")
	}
	o.saveFailed = failed
}

// nextRecordsLocked takes what is to be written next; urgent means that
// somebody waits for it. What is not due stays.
func (o *Overlay) nextRecordsLocked() (changes []host.Change, list []written, urgent bool) {
	now, bytes, n := o.h.Now(), 0, 0
	var later []ref
	for ; n < len(o.unsaved.order) && len(changes) < maxSaveItems && bytes < maxSaveBytes; n++ {
		r := o.unsaved.order[n]
		ob := o.objects[r]
		alone := ob != nil && len(ob.replicas) == 0
		if c := o.copies[r]; ob == nil && c != nil {
			ob = c.ob
		}
		switch {
		case o.cold[r] != nil, ob != nil && !alone && !o.left && now.Before(ob.saveNext):
			later = append(later, r)
			continue
		case ob == nil:
			changes = append(changes, host.Change{Key: recordKey(r)})
			list = append(list, written{ref: r})
		default:
			value, err := proto.Marshal(&wire.Saved{Copy: ob.copy()})
			if err != nil {
				o.log.Error("an object cannot be encoded for the database", "object", r.kind+" "+r.name, "err", err)
				break
			}
			bytes += len(value)
			ob.saveFrom = now.Add(o.cfg.Save * time.Duration(1+len(value)/saveSlice))
			ob.saveNext = ob.saveFrom
			changes = append(changes, host.Change{Key: recordKey(r), Value: value})
			list = append(list, written{r, ob, ob.epoch, ob.version})
			urgent = urgent || alone
		}
		delete(o.unsaved.in, r)
	}
	o.unsaved.order = append(later, o.unsaved.order[n:]...)
	return changes, list, urgent
}
