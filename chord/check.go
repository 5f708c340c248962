package chord

import (
	"context"
	"errors"
	"time"

	"ircbridge/chord/wire"
	"ircbridge/host"
)

// maxChecks bounds the checks that run at once beside the rounds.
const maxChecks = 32

func (r *Ring) handlePing(from host.Peer, req []byte) ([]byte, error) {
	if err := decode(req, &wire.PingRequest{}); err != nil {
		return nil, err
	}
	r.heard(from)
	r.mu.Lock()
	defer r.mu.Unlock()
	return encode(&wire.PingReply{State: r.state.toWire(), Run: r.h.Run()})
}

// ping asks within d whether c is alive; nil also when it is no member.
func (r *Ring) ping(c Contact, d time.Duration) (isMember bool, err error) {
	reply, err := r.timedFor(c, methodPing, nil, d)
	if err != nil {
		return false, err
	}
	isMember, _, err = decodePingReply(reply)
	return isMember, err
}

// check finds out whether c is a living member. Silence counts as death only
// the second time, with twice the deadline: over TCP a single lost packet
// delays by more than most round trips; and only if neighbours say so too. Of a
// node that lives, but out of this node's reach (isApart), it is true.
func (r *Ring) check(c Contact) bool { return r.checkAgain(c, 2) }

// checkAgain is check with a number of attempts: one is enough after a request
// that was not answered.
func (r *Ring) checkAgain(c Contact, attempts int) bool {
	if r.isApart(c.ID) {
		return r.vouched(c)
	}
	d := r.timeout(c)
	silent := false
	var said *inquiry
	for n := 0; n < attempts; n++ {
		wait := min(d*time.Duration(3-attempts+n), 3*r.cfg.MaxTimeout/2)
		if n == attempts-1 && said == nil {
			said = r.inquire(c, wait)
		}
		start := r.h.Now()
		isMember, err := r.ping(c, wait)
		switch {
		case err == nil && isMember:
			return true
		case errors.Is(err, host.ErrBusy), errors.Is(err, host.ErrStopped):
			return true // that is no sign of its death
		case errors.Is(err, host.ErrTimeout) && r.overslept(start, wait):
			n-- // it was this node that was late
			continue
		case errors.Is(err, host.ErrTimeout) && !r.isBad(c), errors.Is(err, host.ErrUnreachable):
			silent = true
			continue
		case r.isApart(c.ID):
			return true // as another check has found meanwhile
		}
		silent = false
		break // no member, garbage, or found dead by another check meanwhile
	}
	if silent && r.afterSilence(c, said, min(2*d, 3*r.cfg.MaxTimeout/2)) {
		return true
	}
	now := r.h.Now()
	r.mu.Lock()
	if silent {
		r.peers.missed(c.ID)
	}
	r.peers.setBad(c.ID, now.Add(r.badFor()))
	r.mu.Unlock()
	return false
}

// checkAll checks several nodes at once.
func (r *Ring) checkAll(cs []Contact) []bool {
	alive := make([]bool, len(cs))
	r.each("chord check", len(cs), func(i int) { alive[i] = r.check(cs[i]) })
	return alive
}

// each runs f(0) … f(n-1) in tasks of their own and waits for all.
func (r *Ring) each(name string, n int, f func(i int)) {
	if n == 1 {
		f(0)
		return
	}
	done := r.h.NewEvent()
	left := n
	for i := range n {
		r.h.Go(name, func() {
			f(i)
			r.mu.Lock()
			left--
			last := left == 0
			r.mu.Unlock()
			if last {
				done.Signal()
			}
		})
	}
	if n > 0 {
		_ = done.Wait(context.Background(), host.Forever)
	}
}

// startCheck checks c in a task of its own, and drops it when it is dead.
// join: when it is alive it gets its place in a short list.
func (r *Ring) startCheck(c Contact, join bool) {
	r.startCheckBy(c, join, func() bool { return r.check(c) })
}

func (r *Ring) startCheckBy(c Contact, join bool, check func() bool) {
	r.mu.Lock()
	ok := c.ID != r.id && !r.checks[c.ID] && len(r.checks) < maxChecks && r.state != left
	if ok {
		r.checks[c.ID] = true
	}
	r.mu.Unlock()
	if !ok {
		return
	}
	r.h.Go("chord check", func() {
		alive := check()
		r.mu.Lock()
		delete(r.checks, c.ID)
		r.mu.Unlock()
		switch {
		case !alive:
			r.drop(c, host.ErrTimeout)
		case r.isApart(c.ID):
			r.standOff(c)
		case join:
			r.include(c)
		}
	})
}

// include puts a living member into the list of a small ring.
func (r *Ring) include(c Contact) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != member || !r.wholeLocked() {
		return
	}
	list := insert(r.id, r.succs, c, r.cfg.SuccessorListLen)
	if sameIDs(list, r.succs) {
		return
	}
	former := r.succs[0]
	r.setSuccsLocked(list)
	if list[0].ID != former.ID {
		r.sendMeeting(list[0], &wire.Meeting{Other: contactToWire(former)})
		r.wake.Signal()
	}
}

