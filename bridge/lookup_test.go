package bridge

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// exampleTrace goes past a node that does not answer.
func exampleTrace() Trace {
	s := exampleStatus()
	keeper := Neighbour{ID: strings.Repeat("e", 40), Peer: "12D3KooWE", Addresses: []string{"203.0.113.9:4747"}}
	return Trace{
		Name: "#tea", Kind: kindChannel, Key: "9f67abfa718b5fe4aaa30c9802ca41523c0c3390",
		Hops: []TraceHop{
			{Neighbour: s.Ring.Successors[0], Took: 2000, Answer: "no answer", Error: "peer unreachable: connection refused"},
			{Neighbour: s.Ring.Successors[1], Took: 23.5, Answer: "would ask eeeeeeee"},
			{Neighbour: keeper, Took: 101.25, Answer: "owns the key"},
		},
		Keeper: &keeper, Replicas: s.Ring.Successors, Took: 2124.8,
	}
}

func TestTraceForAPerson(t *testing.T) {
	full := exampleTrace()
	own := full
	own.Hops, own.Self, own.Took = nil, true, 0
	lost := full
	lost.Hops, lost.Keeper, lost.Replicas = full.Hops[:1], nil, nil
	lost.Error = "trace of 9f67abfa: 0 nodes answered within 10s: no owner answered"
	golden(t, "traces.txt", full.Text()+"---\n"+own.Text()+"---\n"+lost.Text())
	if full.Err() != nil || lost.Err() == nil || lost.Err().Error() != lost.Error {
		t.Errorf("errors: %v, %v", full.Err(), lost.Err())
	}
	program, err := json.MarshalIndent(full, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "trace.json", string(program)+"\n")
}

// Both of two nodes find the same keeper of a channel, and of a nick.
func TestQueryTrace(t *testing.T) {
	a := startNode(t, "a")
	b := startNode(t, "b", a.Status().Node.Addresses[0])
	b.log.await(t, "we answer for it now") // until then the first answers for everything
	channel := keptBy(t, a.user(t, "ann"))
	near, err := QueryTrace(t.Context(), a.dir, channel)
	if err != nil {
		t.Fatal(err)
	}
	far, err := QueryTrace(t.Context(), b.dir, channel)
	if err != nil {
		t.Fatal(err)
	}
	self := a.Status().Node.ID
	if !near.Self || near.Keeper == nil || near.Keeper.ID != self || len(near.Hops) != 0 || near.Kind != kindChannel || near.Err() != nil {
		t.Errorf("the keeper says %+v", near)
	}
	if far.Self || far.Keeper == nil || far.Keeper.ID != self || len(far.Hops) != 1 || far.Hops[0].ID != self || far.Key != near.Key {
		t.Errorf("the other one says %+v", far)
	}
	if len(far.Replicas) != 1 || far.Replicas[0].ID != b.Status().Node.ID {
		t.Errorf("replicas %+v", far.Replicas)
	}
	nick, err := QueryTrace(t.Context(), b.dir, "Ann")
	if err != nil || nick.Kind != kindNick || nick.Keeper == nil {
		t.Errorf("nick: %+v, %v", nick, err)
	}
	if _, err := QueryTrace(t.Context(), b.dir, "#a b"); err == nil || errors.Is(err, ErrNobody) || !strings.Contains(err.Error(), "neither a nick nor a channel") {
		t.Errorf("a wrong name: %v", err)
	}
}
