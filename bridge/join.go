package bridge

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
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
	leadTime   = 2 * time.Second        // more, for one of those that has just started too to begin the ring
	firstPause = time.Second            // after a round in which nobody answered; doubled each time
	maxPause   = 30 * time.Second
	watchPause = 10 * time.Second // between two looks whether the node is alone again
)

// joiner brings a node into a ring: through the addresses it was told, until
// one of them has answered, and through the nodes that are found on the local
// network. The node serves its users all the while: it begins a ring of its own
// when nobody answers soon, and takes what it keeps along when it joins another
// one later. When it has company by then, the two rings are introduced to each
// other instead.
//
// One goroutine runs it and owns its fields, but for state; each address that
// is being dialled has one more, which ends with the dial.
type joiner struct {
	self      host.PeerID
	addrs     []string
	dial      func(addr string, d time.Duration) (host.Peer, error)
	join      func(peers []host.Peer, d time.Duration) error
	introduce func(p host.Peer) // to a ring that is not this node's alone
	create    func()
	alone     func() bool
	known     func() []host.Peer        // of the ring, those of earlier runs too
	connected func(id host.PeerID) bool // to a node that runs
	found     chan host.Peer            // on the local network; nil for none
	say       func(format string, args ...any)
	log       *slog.Logger

	told  map[string]string    // by address: the kind of failure last told
	met   map[host.PeerID]bool // told to have been found
	lone  bool                 // it was alone when that was looked at last
	ready func()               // called once, when the node is in some ring
	begun bool                 // it is
	dials sync.WaitGroup
	state joinState
}

// run joins, and joins again when the node is left alone, until ctx is done.
// ready is called as soon as the node is a member of a ring, be it its own.
func (j *joiner) run(ctx context.Context, ready func()) {
	j.ready, j.told, j.met = ready, map[string]string{}, map[host.PeerID]bool{}
	j.state.init(j.addrs)
	defer j.dials.Wait()
	if len(j.addrs) > 0 {
		j.say("Joining through %s …", strings.Join(j.addrs, ", "))
	}
	pause := firstPause
	for ctx.Err() == nil && len(j.addrs) > 0 {
		if j.round(ctx) {
			pause = firstPause
			if !j.watch(ctx) {
				return
			}
			continue
		}
		j.begin()
		// Nodes that start together and join each other must not go on in step.
		step := pause/2 + rand.N(pause)
		j.state.waiting(time.Now().Add(step))
		if !j.wait(ctx, step) {
			return
		}
		pause = min(2*pause, maxPause)
	}
	j.begin()
	for j.wait(ctx, watchPause) {
	}
}

// begin goes on without the addresses, unless the node is in a ring already:
// back to the nodes it remembers, else in a ring of its own. The ring itself
// goes on looking for remembered nodes while it is alone.
func (j *joiner) begin() {
	if j.begun {
		return
	}
	if j.comesBack() {
		j.say("Back in the ring, through a node known from before.")
		j.log.Info("joined the ring", "through", "a node known from before")
	} else {
		j.create()
		j.lone = true
	}
	j.isIn()
}

// comesBack joins through the nodes that this one remembers. When a whole ring
// is started again there is none to join: then the one with the lowest peer ID
// begins it, and the others, which see it run, give it the time to.
func (j *joiner) comesBack() bool {
	known := j.known()
	if len(known) == 0 {
		return false
	}
	if j.join(known, backTime) == nil {
		return true
	}
	lead := slices.ContainsFunc(known, func(p host.Peer) bool { return p.ID < j.self && j.connected(p.ID) })
	return lead && j.join(known, leadTime) == nil
}

// isIn lets users in when the node has come into its first ring.
func (j *joiner) isIn() {
	if !j.begun {
		j.begun = true
		j.ready()
	}
}

// wait waits for d, meets meanwhile the nodes that are found, and says who
// comes and goes; false when ctx is done.
func (j *joiner) wait(ctx context.Context, d time.Duration) bool {
	for end := time.Now().Add(d); ; {
		left := time.Until(end)
		if left <= 0 {
			return ctx.Err() == nil
		}
		t := time.NewTimer(min(left, watchPause))
		select {
		case <-t.C:
			j.tellCompany()
		case p := <-j.found:
			t.Stop()
			j.meet(ctx, p)
		case <-ctx.Done():
			t.Stop()
			return false
		}
	}
}

// tellCompany says when other nodes have come, and when the last one has gone.
func (j *joiner) tellCompany() {
	now := j.alone()
	if now == j.lone {
		return
	}
	j.lone = now
	switch {
	case !now:
		j.say("Other nodes are in the ring of this one.")
	case len(j.addrs) > 0:
		j.say("This node is alone again; joining through %s …", strings.Join(j.addrs, ", "))
	default:
		j.say("This node is alone now.")
	}
}

// watch returns true when the node is alone again, false when ctx is done.
func (j *joiner) watch(ctx context.Context) bool {
	for j.wait(ctx, watchPause) {
		if j.lone {
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
// and takes the node in; the others that answer may be in another ring, and are
// introduced to that one. It returns whether the node joined.
func (j *joiner) round(ctx context.Context) bool {
	answers := make(chan answer, len(j.addrs)) // so that no dial waits for us
	for _, addr := range j.addrs {
		j.state.dialling(addr)
		j.dials.Go(func() {
			peer, err := j.dial(addr, dialTime)
			answers <- answer{addr, peer, err}
		})
	}
	soon := time.NewTimer(aloneAfter)
	defer soon.Stop()
	joined := false
	for left := len(j.addrs); left > 0; {
		select {
		case a := <-answers:
			left--
			switch {
			case ctx.Err() != nil:
			case joined:
				j.also(a)
			default:
				joined = j.through(a)
			}
		case p := <-j.found:
			j.meet(ctx, p)
		case <-soon.C:
			j.begin()
		case <-ctx.Done():
			return false
		}
	}
	return joined
}

// also takes the answer of an address when the node has joined through another.
func (j *joiner) also(a answer) {
	switch {
	case errors.Is(a.err, p2p.ErrSelf):
		j.drop(a.addr)
	case a.err != nil:
		j.state.failed(a.addr, a.err)
	default:
		j.introduce(a.peer)
		j.state.done(a.addr, joinAnswers)
	}
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
		j.introduce(a.peer)
		j.arrived(a, joinAnswers)
		j.say("%s answers (peer %s). If it is in another ring than this node, the two become one.", a.addr, a.peer.ID)
		j.log.Info("introduced to the ring", "address", a.addr, "peer", a.peer.ID)
		return true
	}
	if a.err = j.join([]host.Peer{a.peer}, joinTime); a.err != nil {
		j.tell(a, "not taken in", "%s answers, but its ring did not take this node in; trying again.")
		return false
	}
	j.arrived(a, joinJoined)
	j.say("Joined the ring through %s (peer %s).", a.addr, a.peer.ID)
	j.log.Info("joined the ring", "through", a.addr, "peer", a.peer.ID)
	j.isIn()
	return true
}

// arrived notes that an address has done its part.
func (j *joiner) arrived(a answer, state string) {
	clear(j.told)
	j.lone = false
	j.state.done(a.addr, state)
}

// tell says why an address did not work, once until it fails in another way.
// text has one %s for the address.
func (j *joiner) tell(a answer, kind, text string) {
	j.log.Debug("cannot join", "through", a.addr, "err", a.err)
	j.state.failed(a.addr, a.err)
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
	j.state.drop(addr)
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
		{p2p.ErrTwin, "%s is another node with this node's key, or has met one; each node needs a data directory of its own."},
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
