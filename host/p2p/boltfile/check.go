package boltfile

import (
	"bytes"
	"errors"
)

// Check reads every page that is in use and returns what is wrong with the
// first damaged one. After it, bbolt finds every page where it looks for it,
// and takes no page as free that is in use. Values are not checked: bbolt
// keeps no sums of them.
func (f *File) Check() error {
	w := walk{file: f, used: make(map[uint64]bool)}
	if err := w.tree(f.root, nil, nil, 0); err != nil {
		return err
	}
	return f.checkFree(w.used)
}

// Records calls see for every record of a bucket that can be read, in no certain order
// when the file is damaged, until it returns false; and returns what could not be
// read, nil for nothing. Key and value belong to see.
func (f *File) Records(bucket string, see func(key, value []byte) bool) error {
	w := walk{file: f, used: make(map[uint64]bool), tolerant: true, bucket: []byte(bucket), see: see}
	_ = w.tree(f.root, nil, nil, 0)
	return errors.Join(w.wrong...)
}

// walk is one way through all pages.
type walk struct {
	file *File
	used map[uint64]bool // pages that were seen

	tolerant bool // goes on after damage, and calls see
	bucket   []byte
	inside   bool
	see      func(key, value []byte) bool
	enough   bool
	wrong    []error
}

// maxWrong bounds what is kept of a file that is damaged all over.
const maxWrong = 4

// fail notes damage: the end of a check, a gap for who takes what there is.
func (w *walk) fail(err error) error {
	if !w.tolerant {
		return err
	}
	if len(w.wrong) < maxWrong {
		w.wrong = append(w.wrong, err)
	}
	return nil
}

// tree walks a page and all below it, whose keys must lie in [low, high).
func (w *walk) tree(id uint64, low, high []byte, depth int) error {
	if depth > maxDepth {
		return w.fail(damaged("pages lie %d deep in each other", depth))
	}
	p, err := w.file.page(id)
	if err != nil {
		return w.fail(err)
	}
	if p.flags == freelistPage || p.flags == branchPage && p.count == 0 {
		return w.fail(damaged("page %d with flags %#x and %d elements stands among the records", id, p.flags, p.count))
	}
	for i := id; i <= id+p.overflow; i++ {
		if w.used[i] {
			return w.fail(damaged("page %d is used twice", i))
		}
		w.used[i] = true
	}
	return w.page(p, low, high, depth)
}

func (w *walk) page(p *page, low, high []byte, depth int) error {
	list, err := p.entries()
	if err != nil {
		return w.fail(err)
	}
	if !w.tolerant {
		if err := inOrder(p.id, list, low, high); err != nil {
			return err
		}
	}
	for i, e := range list {
		if w.enough {
			return nil
		}
		switch {
		case p.flags == branchPage:
			end := high
			if i+1 < len(list) {
				end = list[i+1].key
			}
			err = w.tree(e.below, e.key, end, depth+1)
		case e.bucket:
			err = w.inBucket(e, depth)
		case w.inside && !w.see(bytes.Clone(e.key), bytes.Clone(e.value)):
			w.enough = true
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func inOrder(id uint64, list []entry, low, high []byte) error {
	for i, e := range list {
		if i > 0 && bytes.Compare(list[i-1].key, e.key) >= 0 ||
			low != nil && bytes.Compare(e.key, low) < 0 || high != nil && bytes.Compare(e.key, high) >= 0 {
			return damaged("page %d: key %d is out of order", id, i)
		}
	}
	return nil
}

// inBucket walks the bucket that is the value of an element. Buckets in
// buckets are not what is looked for.
func (w *walk) inBucket(e entry, depth int) error {
	before := w.inside
	if w.tolerant {
		if before || !bytes.Equal(e.key, w.bucket) {
			return nil
		}
		w.inside = true
	}
	defer func() { w.inside = before }()
	if len(e.value) < bucketHeader {
		return w.fail(damaged("a bucket of %d bytes", len(e.value)))
	}
	if root := order.Uint64(e.value); root != 0 {
		return w.tree(root, nil, nil, depth+1)
	}
	p, err := inline(e.value)
	if err != nil {
		return w.fail(err)
	}
	list, err := p.entries()
	if err != nil {
		return w.fail(err)
	}
	for _, sub := range list {
		if sub.bucket {
			return w.fail(damaged("a bucket in a bucket within a page"))
		}
	}
	return w.page(p, nil, nil, depth+1)
}

// checkFree checks the list of free pages against those in use.
func (f *File) checkFree(used map[uint64]bool) error {
	if f.freelist == noFreelist {
		return nil
	}
	p, err := f.page(f.freelist)
	if err != nil {
		return err
	}
	if p.flags != freelistPage {
		return damaged("page %d is no list of free pages", p.id)
	}
	for i := p.id; i <= p.id+p.overflow; i++ {
		if used[i] {
			return damaged("page %d is used twice", i)
		}
		used[i] = true
	}
	ids, n := p.data[pageHeader:], uint64(p.count)
	if p.count == 0xFFFF && len(ids) >= 8 { // the number stands in front of the list
		n, ids = order.Uint64(ids), ids[8:]
	}
	if n > uint64(len(ids))/8 {
		return damaged("page %d is too short for %d free pages", p.id, n)
	}
	for ; n > 0; n, ids = n-1, ids[8:] {
		id := order.Uint64(ids)
		if id < 2 || id >= f.pages || used[id] {
			return damaged("page %d is called free", id)
		}
		used[id] = true
	}
	return nil
}
