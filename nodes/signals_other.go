//go:build !unix

package nodes

import "syscall"

// Where these signals do not exist, sending them fails.
const (
	terminate = syscall.SIGTERM
	pause     = syscall.Signal(19)
	resume    = syscall.Signal(18)
)
