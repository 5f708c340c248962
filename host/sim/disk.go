package sim

import (
	"errors"
	"maps"
	"time"
)

// ErrDiskFull is what Sync returns on a disk that is full.
var ErrDiskFull = errors.New("no space left on the disk")

// Disk is how the disk of a node behaves. The zero value is a disk that works.
type Disk struct {
	// Full: nothing is committed. Write is taken, in memory, and Sync fails at
	// once; a crash and a graceful end lose what was written meanwhile. When
	// there is room again all of it is committed.
	Full bool
	// Refuses: Write is refused with ErrBusy, as by a node whose memory is
	// full of what a full disk does not take.
	Refuses bool
	// Delay is how long a batch is at risk, and Sync waits, instead of
	// Config.CommitDelay: a slow disk.
	Delay time.Duration
}

// SetDisk changes how the disk of h's node behaves, from now on, through
// restarts too. What is not committed yet is committed anew by the new rules.
func (w *World) SetDisk(h *Host, state Disk) {
	w.note(h, "disk")
	d := h.node.disk
	d.commit(w.now)
	d.state = state
	for i := range d.pending {
		d.pending[i].due = d.due()
	}
}

// A DiskCopy is what was on a node's disk once.
type DiskCopy struct{ records map[string]string }

// CopyDisk copies what a crash at this moment would leave on the disk of h's
// node, for OldDisk.
func (w *World) CopyDisk(h *Host) DiskCopy {
	h.node.disk.commit(w.now)
	return DiskCopy{maps.Clone(h.node.disk.committed)}
}

// EmptyDisk, for Restart, has the node come back with nothing on its disk: it
// was lost, or damaged and moved aside. The key stays.
func EmptyDisk() Option { return OldDisk(DiskCopy{}) }

// OldDisk, for Restart, has the node come back with a disk as it was once: it
// was restored from a copy. All that it learned and promised since is forgotten.
func OldDisk(c DiskCopy) Option {
	return func(n *node) {
		d := newDisk(n.world)
		d.state = n.disk.state
		maps.Copy(d.live, c.records)
		maps.Copy(d.committed, c.records)
		n.disk = d
	}
}
