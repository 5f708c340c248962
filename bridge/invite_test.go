package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"ircbridge/bridge/wire"
	"ircbridge/host"
)

func TestInvitationForAPerson(t *testing.T) {
	at := netip.MustParseAddrPort
	home := []netip.AddrPort{at("127.0.0.1:4747"), at("192.168.1.7:4747")}
	tests := []struct {
		name    string
		overlay string
		own     []netip.AddrPort
		found   map[netip.AddrPort]reach
		command string
	}{
		{"forwarded", "default", home, map[netip.AddrPort]reach{at("203.0.113.5:4747"): {3, 3}, at("192.168.1.7:4747"): {1, 1}},
			"ircbridge -join 203.0.113.5:4747 -join 192.168.1.7:4747"},
		{"behind a router", "default", home, map[netip.AddrPort]reach{at("203.0.113.5:4747"): {2, 0}},
			"ircbridge -join 192.168.1.7:4747"},
		{"nobody to ask", "tea", home, nil,
			"ircbridge -join 192.168.1.7:4747 -overlay tea"},
		{"a flaky one", "default", []netip.AddrPort{at("[2001:db8::7]:5000"), at("203.0.113.5:5000")},
			map[netip.AddrPort]reach{at("203.0.113.5:5000"): {3, 2}, at("[2001:db8::7]:5000"): {1, 0}},
			"ircbridge -join 203.0.113.5:5000"},
		{"firewall", "default", []netip.AddrPort{at("203.0.113.5:5000")}, map[netip.AddrPort]reach{at("203.0.113.5:5000"): {1, 0}},
			"ircbridge -join 203.0.113.5:5000"},
		{"this machine only", "default", home[:1], map[netip.AddrPort]reach{at("127.0.0.1:4747"): {1, 1}},
			"ircbridge -join 127.0.0.1:4747"},
		{"none", "default", nil, nil, "ircbridge"},
	}
	var text strings.Builder
	for _, test := range tests {
		i := invitation(test.overlay, "12D3KooWA", test.own, test.found)
		if i.Command != test.command {
			t.Errorf("%s: the command is %q, want %q", test.name, i.Command, test.command)
		}
		text.WriteString("--- " + test.name + "\n" + i.Text())
	}
	golden(t, "invitations.txt", text.String())
	program, err := json.MarshalIndent(invitation("tea", "12D3KooWA", home, tests[0].found), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "invitation.json", string(program)+"\n")
}

// Two nodes dial each other back.
func TestInvite(t *testing.T) {
	a := startNode(t, "a")
	alone, err := QueryInvitation(t.Context(), a.dir)
	if err != nil || len(alone.Addresses) != 1 || alone.Addresses[0].Asked != 0 {
		t.Errorf("alone: %+v, %v", alone, err)
	}
	b := startNode(t, "b", a.Status().Node.Addresses[0])
	b.out.await(t, "Joined the ring")
	for _, n := range []*running{a, b} {
		s := n.Status().Node
		got, err := QueryInvitation(t.Context(), n.dir)
		if err != nil {
			t.Fatal(err)
		}
		want := InviteAddress{
			Address: s.Addresses[0], Scope: scopeMachine, Asked: 1, Reached: 1,
			Multiaddress: "/ip4/127.0.0.1/tcp/" + s.Addresses[0][len("127.0.0.1:"):] + "/p2p/" + s.Peer,
		}
		if got.Command != "ircbridge -join "+s.Addresses[0] || !slices.Equal(got.Addresses, []InviteAddress{want}) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		// What it prints can be used.
		if peer, err := n.parts.host.Dial(want.Multiaddress, dialBackTime); err == nil || peer.ID != "" {
			t.Errorf("a node dialled itself: %v, %v", peer, err)
		}
	}
	if _, err := b.parts.host.Dial(alone.Addresses[0].Multiaddress, deadline); err != nil {
		t.Errorf("the multiaddress cannot be dialled: %v", err)
	}
}

// A port at which this node is not, and requests that nobody sends in earnest.
func TestDialBackElsewhere(t *testing.T) {
	a := startNode(t, "a")
	b := startNode(t, "b", a.Status().Node.Addresses[0])
	b.out.await(t, "Joined the ring")
	silent := netip.MustParseAddrPort(newGate(t).addr)
	own := netip.MustParseAddrPort(b.Status().Node.Addresses[0])
	got := b.parts.reach.ask([]uint16{silent.Port(), own.Port()})
	if len(got) != 2 || got[silent] != (reach{1, 0}) || got[own] != (reach{1, 1}) {
		t.Errorf("got %v", got)
	}
	// The port of another node is not this node's.
	other := netip.MustParseAddrPort(a.Status().Node.Addresses[0])
	if got := b.parts.reach.ask([]uint16{other.Port()}); got[other] != (reach{1, 0}) {
		t.Errorf("got %v", got)
	}
	to := host.Peer{ID: a.parts.host.Self().ID}
	for _, raw := range [][]byte{nil, []byte("rubbish"), {8, 0}, {8, 0x80, 0x80, 4}} {
		if reply, err := b.parts.host.Call(to, methodDialBack, raw, deadline); !errors.Is(err, host.ErrRefused) {
			t.Errorf("%q: %q, %v", raw, reply, err)
		}
	}
}

// No more than some dials for others run at a time.
func TestDialBacksAreBounded(t *testing.T) {
	a := startNode(t, "a")
	b := startNode(t, "b", a.Status().Node.Addresses[0])
	b.out.await(t, "Joined the ring")
	for range maxDialBacks {
		a.parts.reach.slots <- struct{}{}
	}
	raw, err := proto.Marshal(&wire.DialBack{Port: 1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.parts.host.Call(host.Peer{ID: a.parts.host.Self().ID}, methodDialBack, raw, deadline)
	if !errors.Is(err, host.ErrRefused) || !strings.Contains(err.Error(), host.ErrBusy.Error()) {
		t.Errorf("got %v", err)
	}
}

func TestAQuestionTakesNoLongerThanTheAsker(t *testing.T) {
	a := startNode(t, "a")
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if _, err := QueryInvitation(ctx, a.dir); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
