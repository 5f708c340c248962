package mapping

import (
	"errors"
	"fmt"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/mapping/wire"
	"ircbridge/overlay"

	"google.golang.org/protobuf/proto"
)

// errWire: a message that came in breaks its form or a bound.
var errWire = errors.New("malformed message")

// encode makes the bytes of a message: the same for equal messages.
func encode(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil // only a text field with bytes that are no UTF-8, which none has
	}
	return b
}

// decode reads a message into m.
func decode(b []byte, m proto.Message) error {
	if err := proto.Unmarshal(b, m); err != nil {
		return fmt.Errorf("%w: %w", errWire, err)
	}
	return nil
}

// tables are the lists that stamps and sessions of one message point into.
type tables struct {
	epochs  []*wire.Epoch
	epochAt map[overlay.Epoch]uint32
	nodes   []*wire.Node
	nodeAt  map[overlay.Stream]uint32 // Session is 0
}

func newTables(h heads) *tables {
	t := &tables{epochAt: map[overlay.Epoch]uint32{}, nodeAt: map[overlay.Stream]uint32{}}
	for _, x := range h {
		t.epoch(x.epoch, x.number)
	}
	return t
}

func (t *tables) epoch(e overlay.Epoch, head uint64) uint32 {
	if i, ok := t.epochAt[e]; ok {
		return i
	}
	t.epochs = append(t.epochs, &wire.Epoch{Counter: e.Counter, Keeper: e.Keeper[:], Run: e.Run, Head: head})
	t.epochAt[e] = uint32(len(t.epochs))
	return uint32(len(t.epochs))
}

func (t *tables) stamp(s overlay.Stamp) *wire.Stamp {
	if s == (overlay.Stamp{}) {
		return nil
	}
	return &wire.Stamp{Epoch: t.epoch(s.Epoch, 0), Number: s.Number}
}

func (t *tables) node(s overlay.Stream) uint32 {
	s.Session = 0
	if i, ok := t.nodeAt[s]; ok {
		return i
	}
	t.nodes = append(t.nodes, &wire.Node{Id: []byte(s.Node), Run: s.Run})
	t.nodeAt[s] = uint32(len(t.nodes))
	return uint32(len(t.nodes))
}

func birthToWire(b birth) *wire.Birth {
	if b.none() {
		return nil
	}
	return &wire.Birth{AtMs: b.at, Random: b.random}
}

func birthFromWire(w *wire.Birth) birth { return birth{at: w.GetAtMs(), random: w.GetRandom()} }

// toWire is the state's canonical form: equal states give equal bytes.
func (s *state) toWire() *wire.ChannelState {
	t := newTables(s.heads)
	w := &wire.ChannelState{Birth: birthToWire(s.birth), Name: []byte(s.name)}
	for _, k := range s.sessions() {
		m := s.members[k]
		w.Members = append(w.Members, &wire.Member{
			Node: t.node(k), Session: k.Session, Join: m.join, Person: personToWire(m.person),
			Status: uint32(m.status), Joined: t.stamp(m.joined), StatusStamp: t.stamp(m.statusAt),
		})
	}
	for _, k := range sortedStreams(s.removals) {
		r := s.removals[k]
		w.Removals = append(w.Removals, &wire.Removal{
			Node: t.node(k), Session: k.Session, Join: r.join, Left: r.left, Stamp: t.stamp(r.stamp),
			Kind: uint32(r.kind), By: []byte(r.by), Reason: []byte(r.reason), AtMs: r.at,
		})
	}
	w.Topic, w.Modes = s.topic.toWire(t), modesToWire(s.modes, t)
	w.Bans, w.Excepts, w.Invexes = s.lists.of('b').toWire(t), s.lists.of('e').toWire(t), s.lists.of('I').toWire(t)
	for _, k := range sortedStreams(s.invitations) {
		i := s.invitations[k]
		w.Invitations = append(w.Invitations, &wire.Invitation{Node: t.node(k), Session: k.Session, Gone: i.gone, Stamp: t.stamp(i.stamp)})
	}
	for _, l := range s.tail {
		wl := &wire.Line{
			Node: t.node(l.from), Session: l.from.Session, Number: l.number, Stamp: t.stamp(l.stamp), AtMs: l.at, Message: l.msg,
		}
		if l.msg == nil {
			wl.Size = uint32(l.size)
		}
		w.Tail = append(w.Tail, wl)
	}
	w.Redactions, w.Meta = s.redactionsToWire(t), s.meta.toWire(t)
	w.Given, w.Alias = s.given.toWire(t), s.alias.toWire()
	w.Former, w.Rest, w.Knocks = s.formerToWire(t), s.rest.toWire(t), s.knocks.toWire()
	w.Epochs, w.Nodes = t.epochs, t.nodes
	return w
}

