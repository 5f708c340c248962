package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"unsafe"
)

// terminal opens a new terminal: the side that a person sits at, and the side
// that programs have (pty(7)).
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	var number, unlocked int32
	for request, value := range map[uintptr]*int32{syscall.TIOCGPTN: &number, syscall.TIOCSPTLCK: &unlocked} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, person.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
			t.Skipf("no terminals here: %v", errno)
		}
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

// A terminal that closes takes its node along, in order.
func TestAClosingTerminalEndsTheNode(t *testing.T) {
	person, program := openTerminal(t)
	cmd, _ := process(t, "program", func(cmd *exec.Cmd) {
		cmd.Stdin = program
		cmd.SysProcAttr.Setctty = true // of its input, descriptor 0
	}, local(t)...)
	program.Close()
	person.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
