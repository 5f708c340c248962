package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// terminal is a program in a window of tmux, and who sits before it.
type terminal struct {
	t      *testing.T
	socket string
	name   string
}

// tmux runs one command of a tmux server of the test's own.
func tmux(t *testing.T, socket string, args ...string) string {
	t.Helper()
	cmd := exec.Command("tmux", append([]string{"-S", socket, "-f", os.DevNull}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TERM=screen")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("tmux %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// homeOf makes a home directory. A program that is ended may write its files once more while the
// directory is being removed; then that is done again.
func homeOf(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ircbridge-home-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		eventually(t, "removing "+dir, func() bool { return os.RemoveAll(dir) == nil }, func() string { return "" })
	})
	return dir
}

// sitDown starts a program in a window of its own, with an empty home directory. The window stays
// when it has ended, so that its last screen can be read.
func sitDown(t *testing.T, socket, name, home, command string) *terminal {
	t.Helper()
	command = fmt.Sprintf("export HOME=%s TERM=screen LC_ALL=C.UTF-8; %s; echo the program has ended; cat", home, command)
	tmux(t, socket, "new-session", "-d", "-s", name, "-x", "200", "-y", "45", command)
	return &terminal{t, socket, name}
}

func (s *terminal) screen() string {
	return tmux(s.t, s.socket, "capture-pane", "-p", "-t", s.name)
}

// types sends a line as from the keyboard.
func (s *terminal) types(line string) {
	s.t.Helper()
	tmux(s.t, s.socket, "send-keys", "-t", s.name, "-l", "--", line)
	tmux(s.t, s.socket, "send-keys", "-t", s.name, "Enter")
}

// sees waits until a text stands on the screen.
func (s *terminal) sees(text string) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%s sees %q", s.name, text),
		func() bool { return strings.Contains(s.screen(), text) },
		func() string { return s.screen() })
}

// seesLate waits longer than sees, for what comes after the time that a node is given to
// come back.
func (s *terminal) seesLate(text string) {
	s.t.Helper()
	tick := time.NewTicker(time.Second / 4)
	defer tick.Stop()
	for end := time.Now().Add(3 * patience); !strings.Contains(s.screen(), text) && time.Now().Before(end); {
		<-tick.C
	}
	s.sees(text)
}
