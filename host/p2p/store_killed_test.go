package p2p

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ircbridge/host"
)

// killedVariable makes this test's process the one that is killed.
const killedVariable = "IRCBRIDGE_TEST_KILLED"

// A process that is killed with kill -9 in the middle of its writing leaves all
// that Sync had confirmed, no half of a batch, and no later one without the earlier.
func TestKilledProcessKeepsWhatWasConfirmed(t *testing.T) {
	if path := os.Getenv(killedVariable); path != "" {
		writeUntilKilled(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "store.db")
	confirmed := 0
	for round := range 8 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledProcessKeepsWhatWasConfirmed$")
		cmd.Env = append(os.Environ(), killedVariable+"="+path)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 20+7*round && lines.Scan(); n++ {
			if _, err := fmt.Sscan(lines.Text(), &confirmed); err != nil {
				t.Fatalf("the process said %q", lines.Text())
			}
		}
		_ = cmd.Process.Kill()
		for lines.Scan() { // what it said before it died
			_, _ = fmt.Sscan(lines.Text(), &confirmed)
		}
		_ = cmd.Wait() // killed
		s := openTest(t, path)
		if len(asides(path)) > 0 {
			t.Fatal("a kill damaged the database")
		}
		last, gap := 0, false
		for n := 1; n < confirmed+10000; n++ {
			a, err := s.Get(fmt.Sprint("a/", n))
			b, err2 := s.Get(fmt.Sprint("b/", n))
			if err != nil || err2 != nil || string(a) != string(b) {
				t.Fatalf("batch %d is %q and %q, %v, %v", n, a, b, err, err2)
			}
			if a != nil && gap {
				t.Fatalf("batch %d is there, and an earlier one is not", n)
			}
			if gap = a == nil; !gap {
				last = n
			}
		}
		if last < confirmed || confirmed == 0 {
			t.Errorf("%d batches were confirmed, %d are there", confirmed, last)
		}
		confirmed = last
		if err := s.close(false); err != nil {
			t.Fatal(err)
		}
	}
}

// writeUntilKilled writes batches behind those that are there, three between
// one Sync and the next, and says how far it is confirmed.
func writeUntilKilled(t *testing.T, path string) {
	s := openTest(t, path)
	startStore(t, s)
	n := s.base.sizes().records / 2
	for range 100000 {
		for range 3 {
			n++
			value := fmt.Append(nil, "value ", n)
			if err := s.Write(host.Change{Key: fmt.Sprint("a/", n), Value: value}, host.Change{Key: fmt.Sprint("b/", n), Value: value}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Sync(patience); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Println(n); err != nil {
			return // the other side is gone
		}
	}
}
