//go:build !unix

package script

import (
	"errors"
	"os"
)

// signalOf is the signal behind a statement. Only kill exists everywhere.
func signalOf(s nodeSignal) (os.Signal, error) {
	if s == killNode {
		return os.Kill, nil
	}
	return nil, errors.New("this system cannot stop, pause or resume a process; only kill works here")
}
