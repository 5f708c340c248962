package chord

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"ircbridge/chord/wire"
	"ircbridge/host"
	"ircbridge/host/sim"
)

// peerN is a well-formed peer ID.
func peerN(n byte) host.PeerID {
	return host.PeerIDFromKey(slices.Repeat([]byte{n}, 32))
}

func contactN(n byte) Contact {
	return NewContact(host.Peer{ID: peerN(n), Addrs: []string{"sim:x"}})
}

func mustEncode(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// decoders are all messages that come from outside, by name: each with a good
// example and a function that decodes, checks and, where it can, encodes again.
func decoders(t testing.TB) map[string]struct {
	good   []byte
	decode func([]byte) error
} {
	one, two := contactN(1), contactN(2)
	type entry = struct {
		good   []byte
		decode func([]byte) error
	}
	contacts := contactsToWire([]Contact{one, two})
	events := []*wire.Event{
		eventToWire(&event{Contact: one, incarnation: 1}),
		eventToWire(&event{Contact: two, incarnation: 2, gone: true}),
	}
	return map[string]entry{
		"Ping": {mustEncode(t, &wire.PingRequest{}), func(b []byte) error { return decode(b, &wire.PingRequest{}) }},
		"PingReply": {mustEncode(t, &wire.PingReply{State: wire.State_STATE_MEMBER, Run: 7}), func(b []byte) error {
			_, _, err := decodePingReply(b)
			return err
		}},
		"Neighbours": {mustEncode(t, &wire.NeighboursRequest{Known: 1, Successor: true}), func(b []byte) error { return decode(b, &wire.NeighboursRequest{}) }},
		"NeighboursReply": {mustEncode(t, &wire.NeighboursReply{State: wire.State_STATE_MEMBER, Digest: 3, Self: contacts[0], Predecessor: contacts[1], Successors: contacts}), func(b []byte) error {
			n, err := decodeNeighbours(b, one, &neighbours{digest: 9})
			if err == nil && (len(n.succs) > maxContacts || n.self.ID != one.ID && n.digest != 9) {
				t.Errorf("accepted %+v", n)
			}
			return err
		}},
		"Notify": {mustEncode(t, &wire.NotifyRequest{Self: contacts[0], Run: 3, Before: two.ID[:]}), func(b []byte) error {
			n, err := decodeNotify(b, one.Peer.ID)
			if err == nil && n.from.ID != one.ID {
				t.Errorf("accepted a notification in the name of %v", n.from)
			}
			return err
		}},
		"NotifyReply": {mustEncode(t, &wire.NotifyReply{State: wire.State_STATE_MEMBER, Predecessor: contacts[1], Granted: true, Grant: contacts}), func(b []byte) error {
			_, err := decodeNotified(b, one)
			return err
		}},
		"Find": {mustEncode(t, &wire.FindRequest{Key: two.ID[:], Remaining: 1000, Hops: 3, Join: true}), func(b []byte) error {
			q, err := decodeFind(b, maxLookup)
			if err == nil && (q.remaining < 0 || q.remaining > maxLookup || q.hops < 0) {
				t.Errorf("accepted %+v", q)
			}
			return err
		}},
		"FindReply": {mustEncode(t, &wire.FindReply{Outcome: wire.FindReply_FOUND, Owner: contacts[0], Better: contacts}), func(b []byte) error {
			f, err := decodeFound(b)
			if err == nil && (len(f.better) > maxBetter || f.outcome == wire.FindReply_FOUND && !f.owner.Peer.ID.Valid()) {
				t.Errorf("accepted %+v", f)
			}
			return err
		}},
		"SuccessorHint": {mustEncode(t, &wire.SuccessorHint{Candidate: contacts[0]}), func(b []byte) error {
			_, err := decodeHint(b)
			return err
		}},
		"Leave": {mustEncode(t, &wire.LeaveRequest{Predecessor: contacts[0], Successors: contacts}), func(b []byte) error {
			_, _, err := decodeLeave(b)
			return err
		}},
		"MembersChanged": {mustEncode(t, &wire.MembersChanged{Joined: contacts, Gone: [][]byte{[]byte(peerN(3))}}), func(b []byte) error {
			joined, gone, err := decodeChanged(b)
			if err == nil && (len(joined) > maxContacts || len(gone) > maxContacts) {
				t.Errorf("accepted %d joined, %d gone", len(joined), len(gone))
			}
			return err
		}},
		"Meet": {mustEncode(t, &wire.MeetRequest{Self: contacts[0]}), func(b []byte) error {
			c, err := decodeMeet(b, one.Peer.ID)
			if err == nil && c.ID != one.ID {
				t.Errorf("accepted a meeting in the name of %v", c)
			}
			return err
		}},
		"MeetReply": {mustEncode(t, &wire.MeetReply{State: wire.State_STATE_MEMBER}), func(b []byte) error { return decode(b, &wire.MeetReply{}) }},
		"Meeting": {mustEncode(t, &wire.Meeting{Other: contacts[0], Hops: 3, Spread: 2}), func(b []byte) error {
			m, err := decodeMeeting(b)
			if err == nil && (m.hops < 0 || m.spread < 0 || m.spread > newsSteps || !m.other.Peer.ID.Valid()) {
				t.Errorf("accepted %+v", m)
			}
			return err
		}},
		"Relay": {mustEncode(t, &wire.RelayRequest{To: contacts[0], Method: methodPing.Number, Remaining: 1000}), func(b []byte) error {
			q, err := decodeRelay(b)
			if err == nil && (q.remaining < 0 || q.remaining > maxLookup || q.method.Name == "" || !q.to.Peer.ID.Valid()) {
				t.Errorf("accepted %+v", q)
			}
			return err
		}},
		"RelayReply": {mustEncode(t, &wire.RelayReply{Outcome: wire.RelayReply_SILENT}), func(b []byte) error { return decode(b, &wire.RelayReply{}) }},
		"Gone": {mustEncode(t, &wire.Gone{Peer: []byte(peerN(3)), Steps: 3}), func(b []byte) error {
			id, steps, err := decodeGone(b)
			if err == nil && (!id.Valid() || steps < 0 || steps > maxContacts) {
				t.Errorf("accepted %v, %d", id, steps)
			}
			return err
		}},
		"Next": {mustEncode(t, &wire.NextRequest{Key: two.ID[:]}), func(b []byte) error {
			_, err := decodeKey(b)
			return err
		}},
		"NextReply": {mustEncode(t, &wire.NextReply{Outcome: wire.FindReply_FOUND, Next: contacts, Replicas: contacts}), func(b []byte) error {
			x, err := decodeNext(b)
			if err == nil && (len(x.contacts) > maxBetter || len(x.replicas) > replicas) {
				t.Errorf("accepted %+v", x)
			}
			return err
		}},
		"Gossip": {mustEncode(t, &wire.GossipRequest{Batches: []*wire.Batch{{Events: events, Until: two.ID[:]}}, Doubts: [][]byte{[]byte(peerN(3))}}), func(b []byte) error {
			batches, doubts, err := decodeGossip(b)
			n := 0
			for _, x := range batches {
				n += len(x.events)
			}
			if err == nil && (n > maxEvents || len(doubts) > maxEvents) {
				t.Errorf("accepted %d events, %d doubts", n, len(doubts))
			}
			return err
		}},
		"Table": {mustEncode(t, &wire.TableRequest{After: two.ID[:], Level: 3}), func(b []byte) error {
			_, level, err := decodeTableRequest(b)
			if level > maxLevel {
				t.Errorf("accepted level %d", level)
			}
			return err
		}},
		"TableReply": {mustEncode(t, &wire.TableReply{Members: events[:1], Done: true, Whole: true}), func(b []byte) error {
			x, err := decodeTable(b, ID{})
			if err == nil && (len(x.members) > maxChunk || len(x.members) == 0 && !x.done) {
				t.Errorf("accepted %+v", x)
			}
			return err
		}},
		"Compare": {mustEncode(t, &wire.CompareRequest{Sum: 1, Bits: 2, Segments: []*wire.Segment{{Index: 3, Places: []uint64{7}, Incarnations: []uint64{1}}}}), func(b []byte) error {
			_, err := decodeCompare(b)
			return err
		}},
		"CompareReply": {mustEncode(t, &wire.CompareReply{Bits: 1, Sums: []uint32{1, 2}, Events: events, Wanted: []uint64{9}}), func(b []byte) error {
			x, err := decodeCompared(b)
			if err == nil && len(x.sums) != 0 && len(x.sums) != 1<<x.bits {
				t.Errorf("accepted %d sums of 2^%d segments", len(x.sums), x.bits)
			}
			return err
		}},
		"Remembered": {mustEncode(t, &wire.Remembered{Contact: contacts[0]}), func(b []byte) error {
			var m wire.Remembered
			if err := decode(b, &m); err != nil {
				return err
			}
			_, err := contactFromWire(m.Contact)
			return err
		}},
	}
}

func fuzzMessage(f *testing.F, name string) {
	d := decoders(f)[name]
	f.Add(d.good)
	f.Add([]byte{})
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) { _ = decoders(t)[name].decode(b) })
}

