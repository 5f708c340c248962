package ordeal

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"time"

	"ircbridge/nodes"
)

// fault is one thing that happens to nodes.
type fault struct {
	name, help string
	// reach is how many nodes it strikes: the keeper and those that follow it; 0 is all.
	reach int
	// strike does it. It returns when what is sent afterwards is sent after the fault.
	strike func(ctx context.Context, r *run, struck []*nodes.Node) error
	// undo makes all well again after Options.Down; nil when there is nothing to undo.
	undo func(ctx context.Context, r *run, struck []*nodes.Node) error
	// fromUndo says that times count from the undoing, since nobody can speak before.
	fromUndo bool
	// wakes says that the users on the struck nodes stay connected, and it is measured
	// how long it takes after the undoing until they are heard again.
	wakes bool
}

// faults by name, in the order of the help.
func faults() []fault {
	return []fault{
		{"kill", "kill -9 of the node that keeps the channel", 1, killAll, restart, false, false},
		{"kill-two", "kill -9 of the keeper and of its first replica, at once", 2, killAll, restart, false, false},
		{"kill-leaving", "the keeper is told to end, and gets kill -9 a millisecond to a second later", 1, killLeaving, restart, false, false},
		{"restart", "kill -9 of the keeper, which is started again at once", 1, killAndStart, nil, false, false},
		{"restart-all", "kill -9 of all nodes at once, which are then started together, told nobody to join", 0, killAll, restartAll, true, false},
		{"stall", "the keeper's process is stopped (SIGSTOP), and goes on later", 1, stall, wake, false, true},
		{"sleep", "the same for a minute, as when a laptop sleeps: others have given it up meanwhile", 1, stall, wake, false, true},
		{"silence", "a thousand connections on which nothing is said, to each of the keeper's two ports", 1, silence, speakUp, false, false},
		{"calm", "nothing", 1, nothing, nil, false, false},
	}
}

// silent is how many connections silence makes to each port.
const silent = 1000

// silence connects to both ports of a node and says nothing. What is refused or
// cut off is the node's right.
func silence(ctx context.Context, r *run, struck []*nodes.Node) error {
	var d net.Dialer
	for i := range 2 * silent {
		addr := struck[0].IRC()
		if i%2 == 0 {
			addr = struck[0].Overlay()
		}
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("connection %d to %s: %w", i+1, struck[0], err)
		}
		r.silent = append(r.silent, conn)
	}
	return nil
}

// speakUp ends the silence, and the connections.
func speakUp(_ context.Context, r *run, _ []*nodes.Node) error {
	for _, conn := range r.silent {
		conn.Close()
	}
	r.silent = nil
	return nil
}

func nothing(context.Context, *run, []*nodes.Node) error { return nil }

// killAll kills the nodes at one moment and waits until all are gone.
func killAll(ctx context.Context, _ *run, struck []*nodes.Node) error {
	for _, n := range struck {
		if err := n.Kill(); err != nil {
			return err
		}
	}
	return gone(ctx, struck)
}

func gone(ctx context.Context, struck []*nodes.Node) error {
	for _, n := range struck {
		select {
		case <-n.Ended():
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// killLeaving interrupts the leaving at a time of which each length is as likely as ten times that.
func killLeaving(ctx context.Context, r *run, struck []*nodes.Node) error {
	n := struck[0]
	if err := n.Terminate(); err != nil {
		return err
	}
	d := time.Duration(math.Pow(10, 3*rand.Float64()) * float64(time.Millisecond))
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case <-n.Ended():
		r.logf("%s left before it was killed, after %v", n, d.Round(time.Microsecond))
	case <-late.C:
		r.logf("%s leaves, and is killed after %v", n, d.Round(time.Microsecond))
		r.watch.now(r.now())
		// It may end by itself at this moment.
		_ = n.Kill()
	case <-ctx.Done():
	}
	return gone(ctx, struck)
}

func killAndStart(ctx context.Context, r *run, struck []*nodes.Node) error {
	if err := killAll(ctx, r, struck); err != nil {
		return err
	}
	return restart(ctx, r, struck)
}

// restart starts nodes again, each joined to one that runs.
func restart(ctx context.Context, r *run, struck []*nodes.Node) error {
	running := r.group.Running()
	if len(running) == 0 {
		return fmt.Errorf("no node runs that could be joined")
	}
	for _, n := range struck {
		if err := n.Start(ctx, running[rand.IntN(len(running))].Overlay()); err != nil {
			return err
		}
	}
	return nil
}

// restartAll starts all nodes at once; they must find each other by what they remember.
func restartAll(ctx context.Context, r *run, struck []*nodes.Node) error {
	for _, n := range struck {
		if err := n.Launch(); err != nil {
			return err
		}
	}
	for _, n := range struck {
		if err := n.Ready(ctx, false); err != nil {
			return err
		}
	}
	return nil
}

func stall(_ context.Context, _ *run, struck []*nodes.Node) error { return struck[0].Pause() }

func wake(_ context.Context, _ *run, struck []*nodes.Node) error { return struck[0].Resume() }
