package overlay

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

// Errors of groups.
var (
	// ErrInGroup: this node is in the group already.
	ErrInGroup = errors.New("already in the group")
	// ErrNotInGroup: this node is not in the group.
	ErrNotInGroup = errors.New("not in the group")
	// ErrGroupFull: the group has MaxMembers members.
	ErrGroupFull = errors.New("the group is full")
	// ErrNoMembers: nobody is in the group, or (SendAny) nobody who answers.
	ErrNoMembers = errors.New("the group has no member that answers")
	// ErrBadMessage: the message is longer than MaxGroupMessage, or MaxRouted.
	ErrBadMessage = errors.New("message too long")
)

// GroupHandler is what a member node does with what comes to a group. Message
// and Members are called one at a time for each group, in order, and must not
// block; Any runs in a task of its own and may block through the host.
type GroupHandler struct {
	// Message takes what a node sent to all members (Multicast), this node's
	// own too. It owns msg. Nil drops messages.
	Message func(from host.PeerID, msg []byte)
	// Any answers what a node sent to one of the members (SendAny), which is
	// this one. It owns msg. Nil: another member is asked. A reply has room in
	// one frame (host.MaxFrame).
	Any func(from host.PeerID, msg []byte) (reply []byte)
	// Members hears who is in, sorted, whenever that changed. It owns the
	// slice. May be nil.
	Members func(nodes []host.PeerID)
}

// methodAny is a message to a member of a group.
var methodAny = host.Method{Number: 27, Name: "overlay any"}

// RegisterGroups makes this node take part in groups, before Run. A node that
// did not refuses to keep them, so all nodes of an overlay register them, or
// none does.
func (o *Overlay) RegisterGroups() {
	o.groups = &groups{o: o, box: newOutbox(o, groupKind, sessionGroups), of: make(map[string]*groupView)}
	o.Register(Kind{Name: groupKind, New: newGroup, Views: o.groups, Volatile: true})
	serve(o, methodAny, func() *wire.Any { return new(wire.Any) }, o.groups.onAny)
}

// JoinGroup makes this node a member of a group (1 to 64 bytes of UTF-8, taken
// as it is), within d. The group exists while it has a member. The handler may
// be called before JoinGroup returns, and gets every message that the keeper
// put in order after the join. A member stays one when keepers come and go,
// and joins again by itself when it was taken for dead, until LeaveGroup. Errors:
// ErrNotRegistered, ErrBadName, ErrInGroup, ErrGroupFull, ErrTooMany,
// ErrNoKeeper, ErrRejected.
func (o *Overlay) JoinGroup(name string, h GroupHandler, d time.Duration) error {
	if err := o.checkGroup(name, 0); err != nil {
		return err
	}
	gs := o.groups
	v := &groupView{handler: h, seen: newRepeats()}
	code, err := gs.box.ask(name, d, func(done func(uint64, wire.Outcome_Code, error)) error {
		gs.mu.Lock()
		defer gs.mu.Unlock()
		if gs.of[name] != nil {
			return fmt.Errorf("group %q: %w", name, ErrInGroup)
		}
		gs.of[name] = v
		o.Hold(groupKind, name)
		err := gs.joinLocked(name, v, d, done)
		if err != nil {
			gs.dropLocked(name, v)
		}
		return err
	})
	if err == nil && (code == wire.Outcome_FULL || code == wire.Outcome_MALFORMED) {
		err = ErrRejected
		if code == wire.Outcome_FULL {
			err = ErrGroupFull
		}
	}
	if err == nil {
		return nil
	}
	if !errors.Is(err, ErrInGroup) {
		gs.mu.Lock()
		gs.dropLocked(name, v)
		gs.leaveLocked(name, o.cfg.GiveUp, func(uint64, wire.Outcome_Code, error) {}) // it may be in after all
		gs.mu.Unlock()
	}
	return fmt.Errorf("join group %q: %w", name, err)
}

