package nodes

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// signal sends a signal to the process.
func (n *Node) signal(what string, s os.Signal) error {
	p := n.run()
	if p == nil {
		return fmt.Errorf("%s %s: it was never started", what, n)
	}
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("%s %s: %w", what, n, err)
	}
	return nil
}

// Kill is kill -9. It does not wait for the end; Ended does.
func (n *Node) Kill() error { return n.signal("killing", os.Kill) }

// Terminate asks the node to leave in order. It does not wait for the end.
func (n *Node) Terminate() error { return n.signal("ending", terminate) }

// Pause stops the process as it stands, its connections open; Resume lets it go on. Not on Windows.
func (n *Node) Pause() error { return n.signal("pausing", pause) }

// Resume undoes Pause.
func (n *Node) Resume() error { return n.signal("resuming", resume) }

// end ends the node in order, or by force after ten seconds.
func (n *Node) end() {
	if !n.Runs() {
		return
	}
	p := n.run()
	late := time.NewTimer(10 * time.Second)
	defer late.Stop()
	if err := errors.Join(n.Terminate(), n.Resume()); err != nil { // no such signal on this system
		late.Reset(0)
	}
	select {
	case <-p.ended:
	case <-late.C:
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}
