package p2p

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"

	"go.etcd.io/bbolt"
)

// storeLayout is the layout of the database that this program writes.
//
//	1  bucket "store": key, value. No record of the layout.
//	2  bucket "records": key, sealed value. Bucket "about": "layout", in decimal digits.
//
// A layout says where records lie, not what is in them: that is for those who write them.
const storeLayout = 2

// steps brings a database from one layout to the next: the first from 1 to
// 2. All that are needed run in one transaction. A step stays as it is for
// ever, and so do the files in testdata with which it is tested.
var steps = []func(tx *bbolt.Tx) error{
	sealRecords,
}

var (
	recordBucket = []byte("records")
	aboutBucket  = []byte("about")
	layoutKey    = []byte("layout")
)

// layout is that of the file, 0 for a new one.
func (d *database) layout() (n int, err error) {
	err = d.guarded(func() error {
		return d.db.View(func(tx *bbolt.Tx) error {
			about := tx.Bucket(aboutBucket)
			switch {
			case about != nil:
				text := string(about.Get(layoutKey))
				if n, err = strconv.Atoi(text); err != nil || n < 2 || tx.Bucket(recordBucket) == nil && n <= storeLayout {
					return fmt.Errorf("%w: %s: %q is no layout", ErrStoreDamaged, d.path, cleanText(text, 20))
				}
			case tx.Bucket([]byte("store")) != nil:
				n = 1
			case tx.Bucket(recordBucket) != nil:
				return fmt.Errorf("%w: %s: it does not say which layout it has", ErrStoreDamaged, d.path)
			}
			return nil
		})
	})
	return n, err
}

// upgrade brings a file of the layout given, 0 for a new one, to the present one.
func upgrade(tx *bbolt.Tx, layout int) error {
	if layout == 0 {
		if _, err := tx.CreateBucketIfNotExists(recordBucket); err != nil {
			return err
		}
		layout = storeLayout
	}
	for ; layout < storeLayout; layout++ {
		if err := steps[layout-1](tx); err != nil {
			return err
		}
	}
	about, err := tx.CreateBucketIfNotExists(aboutBucket)
	if err != nil {
		return err
	}
	return about.Put(layoutKey, strconv.AppendInt(nil, storeLayout, 10))
}

// sealRecords: from layout 1 to 2.
func sealRecords(tx *bbolt.Tx) error {
	to, err := tx.CreateBucket(recordBucket)
	if err != nil {
		return err
	}
	old := []byte("store")
	err = tx.Bucket(old).ForEach(func(k, v []byte) error { return to.Put(k, seal(k, v)) })
	if err != nil {
		return err
	}
	return tx.DeleteBucket(old)
}

// sealSize is what a seal adds to a value.
const sealSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal puts a checksum of key and value behind the value: bbolt keeps none,
// and a bit that flipped on the disk would be taken for what a node had said.
func seal(key, value []byte) []byte {
	sealed := append(make([]byte, 0, len(value)+sealSize), value...)
	return binary.LittleEndian.AppendUint32(sealed, checksum(key, value))
}

func checksum(key, value []byte) uint32 {
	sum := crc32.Update(uint32(len(key)), castagnoli, key)
	return crc32.Update(sum, castagnoli, value)
}

// unseal is the value in a sealed one, of which it is a part.
func unseal(key, sealed []byte) ([]byte, error) {
	n := len(sealed) - sealSize
	if n < 0 || binary.LittleEndian.Uint32(sealed[n:]) != checksum(key, sealed[:n]) {
		return nil, fmt.Errorf("%w: record %q is not what was written", ErrStoreDamaged, cleanText(string(key), 80))
	}
	return sealed[:n], nil
}
