// Package boltfile reads a bbolt database file without trusting it. bbolt
// itself maps the file into memory and believes what stands there: a damaged
// page ends the process, or leads it round in a circle for ever. This package
// reads page by page and checks each number before it is used, so that bbolt is only
// given files that it can read, and so that what is left of a damaged one
// can be saved.
//
// It never writes, maps nothing into memory, and knows nothing of what the
// records mean. What it returns is copied. It is not for use on a file that
// somebody writes at the same time.
//
// Source: the file format of go.etcd.io/bbolt 1.5 (internal/common: page, meta,
// inode, bucket), format version 2.
package boltfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// ErrDamaged: the file is no database, or a broken one.
var ErrDamaged = errors.New("damaged")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrDamaged}, args...)...)
}

// Numbers of the file format.
const (
	magic   = 0xED0CDAED
	version = 2

	pageHeader   = 16 // id 8, flags 2, count 2, overflow 4
	branchElem   = 16 // pos 4, key size 4, page 8
	leafElem     = 16 // flags 4, pos 4, key size 4, value size 4
	bucketHeader = 16 // root page 8, sequence 8
	metaSize     = 64

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10

	bucketFlag = 0x01 // of a leaf element

	noFreelist = ^uint64(0)

	minPage, maxPage = 1 << 10, 16 << 20
	maxDepth         = 64 // of pages and buckets in each other
)

// The file has the byte order of the machine that wrote it.
var order = binary.NativeEndian

// File is a database file. Make it with Open.
type File struct {
	r        io.ReaderAt
	pageSize uint64
	meta
}

// meta is a meta page: the state of the database after a transaction.
type meta struct {
	root     uint64 // page of the bucket of buckets
	freelist uint64
	pages    uint64 // how many there are
	txid     uint64
}

// Open reads the two meta pages and takes the newer one that is valid, as
// bbolt does. A file that is shorter than it says is damaged.
func Open(r io.ReaderAt, size int64) (*File, error) {
	var found []meta
	pageSize := uint64(0)
	if m, n, ok := readMeta(r, 0); ok {
		found, pageSize = append(found, m), n
	} else {
		for n := uint64(minPage); n <= maxPage && pageSize == 0; n *= 2 {
			if m, said, ok := readMeta(r, n); ok && said == n {
				found, pageSize = append(found, m), n
			}
		}
	}
	if pageSize == 0 {
		return nil, damaged("no valid meta page in %d bytes", size)
	}
	if m, said, ok := readMeta(r, pageSize); ok && said == pageSize && len(found) == 1 {
		found = append(found, m)
	}
	f := &File{r: r, pageSize: pageSize, meta: found[0]}
	for _, m := range found {
		if m.txid > f.txid {
			f.meta = m
		}
	}
	if f.pages < 2 || f.pages > uint64(size)/pageSize {
		return nil, damaged("%d bytes are there, of %d pages of %d bytes", size, f.pages, pageSize)
	}
	return f, nil
}

func readMeta(r io.ReaderAt, at uint64) (m meta, pageSize uint64, ok bool) {
	b := make([]byte, pageHeader+metaSize)
	if _, err := r.ReadAt(b, int64(at)); err != nil {
		return m, 0, false
	}
	b = b[pageHeader:]
	sum := fnv.New64a()
	_, _ = sum.Write(b[:56]) // a hash takes all
	if order.Uint32(b) != magic || order.Uint32(b[4:]) != version || order.Uint64(b[56:]) != sum.Sum64() {
		return m, 0, false
	}
	pageSize = uint64(order.Uint32(b[8:]))
	m = meta{root: order.Uint64(b[16:]), freelist: order.Uint64(b[32:]), pages: order.Uint64(b[40:]), txid: order.Uint64(b[48:])}
	return m, pageSize, pageSize >= minPage && pageSize <= maxPage && pageSize&(pageSize-1) == 0
}

// page is a page with its overflow, read and its header checked.
type page struct {
	id       uint64
	flags    uint16
	count    int
	overflow uint64
	data     []byte // header included
}

func (f *File) page(id uint64) (*page, error) {
	if id < 2 || id >= f.pages {
		return nil, damaged("page %d of %d", id, f.pages)
	}
	head := make([]byte, pageHeader)
	if _, err := f.r.ReadAt(head, int64(id*f.pageSize)); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	p := &page{id: order.Uint64(head), flags: order.Uint16(head[8:]), count: int(order.Uint16(head[10:])), overflow: uint64(order.Uint32(head[12:]))}
	switch {
	case p.id != id:
		return nil, damaged("page %d says that it is page %d", id, p.id)
	case p.flags != branchPage && p.flags != leafPage && p.flags != freelistPage:
		return nil, damaged("page %d has flags %#x", id, p.flags)
	case p.overflow >= f.pages-id:
		return nil, damaged("page %d goes on for %d pages of %d", id, p.overflow, f.pages)
	}
	p.data = make([]byte, (1+p.overflow)*f.pageSize)
	if _, err := f.r.ReadAt(p.data, int64(id*f.pageSize)); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	return p, nil
}

// entry is one element of a page: of a branch with the page below, of a leaf
// with a value, which may be a bucket.
type entry struct {
	key, value []byte
	below      uint64
	bucket     bool
}

// entries are the elements of a branch or leaf page, which lie within it.
func (p *page) entries() ([]entry, error) {
	if pageHeader+p.count*leafElem > len(p.data) {
		return nil, damaged("page %d is too short for %d elements", p.id, p.count)
	}
	list := make([]entry, p.count)
	for i := range list {
		at := uint64(pageHeader + i*leafElem)
		b := p.data[at:]
		var pos, keyLen, valueLen uint64
		if p.flags == branchPage {
			pos, keyLen = uint64(order.Uint32(b)), uint64(order.Uint32(b[4:]))
			list[i].below = order.Uint64(b[8:])
		} else {
			pos, keyLen, valueLen = uint64(order.Uint32(b[4:])), uint64(order.Uint32(b[8:])), uint64(order.Uint32(b[12:]))
			list[i].bucket = order.Uint32(b)&bucketFlag != 0
		}
		from, end := at+pos, at+pos+keyLen+valueLen
		if from < uint64(pageHeader+p.count*leafElem) || end > uint64(len(p.data)) {
			return nil, damaged("page %d: element %d lies outside of it", p.id, i)
		}
		list[i].key, list[i].value = p.data[from:from+keyLen], p.data[from+keyLen:end]
	}
	return list, nil
}

// inline is the page that a small bucket has within its value.
func inline(value []byte) (*page, error) {
	if len(value) < bucketHeader+pageHeader {
		return nil, damaged("a bucket of %d bytes", len(value))
	}
	b := value[bucketHeader:]
	p := &page{flags: order.Uint16(b[8:]), count: int(order.Uint16(b[10:])), data: b}
	if p.flags != leafPage {
		return nil, damaged("a bucket within a page has flags %#x", p.flags)
	}
	return p, nil
}
