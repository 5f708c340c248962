package chord

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ircbridge/chord/wire"
	"ircbridge/host"
)

// A peer that does not answer this node may be dead, or only out of its reach,
// or this node itself is the one that is slow. So before a peer counts as dead
// two neighbours are asked to ping it (inquire). There are three outcomes:
//
//	alive  it answered, here or after a while. Nothing changes.
//	dead   it answers nobody: dropped (drop), and the news goes round (tellGone).
//	apart  it answers others, but not this node. It stays in the ring; this
//	       node does without it in its list and fingers, and goes on
//	       with the next. As predecessor it stays. What this node has to ask it
//	       goes through a neighbour (relayed), until it is tried directly again.

var (
	methodRelay = host.Method{Number: 14, Name: "chord.relay"}
	methodGone  = host.Method{Number: 15, Name: "chord.gone"}
)

const (
	// inquiries is how many neighbours are asked about one silent peer.
	inquiries = 2
	// patience is how often a peer that others reach is tried again, with ever
	// longer deadlines, before it counts as apart.
	patience = 3
	// maxApart is the longest time, in periods, for which a peer that is apart is
	// not tried directly. It begins with minApart, and doubles.
	minApart, maxApart = 4, 32
	// maxRelays bounds the requests that this node puts to others for its
	// neighbours at once.
	maxRelays = 32
)

func (r *Ring) registerProbe() {
	r.h.HandleCall(methodRelay, r.handleRelay)
	r.h.HandleSend(methodGone, r.handleGone)
}

// An inquiry is what neighbours say of a peer.
type inquiry struct {
	asked  int
	living int // say that it is a living member
	silent int // say that it does not answer them either
	left   int
	done   host.Event
}

// inquire asks neighbours to ping c, and does not wait for them.
func (r *Ring) inquire(c Contact, d time.Duration) *inquiry {
	helpers := r.helpers(c, inquiries)
	q := &inquiry{asked: len(helpers), left: len(helpers), done: r.h.NewEvent()}
	for _, h := range helpers {
		r.h.Go("chord inquire", func() {
			reply, err := r.relayThrough(h, c, methodPing, nil, d)
			isMember := false
			if err == nil {
				isMember, _, err = decodePingReply(reply)
			}
			r.mu.Lock()
			switch {
			case err == nil && isMember:
				q.living++
			case err == nil || errors.Is(err, errSilent):
				q.silent++
			}
			q.left--
			last := q.left == 0
			r.mu.Unlock()
			if last {
				q.done.Signal()
			}
		})
	}
	return q
}

