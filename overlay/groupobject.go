package overlay

import (
	"fmt"
	"strings"
	"time"

	"ircbridge/host"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

// groupKind is the name of the kind that JoinGroup, Multicast and SendAny use.
const groupKind = "group"

// Limits of groups.
const (
	MaxMembers      = 1024     // nodes in one group
	MaxGroupMessage = 32 << 10 // bytes of one message to all or to one
	maxPicked       = 16       // members named for one SendAny
)

// group is the keeper's side: which nodes are in, each in its run. Messages
// are events and leave no trace in the state.
type group struct {
	name string
	in   map[host.PeerID]membership
}

// membership is one node's: its run, and the event that let it in. What comes
// after that event is for it.
type membership struct {
	run   uint64
	since Stamp
}

func newGroup(name string) Object { return &group{name: name, in: make(map[host.PeerID]membership)} }

// Apply makes one GroupRequest.
func (g *group) Apply(t *Turn, req []byte) []byte {
	msg := new(wire.GroupRequest)
	if proto.Unmarshal(req, msg) != nil || t.From().Session != sessionGroups {
		return outcome(wire.Outcome_MALFORMED)
	}
	from := t.From()
	switch what := msg.What.(type) {
	case *wire.GroupRequest_Join:
		m, ok := g.in[from.Node]
		switch {
		case ok && m.run == from.Run:
			return outcome(wire.Outcome_DONE)
		case !ok && len(g.in) >= MaxMembers:
			return outcome(wire.Outcome_FULL)
		}
		joined := &wire.GroupMember{Node: []byte(from.Node), Run: from.Run}
		since := t.Emit(deterministic(&wire.GroupEvent{What: &wire.GroupEvent_Joined{Joined: joined}}))
		g.in[from.Node] = membership{run: from.Run, since: since}
		t.SubscribersChanged()
	case *wire.GroupRequest_Leave:
		g.drop(t, from.Node, 0)
	case *wire.GroupRequest_Message:
		switch {
		case len(what.Message) > MaxGroupMessage:
			return outcome(wire.Outcome_MALFORMED)
		case len(g.in) == 0:
			return outcome(wire.Outcome_NO_MEMBERS)
		}
		t.EmitEarly(deterministic(&wire.GroupEvent{What: &wire.GroupEvent_Message{Message: what.Message}}))
	default:
		return outcome(wire.Outcome_MALFORMED)
	}
	return outcome(wire.Outcome_DONE)
}

// drop takes a node out, unless it is in with the run keep.
func (g *group) drop(t *Turn, node host.PeerID, keep uint64) {
	m, ok := g.in[node]
	if !ok || keep != 0 && m.run == keep {
		return
	}
	delete(g.in, node)
	left := &wire.GroupMember{Node: []byte(node), Run: m.run}
	t.Emit(deterministic(&wire.GroupEvent{What: &wire.GroupEvent_Left{Left: left}}))
	t.SubscribersChanged()
}

// Query names some members, beginning at the place that was asked for.
func (g *group) Query(_ host.PeerID, q []byte) []byte {
	msg := new(wire.GroupQuery)
	nodes := g.Nodes()
	if proto.Unmarshal(q, msg) != nil || len(nodes) == 0 {
		return nil
	}
	answer := new(wire.GroupAnswer)
	first := msg.Pick % uint64(len(nodes))
	for i := range min(len(nodes), maxPicked) {
		answer.Nodes = append(answer.Nodes, []byte(nodes[(first+uint64(i))%uint64(len(nodes))]))
	}
	return deterministic(answer)
}

// Snapshot is who is in.
func (g *group) Snapshot() []byte { return groupState(g.in) }

// Merge unites: who is in either is in; of two memberships of one node the
// later counts. Beyond the limit the first are kept.
func (g *group) Merge(snapshot []byte) error {
	other, err := membersFromWire(snapshot)
	if err != nil {
		return err
	}
	for _, id := range sorted(other) {
		mine, ok := g.in[id]
		theirs := other[id]
		if c := theirs.since.Compare(mine.since); !ok || c > 0 || c == 0 && theirs.run > mine.run {
			g.in[id] = theirs
		}
	}
	if nodes := sorted(g.in); len(nodes) > MaxMembers {
		for _, id := range nodes[MaxMembers:] {
			delete(g.in, id)
		}
	}
	return nil
}

// Renew reports whether the node is in. It never lets one in: a node that was
// removed sees it by the view, and joins again if it means to be in.
func (g *group) Renew(_ *Turn, node host.PeerID, run uint64, payload []byte) (known bool) {
	msg := new(wire.GroupRenewal)
	if proto.Unmarshal(payload, msg) != nil {
		return false
	}
	m, ok := g.in[node]
	return !msg.Member || ok && m.run == run
}

// NodeGone takes a dead node out.
func (g *group) NodeGone(t *Turn, node host.PeerID, keep uint64) { g.drop(t, node, keep) }

// Nodes are the members.
func (g *group) Nodes() []host.PeerID { return sorted(g.in) }

// View is who is in.
func (g *group) View() []byte { return g.Snapshot() }

// Empty: nobody is in.
func (g *group) Empty(time.Time) bool { return len(g.in) == 0 }

// Summary names the group and counts its members.
func (g *group) Summary() string {
	return fmt.Sprintf("group %s, %d members", strings.ToValidUTF8(g.name, "?"), len(g.in))
}

// groupState is the wire form of who is in.
func groupState(in map[host.PeerID]membership) []byte {
	msg := new(wire.GroupState)
	for _, id := range sorted(in) {
		m := in[id]
		msg.Members = append(msg.Members, &wire.GroupMember{Node: []byte(id), Run: m.run, Since: StampToWire(m.since)})
	}
	return deterministic(msg)
}

func membersFromWire(state []byte) (map[host.PeerID]membership, error) {
	msg := new(wire.GroupState)
	if err := proto.Unmarshal(state, msg); err != nil {
		return nil, err
	}
	if len(msg.Members) > MaxMembers {
		return nil, fmt.Errorf("%w: group of %d members", errWire, len(msg.Members))
	}
	in := make(map[host.PeerID]membership, len(msg.Members))
	for _, w := range msg.Members {
		id, since, err := memberFromWire(w)
		if err != nil {
			return nil, err
		}
		in[id] = membership{run: w.GetRun(), since: since}
	}
	return in, nil
}

func memberFromWire(w *wire.GroupMember) (host.PeerID, Stamp, error) {
	id := host.PeerID(w.GetNode())
	since, err := StampFromWire(w.GetSince())
	if err == nil && !id.Valid() {
		err = fmt.Errorf("%w: member of a group", errWire)
	}
	return id, since, err
}
