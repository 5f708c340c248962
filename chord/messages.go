package chord

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"ircbridge/chord/wire"
	"ircbridge/host"
)

// The ring's methods; numbers 1 to 15 of the host are chord's. chord.proto
// says what each is for.
var (
	methodPing       = host.Method{Number: 1, Name: "chord.ping"}
	methodNeighbours = host.Method{Number: 2, Name: "chord.neighbours"}
	methodNotify     = host.Method{Number: 3, Name: "chord.notify"}
	methodFind       = host.Method{Number: 4, Name: "chord.find"}
	methodHint       = host.Method{Number: 5, Name: "chord.hint"}
	methodLeave      = host.Method{Number: 6, Name: "chord.leave"}
	methodChanged    = host.Method{Number: 7, Name: "chord.changed"}
)

func (r *Ring) register() {
	r.h.HandleCall(methodPing, r.handlePing)
	r.h.HandleCall(methodNeighbours, r.handleNeighbours)
	r.h.HandleCall(methodNotify, r.handleNotify)
	r.h.HandleCall(methodFind, r.handleFind)
	r.h.HandleSend(methodHint, r.handleHint)
	r.h.HandleCall(methodLeave, r.handleLeave)
	r.h.HandleSend(methodChanged, r.handleChanged)
	r.registerMerge()
	r.registerProbe()
}

// neighbours is what a node answers about its place, checked.
type neighbours struct {
	self   Contact
	pred   *Contact
	succs  []Contact
	whole  bool
	digest uint64
}

// notice is a notification, checked.
type notice struct {
	from    Contact
	run     uint64
	settled bool
	bounded bool
	before  ID
}

// notified is the answer to a notification, checked.
type notified struct {
	pred    *Contact
	granted bool
	grant   []Contact
}

// find is a lookup under way, checked.
type find struct {
	key       ID
	remaining time.Duration
	hops      int
	final     bool
	join      bool
}

// found is the answer to a find, checked.
type found struct {
	outcome wire.FindReply_Outcome
	owner   Contact
	hops    int
	better  []Contact
}

func encode(m proto.Message) ([]byte, error) {
	b, err := proto.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("chord: encode: %w", err)
	}
	return b, nil
}

func decode(b []byte, m proto.Message) error {
	if err := proto.Unmarshal(b, m); err != nil {
		return fmt.Errorf("%w: %v", errMalformed, err)
	}
	return nil
}

func (s state) toWire() wire.State {
	switch s {
	case member:
		return wire.State_STATE_MEMBER
	case left:
		return wire.State_STATE_LEFT
	}
	return wire.State_STATE_OUTSIDE
}

func decodePingReply(b []byte) (isMember bool, run uint64, err error) {
	var m wire.PingReply
	if err := decode(b, &m); err != nil {
		return false, 0, err
	}
	return m.State == wire.State_STATE_MEMBER, m.Run, nil
}

// decodeNeighbours checks a reply of the peer asked. old is the reply that
// known in the request was the digest of, nil if there was none. A node that
// is no member is ErrNotMember; succs are then what it names, if it left.
func decodeNeighbours(b []byte, asked Contact, old *neighbours) (neighbours, error) {
	var m wire.NeighboursReply
	if err := decode(b, &m); err != nil {
		return neighbours{}, err
	}
	if m.State != wire.State_STATE_MEMBER {
		succs, err := contactsFromWire(m.Successors, 1)
		if err != nil {
			return neighbours{}, err
		}
		return neighbours{succs: succs}, notMember(asked)
	}
	if m.Unchanged {
		if old == nil || old.digest != m.Digest {
			return neighbours{}, fmt.Errorf("%w: unchanged, but never sent", errMalformed)
		}
		return *old, nil
	}
	self, err := contactFromWire(m.Self)
	if err != nil {
		return neighbours{}, err
	}
	if self.ID != asked.ID {
		return neighbours{}, fmt.Errorf("%w: node %s calls itself %s", errMalformed, asked, self)
	}
	n := neighbours{self: self, whole: m.Whole, digest: m.Digest}
	if n.pred, err = optionalFromWire(m.Predecessor); err != nil {
		return neighbours{}, err
	}
	if n.succs, err = contactsFromWire(m.Successors, maxContacts); err != nil {
		return neighbours{}, err
	}
	return n, nil
}

func decodeNotify(b []byte, from host.PeerID) (notice, error) {
	var m wire.NotifyRequest
	if err := decode(b, &m); err != nil {
		return notice{}, err
	}
	c, err := contactFromWire(m.Self)
	if err != nil {
		return notice{}, err
	}
	if c.Peer.ID != from {
		return notice{}, fmt.Errorf("%w: %s notifies in the name of another", errMalformed, from)
	}
	n := notice{from: c, run: m.Run, settled: m.Settled, bounded: m.Bounded}
	switch len(m.Before) {
	case 0:
	case len(ID{}):
		n.before = ID(m.Before)
	default:
		return notice{}, fmt.Errorf("%w: ID of %d bytes", errMalformed, len(m.Before))
	}
	return n, nil
}

