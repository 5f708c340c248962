package boltfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"ircbridge/host/p2p/boltfile"
)

// made is a database file as bbolt writes it, after some transactions.
func made(t testing.TB, transactions ...func(tx *bbolt.Tx) error) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "made.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: 4096, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range transactions {
		if err := db.Update(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func key(i int) []byte { return fmt.Appendf(nil, "key/%05d", i) }

// value is now and then longer than a page.
func value(i int) []byte { return bytes.Repeat(key(i), 1+i%7+i%101*10) }

func fill(bucket string, n int) func(tx *bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte(bucket))
		for i := 0; i < n && err == nil; i++ {
			err = b.Put(key(i), value(i))
		}
		return err
	}
}

func thin(bucket string, n, each int) func(tx *bbolt.Tx) error {
	return func(tx *bbolt.Tx) (err error) {
		for i := 0; i < n && err == nil; i += each {
			err = tx.Bucket([]byte(bucket)).Delete(key(i))
		}
		return err
	}
}

func nested(tx *bbolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists([]byte("outer"))
	if err != nil {
		return err
	}
	b, err = b.CreateBucketIfNotExists([]byte("inner"))
	return errors.Join(err, b.Put([]byte("k"), []byte("v")))
}

// What bbolt writes is whole, and each record of a bucket is found.
func TestWholeFiles(t *testing.T) {
	for name, c := range map[string]struct {
		file    []byte
		records int
	}{
		"new":           {made(t), 0},
		"empty bucket":  {made(t, fill("records", 0)), 0},
		"small bucket":  {made(t, fill("records", 2), fill("other", 5)), 2},
		"many":          {made(t, fill("records", 3000), fill("other", 100)), 3000},
		"thinned out":   {made(t, fill("records", 3000), thin("records", 3000, 2), fill("other", 300)), 1500},
		"nearly empty":  {made(t, fill("records", 3000), thin("records", 2999, 1), fill("other", 1)), 1},
		"nested bucket": {made(t, fill("records", 10), nested), 10},
	} {
		f, err := boltfile.Open(bytes.NewReader(c.file), int64(len(c.file)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := f.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		n := 0
		err = f.Records("records", func(k, v []byte) bool {
			var i int
			if _, err := fmt.Sscanf(string(k), "key/%d", &i); err != nil || !bytes.Equal(v, value(i)) {
				t.Errorf("%s: %q holds %d bytes", name, k, len(v))
			}
			n++
			return true
		})
		if err != nil || n != c.records {
			t.Errorf("%s: %d records of %d, %v", name, n, c.records, err)
		}
	}
}

// Of a damaged file all that other pages hold is found, and what is missing is said.
func TestRecordsOfDamagedFile(t *testing.T) {
	file := made(t, fill("records", 3000))
	at := bytes.LastIndex(file, value(1500)) &^ 4095
	clear(file[at : at+4096])
	f, err := boltfile.Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Check(); !errors.Is(err, boltfile.ErrDamaged) {
		t.Errorf("a page of zeros: %v", err)
	}
	n := 0
	err = f.Records("records", func([]byte, []byte) bool { n++; return true })
	if !errors.Is(err, boltfile.ErrDamaged) || n < 2900 || n >= 3000 {
		t.Errorf("%d records of 3000, %v", n, err)
	}
	n = 0
	_ = f.Records("records", func([]byte, []byte) bool { n++; return n < 10 })
	if n != 10 {
		t.Errorf("who had enough of 10 was given %d", n)
	}
}

// Bytes of any kind neither crash nor hang the reader; what passes the check,
// bbolt can read.
func FuzzCheck(f *testing.F) {
	files := [][]byte{
		made(f), made(f, fill("records", 40), thin("records", 40, 3)), made(f, fill("records", 40), nested), made(f, fill("records", 400), thin("records", 400, 2)),
	}
	f.Add(uint8(0), uint32(0), []byte{1})
	f.Add(uint8(1), uint32(2*4096+8), []byte{2})
	f.Add(uint8(2), uint32(3*4096+18), []byte{0xff, 0xff})
	f.Add(uint8(3), uint32(0), []byte{})
	f.Fuzz(func(t *testing.T, which uint8, at uint32, patch []byte) {
		file := bytes.Clone(files[int(which)%len(files)])
		copy(file[int(at)%len(file):], patch)
		b, err := boltfile.Open(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			return
		}
		err = b.Check()
		found := 0
		partial := b.Records("records", func([]byte, []byte) bool { found++; return true })
		if err != nil {
			return
		}
		if partial != nil {
			t.Errorf("a whole file, and yet: %v", partial)
		}
		path := filepath.Join(t.TempDir(), "x.db")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatalf("passed the check, and yet: %v", err)
		}
		defer db.Close()
		_ = db.View(func(tx *bbolt.Tx) error {
			if records := tx.Bucket([]byte("records")); records != nil {
				n := 0
				_ = records.ForEach(func(_, v []byte) error {
					if v != nil {
						n++
					}
					return nil
				})
				if n != found {
					t.Errorf("bbolt finds %d records, we found %d", n, found)
				}
			}
			return nil
		})
	})
}