// LeaveGroup takes this node out of a group, within d. The handler is not
// called any more once it returns, but for a call that runs already. After an
// error this node is out all the same, and the others see it when its lease
// lapses. Errors: ErrNotRegistered, ErrBadName, ErrNotInGroup, ErrTooMany,
// ErrNoKeeper, ErrRejected.
func (o *Overlay) LeaveGroup(name string, d time.Duration) error {
	if err := o.checkGroup(name, 0); err != nil {
		return err
	}
	gs := o.groups
	_, err := gs.box.ask(name, d, func(done func(uint64, wire.Outcome_Code, error)) error {
		gs.mu.Lock()
		defer gs.mu.Unlock()
		v := gs.of[name]
		if v == nil {
			return ErrNotInGroup
		}
		gs.dropLocked(name, v)
		return gs.leaveLocked(name, d, done)
	})
	if err != nil {
		return fmt.Errorf("leave group %q: %w", name, err)
	}
	return nil
}

// Multicast sends a message to all members of a group, within d; the sender
// need not be one. It returns when the keeper has put the message in order:
// each member that lives gets it once, all in one order, and those of one
// sender in the order of his calls. What a keeper acknowledged and had not yet sent out
// when it was killed is lost; so is, for a member, what it is behind by more
// than the log holds (512 messages, 256 KiB). Errors: ErrNotRegistered,
// ErrBadName, ErrBadMessage, ErrNoMembers, ErrTooMany, ErrNoKeeper, ErrRejected.
func (o *Overlay) Multicast(name string, msg []byte, d time.Duration) error {
	if err := o.checkGroup(name, len(msg)); err != nil {
		return err
	}
	code, err := o.groups.box.ask(name, d, func(done func(uint64, wire.Outcome_Code, error)) error {
		return o.groups.box.put(name, &wire.GroupRequest{What: &wire.GroupRequest_Message{Message: msg}}, d, done)
	})
	switch {
	case err != nil:
	case code == wire.Outcome_NO_MEMBERS:
		err = ErrNoMembers
	case code == wire.Outcome_MALFORMED:
		err = ErrRejected
	}
	if err != nil {
		return fmt.Errorf("send to group %q: %w", name, err)
	}
	return nil
}

// SendAny sends a message to one member of a group, any that answers, within
// d, and returns its reply; the sender need not be a member, and is asked only when
// it is the only one that answers. Members share the messages evenly. One that
// does not answer within a part of d is passed over, though it may have got
// the message. Errors: ErrNotRegistered, ErrBadName, ErrBadMessage, ErrNoMembers,
// ErrNoKeeper, ErrRejected.
func (o *Overlay) SendAny(name string, msg []byte, d time.Duration) (reply []byte, err error) {
	if err := o.checkGroup(name, len(msg)); err != nil {
		return nil, err
	}
	deadline := o.h.Now().Add(d)
	q := deterministic(&wire.GroupQuery{Pick: o.h.Rand()})
	raw, found, _, err := o.Query(groupKind, name, q, d)
	if err != nil {
		return nil, fmt.Errorf("send to one of group %q: %w", name, err)
	}
	answer := new(wire.GroupAnswer)
	if found && proto.Unmarshal(raw, answer) != nil {
		return nil, fmt.Errorf("send to one of group %q: %w", name, ErrRejected)
	}
	self := o.h.Self()
	mine := false
	for i, w := range answer.Nodes {
		id := host.PeerID(w)
		left := deadline.Sub(o.h.Now())
		if left <= 0 || i >= maxPicked {
			break
		}
		if id == self.ID {
			mine = true
			continue
		}
		// Half of what is left for each, so that there is time for another.
		if reply, err := o.sendMember(id, name, msg, max(left/2, min(left, o.cfg.TryTimeout/4))); err == nil {
			return reply, nil
		}
	}
	if mine {
		if r := o.groups.onAny(self, &wire.Any{Group: name, Body: slices.Clone(msg)}); r.Status == wire.Status_OK {
			return r.Body, nil
		}
	}
	return nil, fmt.Errorf("send to one of group %q: %w", name, ErrNoMembers)
}

// sendMember sends to one node, which may not be in any more.
func (o *Overlay) sendMember(id host.PeerID, name string, msg []byte, d time.Duration) ([]byte, error) {
	if !id.Valid() {
		return nil, errWire
	}
	peer := host.Peer{ID: id}
	if _, ok := o.h.PeerRun(id); !ok {
		c, err := o.FindNode(chord.NodeID(id), min(d, o.cfg.TryTimeout))
		if err != nil {
			return nil, err
		}
		peer = c.Peer
	}
	r := new(wire.AnyReply)
	if err := o.call(peer, methodAny, &wire.Any{Group: name, Body: msg}, r, d); err != nil {
		return nil, err
	}
	if r.Status != wire.Status_OK {
		return nil, ErrNotInGroup
	}
	return r.Body, nil
}

