//go:build unix

package script

import (
	"os"
	"syscall"
)

// signalOf is the signal behind a statement.
func signalOf(s nodeSignal) (os.Signal, error) {
	return map[nodeSignal]os.Signal{
		stopNode: syscall.SIGTERM, killNode: syscall.SIGKILL,
		pauseNode: syscall.SIGSTOP, resumeNode: syscall.SIGCONT,
	}[s], nil
}
