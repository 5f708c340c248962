package chord

import (
	"errors"
	"hash/fnv"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"ircbridge/chord/wire"
	"ircbridge/host"
)

// maxSteps bounds what one round of stabilization does: dead successors
// dropped and nodes in between adopted.
const maxSteps = 2 * maxContacts

// maxWoken bounds the rounds in a row that begin because something happened
// and not because the period is over.
const maxWoken = 32

// headView is the first successor's last answer.
type headView struct {
	valid bool
	from  ID
	said  neighbours
	list  []Contact // the list that came of it, if nothing was doubtful
}

// adopts reports whether list is what came of the same answer before: the
// ordinary round of a quiet ring.
func (v *headView) adopts(head Contact, said neighbours, list []Contact) bool {
	return v.valid && v.from == head.ID && v.said.digest == said.digest &&
		len(list) > 0 && len(list) == len(v.list) && &list[0] == &v.list[0]
}

// cachedReply is this node's answer to neighbours while nothing changes.
type cachedReply struct {
	valid  bool
	addrs  []string
	digest uint64
	full   []byte
}

func (r *Ring) stabilizeLoop() {
	for woken := 0; ; {
		r.stabilize()
		r.rememberNeighbours()
		r.askAround()
		r.tendApart()
		r.mu.Lock()
		st, pause := r.state, r.cfg.StabilizePeriod
		if st == member && (!r.settled || r.lost) {
			pause /= 4
		}
		r.mu.Unlock()
		if st == left {
			return
		}
		if woken >= maxWoken {
			woken = 0
			if r.h.Sleep(r.jitter(pause/4)) != nil {
				return
			}
		}
		before := r.h.Now()
		if !r.pause(r.wake, pause) {
			return
		}
		if woken++; r.h.Now().Sub(before) >= pause/2 {
			woken = 0
		}
	}
}

// stabilize makes one round (Zave, 3.3; Chord, 4.4): it finds the first living
// successor, takes over its list, or that of a nearer node it knows of, and
// notifies it. Dead successors are dropped and nearer ones adopted in the same
// round.
func (r *Ring) stabilize() {
	r.mu.Lock()
	if r.stabilizing {
		r.mu.Unlock()
		r.wake.Signal()
		return
	}
	r.stabilizing = true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.stabilizing = false
		r.mu.Unlock()
	}()

	if r.Member() {
		r.checkPredecessor(r.freshFor())
		for step := 0; step < maxSteps && r.stabilizeOnce(); step++ {
		}
	}
}

// stabilizeOnce asks one successor; true asks for another step.
func (r *Ring) stabilizeOnce() (again bool) {
	r.mu.Lock()
	if r.state != member {
		r.mu.Unlock()
		return false
	}
	if len(r.succs) == 0 {
		r.mu.Unlock()
		return r.withoutSuccessor()
	}
	head, hint := r.succs[0], r.hint
	r.hint = nil
	r.mu.Unlock()

	if hint != nil && Between(r.id, hint.ID, head.ID) && !r.isApart(hint.ID) {
		if said, err := r.askNeighbours(*hint, true); err == nil {
			return r.takeOver(*hint, said, head)
		}
		r.beWary()
	}
	said, err := r.askNeighbours(head, true)
	if err != nil {
		return r.unanswered(head, err)
	}
	return r.takeOver(head, said, head)
}

// takeOver goes on with the first successor that answered: to nodes between
// it and this one, if they answer, then to the list and the notification.
// former is the first successor until now.
func (r *Ring) takeOver(head Contact, said neighbours, former Contact) (again bool) {
	r.mu.Lock()
	stranger := head.ID != former.ID && r.strangerLocked(head, said)
	r.mu.Unlock()
	if stranger && Between(r.id, said.pred.ID, head.ID) {
		head, said = r.firstOf(head, said)
	}
	for range maxSteps {
		x := said.pred
		if x == nil || !Between(r.id, x.ID, head.ID) || r.isBad(*x) {
			break
		}
		nearer, err := r.askNeighbours(*x, true)
		if err != nil {
			r.unanswered(*x, err)
			break
		}
		head, said = *x, nearer
	}
	if !r.adopt(head, said) {
		return true
	}
	if stranger {
		r.spreadNews(head)
	}
	r.passOn(head, said, former)
	return r.introduce(head, said)
}

// unanswered decides what a failed request to c means: a node that does not
// answer a second time, or is no member, is dropped. It reports whether to go
// on with the round.
func (r *Ring) unanswered(c Contact, err error) (again bool) {
	if errors.Is(err, host.ErrStopped) {
		return false
	}
	if errors.Is(err, host.ErrBusy) {
		return false
	}
	dead := errors.Is(err, ErrNotMember) || errors.Is(err, errMalformed) || errors.Is(err, host.ErrRefused)
	if !dead {
		r.checkNext(c)
	}
	if dead || !r.checkAgain(c, 1) {
		r.drop(c, err)
		return true
	}
	switch {
	case r.isApart(c.ID):
		return r.standOff(c)
	case r.isTried(c.ID):
		return false // it lives: the next round asks it again
	}
	return true
}