// answers waits for what the neighbours say, for at most d.
func (r *Ring) answers(q *inquiry, d time.Duration) (living, silent int) {
	if q.asked > 0 && d > 0 {
		_ = q.done.Wait(context.Background(), d)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return q.living, q.silent
}

// helpers are up to n neighbours, drawn by chance, other than c, with which this
// node has a connection.
func (r *Ring) helpers(c Contact, n int) []Contact {
	now := r.h.Now()
	r.mu.Lock()
	var all []Contact
	if r.pred != nil {
		all = append(all, *r.pred)
	}
	for _, s := range r.succs {
		if r.pred == nil || s.ID != r.pred.ID {
			all = append(all, s)
		}
	}
	var usable []Contact
	for _, h := range all {
		if h.ID != c.ID && !r.peers.isBad(h.ID, now) {
			usable = append(usable, h)
		}
	}
	r.mu.Unlock()
	var out []Contact
	for i := range usable {
		j := i + int(r.h.Rand()%uint64(len(usable)-i))
		usable[i], usable[j] = usable[j], usable[i]
		if _, open := r.h.PeerRun(usable[i].Peer.ID); open {
			if out = append(out, usable[i]); len(out) == n {
				break
			}
		}
	}
	return out
}

// afterSilence decides what it means that c did not answer the last ping, of d,
// with which the inquiry was begun. Where neighbours did not reach it either, or
// did not answer themselves, all is asked once more: c, or this node, may only have
// stood still for a moment.
func (r *Ring) afterSilence(c Contact, q *inquiry, d time.Duration) (alive bool) {
	living, silent := r.answers(q, d)
	if living == 0 {
		if q.asked > 0 && silent == 0 {
			r.noteSlow()
		}
		d = min(d, r.cfg.MaxTimeout)
		q = r.inquire(c, d)
		if isMember, err := r.ping(c, d); err == nil {
			return isMember
		}
		living, _ = r.answers(q, d)
	}
	if living == 0 {
		return false
	}
	r.bePatient(c, d)
	return true
}

// bePatient tries a peer that others reach again, with ever longer deadlines. It
// does not wait for the end: if there is no answer the peer is apart.
func (r *Ring) bePatient(c Contact, d time.Duration) {
	r.mu.Lock()
	p := r.peers.get(c.ID)
	was := p.trying
	p.trying = true
	r.mu.Unlock()
	if was {
		return
	}
	r.h.Go("chord patience", func() {
		ok := false
		for n, left := 0, 2*r.cfg.MaxTimeout; !ok && n < patience && left > 0; n++ {
			wait := min(d*time.Duration(1+n), left)
			left -= wait
			start := r.h.Now()
			ok = r.reachAgain(c, wait) == nil
			if rest := wait - r.h.Now().Sub(start); !ok && rest > 0 && r.h.Sleep(rest) != nil {
				return
			}
		}
		r.mu.Lock()
		r.peers.get(c.ID).trying = false
		r.mu.Unlock()
		if !ok {
			r.setApart(c)
			r.standOff(c)
		}
	})
}

// isTried reports whether a peer that did not answer is being tried again.
func (r *Ring) isTried(id ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peers.get(id).trying
}

// vouched reports whether a neighbour says that c, which is apart, lives. When
// none answers nothing is known, and c stays what it is.
func (r *Ring) vouched(c Contact) bool {
	d := r.timeout(c)
	living, silent := r.answers(r.inquire(c, d), 2*d)
	if living == 0 && silent > 0 { // once more: one lost packet is no death
		living, silent = r.answers(r.inquire(c, d), 2*d)
	}
	if living > 0 || silent == 0 {
		return true
	}
	r.markBad(c)
	return false
}

// tendApart tries those that are apart directly, when their time has come.
func (r *Ring) tendApart() {
	now := r.h.Now()
	r.mu.Lock()
	var still, due []Contact
	for _, c := range r.apart {
		if !r.peers.isApart(c.ID) {
			continue
		}
		still = append(still, c)
		if p := r.peers.get(c.ID); !now.Before(p.badUntil) {
			r.peers.setApart(c.ID, r.afterPeriods(now))
			due = append(due, c)
		}
	}
	r.apart = still
	r.mu.Unlock()
	for _, c := range due {
		r.h.Go("chord try", func() {
			if err := r.reachAgain(c, r.cfg.MaxTimeout); err != nil && !r.vouched(c) {
				r.drop(c, err)
			}
		})
	}
}

// reachAgain tries a peer that has not answered for a while. How long it took is no
// measure of the round trip: the way to it may have been mended meanwhile. If it
// answers that is measured anew, by a request made after that.
func (r *Ring) reachAgain(c Contact, d time.Duration) error {
	if _, err := r.h.Call(c.Peer, methodPing, nil, d); err != nil {
		return err
	}
	r.mu.Lock()
	r.peers.reached(c.ID)
	r.mu.Unlock()
	r.h.Go("chord measure", func() { _, _ = r.ping(c, r.cfg.MaxTimeout) })
	return nil
}

// afterPeriods is the instant some jittered periods after now.
func (r *Ring) afterPeriods(now time.Time) func(periods int) time.Time {
	return func(periods int) time.Time {
		return now.Add(r.jitter(time.Duration(periods) * r.cfg.StabilizePeriod))
	}
}

// tryDirectly finds out whether a peer that was out of reach, and calls, is
// within reach again.
func (r *Ring) tryDirectly(c Contact) {
	now := r.h.Now()
	r.mu.Lock()
	p := r.peers.get(c.ID)
	ok := p.tried.IsZero() || now.Sub(p.tried) > r.badFor()
	if ok {
		p.tried = now
	}
	r.mu.Unlock()
	if ok {
		r.h.Go("chord try", func() { _, _ = r.ping(c, r.timeout(c)) })
	}
}

// confirmApart is confirmWith for a predecessor that is apart and said what its
// list is, through a neighbour. It has gone on to the node behind this one, so
// that one decides: as long as it has this node for its predecessor nobody else
// owns what lies before.
func (r *Ring) confirmApart(pred Contact, said neighbours, q find, yes found) found {
	no := found{outcome: wire.FindReply_NO_ANSWER}
	r.mu.Lock()
	succs := r.succs
	r.mu.Unlock()
	if len(succs) == 0 {
		return no
	}
	if x := said.succs[0]; Between(pred.ID, x.ID, r.id) && !InRange(x.ID, q.key, r.id) {
		return found{outcome: wire.FindReply_NOT_MINE, better: []Contact{x}}
	}
	behind, err := r.askNeighbours(succs[0], false)
	if err != nil || behind.pred == nil || behind.pred.ID != r.id {
		return no
	}
	now := r.h.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != member || r.pred == nil || r.pred.ID != pred.ID {
		return no
	}
	r.predHeard = now
	return yes
}

// maxSlow bounds how much longer a slow node waits for others: by this many
// times.
const maxSlow = 3

// noteSlow notes a sign that this node itself is slow; answers in time take it
// back.
func (r *Ring) noteSlow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slow = min(r.slow+1, maxSlow)
}