// drop forgets a dead node as neighbour and finger. What depends on it is
// repaired at once.
func (r *Ring) drop(c Contact, why error) {
	now := r.h.Now()
	r.mu.Lock()
	r.peers.setBad(c.ID, now.Add(r.badFor()))
	short := r.wholeLocked()
	wasSucc, wasPred := indexOf(r.succs, c.ID), r.pred != nil && r.pred.ID == c.ID
	if wasSucc >= 0 {
		r.succs = without(r.succs, c.ID)
	}
	doubt, toward := r.dismissLocked(c.ID)
	if wasPred {
		r.losePredLocked()
	}
	wasFinger := r.fingers.drop(c.ID)
	if wasSucc >= 0 || wasPred {
		if r.state == member && len(r.succs) == 0 {
			r.lost = true // until withoutSuccessor has decided
		}
		r.claimLocked()
		r.changedByLocked(wasPred && c.ID == r.goodbye)
	}
	r.mu.Unlock()

	if doubt {
		r.tellDoubt(toward, c)
	}
	if wasSucc < 0 && !wasPred && !wasFinger {
		return
	}
	r.log.Info("node does not answer", "node", r.id, "dropped", c.ID, "successor", wasSucc, "predecessor", wasPred, "why", why)
	if wasSucc == 0 || wasPred {
		r.wake.Signal()
	}
	if wasFinger {
		r.poke.Signal()
	}
	if !wasPred {
		// Whatever silenced one neighbour, such as a cut, may have silenced
		// the one whose range falls to this node.
		r.checkPredecessor(r.freshFor() / 2)
	}
	switch {
	case short && wasSucc >= 0:
		r.announce(nil, []host.PeerID{c.Peer.ID})
	case wasSucc >= 0:
		r.tellGone(c.Peer.ID, r.cfg.SuccessorListLen-wasSucc-1)
	}
}

// announce tells all members of a small ring what this node itself saw change.
func (r *Ring) announce(joined []Contact, gone []host.PeerID) {
	m := &wire.MembersChanged{Joined: contactsToWire(joined)}
	for _, id := range gone {
		m.Gone = append(m.Gone, []byte(id))
	}
	msg, err := encode(m)
	if err != nil {
		return
	}
	r.mu.Lock()
	to := r.succs
	r.mu.Unlock()
	for _, c := range to {
		if indexOf(joined, c.ID) < 0 {
			_ = r.h.Send(c.Peer, methodChanged, msg)
		}
	}
}

func (r *Ring) handleChanged(from host.Peer, msg []byte) {
	joined, gone, err := decodeChanged(msg)
	if err != nil {
		r.log.Warn("bad announcement of members", "from", from.ID, "err", err)
		return
	}
	r.heard(from)
	for _, c := range joined {
		r.mu.Lock()
		ok := r.wholeLocked() && indexOf(r.succs, c.ID) < 0
		r.mu.Unlock()
		if ok {
			r.startCheck(c, true)
		}
	}
	for _, id := range gone {
		r.mu.Lock()
		c, ok := r.ringContactLocked(NodeID(id))
		r.mu.Unlock()
		if ok {
			r.startCheckBy(c, false, func() bool { return r.confirmGone(c) })
		}
	}
}

// watched makes a request that takes longer than a round trip, because the
// peer makes requests of its own before it answers. When the reply does not
// come within the peer's timeout the peer is checked, so that a dead one is
// noticed long before d is over.
func (r *Ring) watched(c Contact, m host.Method, req []byte, d time.Duration) ([]byte, error) {
	if d <= 0 {
		return nil, host.ErrTimeout
	}
	if r.isApart(c.ID) {
		return r.relayed(c, m, req, d)
	}
	first := r.timeout(c)
	if first >= d {
		return r.h.Call(c.Peer, m, req, d)
	}
	var (
		reply []byte
		err   error
		over  bool
	)
	done, whole := r.h.NewEvent(), d // d grows less below, while the call goes on
	r.h.Go("chord request", func() {
		b, e := r.h.Call(c.Peer, m, req, whole)
		r.mu.Lock()
		reply, err, over = b, e, true
		r.mu.Unlock()
		done.Signal()
	})
	result := func() (bool, []byte, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return over, reply, err
	}
	for wait := first; d > 0; wait *= 2 {
		wait = min(wait, d)
		if werr := done.Wait(context.Background(), wait); errors.Is(werr, host.ErrStopped) {
			return nil, werr
		}
		if ok, b, e := result(); ok {
			return b, e
		}
		if d -= wait; d <= 0 {
			break
		}
		start := r.h.Now()
		if _, perr := r.ping(c, r.timeout(c)); perr != nil && !errors.Is(perr, host.ErrBusy) {
			if ok, b, e := result(); ok {
				return b, e
			}
			return nil, perr
		}
		d -= r.h.Now().Sub(start)
	}
	if ok, b, e := result(); ok {
		return b, e
	}
	return nil, host.ErrTimeout
}
