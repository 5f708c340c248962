package overlay

import (
	"cmp"
	"crypto/sha256"
	"slices"
)

// A Holding is what one node has of one object, for those who look at all nodes
// at once: one node keeps it, and its replicas have the same.
type Holding struct {
	Kind, Name string
	Keeper     bool // it is kept here, else a copy
	Epoch      Epoch
	Version    uint64            // steps made in the epoch
	State      [sha256.Size]byte // hash of the kind's state
}

// Holdings are the objects that this node keeps and the copies that it has,
// sorted by kind and name.
func (o *Overlay) Holdings() []Holding {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []Holding
	add := func(ob *object, keeper bool) {
		all = append(all, Holding{
			Kind: ob.ref.kind, Name: ob.ref.name, Keeper: keeper,
			Epoch: ob.epoch, Version: ob.version, State: sha256.Sum256(ob.obj.Snapshot()),
		})
	}
	// any order: sorted below
	for _, ob := range o.objects {
		add(ob, true)
	}
	// any order: sorted below
	for _, c := range o.copies {
		add(c.ob, false)
	}
	slices.SortFunc(all, func(a, b Holding) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
	return all
}
