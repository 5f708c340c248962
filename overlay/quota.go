package overlay

import "ircbridge/host"

// What a flood may take of this node's memory. Objects are bounded in number,
// and so are those that one other node alone has a stake in: whoever asks for a million
// names or channels fills his own share, and no other's. All logs together have a
// bound; when it is passed, each object's log is cut to an equal share, and who
// still needed what is cut off gets a whole view.

// fullLocked reports that a node may not found or bring back an object here.
func (o *Overlay) fullLocked(by host.PeerID) bool {
	return len(o.objects) >= o.cfg.MaxObjects || by != o.h.Self().ID && o.sole[by] >= o.cfg.MaxSole
}

// chargeLocked counts an object that a node has founded or brought back; recountLocked
// makes that exact within seconds.
func (o *Overlay) chargeLocked(by host.PeerID) { o.sole[by]++ }

// recountLocked counts, for each node, the objects in which it alone has a stake, and
// cuts the logs to their bound.
func (o *Overlay) recountLocked() {
	clear(o.sole)
	bytes := 0
	// any order: sums
	for _, ob := range o.objects {
		bytes += ob.logBytes
		if len(ob.leases) == 1 {
			for id := range ob.leases { // any order: there is one
				o.sole[id]++
			}
		}
	}
	// any order: a sum
	for _, c := range o.copies {
		bytes += c.ob.logBytes
	}
	if bytes <= o.cfg.MaxLogs {
		return
	}
	share := o.cfg
	share.MaxLogBytes = min(share.MaxLogBytes, o.cfg.MaxLogs/(len(o.objects)+len(o.copies)))
	o.log.Warn("the logs of objects have become too large together; each is cut to an equal share", "bytes", bytes, "share", share.MaxLogBytes)
	// any order: each for itself
	for _, ob := range o.objects {
		ob.trim(share)
	}
	// any order: each for itself
	for _, c := range o.copies {
		c.ob.trim(share)
	}
}
