package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// deadline is how long a condition may take on a slow machine.
const deadline = 30 * time.Second

type question struct {
	Ask string `json:"ask"`
}

type answer struct {
	Said  string `json:"said"`
	Error string `json:"error"`
}

// serve runs a server that says what it was asked, until the test ends.
func serve(t *testing.T, dir string, silence time.Duration) *Server {
	t.Helper()
	s, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	s.silence = silence
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		s.Serve(ctx, func(_ context.Context, request json.RawMessage) any {
			var q question
			if err := json.Unmarshal(request, &q); err != nil {
				return answer{Error: err.Error()}
			}
			return answer{Said: q.Ask}
		})
	})
	t.Cleanup(func() { cancel(); done.Wait() })
	return s
}

// directory is one with a path that is short on every system.
func directory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func ask(t *testing.T, dir, text string) (answer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	var a answer
	err := Call(ctx, dir, question{text}, &a)
	return a, err
}

func TestAskAndAnswer(t *testing.T) {
	dir := directory(t)
	serve(t, dir, deadline)
	if a, err := ask(t, dir, "status\nof \"it\""); err != nil || a.Said != "status\nof \"it\"" {
		t.Errorf("got %+v, %v", a, err)
	}
	info, err := os.Stat(filepath.Join(dir, socketName))
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, %v", info.Mode(), err)
	}
}

func TestSeveralRequestsOnOneConnection(t *testing.T) {
	dir := directory(t)
	serve(t, dir, deadline)
	conn := dial(t, dir)
	lines := bufio.NewScanner(conn)
	for _, text := range []string{"one", "two"} {
		if _, err := conn.Write([]byte(`{"ask":"` + text + `"}` + "\n")); err != nil {
			t.Fatal(err)
		}
		if !lines.Scan() || lines.Text() != `{"said":"`+text+`","error":""}` {
			t.Errorf("got %q", lines.Text())
		}
	}
}

func dial(t *testing.T, dir string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", locate(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestNobodyAnswers(t *testing.T) {
	empty := directory(t)
	left := directory(t) // with the socket of a node that was killed
	l, err := net.Listen("unix", filepath.Join(left, socketName))
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	gone := filepath.Join(empty, "no", "such", "directory")
	for _, dir := range []string{empty, left, gone, filepath.Join(empty, strings.Repeat("x", 200))} {
		if _, err := ask(t, dir, "status"); !errors.Is(err, ErrNobody) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	// A new node takes its place.
	serve(t, left, deadline)
	if a, err := ask(t, left, "status"); err != nil || a.Said != "status" {
		t.Errorf("got %+v, %v", a, err)
	}
}

// A server that ended has left nothing behind, and the next one is not
// disturbed by it.
func TestOneAfterTheOther(t *testing.T) {
	dir := directory(t)
	for range 20 {
		s, err := Listen(dir)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { s.Serve(ctx, func(context.Context, json.RawMessage) any { return answer{Said: "yes"} }) })
		if a, err := ask(t, dir, ""); err != nil || a.Said != "yes" {
			t.Fatalf("got %+v, %v", a, err)
		}
		cancel()
		done.Wait()
		if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
			t.Fatalf("left: %v, %v", files, err)
		}
	}
}

// A directory whose path is too long for a socket has it elsewhere.
func TestALongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	temp := directory(t)
	t.Setenv("TMPDIR", temp)
	t.Setenv("TMP", temp)

	// One that was killed left its socket and the file that names it.
	killed, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	killed.l.(*net.UnixListener).SetUnlinkOnClose(false)
	killed.l.Close()

	s, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	if at := s.l.Addr().String(); !strings.HasPrefix(at, temp) || locate(dir) != at {
		t.Errorf("it listens at %s; named is %s", at, locate(dir))
	}
	s.Close()
	serve(t, dir, deadline)
	if a, err := ask(t, dir, "status"); err != nil || a.Said != "status" {
		t.Errorf("got %+v, %v", a, err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) != 1 {
		t.Errorf("in the temporary directory are %v, %v", left, err)
	}
}

func TestBothPathsTooLong(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir)
	if _, err := Listen(dir); err == nil || !strings.Contains(err.Error(), "too long for a Unix socket") {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// What the file that names the socket may not lead to.
func TestAPathThatIsNotOurs(t *testing.T) {
	for _, text := range []string{"", "/", "control.sock\n", "/etc/passwd\n", "/tmp/other/control.sock\n", "/tmp/ircbridge-1/node.key\n", "/tmp/ircbridge-1/" + strings.Repeat("x", 100) + "/control.sock\n"} {
		dir := directory(t)
		if err := os.WriteFile(filepath.Join(dir, pathName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if path, ok := elsewhere(dir); ok {
			t.Errorf("%q leads to %s", text, path)
		}
	}
}

func TestWrongRequests(t *testing.T) {
	tests := []struct{ name, request, want string }{
		{"no JSON", "status\n", `{"error":"a request is one JSON object in one line"}`},
		{"too long", `{"ask":"` + strings.Repeat("x", MaxRequest) + `"}` + "\n", `{"error":"a request has at most 4096 bytes in one line"}`},
		{"of another shape", "[1]\n", `{"said":"","error":"json: cannot unmarshal array into Go value of type control.question"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := directory(t)
			serve(t, dir, deadline)
			conn := dial(t, dir)
			if _, err := conn.Write([]byte(test.request)); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(conn)
			if !lines.Scan() || lines.Text() != test.want {
				t.Errorf("got %q", lines.Text())
			}
		})
	}
}

// A client that says nothing, or half a request, is cut off; others are
// served meanwhile.
func TestSilentClients(t *testing.T) {
	dir := directory(t)
	serve(t, dir, 50*time.Millisecond)
	for _, begin := range []string{"", `{"ask"`} {
		conn := dial(t, dir)
		if _, err := conn.Write([]byte(begin)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after %q: %v", begin, err)
		}
	}
}

// More clients than there are places wait until one is cut off.
func TestManyClients(t *testing.T) {
	dir := directory(t)
	serve(t, dir, 200*time.Millisecond)
	for range maxClients {
		dial(t, dir)
	}
	if a, err := ask(t, dir, "me too"); err != nil || a.Said != "me too" {
		t.Errorf("got %+v, %v", a, err)
	}
}

// Who asks does not wait for ever for a node that hangs.
func TestAHangingNode(t *testing.T) {
	dir := directory(t)
	l, err := net.Listen("unix", filepath.Join(dir, socketName))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var a answer
	if err := Call(ctx, dir, question{}, &a); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