// overslept reports whether a wait of d that began at start lasted much longer:
// then this node stood still or is busy, and what it waited for may lie there.
func (r *Ring) overslept(start time.Time, d time.Duration) bool {
	if r.h.Now().Sub(start) < d+max(d, r.cfg.StabilizePeriod/4) {
		return false
	}
	r.noteSlow()
	return true
}

// checkNext checks the successors behind one that did not answer, meanwhile:
// where several died none has to wait for the other. The more did not answer in a
// row, the more are checked.
func (r *Ring) checkNext(c Contact) {
	r.mu.Lock()
	at := indexOf(r.succs, c.ID)
	var next []Contact
	if at >= 0 {
		r.silent = min(r.silent+1, 5)
		next = r.succs[at+1 : min(at+1+1<<r.silent, len(r.succs))]
	}
	r.mu.Unlock()
	for _, n := range next {
		r.startCheck(n, false)
	}
}

// setApart notes that c lives, but out of this node's reach.
func (r *Ring) setApart(c Contact) {
	now := r.h.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	periods := r.peers.setApart(c.ID, r.afterPeriods(now))
	if indexOf(r.apart, c.ID) < 0 && len(r.apart) < maxContacts {
		r.apart = append(slices.Clip(r.apart), c)
	}
	r.log.Info("others reach a node that this one does not", "node", r.id, "apart", c.ID, "periods", periods)
}

// isApart reports whether c lives, but out of this node's reach.
func (r *Ring) isApart(id ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peers.isApart(id)
}

// standOff takes a node that is apart out of list and fingers. It is no death:
// nobody is told, and as predecessor it stays. It reports whether there is
// another node to go on with.
func (r *Ring) standOff(c Contact) bool {
	r.mu.Lock()
	at := indexOf(r.succs, c.ID)
	ok := len(r.succs) > 1
	if at >= 0 && ok {
		r.succs = without(r.succs, c.ID)
		r.changedLocked()
	}
	r.fingers.drop(c.ID)
	r.mu.Unlock()
	if at == 0 && ok {
		r.wake.Signal()
	}
	return ok
}