func (o *Overlay) checkGroup(name string, size int) error {
	switch {
	case o.groups == nil:
		return fmt.Errorf("groups: %w (RegisterGroups)", ErrNotRegistered)
	case !goodName(name):
		return fmt.Errorf("group %q: %w", name, ErrBadName)
	case size > MaxGroupMessage:
		return fmt.Errorf("group %q: %w: %d bytes, at most %d", name, ErrBadMessage, size, MaxGroupMessage)
	}
	return nil
}

// groups is the member's side: the groups that this node is in.
type groups struct {
	o   *Overlay
	box *outbox

	// mu owns of and the views in it. It is taken before the outbox's and the
	// overlay's, and held over no call to a peer or a handler. That a group is
	// held exactly while it is in of is so because both change under it.
	mu sync.Mutex
	of map[string]*groupView
}

// groupView is this node's membership of one group.
type groupView struct {
	handler GroupHandler
	joined  bool                       // the keeper let us in
	joining bool                       // a join is on its way
	members map[host.PeerID]membership // nil until the first view
	seen    *repeats
}

// joinLocked queues a join of this node.
func (gs *groups) joinLocked(name string, v *groupView, d time.Duration, done func(uint64, wire.Outcome_Code, error)) error {
	v.joining = true
	err := gs.box.put(name, &wire.GroupRequest{What: &wire.GroupRequest_Join{Join: true}}, d,
		func(number uint64, code wire.Outcome_Code, err error) {
			gs.mu.Lock()
			v.joining = false
			if err == nil && (code == wire.Outcome_DONE || code == wire.Outcome_UNKNOWN) {
				v.joined = true
			}
			gs.mu.Unlock()
			done(number, code, err)
		})
	if err != nil {
		v.joining = false
	}
	return err
}

func (gs *groups) leaveLocked(name string, d time.Duration, done func(uint64, wire.Outcome_Code, error)) error {
	return gs.box.put(name, &wire.GroupRequest{What: &wire.GroupRequest_Leave{Leave: true}}, d, done)
}

// dropLocked ends a membership here, if it is still that one.
func (gs *groups) dropLocked(name string, v *groupView) {
	if gs.of[name] == v {
		delete(gs.of, name)
		gs.o.Release(groupKind, name)
	}
}

// onAny answers a message to one of the members.
func (gs *groups) onAny(from host.Peer, msg *wire.Any) *wire.AnyReply {
	gs.mu.Lock()
	v := gs.of[msg.Group]
	gs.mu.Unlock()
	if v == nil || v.handler.Any == nil || len(msg.Body) > MaxGroupMessage {
		return &wire.AnyReply{Status: wire.Status_ABSENT}
	}
	return &wire.AnyReply{Status: wire.Status_OK, Body: v.handler.Any(from.ID, msg.Body)}
}

// Event is a change of a group, or a message to it.
func (gs *groups) Event(name string, e Entry) {
	gs.mu.Lock()
	v := gs.of[name]
	if v == nil || v.members == nil { // left, or left and joined anew: not ours
		gs.mu.Unlock()
		return
	}
	call := v.take(e)
	gs.mu.Unlock()
	call()
	gs.comeBack(name, v)
}

// Reset is the whole group. Of the recent messages those after our own join
// are ours.
func (gs *groups) Reset(name string, _ Stamp, state []byte, recent []Entry) {
	in, err := membersFromWire(state)
	gs.mu.Lock()
	v := gs.of[name]
	if err != nil || v == nil {
		gs.mu.Unlock()
		return
	}
	self := gs.o.h.Self().ID
	me, ok := in[self]
	if old, was := v.members[self]; was && old.since.Compare(me.since) < 0 {
		me = old // we came back, or joined under a keeper that was lost: nothing between is passed over
	}
	var calls []func()
	for _, e := range recent {
		if ok && e.Stamp.Compare(me.since) > 0 {
			calls = append(calls, v.takeMessage(e))
		}
	}
	if !maps.Equal(v.members, in) {
		calls = append(calls, v.setMembers(in))
	}
	gs.mu.Unlock()
	for _, call := range calls {
		call()
	}
	gs.comeBack(name, v)
}

