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
		r.checkPredecessor()
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

	if hint != nil && Between(r.id, hint.ID, head.ID) {
		if said, err := r.askNeighbours(*hint, true); err == nil {
			head = *hint
			return r.takeOver(head, said)
		}
	}
	said, err := r.askNeighbours(head, true)
	if err != nil {
		return r.unanswered(head, err)
	}
	return r.takeOver(head, said)
}

// takeOver goes on with the first successor that answered: to nodes between
// it and this one, if they answer, then to the list and the notification.
func (r *Ring) takeOver(head Contact, said neighbours) (again bool) {
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
	if dead || !r.check(c) {
		r.drop(c, err)
	}
	return true
}

// adopt makes head, which answered, the first successor, with its list. In a
// short list it unites the two lists, as far as their nodes answer. It reports
// whether head came out first.
func (r *Ring) adopt(head Contact, said neighbours) bool {
	r.mu.Lock()
	if len(said.self.Peer.Addrs) > 0 {
		head = said.self
	}
	now := r.h.Now()
	old := r.succs
	next := slices.DeleteFunc(slices.Clone(said.succs), func(c Contact) bool { return r.peers.isBad(c.ID, now) })
	list, rest := follow(r.id, head, next, r.cfg.SuccessorListLen)
	full := len(list) == r.cfg.SuccessorListLen
	if full {
		r.big = true
	} else if indexOf(said.succs, r.id) >= 0 {
		r.big = false
	}
	if full && (len(old) == 0 || !nearer(r.id, old[0].ID, head.ID)) {
		r.setSuccsLocked(list)
		r.mu.Unlock()
		return true
	}
	doubtful := doubts(r.id, list, rest, old)
	r.mu.Unlock()

	alive := r.checkAll(doubtful)

	r.mu.Lock()
	defer r.mu.Unlock()
	now = r.h.Now()
	union := []Contact{head}
	add := func(cs []Contact) {
		for _, c := range cs {
			i := indexOf(doubtful, c.ID)
			if (i < 0 || alive[i]) && !r.peers.isBad(c.ID, now) {
				union = insert(r.id, union, c, r.cfg.SuccessorListLen)
			}
		}
	}
	add(list)
	add(rest)
	add(old)
	add(r.succs) // what came in meanwhile
	r.setSuccsLocked(union)
	return len(union) > 0 && union[0].ID == head.ID
}

// doubts are the nodes on which an old list and a new one differ, and those
// behind the place where the new one went round the ring: what is checked
// before a short list is believed. (In a short list nobody else would ever
// correct an entry: a dead one could go round for ever.)
func doubts(self ID, list, rest, old []Contact) []Contact {
	var out []Contact
	add := func(c Contact) {
		if c.ID != self && indexOf(out, c.ID) < 0 && len(out) < maxContacts {
			out = append(out, c)
		}
	}
	for _, c := range list[1:] {
		if indexOf(old, c.ID) < 0 {
			add(c)
		}
	}
	for _, c := range append(slices.Clone(rest), old...) {
		if indexOf(list, c.ID) < 0 {
			add(c)
		}
	}
	return out
}

func (r *Ring) setSuccsLocked(list []Contact) {
	if r.state != member {
		return
	}
	if len(list) > 0 {
		r.lost = false
	}
	same := sameIDs(r.succs, list)
	r.succs = list
	if !same {
		r.changedLocked()
	}
}

// introduce notifies the first successor unless it has this node as its
// predecessor already, and learns whether it is accepted.
func (r *Ring) introduce(head Contact, said neighbours) (again bool) {
	accepted, settled := said.pred != nil && said.pred.ID == r.id, said.settled
	if !accepted || !r.isSettled() || !slices.Equal(said.pred.Peer.Addrs, contactToWire(r.Self()).Addrs) {
		pred, ok, err := r.notify(head)
		if err != nil {
			return r.unanswered(head, err)
		}
		accepted, settled = pred != nil && pred.ID == r.id, ok
		if !accepted && pred != nil && Between(r.id, pred.ID, head.ID) && !r.isBad(*pred) {
			return true
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.settled || r.state != member {
		return false
	}
	r.unsettled++
	// Where every node of a ring has only just joined, none is settled: then
	// the one after whose place the IDs begin anew goes first.
	last := head.ID.Compare(r.id) < 0 && r.unsettled > 2
	if accepted && (settled || last) {
		r.settled = true
		r.log.Info("joined: the successor has accepted this node", "node", r.id, "successor", head.ID)
		r.changedLocked()
		return false
	}
	if r.unsettled%8 == 0 {
		r.h.Go("chord relocate", r.relocate)
	}
	return false
}

func (r *Ring) isSettled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settled
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
		return neighbours{}, err
	}
	r.mu.Lock()
	if successor {
		r.view = headView{valid: true, from: c.ID, said: said}
	}
	r.refreshLocked(said.self)
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
		return encode(&wire.NeighboursReply{State: r.state.toWire()})
	}
	if q.Successor && r.pred != nil && r.pred.ID == id {
		r.predHeard = now
	}
	if err := r.cacheReplyLocked(self); err != nil {
		return nil, err
	}
	if q.Known == r.reply.digest {
		return encode(&wire.NeighboursReply{State: wire.State_STATE_MEMBER, Digest: q.Known, Unchanged: true, Settled: r.settled})
	}
	out := append([]byte(nil), r.reply.full...)
	if r.settled { // merging encoded messages is concatenating them
		more, err := encode(&wire.NeighboursReply{Settled: true})
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
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
// longer than its period (Chord, 4.4).
func (r *Ring) checkPredecessor() {
	now := r.h.Now()
	r.mu.Lock()
	var c *Contact
	if r.pred != nil && now.Sub(r.predHeard) > r.freshFor() {
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
