package e2e

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// demonstration starts `ircbridge demo` with a directory for temporary files of
// its own, and returns what it says.
func demonstration(t *testing.T, args ...string) (cmd *exec.Cmd, said *output, temp string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has other words for the directory of temporary files, and other signals")
	}
	temp = t.TempDir()
	said = new(output)
	cmd = exec.Command(program, append([]string{"demo"}, args...)...)
	cmd.Env = append(cmd.Environ(), "TMPDIR="+temp)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, said, temp
}

// nothingLeft waits until a demonstration's files are gone.
func nothingLeft(t *testing.T, temp string) {
	t.Helper()
	eventually(t, "the demonstration's files are gone", func() bool {
		left, err := os.ReadDir(temp)
		return err == nil && len(left) == 0
	}, func() string { return temp })
}

// The demonstration itself: nodes that are killed, a network that breaks, and
// nothing lost, shown twice or in a wrong order.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	t.Parallel()
	cmd, said, temp := demonstration(t, "-nodes", "4", "-seed", "2")
	err := cmd.Wait()
	for _, want := range []string{
		"is killed (kill -9)", "messages are accepted again", "No packet passes any more", "There is one ring again",
		"nodes are killed at the same moment", `is still "Nothing said is lost"`,
		"lost             0 ", "duplicated       0 ", "reordered        0 ", "Nothing that was accepted was lost",
	} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if err != nil || t.Failed() {
		t.Fatalf("%v\n%s", err, said)
	}
	nothingLeft(t, temp)
}

// However a demonstration ends in its midst, its nodes and their files go with
// it: interrupted, or killed without a chance to clean up.
func TestDemoLeavesNothing(t *testing.T) {
	for name, signal := range map[string]os.Signal{"interrupted": os.Interrupt, "killed": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd, said, temp := demonstration(t, "-nodes", "3")
			eventually(t, "the bots chat", func() bool { return strings.Contains(said.String(), "is kept by node") }, said.String)
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			err := cmd.Wait()
			if err == nil {
				t.Errorf("it went well\n%s", said)
			}
			if signal == os.Interrupt && (cmd.ProcessState.ExitCode() != 1 || !strings.Contains(said.String(), "stopped: the nodes have ended")) {
				t.Errorf("%v after %v\n%s", err, time.Since(began), said)
			}
			nothingLeft(t, temp)
		})
	}
}