// adopt makes head, which answered, the first successor, with its list. What
// this node knew and head's list does not name it keeps until a check has shown
// that it is dead: the answer may be older than what this node knows. It
// reports whether head came out first.
func (r *Ring) adopt(head Contact, said neighbours) bool {
	if len(said.self.Peer.Addrs) > 0 {
		head = said.self
	}
	now := r.h.Now()
	r.mu.Lock()
	if r.view.adopts(head, said, r.succs) {
		r.mu.Unlock()
		return true
	}
	size := r.cfg.SuccessorListLen
	next := slices.DeleteFunc(slices.Clone(said.succs), func(c Contact) bool { return r.peers.isBad(c.ID, now) })
	list, rest := follow(r.id, head, next, size)
	rest = slices.DeleteFunc(slices.Clone(rest), func(c Contact) bool { return !Between(r.id, c.ID, head.ID) })
	r.setBigLocked(len(list) == size || r.big && indexOf(said.succs, r.id) < 0)
	doubtful := rest
	if !r.big {
		doubtful = append(doubtful, strangers(list[1:], r.succs)...)
	}
	r.mu.Unlock()

	alive := r.checkAll(doubtful)

	now = r.h.Now()
	r.mu.Lock()
	union := []Contact{head}
	for _, c := range append(list[1:], rest...) {
		if i := indexOf(doubtful, c.ID); (i < 0 || alive[i]) && !r.peers.isBad(c.ID, now) {
			union = insert(r.id, union, c, size)
		}
	}
	var missing []Contact
	for _, c := range strangers(r.succs, union) {
		if with := insert(r.id, union, c, size); len(with) > len(union) || !sameIDs(with, union) {
			union = with
			missing = append(missing, c)
		}
	}
	fresh, pred, whole := len(strangers(union, r.succs)), r.pred, r.wholeLocked()
	r.setSuccsLocked(union)
	if r.view.from == head.ID && len(missing) == 0 && len(next) == len(said.succs) && len(doubtful) == 0 {
		r.view.list = r.succs
	}
	first := len(r.succs) > 0 && r.succs[0].ID == head.ID
	r.mu.Unlock()
	for _, c := range missing {
		r.startCheck(c, false)
	}
	if (fresh > 1 || fresh == 1 && whole) && pred != nil {
		r.sendHint(*pred, r.Self()) // rings merge, or many died: it need not wait a period to hear of it
	}
	return first
}

// movedLocked hears from a neighbour where nodes are. One that this node does not
// reach is tried where it is said to be now.
func (r *Ring) movedLocked(said neighbours) {
	now, near := r.h.Now(), said.succs
	if said.pred != nil {
		near = append(slices.Clip(near), *said.pred)
	}
	for _, c := range near {
		if !r.peers.isBad(c.ID, now) {
			continue
		}
		r.remembered = renew(r.remembered, c)
		if apart := renew(r.apart, c); len(apart) > 0 && &apart[0] != &r.apart[0] {
			r.apart = apart
			r.peers.get(c.ID).badUntil = now
		}
	}
}

// strangers are those of cs that are not among known.
func strangers(cs, known []Contact) []Contact {
	var out []Contact
	for _, c := range cs {
		if indexOf(known, c.ID) < 0 {
			out = append(out, c)
		}
	}
	return out
}

// setBigLocked notes whether there may be members beyond the list.
func (r *Ring) setBigLocked(big bool) {
	if r.big != big {
		r.big = big
		r.reply.valid = false
	}
}

func (r *Ring) setSuccsLocked(list []Contact) {
	if r.state != member {
		return
	}
	if len(list) > 0 {
		r.lost = false
	}
	same := sameIDs(r.succs, list)
	if same && !slices.EqualFunc(r.succs, list, func(a, b Contact) bool { return slices.Equal(a.Peer.Addrs, b.Peer.Addrs) }) {
		r.reply.valid = false // who asks must hear of the new addresses too
	}
	r.succs = list
	if !same {
		r.changedLocked()
	}
}

// introduce notifies the first successor unless it knows this node as its
// settled predecessor already.
func (r *Ring) introduce(head Contact, said neighbours) (again bool) {
	r.mu.Lock()
	known := r.settled && r.told == head.ID && said.pred != nil && said.pred.ID == r.id
	r.mu.Unlock()
	if known && slices.Equal(said.pred.Peer.Addrs, contactToWire(r.Self()).Addrs) {
		return false
	}
	answer, err := r.notify(head)
	if err != nil {
		return r.unanswered(head, err)
	}
	if x := answer.pred; x != nil && x.ID != r.id {
		return Between(r.id, x.ID, head.ID) && !r.isBad(*x)
	}
	return r.granted(head, answer)
}

