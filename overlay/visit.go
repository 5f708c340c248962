package overlay

import "slices"

// Visit calls f with each object of a kind that this node keeps, in the order
// of their names. f must not change or keep the object, block, or call the
// overlay.
func (o *Overlay) Visit(kind string, f func(name string, obj Object)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var refs []ref
	// any order: sorted below
	for r := range o.objects {
		if r.kind == kind {
			refs = append(refs, r)
		}
	}
	slices.SortFunc(refs, ref.compare)
	for _, r := range refs {
		f(r.name, o.objects[r].obj)
	}
}
