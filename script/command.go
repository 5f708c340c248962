package script

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// runStep lets an actor run the program under test as a person does in a
// shell. What it prints is what he receives; what he sends is typed there.
type runStep struct {
	actor string
	args  []template
}

func (a *runStep) play(_ context.Context, p *play, _ *step) error {
	if err := p.ownNodes("runs"); err != nil {
		return err
	}
	if p.opts.Program == "" {
		return errors.New("no program to run was given")
	}
	var args []string
	for _, t := range a.args {
		arg, err := p.text(t)
		if err != nil {
			return err
		}
		args = append(args, arg)
	}
	cmd := exec.Command(p.opts.Program, args...)
	cmd.Dir, cmd.Env = p.opts.Dir, strangerTo(p.opts.Dir)
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	stderr, err3 := cmd.StderrPipe()
	if err := errors.Join(err1, err2, err3); err != nil {
		return fmt.Errorf("running the program: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("running the program: %w", err)
	}
	p.logf("%s runs process %d: %s", a.actor, cmd.Process.Pid, strings.Join(cmd.Args, " "))
	c := &actor{name: a.actor, nick: a.actor, in: &stream{}, out: stdin, conn: command{stdin, cmd.Process}}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replaceLocked(c)
	p.tasks.Add(1)
	go p.attendCommand(c, cmd, stdout, stderr)
	return nil
}

// attendCommand reads what a command prints, and says as its last line how it
// ended.
func (p *play) attendCommand(a *actor, cmd *exec.Cmd, stdout, stderr io.Reader) {
	defer p.tasks.Done()
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.follow(a.name, stderr, a.in)
	}()
	p.follow(a.name, stdout, a.in)
	<-read
	// How it ended is what the session is told.
	_ = cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	a.in.add(cmd.ProcessState.String())
	a.in.end(nil)
	p.logf("%s: %s", a.name, cmd.ProcessState)
	p.wakeLocked()
}

// command is a running command, which ends when its actor closes it.
type command struct {
	stdin   io.Closer
	process *os.Process
}

func (c command) Close() error {
	// It may have ended by itself meanwhile.
	_ = c.process.Kill()
	return c.stdin.Close()
}

// strangerTo is the environment of somebody who has his home in a folder of the run,
// so that the configuration of who runs the session is not found.
func strangerTo(dir string) []string {
	return append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
}
