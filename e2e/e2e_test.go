package e2e

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ircbridge/script"
)

var program string // the built program under test

func TestMain(m *testing.M) {
	if os.Getenv(insideVariable) != "" {
		os.Exit(m.Run()) // built already, by the test outside
	}
	dir, err := os.MkdirTemp("", "ircbridge-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "ircbridge")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	noteSources()
	parallel()
	status := 1
	build := exec.Command("go", "build", "-o", program, "ircbridge/cmd/ircbridge")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the program: %v\n%s", err, out)
	} else {
		status = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(status)
}

// parallel lets twice as many sessions run at a time as there are processors, unless -parallel
// says something else: they wait more than they work.
func parallel() {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if !said {
		// The flag is there, and the value a number.
		_ = flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0)))
	}
}

// noteSources looks at every source file of the module, because `go test` remembers
// which files a test looked at: without that it would give an old result again
// after a change of the program, which this package does not import, or of the sessions on namespaces,
// which another process reads.
func noteSources() {
	// What cannot be looked at, the build will complain about.
	_ = filepath.WalkDir("..", func(path string, _ os.DirEntry, err error) error {
		if err == nil && (strings.HasSuffix(path, ".go") || strings.HasSuffix(path, ".txt") || strings.HasPrefix(filepath.Base(path), "go.")) {
			_, err = os.Stat(path)
		}
		return err
	})
}

// TestSessions plays every session of testdata.
func TestSessions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("sessions stop processes with signals that Windows does not have")
	}
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(names) < 8 {
		t.Fatalf("%d sessions found (%v), want at least 8", len(names), err)
	}
	t.Parallel()
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			t.Parallel()
			play(t, name, script.Options{Program: program})
		})
	}
}

// play runs one session and fails the test with its report.
func play(t *testing.T, name string, opts script.Options) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := script.Parse(name, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if deadline, ok := t.Deadline(); ok {
		// Leave the time to end the processes.
		c, cancel := context.WithDeadline(ctx, deadline.Add(-5*time.Second))
		defer cancel()
		ctx = c
	}
	opts.Dir, opts.Log = t.TempDir(), sessionLog(t)
	opts.Timeout = patience // other packages' tests may keep the processors busy
	if err := script.Run(ctx, s, opts); err != nil {
		t.Error(err)
	}
}

// sessionLog is where a session's course is written, if anywhere.
func sessionLog(t *testing.T) io.Writer {
	dir := os.Getenv("E2E_LOG")
	if dir == "" {
		return nil
	}
	f, err := os.Create(filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "-")+".log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// need skips a test that cannot run here, loudly; where everything must be there (CI=true),
// it fails.
func need(t *testing.T, have bool, what string) {
	t.Helper()
	if have {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("NOT TESTED: %s, which CI must provide", what)
	}
	skips.Lock()
	defer skips.Unlock()
	fmt.Fprintf(os.Stderr, "SKIPPED %s: %s\n", t.Name(), what)
	t.Skip(what)
}

var skips sync.Mutex

func haveCommand(names ...string) bool {
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			return false
		}
	}
	return true
}