// toWire is nil where no topic was ever set.
func (x topic) toWire(t *tables) *wire.Topic {
	if x == (topic{}) {
		return nil
	}
	return &wire.Topic{Text: []byte(x.text), By: []byte(x.by), AtMs: x.at, Stamp: t.stamp(x.stamp)}
}

func modesToWire(modes map[byte]mode, t *tables) (ws []*wire.Mode) {
	for _, k := range sortedKeys(modes) {
		m := modes[k]
		ws = append(ws, &wire.Mode{Letter: uint32(k), On: m.on, Key: []byte(m.key), Limit: uint32(m.limit), Stamp: t.stamp(m.stamp)})
	}
	return ws
}

// reader follows the pointers within one message, and keeps the first error.
type reader struct {
	epochs []overlay.Epoch
	nodes  []overlay.Stream
	err    error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{errWire}, args...)...)
	}
}

func epochFromWire(w *wire.Epoch) (overlay.Epoch, error) {
	e := overlay.Epoch{Counter: w.GetCounter(), Run: w.GetRun()}
	if copy(e.Keeper[:], w.GetKeeper()) != len(e.Keeper) || len(w.GetKeeper()) != len(e.Keeper) {
		return overlay.Epoch{}, fmt.Errorf("%w: keeper of %d bytes", errWire, len(w.GetKeeper()))
	}
	return e, nil
}

func (r *reader) stamp(w *wire.Stamp) overlay.Stamp {
	i := int(w.GetEpoch())
	if i == 0 {
		return overlay.Stamp{}
	}
	if i > len(r.epochs) {
		r.fail("epoch %d of %d", i, len(r.epochs))
		return overlay.Stamp{}
	}
	return overlay.Stamp{Epoch: r.epochs[i-1], Number: w.GetNumber()}
}

func (r *reader) session(node uint32, number uint64) overlay.Stream {
	if node == 0 || int64(node) > int64(len(r.nodes)) {
		r.fail("node %d of %d", node, len(r.nodes))
		return overlay.Stream{}
	}
	s := r.nodes[node-1]
	s.Session = number
	return s
}

func (r *reader) text(b []byte, max int) string {
	if len(b) > max || !oneLine(string(b)) {
		r.fail("text of %d bytes, or with a line end", len(b))
		return ""
	}
	return string(b)
}

// maxBy bounds a mask of a person, or the name of a node.
const (
	maxBy   = chat.MaxNick + chat.MaxUsername + 64
	maxKept = 4 * maxRemovals // of what decoding accepts in one list beyond members
)

// headsFromWire reads a list of epochs.
func headsFromWire(ws []*wire.Epoch) (heads, []overlay.Epoch, error) {
	if len(ws) > 4*maxKept {
		return nil, nil, fmt.Errorf("%w: %d epochs", errWire, len(ws))
	}
	h, list := make(heads, 0, len(ws)), make([]overlay.Epoch, 0, len(ws))
	for _, w := range ws {
		e, err := epochFromWire(w)
		if err != nil {
			return nil, nil, err
		}
		list = append(list, e)
		if w.Head > 0 {
			h = append(h, head{e, w.Head})
		}
	}
	return h.inOrder(), list, nil
}

