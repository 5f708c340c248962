package overlay

import (
	"testing"
	"time"

	"ircbridge/host"
	"ircbridge/overlay/wire"

	"google.golang.org/protobuf/proto"
)

// What a third node puts through it can neither change nor invent, and it puts
// through only for who asks it.
func TestARelayCannotForge(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func() {
		w.grow(3)
		a, b, c := w.nodes[0], w.nodes[1], w.nodes[2]
		ping := must(proto.Marshal(new(wire.Ping)))
		signed := func(by *node) *wire.Relay {
			m := &wire.Relay{
				To: nodeToWire(c.host.Self()), Method: methodPing.Number, Body: ping,
				Origin: []byte(a.host.Self().ID), Nonce: 7, BudgetMs: 500,
			}
			m.Signature = by.host.Sign(relayBytes(m))
			return m
		}
		for _, row := range []struct {
			name   string
			by, to *node
			change func(*wire.Relay)
			want   wire.Relayed_Outcome
		}{
			{"as it should be", a, b, func(*wire.Relay) {}, wire.Relayed_ANSWERED},
			{"signed by another", b, b, func(*wire.Relay) {}, wire.Relayed_DECLINED},
			{"another method", a, b, func(m *wire.Relay) { m.Method = methodRenew.Number }, wire.Relayed_DECLINED},
			{"another body", a, b, func(m *wire.Relay) { m.Body = []byte{8, 1} }, wire.Relayed_DECLINED},
			{"another nonce", a, b, func(m *wire.Relay) { m.Nonce++ }, wire.Relayed_DECLINED},
			{"an unknown method", a, b, func(m *wire.Relay) { m.Method = 999 }, wire.Relayed_DECLINED},
			{"a relay of a relay", a, b, func(m *wire.Relay) { m.Method = methodRelay.Number }, wire.Relayed_DECLINED},
			{"in another's name", a, b, func(m *wire.Relay) { m.Origin = []byte(b.host.Self().ID) }, wire.Relayed_DECLINED},
			{"to a node that is not there", a, b, func(m *wire.Relay) {
				m.To = nodeToWire(host.Peer{ID: w.Add("nowhere").Self().ID})
				m.Signature = a.host.Sign(relayBytes(m))
			}, wire.Relayed_SILENT},
		} {
			m := signed(row.by)
			row.change(m)
			reply := new(wire.Relayed)
			b, err := a.host.Call(row.to.host.Self(), methodRelay, must(proto.Marshal(m)), time.Second)
			if err == nil {
				err = proto.Unmarshal(b, reply)
			}
			if err != nil || reply.Outcome != row.want {
				t.Errorf("%s: %v, %v; want %v", row.name, reply.Outcome, err, row.want)
			}
			if answered := reply.Outcome == wire.Relayed_ANSWERED; answered != c.host.Self().ID.Verify(relayedBytes(m.Nonce, reply.Body), reply.Signature) {
				t.Errorf("%s: the answer's signature is wrong", row.name)
			}
		}
	})
}

// A node that is dead has no way to it, and none is kept in mind.
func TestNoWayToADeadNode(t *testing.T) {
	w := newWorld(t, 1)
	w.run(func() {
		w.grow(4)
		dead := w.nodes[3].host.Self()
		w.Crash(w.nodes[3].host)
		began := w.Elapsed()
		if _, ok := w.nodes[0].o.Answers(dead.ID, time.Second); ok {
			t.Error("a dead node answers")
		}
		w.nodes[0].o.missed(dead)
		w.must("it is forgotten", func() bool { return len(w.nodes[0].o.paths) == 0 })
		if d := w.Elapsed() - began; d > 10*time.Second {
			t.Errorf("forgotten after %v", d)
		}
	})
}