func (r *Ring) isBad(c Contact) bool {
	now := r.h.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peers.isBad(c.ID, now)
}

// askNeighbours asks a node for its predecessor and list. successor: this
// node takes it for its first successor.
func (r *Ring) askNeighbours(c Contact, successor bool) (neighbours, error) {
	r.mu.Lock()
	var old *neighbours
	if r.view.valid && r.view.from == c.ID {
		said := r.view.said
		old = &said
	}
	r.mu.Unlock()
	q := &wire.NeighboursRequest{Successor: successor}
	if old != nil {
		q.Known = old.digest
	}
	req, err := encode(q)
	if err != nil {
		return neighbours{}, err
	}
	reply, err := r.timed(c, methodNeighbours, req)
	if err != nil {
		return neighbours{}, err
	}
	said, err := decodeNeighbours(reply, c, old)
	if err != nil {
		r.markBad(c)
		r.goneTo(c, said.succs)
		return neighbours{}, err
	}
	r.mu.Lock()
	r.slow = max(r.slow-1, 0)
	if successor {
		r.silent = 0
		r.before = r.view.from
		if !r.view.valid || r.view.from != c.ID || r.view.said.digest != said.digest {
			r.view = headView{valid: true, from: c.ID, said: said}
		}
	}
	r.refreshLocked(said.self)
	r.movedLocked(said)
	r.mu.Unlock()
	return said, nil
}

// refreshLocked takes over the addresses that a contact says of itself.
func (r *Ring) refreshLocked(c Contact) {
	if list := renew(r.succs, c); len(list) > 0 && &list[0] != &r.succs[0] {
		r.succs = list
		r.reply.valid = false
	}
	if p := r.pred; p != nil && p.ID == c.ID && len(c.Peer.Addrs) > 0 && !slices.Equal(p.Peer.Addrs, c.Peer.Addrs) {
		r.pred = &c
		r.reply.valid = false
	}
	r.fingers.refresh(c)
}

func (r *Ring) handleNeighbours(from host.Peer, req []byte) ([]byte, error) {
	var q wire.NeighboursRequest
	if err := decode(req, &q); err != nil {
		return nil, err
	}
	id := r.heard(from)
	self, now := r.Self(), r.h.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != member {
		m := &wire.NeighboursReply{State: r.state.toWire()}
		if r.state == left {
			m.Successors = contactsToWire(r.succs[:min(len(r.succs), 1)])
		}
		return encode(m)
	}
	if q.Successor && r.pred != nil && r.pred.ID == id {
		r.predHeard = now
	}
	if err := r.cacheReplyLocked(self); err != nil {
		return nil, err
	}
	if q.Known == r.reply.digest {
		return encode(&wire.NeighboursReply{State: wire.State_STATE_MEMBER, Digest: q.Known, Unchanged: true})
	}
	return slices.Clone(r.reply.full), nil
}

func (r *Ring) cacheReplyLocked(self Contact) error {
	c := &r.reply
	if c.valid && slices.Equal(c.addrs, self.Peer.Addrs) {
		return nil
	}
	m := &wire.NeighboursReply{
		State:      wire.State_STATE_MEMBER,
		Self:       contactToWire(self),
		Successors: contactsToWire(r.succs),
		Whole:      !r.big && len(r.succs) < r.cfg.SuccessorListLen,
	}
	if r.pred != nil {
		m.Predecessor = contactToWire(*r.pred)
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return err
	}
	sum := fnv.New64a()
	sum.Write(body)
	m.Digest = sum.Sum64() | 1 // 0 says "nothing known"
	if body, err = encode(m); err != nil {
		return err
	}
	*c = cachedReply{valid: true, addrs: slices.Clone(self.Peer.Addrs), digest: m.Digest, full: body}
	return nil
}

// checkPredecessor starts a check of a predecessor that has been silent for
// longer than it may (Chord, 4.4), or that was never measured: deadlines
// for it should be short when they are needed.
func (r *Ring) checkPredecessor(may time.Duration) {
	now := r.h.Now()
	r.mu.Lock()
	var c *Contact
	if r.pred != nil && (now.Sub(r.predHeard) > may || !r.peers.isMeasured(r.pred.ID)) {
		c = r.pred
	}
	r.mu.Unlock()
	if c != nil {
		r.startCheck(*c, false)
	}
}

// freshFor is how long a sign of life of the predecessor counts: a jittered
// period and some round trip.
func (r *Ring) freshFor() time.Duration { return r.cfg.StabilizePeriod * 3 / 2 }