func decodeNotified(b []byte, asked Contact) (notified, error) {
	var m wire.NotifyReply
	if err := decode(b, &m); err != nil {
		return notified{}, err
	}
	if m.State != wire.State_STATE_MEMBER {
		return notified{}, notMember(asked)
	}
	n := notified{granted: m.Granted}
	var err error
	if n.pred, err = optionalFromWire(m.Predecessor); err != nil {
		return notified{}, err
	}
	n.grant, err = contactsFromWire(m.Grant, maxGrant)
	return n, err
}

func decodeFind(b []byte, most time.Duration) (find, error) {
	var m wire.FindRequest
	if err := decode(b, &m); err != nil {
		return find{}, err
	}
	if len(m.Key) != len(ID{}) {
		return find{}, fmt.Errorf("%w: key of %d bytes", errMalformed, len(m.Key))
	}
	return find{
		key:       ID(m.Key),
		remaining: time.Duration(min(m.Remaining, uint64(most/time.Microsecond))) * time.Microsecond,
		hops:      int(min(m.Hops, 1<<20)),
		final:     m.Final,
		join:      m.Join,
	}, nil
}

func encodeFind(q find) ([]byte, error) {
	return encode(&wire.FindRequest{
		Key:       q.key[:],
		Remaining: uint64(max(q.remaining, 0) / time.Microsecond),
		Hops:      uint32(q.hops),
		Final:     q.final,
		Join:      q.join,
	})
}

func decodeFound(b []byte) (found, error) {
	var m wire.FindReply
	if err := decode(b, &m); err != nil {
		return found{}, err
	}
	f := found{outcome: m.Outcome, hops: int(min(m.Hops, 1<<20))}
	var err error
	if f.better, err = contactsFromWire(m.Better, maxBetter); err != nil {
		return found{}, err
	}
	switch f.outcome {
	case wire.FindReply_FOUND:
		if f.owner, err = contactFromWire(m.Owner); err != nil {
			return found{}, err
		}
	case wire.FindReply_NOT_MINE, wire.FindReply_NO_ANSWER, wire.FindReply_OUTSIDE:
	default:
		return found{}, fmt.Errorf("%w: outcome %d", errMalformed, m.Outcome)
	}
	return f, nil
}

func encodeFound(f found) ([]byte, error) {
	m := &wire.FindReply{Outcome: f.outcome, Hops: uint32(f.hops)}
	m.Better = contactsToWire(f.better[:min(len(f.better), maxBetter)])
	if f.outcome == wire.FindReply_FOUND {
		m.Owner = contactToWire(f.owner)
	}
	return encode(m)
}

func decodeHint(b []byte) (Contact, error) {
	var m wire.SuccessorHint
	if err := decode(b, &m); err != nil {
		return Contact{}, err
	}
	return contactFromWire(m.Candidate)
}

func decodeLeave(b []byte) (pred *Contact, succs []Contact, err error) {
	var m wire.LeaveRequest
	if err := decode(b, &m); err != nil {
		return nil, nil, err
	}
	if pred, err = optionalFromWire(m.Predecessor); err != nil {
		return nil, nil, err
	}
	succs, err = contactsFromWire(m.Successors, maxContacts)
	return pred, succs, err
}

func decodeChanged(b []byte) (joined []Contact, gone []host.PeerID, err error) {
	var m wire.MembersChanged
	if err := decode(b, &m); err != nil {
		return nil, nil, err
	}
	if joined, err = contactsFromWire(m.Joined, maxContacts); err != nil {
		return nil, nil, err
	}
	if len(m.Gone) > maxContacts {
		return nil, nil, fmt.Errorf("%w: %d gone, at most %d", errMalformed, len(m.Gone), maxContacts)
	}
	for _, raw := range m.Gone {
		id := host.PeerID(raw)
		if !id.Valid() {
			return nil, nil, fmt.Errorf("%w: peer ID of %d bytes", errMalformed, len(raw))
		}
		gone = append(gone, id)
	}
	return joined, gone, nil
}

// timed makes a small request whose round trip counts for the peer's
// deadlines. It waits at most for the peer's timeout. A peer out of reach is
// asked through a neighbour.
func (r *Ring) timed(c Contact, m host.Method, req []byte) ([]byte, error) {
	if r.isApart(c.ID) {
		return r.relayed(c, m, req, r.timeout(c))
	}
	return r.timedFor(c, m, req, r.timeout(c))
}

func (r *Ring) timedFor(c Contact, m host.Method, req []byte, d time.Duration) ([]byte, error) {
	_, open := r.h.PeerRun(c.Peer.ID)
	start := r.h.Now()
	reply, err := r.h.Call(c.Peer, m, req, d)
	now := r.h.Now()
	if err != nil {
		return reply, err
	}
	r.mu.Lock()
	if open {
		r.peers.answered(c.ID, now.Sub(start))
	} else { // the time of a dial says little about the next request
		r.peers.reached(c.ID)
	}
	r.mu.Unlock()
	if !open {
		r.measure(c)
	}
	return reply, nil
}