// stateFromWire reads a state and checks every bound.
func stateFromWire(w *wire.ChannelState) (*state, error) {
	s := newState()
	r := new(reader)
	s.heads, r.epochs, r.err = headsFromWire(w.GetEpochs())
	if r.err != nil {
		return nil, r.err
	}
	if len(w.GetNodes()) > maxMembers+maxKept || len(w.GetMembers()) > maxMembers || len(w.GetRemovals()) > maxKept ||
		tooLong(w) || len(w.GetInvitations()) > maxKept || len(w.GetModes()) > 16 || len(w.GetTail()) > 4*maxLines ||
		len(w.GetFormer()) > 4*maxFormer || len(w.GetKnocks()) > maxKept || len(w.GetRedactions()) > 4*maxRedactions ||
		len(w.GetMeta()) > 4*maxMetaItems || len(w.GetRest().GetMeta()) > 4*maxMetaItems || tooLong(w.GetRest()) || len(w.GetRest().GetModes()) > 16 {
		return nil, fmt.Errorf("%w: a list is too long", errWire)
	}
	s.birth, s.name = birthFromWire(w.GetBirth()), string(w.GetName())
	if s.birth.none() != (s.name == "") || s.name != "" && !chat.ValidChannel(s.name) {
		return nil, fmt.Errorf("%w: name %q", errWire, chat.Cut(s.name, 60))
	}
	for _, n := range w.GetNodes() {
		id := host.PeerID(n.GetId())
		if !id.Valid() {
			return nil, fmt.Errorf("%w: node of a bad peer ID", errWire)
		}
		r.nodes = append(r.nodes, overlay.Stream{Node: id, Run: n.Run})
	}
	s.membersFromWire(r, w)
	s.redactionsFromWire(r, w.GetRedactions())
	s.listsFromWire(r, w)
	s.formerFromWire(r, w.GetFormer())
	s.rest = restFromWire(r, w.GetRest())
	s.meta = metadataFromWire(r, w.GetMeta())
	s.knocks = knocksFromWire(r, w.GetKnocks())
	s.given, s.alias = givenFromWire(r, w.GetGiven()), aliasFromWire(r, w.GetAlias())
	if r.err != nil {
		return nil, r.err
	}
	return s, nil
}

func (s *state) membersFromWire(r *reader, w *wire.ChannelState) {
	for _, m := range w.GetMembers() {
		p, err := personFromWire(m.GetPerson())
		if err != nil {
			r.fail("member: %v", err)
			return
		}
		s.members[r.session(m.Node, m.Session)] = member{
			join: m.Join, person: p, status: statusFromWire(m.Status),
			joined: r.stamp(m.Joined), statusAt: r.stamp(m.StatusStamp),
		}
	}
	for _, m := range w.GetRemovals() {
		who := r.session(m.GetNode(), m.GetSession())
		s.remove(who, removal{
			join: m.GetJoin(), left: min(m.GetLeft(), m.GetJoin()), stamp: r.stamp(m.GetStamp()), kind: uint8(m.GetKind() & 3),
			by: r.text(m.GetBy(), maxBy), reason: r.text(m.GetReason(), chat.MaxReason), at: m.GetAtMs(),
		})
	}
}

func (s *state) listsFromWire(r *reader, w *wire.ChannelState) {
	s.topic, s.modes, s.lists = topicFromWire(r, w.GetTopic()), modesFromWire(r, w.GetModes()), listsFromWire(r, w)
	var tail []line
	for _, l := range w.GetTail() {
		n := line{from: r.session(l.GetNode(), l.GetSession()), number: l.GetNumber(), stamp: r.stamp(l.GetStamp()), at: l.GetAtMs(), size: int(l.GetSize())}
		switch {
		case l.GetMessage() != nil:
			n = newLine(n.from, n.number, n.stamp, n.at, l.Message)
			if l.Message.TagsOnly || checkMessage(l.Message) != nil {
				r.fail("message")
				return
			}
		case n.size == 0 || n.size > maxLineBytes:
			r.fail("a message that was redacted weighs %d", n.size)
			return
		}
		tail = append(tail, n)
	}
	s.addLines(tail)
	for _, i := range w.GetInvitations() {
		s.invitations[r.session(i.GetNode(), i.GetSession())] = invitation{gone: i.GetGone(), stamp: r.stamp(i.GetStamp())}
	}
}

func topicFromWire(r *reader, w *wire.Topic) topic {
	if w == nil {
		return topic{}
	}
	return topic{text: r.text(w.Text, chat.MaxTopic), by: r.text(w.By, maxBy), at: w.AtMs, stamp: r.stamp(w.Stamp)}
}