func FuzzPing(f *testing.F)            { fuzzMessage(f, "Ping") }
func FuzzPingReply(f *testing.F)       { fuzzMessage(f, "PingReply") }
func FuzzNeighbours(f *testing.F)      { fuzzMessage(f, "Neighbours") }
func FuzzNeighboursReply(f *testing.F) { fuzzMessage(f, "NeighboursReply") }
func FuzzNotify(f *testing.F)          { fuzzMessage(f, "Notify") }
func FuzzNotifyReply(f *testing.F)     { fuzzMessage(f, "NotifyReply") }
func FuzzFind(f *testing.F)            { fuzzMessage(f, "Find") }
func FuzzFindReply(f *testing.F)       { fuzzMessage(f, "FindReply") }
func FuzzSuccessorHint(f *testing.F)   { fuzzMessage(f, "SuccessorHint") }
func FuzzLeave(f *testing.F)           { fuzzMessage(f, "Leave") }
func FuzzMembersChanged(f *testing.F)  { fuzzMessage(f, "MembersChanged") }
func FuzzNext(f *testing.F)            { fuzzMessage(f, "Next") }
func FuzzNextReply(f *testing.F)       { fuzzMessage(f, "NextReply") }
func FuzzGossip(f *testing.F)          { fuzzMessage(f, "Gossip") }
func FuzzTable(f *testing.F)           { fuzzMessage(f, "Table") }
func FuzzTableReply(f *testing.F)      { fuzzMessage(f, "TableReply") }
func FuzzCompare(f *testing.F)         { fuzzMessage(f, "Compare") }
func FuzzCompareReply(f *testing.F)    { fuzzMessage(f, "CompareReply") }
func FuzzRemembered(f *testing.F)      { fuzzMessage(f, "Remembered") }
func FuzzMeet(f *testing.F)            { fuzzMessage(f, "Meet") }
func FuzzMeeting(f *testing.F)         { fuzzMessage(f, "Meeting") }
func FuzzRelay(f *testing.F)           { fuzzMessage(f, "Relay") }
func FuzzGone(f *testing.F)            { fuzzMessage(f, "Gone") }

