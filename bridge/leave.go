package bridge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/host/p2p"
)

// Times of leaving; together they stay below the 5 s after which people, and
// service managers, lose patience.
const (
	goodbyeTime = 1500 * time.Millisecond // for the front-ends
	leaveTime   = 4 * time.Second         // for all up to the ring
	closeTime   = 800 * time.Millisecond  // for the host, after that
)

// errNodeStopped is what users read as the reason.
var errNodeStopped = errors.New("node stopped")

// served is how a front-end ended.
type served struct {
	name string
	err  error
}

// serve joins, lets users in, waits for the end, and leaves.
func (n *Node) serve(ctx context.Context, p *parts) error {
	var joining sync.WaitGroup
	joinCtx, stopJoining := context.WithCancel(context.WithoutCancel(ctx))
	begun := make(chan struct{})
	p.joiner.found = n.discover(p)
	joining.Go(func() { p.joiner.run(joinCtx, func() { close(begun) }) })
	joining.Go(func() { n.answer(joinCtx, p) })

	var why error
	select {
	case <-begun:
		why = n.serveFrontends(ctx, p)
	case why = <-p.host.Twin():
		p.abandonFrontends()
	case <-ctx.Done():
		p.abandonFrontends()
	}
	stopJoining()
	if errors.Is(why, p2p.ErrTwin) {
		p.log.Error("ending", "why", why)
		why = p.twinError(why)
		p.vanish()
	} else {
		p.leave()
	}
	joining.Wait() // its dials end with the host
	return why
}

func (n *Node) joiner(p *parts) *joiner {
	return &joiner{
		self: p.host.Self().ID, addrs: n.cfg.Node.Join,
		dial: p.host.Dial, join: p.overlay.Join, introduce: p.ring.Introduce, create: p.overlay.Create,
		alone: p.ring.Alone, known: p.known, say: n.say, log: p.log,
		connected: func(id host.PeerID) bool { _, ok := p.host.PeerRun(id); return ok },
	}
}

// serveFrontends runs the front-ends until ctx is done, a user asks for the end,
// one of them fails, or the node has a twin, and until all of them have said goodbye, or goodbyeTime
// is over.
func (n *Node) serveFrontends(ctx context.Context, p *parts) error {
	frontCtx, goodbye := context.WithCancelCause(context.WithoutCancel(ctx))
	defer goodbye(nil)
	ended := make(chan served, len(p.fronts))
	for _, f := range p.fronts {
		go func() { ended <- served{f.name, f.Serve(frontCtx)} }()
	}
	close(n.ready)

	left := len(p.fronts)
	why := waitForEnd(ctx, p.host.Twin(), ended, &left)
	if errors.Is(why, p2p.ErrTwin) {
		goodbye(errTwinRuns)
	}
	goodbye(errNodeStopped) // if it was not said already
	late := time.NewTimer(goodbyeTime)
	defer late.Stop()
	for left > 0 {
		select {
		case s := <-ended:
			left--
			if s.err != nil && !errors.Is(s.err, chat.ErrExit) {
				p.log.Warn("front-end ended", "name", s.name, "err", s.err)
			}
		case <-late.C:
			p.log.Warn("front-ends are slow to end; leaving without them", "left", left)
			return why
		}
	}
	return why
}

// waitForEnd returns nil when the node is asked to end, the error of a
// front-end that failed, or that of a twin. One that ends without an error, such as a console
// whose input ended, does not end the node.
func waitForEnd(ctx context.Context, twin <-chan error, ended <-chan served, left *int) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-twin:
			return err
		case s := <-ended:
			*left--
			switch {
			case errors.Is(s.err, chat.ErrExit):
				return nil
			case s.err != nil:
				return fmt.Errorf("[%s] failed: %w", s.name, s.err)
			}
		}
	}
}

// abandonFrontends ends front-ends that have let nobody in yet: Serve closes
// what Listen opened.
func (p *parts) abandonFrontends() {
	over, cancel := context.WithCancelCause(context.Background())
	cancel(errNodeStopped)
	for _, f := range p.fronts {
		_ = f.Serve(over)
	}
}

// leave goes in the order in which others lose least: names and memberships,
// then the objects kept here, then the place on the ring, then the connections.
func (p *parts) leave() {
	began := time.Now()
	left := func() time.Duration { return max(0, leaveTime-time.Since(began)) }
	p.log.Info("leaving: users quit, names and memberships are given back")
	p.service.Leave(min(goodbyeTime, left()))
	p.log.Info("leaving: what is kept here goes to the successor")
	p.overlay.Leave(left())
	p.log.Info("leaving: telling the neighbours on the ring")
	p.ring.Leave(min(time.Second, left()+closeTime))
	p.closeHost(left() + closeTime)
	p.log.Info("left", "after", time.Since(began).Round(time.Millisecond))
}

// closeHost closes the connections, within d.
func (p *parts) closeHost(d time.Duration) {
	closed := make(chan error, 1)
	go func() { closed <- p.host.Close() }()
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case err := <-closed:
		if err != nil {
			p.log.Warn("closing the host", "err", err)
		}
	case <-late.C:
		p.log.Warn("the host is slow to close; ending without it")
	}
}
