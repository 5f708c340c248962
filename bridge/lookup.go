package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"ircbridge/chat"
	"ircbridge/chord"
	"ircbridge/host"
	"ircbridge/mapping"
	"ircbridge/overlay"
)

// lookupTime is how long the ring may take to say whose a key is.
const lookupTime = 10 * time.Second

// keyOf is the key under which a nick or a channel is kept.
func keyOf(name string) (chord.ID, error) {
	switch {
	case chat.ValidChannel(name):
		return overlay.Key(kindChannel, chat.Fold(name)), nil
	case chat.ValidNick(name):
		return overlay.Key(kindNick, chat.Fold(name)), nil
	}
	return chord.ID{}, fmt.Errorf("%q is neither a nick nor a channel (which begins with #)", name)
}

// keeper says in one line which node keeps a name. It takes no longer than ctx
// has time.
func (p *parts) keeper(ctx context.Context, name string) string {
	key, err := keyOf(name)
	if err != nil {
		return err.Error() + "."
	}
	found, err := p.ring.Lookup(key, host.Budget(ctx, p.host.Now(), lookupTime))
	if err != nil {
		return fmt.Sprintf("The ring does not say now who keeps %s: %v.", name, err)
	}
	owner := fmt.Sprintf("%s (%s)", found.Owner.ID, mapping.VisibleHost(found.Owner.Peer.ID))
	if found.Owner.ID == p.ring.Self().ID {
		return fmt.Sprintf("%s is kept by this node, %s.", name, owner)
	}
	return fmt.Sprintf("%s is kept by node %s, found in %s.", name, owner, count(found.Hops, "hop"))
}

// Trace is the way to the node that keeps a name; `ircbridge lookup -json`
// prints it. docs/control.md describes its fields.
type Trace struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // nick or channel
	Key  string `json:"key"`  // 40 hexadecimal digits
	// Hops are the nodes that were asked, one after the other.
	Hops []TraceHop `json:"hops"`
	Self bool       `json:"self"` // the keeper is this node
	// Keeper is absent when nobody confirmed to be it.
	Keeper *Neighbour `json:"keeper,omitempty"`
	// Replicas are the first two nodes after the keeper, which hold its copies.
	Replicas []Neighbour `json:"replicas"`
	Took     float64     `json:"took_ms"`
	Error    string      `json:"error,omitempty"` // why there is no keeper
}

// TraceHop is a node that was asked.
type TraceHop struct {
	Neighbour
	Took   float64 `json:"took_ms"` // until its answer, or until it was given up
	Answer string  `json:"answer"`  // for a person
	Error  string  `json:"error,omitempty"`
}

// trace asks one node after the other whose a name is.
func (p *parts) trace(name string) (Trace, error) {
	key, err := keyOf(name)
	if err != nil {
		return Trace{}, err
	}
	t := Trace{Name: name, Kind: kindNick, Key: key.String(), Hops: []TraceHop{}, Replicas: []Neighbour{}}
	if chat.ValidChannel(name) {
		t.Kind = kindChannel
	}
	start := p.host.Now()
	route, err := p.ring.Trace(key, lookupTime, func(h chord.Hop) {
		hop := TraceHop{Neighbour: p.neighbour(h.Contact), Took: ms(h.RTT), Answer: h.Answer}
		if h.Err != nil {
			hop.Error = oneLine(h.Err.Error())
		}
		t.Hops = append(t.Hops, hop)
	})
	t.Took = ms(p.host.Now().Sub(start))
	if err != nil {
		t.Error = oneLine(err.Error())
		return t, nil
	}
	keeper := p.neighbour(route.Owner)
	t.Keeper, t.Self = &keeper, route.Owner.ID == p.ring.Self().ID
	for _, c := range route.Replicas {
		t.Replicas = append(t.Replicas, p.neighbour(c))
	}
	return t, nil
}

// Err says why nobody was found to keep the name; nil when somebody was.
func (t Trace) Err() error {
	if t.Error == "" {
		return nil
	}
	return errors.New(t.Error)
}

// Text is the way for a person.
func (t Trace) Text() string {
	var text strings.Builder
	fmt.Fprintf(&text, "The %s %s has the key %s.\n", t.Kind, t.Name, t.Key)
	w := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	if len(t.Hops) > 0 {
		fmt.Fprint(w, "\nHop\tNode\tTime\tAddress\tAnswer\n")
	}
	for i, h := range t.Hops {
		answer := h.Answer
		if h.Error != "" {
			answer += ": " + h.Error
		}
		fmt.Fprintf(w, "%d\t%s\t%.1f ms\t%s\t%s\n", i+1, short(h.ID), h.Took, strings.Join(firstOf(h.Addresses), ""), answer)
	}
	fmt.Fprintln(w)
	if t.Keeper != nil {
		whose := t.Keeper.ID
		if t.Self {
			whose += ", this node"
		}
		fmt.Fprintf(w, "Keeper:\t%s\n", whose)
	}
	for i, r := range t.Replicas {
		fmt.Fprintf(w, "Replica %d:\t%s\n", i+1, r.ID)
	}
	fmt.Fprintf(w, "Time:\t%.1f ms in %s\n", t.Took, count(len(t.Hops), "hop"))
	_ = w.Flush() // a Builder takes all
	return text.String()
}

// QueryTrace has the node that runs on a data directory look a nick or a
// channel up. ErrNobody: none runs there. That nobody keeps the name is no error
// of this function, but Trace.Err.
func QueryTrace(ctx context.Context, dataDir, name string) (Trace, error) {
	r, err := query(ctx, dataDir, request{Ask: "lookup", Name: name})
	switch {
	case err != nil:
		return Trace{}, err
	case r.Trace == nil:
		return Trace{}, errors.New("the node answered without a trace")
	}
	return *r.Trace, nil
}
