package main

import (
	"os"
	"os/signal"
	"syscall"
)

// heedSignals calls stop on the first SIGINT or SIGTERM, and ends the process
// on the second. SIGHUP means what its sender meant: from a terminal that
// closes it is an end like the others; a process that has no terminal (a
// service, a container) reads its configuration again, which reload is told.
// The function that it returns takes all that back.
func heedSignals(stop func(), reload chan<- struct{}) (undo func()) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup means it
		signals = append(signals, syscall.SIGHUP)
	}
	terminal := hasTerminal() // as it was at the start: a closed one is gone
	got, done := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(got, signals...)
	go func() {
		for first := true; ; {
			select {
			case s := <-got:
				switch {
				case s == syscall.SIGHUP && !terminal:
					select {
					case reload <- struct{}{}:
					default: // it is asked for already
					}
				case first:
					first = false
					stop()
				default:
					os.Exit(statusFailed)
				}
			case <-done:
				return
			}
		}
	}()
	return func() { signal.Stop(got); close(done) }
}

// hasTerminal reports whether this process has a controlling terminal (POSIX,
// section 11.1.3), whatever its input and output are.
func hasTerminal() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	_ = tty.Close()
	return true
}
