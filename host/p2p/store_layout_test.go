package p2p

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"ircbridge/host"
)

// copyTo copies files of testdata into a directory of the test.
func copyTo(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(name)), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A node starts from the data directory of each earlier layout: with its
// identity, and with all that was in its database.
func TestEarlierLayouts(t *testing.T) {
	for folder, want := range map[string]struct {
		peer, newest string
		records      int
	}{
		"layout1": {"12D3KooWC1ZhPVfcgz254KxqSwJvDWLgNkmXMtJwwV4G781SbyXF", "chord/peer/12D3KooWQQ5cHtYEgsRsYsWLbNS4194B6riHajQWULzs7ykj6Evc", 2},
	} {
		dir := t.TempDir()
		copyTo(t, dir, "testdata/"+folder+"/store.db", "testdata/"+folder+"/node.key")
		for range 2 { // the upgraded one starts too
			cfg := testConfig(t)
			cfg.Key, cfg.MemoryStore, cfg.DataDir = nil, false, dir
			h, err := New(cfg)
			if err != nil {
				t.Fatalf("%s: %v", folder, err)
			}
			if h.Self().ID.String() != want.peer {
				t.Errorf("%s: the node is %v now, was %s", folder, h.Self().ID, want.peer)
			}
			if st := h.Database(); st.Layout != storeLayout || st.Records != want.records || len(st.Aside) != 0 || st.Err != nil {
				t.Errorf("%s: %+v", folder, st)
			}
			if v, err := h.Store().Get(want.newest); err != nil || !bytes.Contains(v, []byte("\x7f\x00\x00\x01")) && !bytes.Contains(v, []byte("127.0.0.1")) {
				t.Errorf("%s: %q is %q, %v", folder, want.newest, v, err)
			}
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// relabel makes the database say that it has that layout.
func relabel(t *testing.T, path, layout string) {
	t.Helper()
	s := openTest(t, path)
	err := s.base.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(aboutBucket).Put(layoutKey, []byte(layout)) })
	if err := errors.Join(err, s.close(true)); err != nil {
		t.Fatal(err)
	}
}

// A database of a later version is refused, with both versions and a remedy,
// and not touched.
func TestLaterLayoutIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	relabel(t, path, "77")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = openBolt(path, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if !errors.Is(err, ErrStoreNewer) {
		t.Fatalf("a database of layout 77: %v", err)
	}
	for _, word := range []string{path, "layout 77", "up to 2", "start a later version", "move the file away"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the message does not say %q: %v", word, err)
		}
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) || len(asides(path)) > 0 {
		t.Errorf("the refused file was changed or moved: %v", err)
	}
}

// A step that fails leaves the file in its old layout: all steps are one transaction.
func TestFailedUpgradeChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("store"))
		return errors.Join(err, b.Put([]byte("k"), []byte("v")))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	whole := steps
	defer func() { steps = whole }()
	steps = []func(*bbolt.Tx) error{func(tx *bbolt.Tx) error { return errors.Join(sealRecords(tx), errors.New("no more room")) }}
	s := openTest(t, path)
	if st := s.state(); st.Err == nil || !strings.Contains(st.Err.Error(), "from layout 1 to 2: no more room") {
		t.Errorf("a failed upgrade: %+v", st)
	}
	steps = whole
	if err := errors.Join(s.Write(host.Change{Key: "k2", Value: []byte("v2")}), s.commit()); err != nil {
		t.Error(err)
	}
	for k, want := range map[string]string{"k": "v", "k2": "v2"} {
		if v, err := s.Get(k); string(v) != want || err != nil {
			t.Errorf("%s is %q, %v", k, v, err)
		}
	}
	if err := s.close(true); err != nil {
		t.Error(err)
	}
}
