package mapping

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"ircbridge/chat"
	"ircbridge/host"
	"ircbridge/host/sim"
	"ircbridge/mapping/wire"

	"google.golang.org/protobuf/encoding/protowire"
)

// Nodes of a later minor version: they say more than this one understands.

// more is a field of a later version, which nobody here knows.
var more = protowire.AppendBytes(protowire.AppendTag(nil, 1999, protowire.BytesType), []byte("of tomorrow"))

// later is a host that adds a field to all that it sends, as a later minor version would.
type later struct{ *sim.Host }

func (l later) Call(to host.Peer, m host.Method, req []byte, d time.Duration) ([]byte, error) {
	return l.Host.Call(to, m, append(bytes.Clone(req), more...), d)
}

func (l later) Send(to host.Peer, m host.Method, msg []byte) error {
	return l.Host.Send(to, m, append(bytes.Clone(msg), more...))
}

func (l later) HandleCall(m host.Method, f host.CallHandler) {
	l.Host.HandleCall(m, func(from host.Peer, req []byte) ([]byte, error) {
		reply, err := f(from, req)
		return append(bytes.Clone(reply), more...), err
	})
}

// TestMixedVersions: every other node is of a later minor version. They form one ring, and users
// of both talk, also when keepers come and go.
func TestMixedVersions(t *testing.T) {
	for _, seed := range seeds(3) {
		w := newSimNet(t, seed)
		odd := false
		w.dress = func(h *sim.Host) host.Host {
			if odd = !odd; odd {
				return later{h}
			}
			return h
		}
		w.grow(6)
		w.run(func(e *simEnv) {
			channel := e.channelOn(w.nodes[5])
			var users []*tester
			for i := range 4 {
				users = append(users, e.open(w.nodes[i], fmt.Sprint("u", i)))
				users[i].join(channel)
			}
			if err := users[0].SetTopic(bg, channel, "tea"); err != nil {
				e.Fatalf("%v", err)
			}
			const n = 30
			for i := range n {
				for _, u := range users {
					u.send(channel, fmt.Sprintf("%s %d", u.name, i+1))
				}
				if i == 10 {
					w.Crash(w.nodes[5].h)
				}
				if i == 20 {
					w.add()
				}
				e.Sleep(50 * time.Millisecond)
			}
			for i, u := range users {
				if err := u.Flush(bg); err != nil {
					e.Fatalf("%v", err)
				}
				e.sees(u, channel, "@u0 u1 u2 u3")
				users[(i+1)%4].send(u.Self().Nick, "a letter")
			}
			if err := users[0].Kick(bg, channel, "u3", ""); err != nil {
				e.Fatalf("%v", err)
			}
			e.sees(users[2], channel, "@u0 u1 u2")
			e.Eventually("letters come", func() bool {
				for _, u := range users {
					if len(u.texts()) != 3*n+1 {
						return false
					}
				}
				return true
			})
			if c, err := users[1].Channel(bg, channel); err != nil || c.Topic.Text != "tea" {
				e.T().Errorf("topic %q, %v", c.Topic.Text, err)
			}
		})
	}
}

// TestAMessageKeepsUnknownFields: what a later version says in a message passes a keeper that does
// not know it, in the event and in the channel's last messages.
func TestAMessageKeepsUnknownFields(t *testing.T) {
	k := newKept(0, 1)
	op := testStream(1, 1)
	k.ask(t, op, reqJoin(op, ""))
	w := &wire.Message{Text: []byte("hello"), Person: personToWire(testPerson(op))}
	w.ProtoReflect().SetUnknown(more)
	wantCode(t, "message", k.ask(t, op, &wire.ChannelRequest{What: &wire.ChannelRequest_Message{Message: w}}), wire.Code_OK)
	ev, err := decodeEvent(k.log[len(k.log)-1].Event, "#tea")
	if err != nil || !bytes.Contains(ev.GetMessage().ProtoReflect().GetUnknown(), more) {
		t.Errorf("the event lost the field: %v, %v", ev, err)
	}
	other := newKept(1, 2)
	if err := other.Merge(k.Snapshot()); err != nil {
		t.Fatal(err)
	}
	tail := other.s.tail
	if len(tail) != 1 || !bytes.Contains(tail[0].msg.ProtoReflect().GetUnknown(), more) {
		t.Errorf("the channel's last messages lost the field: %v", tail)
	}
}

// TestOtherOverlaysNeverMix: the nodes of two overlays are told of each other, and meet again and
// again: there are two rings, and a channel of the same name in each.
func TestOtherOverlaysNeverMix(t *testing.T) {
	w := newSimNet(t, 1)
	var first [2]*simNode
	for i := range 8 {
		side := i % 2
		h := w.Add(fmt.Sprint("n", i), sim.Overlay([]string{"one", "two"}[side]))
		if first[side] == nil {
			first[side] = w.start(h)
			w.nodes = append(w.nodes, first[side])
			continue
		}
		w.nodes = append(w.nodes, w.start(h, first[side], first[1-side]))
	}
	w.RunFor(10 * time.Second)
	w.run(func(e *simEnv) {
		for i, n := range w.nodes {
			n.ring.Introduce(w.nodes[(i+1)%8].h.Self())
		}
		var users []*tester
		for i, n := range w.nodes {
			users = append(users, e.open(n, fmt.Sprint("u", i/2))) // each nick twice
			users[i].join("#tea")
			if i == 1 {
				e.Sleep(time.Second)
			}
		}
		e.Sleep(time.Minute)
		for i, u := range users {
			if got, want := u.nicks("#tea"), "@u0 u1 u2 u3"; got != want {
				e.T().Errorf("%d sees %q, want %q", i, got, want)
			}
			u.send("#tea", fmt.Sprint("of ", i%2))
		}
		e.Sleep(5 * time.Second)
		for i, u := range users {
			if len(u.texts()) != 3 {
				e.T().Errorf("%d heard %v", i, u.texts())
			}
			for _, text := range u.texts() {
				if text != fmt.Sprint("of ", i%2) {
					e.T().Errorf("%d heard %q", i, text)
				}
			}
			if n := len(eventsOf[chat.Renamed](u)); n != 0 {
				e.T().Errorf("%d was renamed", i)
			}
		}
	})
}
