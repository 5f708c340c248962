package overlay

// Visit calls f with each object of a kind that this node keeps, in the order
// of their names. f must not change or keep the object, block, or call the
// overlay.
func (o *Overlay) Visit(kind string, f func(name string, obj Object)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.refsLocked() {
		if r.kind == kind {
			f(r.name, o.objects[r].obj)
		}
	}
}