// take applies an event and returns the upcall that it means.
func (v *groupView) take(e Entry) func() {
	msg := new(wire.GroupEvent)
	if proto.Unmarshal(e.Event, msg) != nil {
		return func() {}
	}
	in := maps.Clone(v.members)
	switch what := msg.What.(type) {
	case *wire.GroupEvent_Joined:
		id, _, err := memberFromWire(what.Joined)
		if err != nil {
			return func() {}
		}
		in[id] = membership{run: what.Joined.GetRun(), since: e.Stamp}
	case *wire.GroupEvent_Left:
		delete(in, host.PeerID(what.Left.GetNode()))
	default:
		return v.takeMessage(e)
	}
	return v.setMembers(in)
}

// takeMessage drops what came before under another stamp.
func (v *groupView) takeMessage(e Entry) func() {
	msg := new(wire.GroupEvent)
	if proto.Unmarshal(e.Event, msg) != nil {
		return func() {}
	}
	m, ok := msg.What.(*wire.GroupEvent_Message)
	if !ok || v.seen.again(e.From, e.Number) || v.handler.Message == nil {
		return func() {}
	}
	return func() { v.handler.Message(e.From.Node, m.Message) }
}

func (v *groupView) setMembers(in map[host.PeerID]membership) func() {
	v.members = in
	if v.handler.Members == nil {
		return func() {}
	}
	nodes := sorted(in)
	return func() { v.handler.Members(nodes) }
}

// comeBack joins again when the keeper took us out, as it does with a node
// that it could not reach for the grace time.
func (gs *groups) comeBack(name string, v *groupView) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	m, in := v.members[gs.o.h.Self().ID]
	if gs.of[name] != v || !v.joined || v.joining || in && m.run == gs.o.h.Run() {
		return
	}
	// If it fails, the next renewal shows it again.
	_ = gs.joinLocked(name, v, gs.o.cfg.GiveUp, func(uint64, wire.Outcome_Code, error) {})
}

// Assert is this node's view.
func (gs *groups) Assert(name string) ([]byte, bool) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	v := gs.of[name]
	if v == nil || !v.joined {
		return nil, false
	}
	in := maps.Clone(v.members)
	if in == nil {
		in = make(map[host.PeerID]membership)
	}
	self := gs.o.h.Self().ID
	if m, ok := in[self]; !ok || m.run != gs.o.h.Run() {
		in[self] = membership{run: gs.o.h.Run(), since: m.since} // let in, but not yet told
	}
	return groupState(in), true
}

// Renewal says whether this node is in. Only LeaveGroup and a failed JoinGroup
// release.
func (gs *groups) Renewal(name string) ([]byte, bool) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	v := gs.of[name]
	return deterministic(&wire.GroupRenewal{Member: v != nil && v.joined}), true
}

// repeats remembers the last number seen of each of a bounded number of
// streams; the one silent longest is forgotten.
type repeats struct {
	last  map[Stream]uint64
	order []Stream // of first being seen since it was last looked at for forgetting
	used  map[Stream]bool
}

// maxRepeats bounds the origins remembered for one group.
const maxRepeats = 4096

func newRepeats() *repeats {
	return &repeats{last: make(map[Stream]uint64), used: make(map[Stream]bool)}
}

// again reports whether a number was seen, and remembers it.
func (r *repeats) again(s Stream, number uint64) bool {
	last, ok := r.last[s]
	if ok && number <= last {
		return true
	}
	if !ok {
		r.order = append(r.order, s)
	}
	r.last[s], r.used[s] = number, true
	for len(r.last) > maxRepeats {
		oldest := r.order[0]
		r.order = r.order[1:]
		if r.used[oldest] && oldest != s { // heard of since: at the end again
			r.used[oldest] = false
			r.order = append(r.order, oldest)
			continue
		}
		if oldest == s {
			r.order = append(r.order, s)
			continue
		}
		delete(r.last, oldest)
		delete(r.used, oldest)
	}
	return false
}