func TestDecodersAcceptTheirOwn(t *testing.T) {
	for name, d := range decoders(t) {
		if err := d.decode(d.good); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(d.good) > 0 {
			if err := d.decode(d.good[:len(d.good)-1]); name != "Ping" && !errors.Is(err, errMalformed) {
				t.Errorf("%s cut short: %v", name, err)
			}
		}
	}
}

func TestDecodersRefuse(t *testing.T) {
	bad := func(f func(c *wire.Contact)) *wire.Contact {
		c := contactToWire(contactN(1))
		f(c)
		return c
	}
	crowd := contactsToWire(slices.Repeat([]Contact{contactN(1)}, maxContacts+1))
	for name, c := range map[string]*wire.Contact{
		"no contact":       nil,
		"short peer ID":    bad(func(c *wire.Contact) { c.Peer = c.Peer[:37] }),
		"long peer ID":     bad(func(c *wire.Contact) { c.Peer = append(c.Peer, 0) }),
		"no Ed25519 key":   bad(func(c *wire.Contact) { c.Peer[0] = 0x12 }),
		"9 addresses":      bad(func(c *wire.Contact) { c.Addrs = slices.Repeat([]string{"a"}, maxAddrs+1) }),
		"long address":     bad(func(c *wire.Contact) { c.Addrs = []string{strings.Repeat("a", maxAddrLen+1)} }),
		"an empty address": bad(func(c *wire.Contact) { c.Addrs = []string{""} }),
	} {
		if _, err := contactFromWire(c); !errors.Is(err, errMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, b := range map[string]struct {
		of string
		m  proto.Message
	}{
		"too many successors":   {"NeighboursReply", &wire.NeighboursReply{State: wire.State_STATE_MEMBER, Self: crowd[0], Successors: crowd}},
		"another's answer":      {"NeighboursReply", &wire.NeighboursReply{State: wire.State_STATE_MEMBER, Self: contactToWire(contactN(2))}},
		"unchanged, but what":   {"NeighboursReply", &wire.NeighboursReply{State: wire.State_STATE_MEMBER, Unchanged: true, Digest: 10}},
		"in another's name":     {"Notify", &wire.NotifyRequest{Self: contactToWire(contactN(2))}},
		"short ID":              {"Notify", &wire.NotifyRequest{Self: contactToWire(contactN(1)), Before: []byte{1}}},
		"too much granted":      {"NotifyReply", &wire.NotifyReply{State: wire.State_STATE_MEMBER, Grant: crowd[:maxGrant+1]}},
		"short key":             {"Find", &wire.FindRequest{Key: make([]byte, 19)}},
		"no outcome":            {"FindReply", &wire.FindReply{}},
		"found nobody":          {"FindReply", &wire.FindReply{Outcome: wire.FindReply_FOUND}},
		"too many better":       {"FindReply", &wire.FindReply{Outcome: wire.FindReply_NO_ANSWER, Better: crowd[:maxBetter+1]}},
		"too many left to":      {"Leave", &wire.LeaveRequest{Successors: crowd}},
		"too many joined":       {"MembersChanged", &wire.MembersChanged{Joined: crowd}},
		"too many gone":         {"MembersChanged", &wire.MembersChanged{Gone: slices.Repeat([][]byte{[]byte(peerN(1))}, maxContacts+1)}},
		"met in another's name": {"Meet", &wire.MeetRequest{Self: contactToWire(contactN(2))}},
		"a meeting of nobody":   {"Meeting", &wire.Meeting{Hops: 1}},
		"the dead is no peer":   {"Gone", &wire.Gone{Peer: []byte{1}}},
		"a leave, relayed":      {"Relay", &wire.RelayRequest{To: contactToWire(contactN(1)), Method: methodLeave.Number}},
		"a notice, relayed":     {"Relay", &wire.RelayRequest{To: contactToWire(contactN(1)), Method: methodNotify.Number}},
		"a claim, relayed":      {"Relay", &wire.RelayRequest{To: contactToWire(contactN(1)), Method: methodNeighbours.Number, Body: []byte{0x10, 1}}},
		"gone is no peer":       {"MembersChanged", &wire.MembersChanged{Gone: [][]byte{{1}}}},
	} {
		if err := decoders(t)[b.of].decode(mustEncode(t, b.m)); !errors.Is(err, errMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHostileMessages: garbage to every method of a member is refused and
// changes nothing.
func TestHostileMessages(t *testing.T) {
	n := newNet(t, 1, sim.Config{}, Config{})
	ms := n.ring(5)
	x := n.add()
	crowd := contactsToWire(slices.Repeat([]Contact{contactN(1)}, maxContacts+1))
	n.do(func() {
		for _, m := range []host.Method{methodNeighbours, methodNotify, methodFind, methodLeave, methodMeet, methodRelay} {
			for _, body := range [][]byte{
				[]byte("\xff\xff\xff"),
				mustEncode(t, &wire.NotifyRequest{Self: contactToWire(ms[1].r.Self())}),
				mustEncode(t, &wire.LeaveRequest{Successors: crowd}),
				mustEncode(t, &wire.FindRequest{Key: []byte("short")}),
			} {
				_, err := x.h.Call(ms[0].h.Self(), m, body, time.Second)
				if m == methodNotify && err == nil {
					t.Errorf("%s accepted %q", m.Name, body)
				}
			}
		}
		for _, m := range []host.Method{methodHint, methodChanged, methodMeeting, methodGone} {
			for range 100 {
				_ = x.h.Send(ms[0].h.Self(), methodMeeting, mustEncode(t, &wire.Meeting{Other: contactToWire(contactN(9)), Spread: 4}))
				_ = x.h.Send(ms[0].h.Self(), methodMeeting, mustEncode(t, &wire.Meeting{Other: contactToWire(contactN(8))}))
				_ = x.h.Send(ms[0].h.Self(), methodGone, mustEncode(t, &wire.Gone{Peer: []byte(ms[1].h.Self().ID), Steps: 64}))
				_ = x.h.Send(ms[0].h.Self(), m, []byte("\xff\xff\xff"))
				_ = x.h.Send(ms[0].h.Self(), methodHint, mustEncode(t, &wire.SuccessorHint{Candidate: contactToWire(contactN(9))}))
				_ = x.h.Send(ms[0].h.Self(), methodChanged, mustEncode(t, &wire.MembersChanged{Joined: crowd[:1], Gone: [][]byte{[]byte(ms[1].h.Self().ID)}}))
			}
		}
		n.w.Sleep(3 * time.Second)
	})
	n.awaitIdeal(5, time.Second)
	n.checkLookups(20)
}