// tellGone tells the nodes before this one, which have c in their lists, that it
// is dead, as this one has found.
func (r *Ring) tellGone(c host.PeerID, steps int) {
	r.mu.Lock()
	pred := r.pred
	r.mu.Unlock()
	if pred == nil || steps <= 0 {
		return
	}
	if msg, err := encode(&wire.Gone{Peer: []byte(c), Steps: uint32(steps)}); err == nil {
		_ = r.h.Send(pred.Peer, methodGone, msg)
	}
}

func (r *Ring) handleGone(from host.Peer, msg []byte) {
	id, steps, err := decodeGone(msg)
	if err != nil {
		r.log.Warn("bad news of a death", "from", from.ID, "err", err)
		return
	}
	r.heard(from)
	now := r.h.Now()
	r.mu.Lock()
	c, ok := r.ringContactLocked(NodeID(id))
	fresh := NodeID(id) != r.id && !r.peers.isBad(NodeID(id), now)
	if fresh && !ok { // it has only just joined, and is on its way here in others' lists
		r.peers.setBad(NodeID(id), now.Add(r.badFor()))
	}
	ok = ok && fresh && !r.checks[c.ID]
	r.mu.Unlock()
	if fresh {
		r.tellGone(id, steps-1)
	}
	if ok {
		r.startCheckBy(c, false, func() bool { return r.confirmGone(c) })
	}
}

// confirmGone checks a node of which another one has found, with its
// neighbours, that it is dead: once, and briefly.
func (r *Ring) confirmGone(c Contact) (alive bool) {
	return r.pingOnce(c, r.briefly(c))
}

// briefly is the deadline for one ping of a node that others have found dead.
// For one never measured it is what the neighbours need, three times that if the
// ping has to dial: where a second is a cautious guess at a round trip it need
// not be waited for.
func (r *Ring) briefly(c Contact) time.Duration {
	_, open := r.h.PeerRun(c.Peer.ID)
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.peers.timeout(c.ID)
	if !r.peers.isMeasured(c.ID) {
		if typical := r.typicalLocked(); typical > 0 {
			d = min(d, typical)
		}
	}
	if !open {
		d *= 3
	}
	return max(d*time.Duration(1+r.slow), r.cfg.StabilizePeriod/4)
}

// typicalLocked is the longest deadline of the neighbours that were measured; 0
// if there are too few to tell.
func (r *Ring) typicalLocked() (d time.Duration) {
	known := 0
	for _, s := range r.succs {
		if r.peers.isMeasured(s.ID) {
			known++
			d = max(d, r.peers.timeout(s.ID))
		}
	}
	if known < 2 {
		return 0
	}
	return d
}

// measure pings a node that has become a neighbour, so that its round trip is
// known when it matters. It is done at once, in a task of its own.
func (r *Ring) measure(c Contact) {
	r.mu.Lock()
	known := r.peers.isMeasured(c.ID)
	r.mu.Unlock()
	if !known {
		r.h.Go("chord measure", func() { _, _ = r.ping(c, r.timeout(c)) })
	}
}

// pingOnce is a check of c with one ping, for when others have found already that
// it is dead.
func (r *Ring) pingOnce(c Contact, d time.Duration) (alive bool) {
	if r.isApart(c.ID) {
		return r.vouched(c)
	}
	isMember, err := r.ping(c, min(d, r.cfg.MaxTimeout/2))
	switch {
	case err == nil:
		return isMember
	case errors.Is(err, host.ErrTimeout), errors.Is(err, host.ErrUnreachable):
		return false
	}
	return true
}

func decodeGone(b []byte) (id host.PeerID, steps int, err error) {
	var m wire.Gone
	if err := decode(b, &m); err != nil {
		return "", 0, err
	}
	if id = host.PeerID(m.Peer); !id.Valid() {
		return "", 0, fmt.Errorf("%w: peer ID of %d bytes", errMalformed, len(m.Peer))
	}
	return id, int(min(m.Steps, maxContacts)), nil
}
