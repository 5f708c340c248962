package bridge

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"ircbridge/host"
	"ircbridge/host/p2p"
)

// Times of joining.
const (
	dialTime   = 5 * time.Second        // for one address to answer
	joinTime   = 3 * time.Second        // for the ring to take this node in
	aloneAfter = 500 * time.Millisecond // without an answer, the node goes on without
	backTime   = 500 * time.Millisecond // to come back through the nodes it remembers
	firstPause = time.Second            // after a round in which nobody answered; doubled each time
	maxPause   = 30 * time.Second
	watchPause = 10 * time.Second // between two looks whether the node is alone again
)

// joiner brings a node into a ring through the addresses it was told, for as
// long as it is alone. The node serves its users all the while: it begins a
// ring of its own when nobody answers soon, and takes what it keeps along when
// it joins another one later.
//
// One goroutine runs it and owns its fields; each address that is being
// dialled has one more, which ends with the dial.
type joiner struct {
	addrs  []string
	dial   func(addr string, d time.Duration) (host.Peer, error)
	join   func(peers []host.Peer, d time.Duration) error
	create func()
	alone  func() bool
	known  func() []host.Peer // remembered from earlier runs
	say    func(format string, args ...any)
	log    *slog.Logger

	told  map[string]string // by address: the kind of failure last told
	ready func()            // called once, when the node is in some ring
	begun bool              // it is
	dials sync.WaitGroup
}

// run joins, and joins again when the node is left alone, until ctx is done.
// ready is called as soon as the node is a member of a ring, be it its own.
func (j *joiner) run(ctx context.Context, ready func()) {
	j.ready, j.told = ready, map[string]string{}
	defer j.dials.Wait()
	if len(j.addrs) == 0 {
		j.begin()
		j.tellCompany(ctx)
		return
	}
	j.say("Joining through %s …", strings.Join(j.addrs, ", "))
	pause := firstPause
	for ctx.Err() == nil && len(j.addrs) > 0 {
		if j.round(ctx) {
			pause = firstPause
			if !j.watch(ctx) {
				return
			}
			j.say("This node is alone again; joining through %s …", strings.Join(j.addrs, ", "))
			continue
		}
		j.begin()
		// Nodes that start together and join each other must not go on in step.
		if !wait(ctx, pause/2+rand.N(pause)) {
			return
		}
		pause = min(2*pause, maxPause)
		if !j.alone() {
			j.say("Other nodes are in the ring of this one; it tries %s again when it is alone.", strings.Join(j.addrs, ", "))
			if !j.watch(ctx) {
				return
			}
		}
	}
	j.begin()
}

// begin goes on without the addresses, unless the node is in a ring already:
// back to the nodes it remembers, else in a ring of its own. The ring itself
// goes on looking for remembered nodes while it is alone.
func (j *joiner) begin() {
	if j.begun {
		return
	}
	j.begun = true
	known := j.known()
	if len(known) > 0 && j.join(known, backTime) == nil {
		j.say("Back in the ring, through a node known from before.")
		j.log.Info("joined the ring", "through", "a node known from before")
	} else {
		j.create()
	}
	j.ready()
}

// tellCompany says when other nodes come, and when the last one has gone.
func (j *joiner) tellCompany(ctx context.Context) {
	for was := j.alone(); wait(ctx, watchPause); {
		if now := j.alone(); now != was {
			was = now
			if now {
				j.say("This node is alone now.")
			} else {
				j.say("Other nodes are in the ring of this one.")
			}
		}
	}
}

// watch returns true when the node is alone again, false when ctx is done.
func (j *joiner) watch(ctx context.Context) bool {
	for wait(ctx, watchPause) {
		if j.alone() {
			return true
		}
	}
	return false
}

// answer is what came of dialling one address.
type answer struct {
	addr string
	peer host.Peer
	err  error
}

// round dials all addresses at once and joins through the first that answers
// and takes the node in. It returns whether that succeeded.
func (j *joiner) round(ctx context.Context) bool {
	answers := make(chan answer, len(j.addrs)) // so that no dial waits for us
	for _, addr := range j.addrs {
		j.dials.Go(func() {
			peer, err := j.dial(addr, dialTime)
			answers <- answer{addr, peer, err}
		})
	}
	soon := time.NewTimer(aloneAfter)
	defer soon.Stop()
	for left := len(j.addrs); left > 0; {
		select {
		case a := <-answers:
			left--
			if ctx.Err() == nil && j.through(a) {
				return true
			}
		case <-soon.C:
			j.begin()
		case <-ctx.Done():
			return false
		}
	}
	return false
}

// through joins by way of one node that answered, and reports success.
func (j *joiner) through(a answer) bool {
	if errors.Is(a.err, p2p.ErrSelf) {
		j.tell(a, "self", "%s is this node itself, and is left out.")
		j.drop(a.addr)
		return false
	}
	if a.err != nil {
		kind, text := failure(a.err)
		j.tell(a, kind, text)
		return false
	}
	if j.begun && !j.alone() {
		return false // somebody joined us meanwhile
	}
	if a.err = j.join([]host.Peer{a.peer}, joinTime); a.err != nil {
		j.tell(a, "not taken in", "%s answers, but its ring did not take this node in; trying again.")
		return false
	}
	clear(j.told)
	j.say("Joined the ring through %s (peer %s).", a.addr, a.peer.ID)
	j.log.Info("joined the ring", "through", a.addr, "peer", a.peer.ID)
	if !j.begun {
		j.begun = true
		j.ready()
	}
	return true
}

// tell says why an address did not work, once until it fails in another way.
// text has one %s for the address.
func (j *joiner) tell(a answer, kind, text string) {
	j.log.Debug("cannot join", "through", a.addr, "err", a.err)
	if j.told[a.addr] == kind {
		return
	}
	j.told[a.addr] = kind
	j.say(text, a.addr)
	j.log.Warn("cannot join", "through", a.addr, "why", kind, "err", a.err)
}

// drop forgets an address for good.
func (j *joiner) drop(addr string) {
	var kept []string
	for _, a := range j.addrs {
		if a != addr {
			kept = append(kept, a)
		}
	}
	j.addrs = kept
}

// failure is the kind of an error of Dial, and what to tell a person; %s is
// the address.
func failure(err error) (kind, text string) {
	for _, f := range []struct {
		err  error
		text string
	}{
		{host.ErrOtherOverlay, "%s belongs to another overlay; to join it, give this node the same name under [overlay] in the configuration."},
		{host.ErrOtherVersion, "%s speaks another major version of the protocol; bring both nodes to the same version of ircbridge."},
		{host.ErrWrongPeer, "%s is another node than the one named in the address; check the peer ID at its end."},
		{host.ErrNotOurs, "%s answers, but is no ircbridge node; check address and port (that of the overlay, not that of IRC)."},
		{host.ErrBadAddress, "%s is no address; write HOST:PORT or a multiaddress."},
		{host.ErrBusy, "%s is too busy to take this node in; trying again."},
	} {
		if errors.Is(err, f.err) {
			return f.err.Error(), f.text
		}
	}
	return "does not answer", "%s does not answer; trying again until it does. Is a node running there, and its port open for TCP and UDP?"
}

// wait waits for d; false when ctx is done.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