func modesFromWire(r *reader, ws []*wire.Mode) map[byte]mode {
	modes := map[byte]mode{}
	for _, m := range ws {
		letter := byte(m.GetLetter())
		if m.GetLetter() > 'z' || !isChannelMode(letter) {
			continue // of a later version
		}
		if m.GetLimit() > maxLimit {
			r.fail("limit %d", m.GetLimit())
		}
		modes[letter] = mode{on: m.On, key: r.text(m.Key, chat.MaxKey), limit: int(m.Limit), stamp: r.stamp(m.Stamp)}
	}
	return modes
}

// decodeState reads a snapshot of the channel with a folded name.
func decodeState(b []byte, name string) (*state, error) {
	w := new(wire.ChannelState)
	if err := decode(b, w); err != nil {
		return nil, err
	}
	s, err := stateFromWire(w)
	if err == nil && s.name != "" && chat.Fold(s.name) != name {
		err = fmt.Errorf("%w: state of another channel, %q", errWire, s.name)
	}
	return s, err
}

// decodeEvent reads an event, and checks what apply does not.
func decodeEvent(b []byte, name string) (*wire.ChannelEvent, error) {
	ev := new(wire.ChannelEvent)
	if err := decode(b, ev); err != nil {
		return nil, err
	}
	if len(ev.By) > maxBy || !oneLine(string(ev.By)) {
		return nil, fmt.Errorf("%w: author of %d bytes, or with a line end", errWire, len(ev.By))
	}
	switch w := ev.What.(type) {
	case *wire.ChannelEvent_Message:
		return ev, checkMessage(w.Message)
	case *wire.ChannelEvent_Joined:
		n := string(w.Joined.GetName())
		if founds := !birthFromWire(w.Joined.GetBirth()).none(); founds != (n != "") || founds && (!chat.ValidChannel(n) || chat.Fold(n) != name) {
			return nil, fmt.Errorf("%w: join of another channel", errWire)
		}
		_, err := personFromWire(w.Joined.GetPerson())
		return ev, err
	case *wire.ChannelEvent_Person:
		_, err := personFromWire(w.Person)
		return ev, err
	case *wire.ChannelEvent_Invited:
		if w.Invited.GetPerson() == nil { // of a node that does not send it
			return ev, nil
		}
		_, err := personFromWire(w.Invited.Person)
		return ev, err
	case *wire.ChannelEvent_Knocked:
		if len(w.Knocked.GetText()) > chat.MaxReason || !oneLine(string(w.Knocked.GetText())) {
			return nil, fmt.Errorf("%w: knock", errWire)
		}
		_, err := personFromWire(w.Knocked.GetPerson())
		return ev, err
	case *wire.ChannelEvent_Redacted:
		if _, err := sessionFromWire(w.Redacted.GetAuthor()); err != nil {
			return nil, err
		}
	case *wire.ChannelEvent_Renamed:
		if n := string(w.Renamed.GetName()); !chat.ValidChannel(n) {
			return nil, fmt.Errorf("%w: new name %q", errWire, chat.Cut(n, 60))
		}
	case *wire.ChannelEvent_Metadata:
		_, err := changesFromWire(w.Metadata)
		return ev, err
	case *wire.ChannelEvent_Merged:
		_, err := stateFromWire(w.Merged)
		return ev, err
	case *wire.ChannelEvent_Modes:
		if len(w.Modes.GetChanges()) > maxChanges {
			return nil, fmt.Errorf("%w: %d mode changes", errWire, len(w.Modes.GetChanges()))
		}
		for _, c := range w.Modes.GetChanges() {
			if len(c.GetArg()) > chat.MaxMask || hasSpace(string(c.GetArg())) || c.GetLetter() > 'z' {
				return nil, fmt.Errorf("%w: mode change", errWire)
			}
		}
	case *wire.ChannelEvent_Topic:
		if len(w.Topic.GetText()) > chat.MaxTopic || !oneLine(string(w.Topic.GetText())) {
			return nil, fmt.Errorf("%w: topic", errWire)
		}
	}
	for _, text := range [][]byte{ev.GetParted().GetReason(), ev.GetKicked().GetReason(), ev.GetQuit().GetReason(), ev.GetGone().GetReason(), ev.GetRedacted().GetReason(), ev.GetRenamed().GetReason()} {
		if len(text) > chat.MaxReason || !oneLine(string(text)) {
			return nil, fmt.Errorf("%w: reason of %d bytes", errWire, len(text))
		}
	}
	return ev, nil
}
