package chord

import (
	"slices"

	"ircbridge/chord/wire"
	"ircbridge/host"
)

const (
	// maxRemembered is the number of peers kept in the store.
	maxRemembered = 32
	// enoughRemembered is the number up to which every contact is worth
	// remembering; beyond it only some are, to spare the store.
	enoughRemembered = 16

	rememberPrefix = "chord/peer/"
)

// Remember notes a peer to try when all else is lost. It is kept in the
// store, with the addresses of p if it has any. When there are too many, a
// random one is forgotten: what is left is a sample over time, on which a
// divided ring depends to find its other part.
func (r *Ring) Remember(p host.Peer) {
	c := NewContact(p)
	if c.ID == r.id || !p.ID.Valid() || len(p.Addrs) == 0 {
		return
	}
	value, err := encode(&wire.Remembered{Contact: contactToWire(c)})
	if err != nil {
		return
	}
	changes := []host.Change{{Key: rememberPrefix + p.ID.String(), Value: value}}
	r.mu.Lock()
	list := slices.Clone(r.remembered)
	if i := indexOf(list, c.ID); i >= 0 {
		if slices.Equal(list[i].Peer.Addrs, c.Peer.Addrs) {
			r.mu.Unlock()
			return
		}
		list[i] = c
	} else {
		if len(list) >= maxRemembered {
			out := int(r.h.Rand() % uint64(len(list)))
			changes = append(changes, host.Change{Key: rememberPrefix + list[out].Peer.ID.String()})
			list = slices.Delete(list, out, out+1)
		}
		list = append(list, c)
	}
	r.remembered = list
	r.mu.Unlock()
	if err := r.h.Store().Write(changes...); err != nil {
		r.log.Warn("cannot remember a peer", "peer", p.ID, "err", err)
	}
}

// rememberNeighbours remembers this node's neighbours as long as it knows few
// others: who began a ring, and joined through nobody, is to find it again
// however soon it dies.
func (r *Ring) rememberNeighbours() {
	r.mu.Lock()
	list := slices.Clone(r.succs)
	if r.pred != nil {
		list = append(list, *r.pred)
	}
	list = slices.DeleteFunc(list, func(c Contact) bool { return indexOf(r.remembered, c.ID) >= 0 })
	list = list[:min(len(list), max(0, enoughRemembered-len(r.remembered)))]
	r.mu.Unlock()
	for _, c := range list {
		r.Remember(c.Peer)
	}
}

// rememberSome remembers a random neighbour or finger now and then.
func (r *Ring) rememberSome() {
	r.mu.Lock()
	all := r.knownLocked()
	all = all[:len(all)-r.onlyRememberedLocked(all)]
	many := len(r.remembered) >= enoughRemembered
	r.mu.Unlock()
	if len(all) == 0 || many && r.h.Rand()%8 != 0 {
		return
	}
	for i := range all {
		c := all[(int(r.h.Rand()%uint64(len(all)))+i)%len(all)]
		r.mu.Lock()
		known := indexOf(r.remembered, c.ID) >= 0
		r.mu.Unlock()
		if !known {
			r.Remember(c.Peer)
			if many {
				return
			}
		}
	}
}

// onlyRememberedLocked counts those of all, at its end, that are no contacts
// of the ring.
func (r *Ring) onlyRememberedLocked(all []Contact) int {
	n := 0
	for i := len(all) - 1; i >= 0; i-- {
		if _, ok := r.ringContactLocked(all[i].ID); ok {
			break
		}
		n++
	}
	return n
}

// loadRemembered reads the store. What it cannot read is left out.
func (r *Ring) loadRemembered() {
	err := r.h.Store().Scan(rememberPrefix, func(_ string, value []byte) bool {
		var m wire.Remembered
		if decode(value, &m) != nil {
			return true
		}
		if c, err := contactFromWire(m.Contact); err == nil && c.ID != r.id {
			r.remembered = append(r.remembered, c)
		}
		return len(r.remembered) < maxRemembered
	})
	if err != nil {
		r.log.Warn("cannot read the remembered peers", "err", err)
	}
}
