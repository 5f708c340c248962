package overlay

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ircbridge/host"
)

// room is the kind these tests use: a set of nodes, each in its run, marks that
// stay, and lines said in it. State is the lines "peer run" and "mark TEXT". Requests
// are "join", "leave", "mark TEXT" and "say TEXT"; each is an event "join PEER", "leave
// PEER", "mark TEXT", "say TEXT".
type room struct {
	name  string
	in    map[host.PeerID]uint64
	marks map[string]bool
}

func newRoom(name string) Object {
	return &room{name: name, in: map[host.PeerID]uint64{}, marks: map[string]bool{}}
}

func (r *room) Apply(t *Turn, req []byte) []byte {
	verb, rest, _ := strings.Cut(string(req), " ")
	from := t.From()
	switch verb {
	case "join":
		r.in[from.Node] = from.Run
		t.Emit([]byte("join " + from.Node.String()))
		t.SubscribersChanged()
	case "leave":
		delete(r.in, from.Node)
		t.Emit([]byte("leave " + from.Node.String()))
		t.SubscribersChanged()
	case "mark":
		r.marks[rest] = true
		t.Emit([]byte("mark " + rest))
	case "say":
		t.EmitEarly([]byte("say " + rest))
	}
	return []byte(fmt.Sprintf("ok %d", t.Number()))
}

func (r *room) Query(_ host.PeerID, q []byte) []byte {
	return []byte(fmt.Sprintf("%s: %d in", q, len(r.in)))
}

func (r *room) Snapshot() []byte {
	var b strings.Builder
	for _, n := range r.Nodes() {
		fmt.Fprintf(&b, "%s %d\n", n, r.in[n])
	}
	for _, m := range sorted(r.marks) {
		fmt.Fprintf(&b, "mark %s\n", m)
	}
	return []byte(b.String())
}

func (r *room) Merge(snapshot []byte) error {
	for line := range strings.Lines(string(snapshot)) {
		if mark, ok := strings.CutPrefix(line, "mark "); ok {
			r.marks[strings.TrimSuffix(mark, "\n")] = true
			continue
		}
		var text string
		var run uint64
		if _, err := fmt.Sscanf(line, "%s %d\n", &text, &run); err != nil {
			return err
		}
		id, err := host.ParsePeerID(text)
		if err != nil {
			return err
		}
		r.in[id] = max(r.in[id], run)
	}
	return nil
}

func (r *room) Renew(_ *Turn, node host.PeerID, run uint64, _ []byte) bool { return r.in[node] == run }

func (r *room) NodeGone(t *Turn, node host.PeerID, keep uint64) {
	if run, ok := r.in[node]; ok && (keep == 0 || run != keep) {
		delete(r.in, node)
		t.Emit([]byte("gone " + node.String()))
		t.SubscribersChanged()
	}
}

func (r *room) Nodes() []host.PeerID { return sorted(r.in) }
func (r *room) View() []byte         { return r.Snapshot() }
func (r *room) Empty(time.Time) bool { return len(r.in)+len(r.marks) == 0 }
func (r *room) Summary() string      { return fmt.Sprintf("room %s, %d in", r.name, len(r.in)) }

// roomViews is a member node's side: what it was told, in order, without
// repeats by origin, and the last whole state.
type roomViews struct {
	state  map[string]string   // as last reset, and changed by events since
	said   map[string][]string // lines said, in order
	all    map[string][]Entry  // every event given
	seen   map[string]map[Stream]uint64
	at     map[string]Stamp
	resets int
	hears  func(text string) // of each line that is new; may be nil
	in     map[string]bool   // rooms this node means to be in
}

func newRoomViews() *roomViews {
	return &roomViews{
		state: map[string]string{}, said: map[string][]string{}, all: map[string][]Entry{},
		seen: map[string]map[Stream]uint64{}, in: map[string]bool{}, at: map[string]Stamp{},
	}
}

func (v *roomViews) Event(name string, e Entry) {
	v.forward(name, e.Stamp, true)
	v.all[name] = append(v.all[name], e)
	verb, who, _ := strings.Cut(string(e.Event), " ")
	switch verb {
	case "join":
		v.drop(name, who)
		v.state[name] += fmt.Sprintf("%s %d\n", who, e.From.Run)
	case "leave", "gone":
		v.drop(name, who)
	case "mark":
		v.state[name] += "mark " + who + "\n"
	}
	text, said := strings.CutPrefix(string(e.Event), "say ")
	if !said {
		return
	}
	if v.seen[name] == nil {
		v.seen[name] = map[Stream]uint64{}
	}
	if e.Number <= v.seen[name][e.From] {
		return
	}
	v.seen[name][e.From] = e.Number
	v.said[name] = append(v.said[name], text)
	if v.hears != nil {
		v.hears(text)
	}
}

// drop takes a node out of a room's state.
func (v *roomViews) drop(name, who string) {
	var kept strings.Builder
	for line := range strings.Lines(v.state[name]) {
		if !strings.HasPrefix(line, who+" ") {
			kept.WriteString(line)
		}
	}
	v.state[name] = kept.String()
}

// forward checks that the order never goes back, nor an event comes twice.
func (v *roomViews) forward(name string, at Stamp, event bool) {
	if c := at.Compare(v.at[name]); c < 0 || c == 0 && event {
		panic(fmt.Sprintf("%s: %v after %v", name, at, v.at[name]))
	}
	v.at[name] = at
}

func (v *roomViews) Reset(name string, at Stamp, state []byte, recent []Entry) {
	for _, e := range recent {
		v.Event(name, e)
	}
	v.forward(name, at, false)
	v.resets++
	v.state[name] = string(state)
}

func (v *roomViews) Assert(name string) ([]byte, bool) {
	s, ok := v.state[name]
	return []byte(s), ok && v.in[name]
}

func (v *roomViews) Renewal(name string) ([]byte, bool) { return nil, v.in[name] }

func (v *roomViews) heard(name string, lines ...string) bool {
	return slices.Equal(v.said[name], lines)
}
